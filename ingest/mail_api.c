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
static bool mail_split(struct mail_call *call)
{
    struct mill_arena *arena = mill_exchange_arena(call->by.x);
    struct mill_str body = mill_exchange_body(call->by.x);
    size_t room = call->batch ? INGEST_BATCH_MAX : 1;
    struct mill_str *texts = mill_arena_calloc(arena, room, sizeof *texts);
    enum ingest_batch rc = INGEST_BATCH_OK;

    if (!texts) {
        ingest_caller_refuse(&call->by, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    texts[0] = body;
    call->n = 1;
    if (call->batch)
        rc = ingest_batch_split(body, call->media == INGEST_MEDIA_NDJSON, texts, &call->n);
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
    if (!call->items) {
        ingest_caller_refuse(&call->by, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    for (size_t i = 0; i < call->n; i++) {
        call->items[i].call = call;
        call->items[i].text = texts[i];
    }
    return true;
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

/* Judges and queues each item; on large's thread when one may have to go to S3. */
static void mail_items(void *arg)
{
    struct mail_call *call = arg;

    call->accepted_at = mill_now_us();
    atomic_init(&call->waiting, 1);
    for (size_t i = 0; i < call->n; i++)
        ingest_mail_item(&call->items[i], i);
    ingest_mail_settle(call);
}

/* May an attachment of it be too large for the record? */
static bool mail_is_large(const struct mail_call *call)
{
    const struct ingest *app = call->by.app;
    size_t n = mill_exchange_body(call->by.x).n;

    return app->blobs && (n > app->conf->inline_max_bytes || n > app->conf->record_max_bytes / 2);
}

/* The caller is known: the rest of the way. */
static void mail_run(struct ingest_caller *by)
{
    struct mail_call *call = (struct mail_call *)by;
    struct ingest *app = by->app;

    if (!mail_headers_ok(call) || !mail_split(call))
        return;
    if (!ingest_quota_take(app->quota, by->who.tenant, (uint32_t)call->n)) {
        ingest_caller_refuse(by, PROBLEM_TOO_MANY_IN_FLIGHT, (struct mill_str){0});
        return;
    }
    mill_metric_add(app->metrics, M_BYTES, call->batch ? BYTES_BATCH : BYTES_MAIL,
                    mill_exchange_body(by->x).n);
    if (!mail_is_large(call)) {
        mail_items(call);
    } else if (!ingest_later_put(app->large, mail_items, call)) {
        ingest_quota_give(app->quota, by->who.tenant, (uint32_t)call->n);
        ingest_caller_refuse(by, PROBLEM_UNAVAILABLE, MILL_STR("too many large mails wait"));
    }
}

static void mail_begin(struct ingest *app, struct mill_exchange *x, bool batch)
{
    struct mail_call *call;

    call = ingest_call_new(app, x, sizeof *call);
    if (!call)
        return;
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
