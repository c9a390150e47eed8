/**
 * @file mail_api.c
 * @brief POST /v1/mail and POST /v1/mail/batch: from a body to acknowledged records.
 *
 * A call is checked (caller, scope, media type, key, quota), its items are judged and queued one by
 * one (mail_item.c), and the answer (mail_answer.c) is given when the last of them is acknowledged.
 */
#include "mail_call.h"

#include "base/clock.h"
#include "batch.h"

/* Cuts the body into items; false when it was refused. */
static bool mail_split(struct mail_call *call, struct mill_str **texts)
{
    struct mill_arena *arena = mill_exchange_arena(call->by.x);
    struct mill_str body = mill_exchange_body(call->by.x);
    size_t room = call->batch ? INGEST_BATCH_MAX : 1;
    enum ingest_batch rc = INGEST_BATCH_OK;

    *texts = mill_arena_calloc(arena, room, sizeof **texts);
    if (!*texts) {
        ingest_caller_refuse(&call->by, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    (*texts)[0] = body;
    call->n = 1;
    if (call->batch)
        rc = ingest_batch_split(body, call->media == INGEST_MEDIA_NDJSON, *texts, &call->n);
    if (rc == INGEST_BATCH_MALFORMED)
        ingest_caller_refuse(&call->by, PROBLEM_MALFORMED_BODY,
                             MILL_STR("the body is no JSON array"));
    else if (rc == INGEST_BATCH_EMPTY)
        ingest_caller_refuse(&call->by, PROBLEM_INVALID_REQUEST,
                             MILL_STR("the batch has no items"));
    else if (rc == INGEST_BATCH_TOO_MANY)
        ingest_caller_refuse(&call->by, PROBLEM_INVALID_REQUEST,
                             MILL_STR("a batch has at most 1000 items"));
    if (rc)
        return false;
    call->items = mill_arena_calloc(arena, call->n, sizeof *call->items);
    if (!call->items)
        ingest_caller_refuse(&call->by, PROBLEM_INTERNAL, (struct mill_str){0});
    return call->items != NULL;
}

static bool mail_headers_ok(struct mail_call *call)
{
    struct mill_str encoding = mill_exchange_header(call->by.x, "Content-Encoding");
    struct mill_str key = mill_exchange_header(call->by.x, "Idempotency-Key");

    call->media = ingest_media_of(mill_exchange_header(call->by.x, "Content-Type"));
    if (call->media == INGEST_MEDIA_OTHER || (call->media == INGEST_MEDIA_NDJSON && !call->batch) ||
        (encoding.n && !mill_str_ieq(encoding, MILL_STR("identity")))) {
        ingest_caller_refuse(&call->by, PROBLEM_UNSUPPORTED_MEDIA_TYPE, (struct mill_str){0});
        return false;
    }
    if (!key.p && call->by.app->conf->require_key) {
        ingest_caller_refuse(&call->by, PROBLEM_MISSING_IDEMPOTENCY_KEY, (struct mill_str){0});
        return false;
    }
    if (key.p && !ingest_key_parse(key, call->key)) {
        ingest_caller_refuse(&call->by, PROBLEM_INVALID_IDEMPOTENCY_KEY, (struct mill_str){0});
        return false;
    }
    if (!ingest_trace_of(call->by.x, &call->trace)) {
        ingest_caller_refuse(&call->by, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    return true;
}

/* The caller is known: the rest of the way. */
static void mail_run(struct ingest_caller *by)
{
    struct mail_call *call = (struct mail_call *)by;
    struct mill_str *texts;

    if (!mail_headers_ok(call) || !mail_split(call, &texts))
        return;
    if (!ingest_quota_take(call->by.app->quota, call->by.who.tenant, (uint32_t)call->n)) {
        ingest_caller_refuse(&call->by, PROBLEM_TOO_MANY_IN_FLIGHT, (struct mill_str){0});
        return;
    }
    mill_metric_add(call->by.app->metrics, M_BYTES, call->batch ? BYTES_BATCH : BYTES_MAIL,
                    mill_exchange_body(call->by.x).n);
    call->accepted_at = mill_now_us();
    atomic_init(&call->waiting, 1);
    for (size_t i = 0; i < call->n; i++) {
        call->items[i].call = call;
        ingest_mail_item(&call->items[i], i, texts[i]);
    }
    ingest_mail_settle(call);
}

static void mail_begin(struct ingest *app, struct mill_exchange *x, bool batch)
{
    struct mail_call *call;

    if (ingest_refuse_draining(app, x))
        return;
    call = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *call);
    if (!call) {
        ingest_refuse(app, x, &(struct ingest_refusal){.problem = PROBLEM_INTERNAL},
                      (struct mill_str){0});
        return;
    }
    call->by =
        (struct ingest_caller){.app = app, .x = x, .scope = INGEST_MAIL_SEND, .run = mail_run};
    call->batch = batch;
    ingest_caller_check(&call->by);
}

void ingest_mail_post(void *app, struct mill_exchange *x)
{
    mail_begin(app, x, false);
}

void ingest_batch_post(void *app, struct mill_exchange *x)
{
    mail_begin(app, x, true);
}
