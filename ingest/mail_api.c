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
    struct mill_arena *arena = mill_exchange_arena(call->x);
    struct mill_str body = mill_exchange_body(call->x);
    size_t room = call->batch ? INGEST_BATCH_MAX : 1;
    enum ingest_batch rc = INGEST_BATCH_OK;

    *texts = mill_arena_calloc(arena, room, sizeof **texts);
    if (!*texts) {
        ingest_mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    (*texts)[0] = body;
    call->n = 1;
    if (call->batch)
        rc = ingest_batch_split(body, call->media == INGEST_MEDIA_NDJSON, *texts, &call->n);
    if (rc == INGEST_BATCH_MALFORMED)
        ingest_mail_refuse(call, PROBLEM_MALFORMED_BODY, MILL_STR("the body is no JSON array"));
    else if (rc == INGEST_BATCH_EMPTY)
        ingest_mail_refuse(call, PROBLEM_INVALID_REQUEST, MILL_STR("the batch has no items"));
    else if (rc == INGEST_BATCH_TOO_MANY)
        ingest_mail_refuse(call, PROBLEM_INVALID_REQUEST,
                           MILL_STR("a batch has at most 1000 items"));
    if (rc)
        return false;
    call->items = mill_arena_calloc(arena, call->n, sizeof *call->items);
    if (!call->items)
        ingest_mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
    return call->items != NULL;
}

static bool mail_headers_ok(struct mail_call *call)
{
    struct mill_str encoding = mill_exchange_header(call->x, "Content-Encoding");
    struct mill_str key = mill_exchange_header(call->x, "Idempotency-Key");

    call->media = ingest_media_of(mill_exchange_header(call->x, "Content-Type"));
    if (call->media == INGEST_MEDIA_OTHER || (call->media == INGEST_MEDIA_NDJSON && !call->batch) ||
        (encoding.n && !mill_str_ieq(encoding, MILL_STR("identity")))) {
        ingest_mail_refuse(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, (struct mill_str){0});
        return false;
    }
    if (key.p && !ingest_key_parse(key, call->key)) {
        ingest_mail_refuse(call, PROBLEM_INVALID_IDEMPOTENCY_KEY, (struct mill_str){0});
        return false;
    }
    if (!ingest_trace_of(call->x, &call->trace)) {
        ingest_mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    return true;
}

/* The caller is known: the rest of the way. */
static void mail_run(struct mail_call *call)
{
    struct mill_str *texts;

    if (!(call->who.scopes & INGEST_MAIL_SEND)) {
        ingest_mail_refuse(call, PROBLEM_MISSING_SCOPE,
                           MILL_STR("the credential lacks the scope mail:send"));
        return;
    }
    if (!mail_headers_ok(call) || !mail_split(call, &texts))
        return;
    if (!ingest_quota_take(call->app->quota, call->who.tenant, (uint32_t)call->n)) {
        ingest_mail_refuse(call, PROBLEM_TOO_MANY_IN_FLIGHT, (struct mill_str){0});
        return;
    }
    mill_metric_add(call->app->metrics, M_BYTES, call->batch ? BYTES_BATCH : BYTES_MAIL,
                    mill_exchange_body(call->x).n);
    call->accepted_at = mill_now_us();
    atomic_init(&call->waiting, 1);
    for (size_t i = 0; i < call->n; i++) {
        call->items[i].call = call;
        ingest_mail_item(&call->items[i], i, texts[i]);
    }
    ingest_mail_settle(call);
}

static void mail_authenticate(struct mail_call *call, bool may_wait);

/* On later's thread. */
static void mail_later(void *arg)
{
    mail_authenticate(arg, true);
}

static void mail_authenticate(struct mail_call *call, bool may_wait)
{
    struct ingest_auth *auth = &call->app->auth;

    switch (auth->check(auth->self, mill_exchange_header(call->x, "Authorization"), may_wait,
                        &call->who)) {
    case INGEST_AUTH_OK:
        mail_run(call);
        break;
    case INGEST_AUTH_LATER:
        if (!may_wait && ingest_later_put(call->app->later, mail_later, call))
            break;
        ingest_mail_refuse(call, PROBLEM_UNAVAILABLE,
                           MILL_STR("too many credentials wait for their check"));
        break;
    case INGEST_AUTH_REFUSED:
    default:
        ingest_mail_refuse(call, PROBLEM_UNAUTHENTICATED, (struct mill_str){0});
        break;
    }
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
    call->app = app;
    call->x = x;
    call->batch = batch;
    mail_authenticate(call, false);
}

void ingest_mail_post(void *app, struct mill_exchange *x)
{
    mail_begin(app, x, false);
}

void ingest_batch_post(void *app, struct mill_exchange *x)
{
    mail_begin(app, x, true);
}
