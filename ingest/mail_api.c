/**
 * @file mail_api.c
 * @brief POST /v1/mail and POST /v1/mail/batch: from a body to acknowledged records.
 *
 * A call is checked (caller, scope, media type, key, quota), its items are read, judged and queued
 * one by one, and the answer is given when the last of them is acknowledged. A 202 is a promise:
 * it is given in mail_delivered's words only, after acks=all. An item that the broker did not
 * acknowledge is 503: nothing of it was written, or (outcome-unknown) nobody knows.
 */
#include "app.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "batch.h"
#include "header.h"
#include "mail/address.h"
#include "mail/ids.h"
#include "mail/request_json.h"
#include <stdio.h>

enum {
    MAIL_KEY_ROOM = INGEST_KEY_MAX + 8, /* key, separator, index of the item */
    MAIL_ANSWER_BYTES = 64 << 20,
};

/** One mail request of a call. */
struct mail_item {
    struct ingest_ticket ticket;
    struct mail_call *call;
    char id[MILL_UUID_TEXT];
    size_t messages;             /* personalizations */
    enum ingest_problem problem; /* 0 = accepted */
    struct mill_str detail;
    const struct ingest_wrong *wrong;
    size_t wrong_n;
};

struct mail_call {
    struct ingest *app;
    struct mill_exchange *x;
    bool batch;
    enum ingest_media media;
    struct ingest_identity who;
    char key[INGEST_KEY_MAX + 1]; /* "" = none was sent */
    struct ingest_trace trace;
    int64_t accepted_at;
    struct mail_item *items;
    size_t n;
    atomic_size_t waiting; /* items in the broker's hands, and one for ourselves while we queue */
};

static void mail_refuse(struct mail_call *call, enum ingest_problem p, struct mill_str detail)
{
    struct ingest_refusal r = {.problem = p, .detail = detail};

    if (p == PROBLEM_UNAUTHENTICATED)
        r.challenge = call->app->auth.challenge;
    ingest_refuse(call->app, call->x, &r, (struct mill_str){0});
}

/* --- the answer ------------------------------------------------------------------------------ */

static void mail_count(const struct mail_call *call)
{
    for (size_t i = 0; i < call->n; i++) {
        size_t outcome = MAILS_REFUSED;
        if (!call->items[i].problem)
            outcome = MAILS_ACCEPTED;
        else if (call->items[i].problem == PROBLEM_OUTCOME_UNKNOWN)
            outcome = MAILS_UNKNOWN;
        else if (ingest_problem_status(call->items[i].problem) >= 500)
            outcome = MAILS_UNAVAILABLE;
        mill_metric_add(call->app->metrics, M_MAILS, outcome, 1);
    }
}

static void mail_add_accepted(struct mill_buf *out, const struct mail_item *item)
{
    char at[32];

    mill_buf_printf(out, "\"id\":\"%s\",\"accepted_at\":\"%s\",\"message_ids\":[", item->id,
                    mill_time_text(item->call->accepted_at, at, sizeof at));
    for (size_t i = 0; i < item->messages; i++)
        mill_buf_printf(out, "%s\"%s/%zu\"", i ? "," : "", item->id, i);
    mill_buf_putc(out, ']');
}

static struct ingest_refusal mail_refusal(const struct mail_item *item)
{
    return (struct ingest_refusal){.problem = item->problem,
                                   .detail = item->detail,
                                   .wrong = item->wrong,
                                   .wrong_n = item->wrong_n};
}

static void mail_answer_one(struct mail_call *call)
{
    const struct mail_item *item = call->items;
    struct ingest_refusal r = mail_refusal(item);
    struct mill_buf body;

    if (item->problem) {
        ingest_refuse(call->app, call->x, &r, (struct mill_str){0});
        return;
    }
    mill_buf_init(&body, MAIL_ANSWER_BYTES);
    mill_buf_puts(&body, "{\"status\":\"accepted\",");
    mail_add_accepted(&body, item);
    mill_buf_putc(&body, '}');
    ingest_reply(call->app, call->x, 202, &body);
    mill_buf_release(&body);
}

static void mail_add_results(struct mill_buf *out, const struct mail_call *call, size_t accepted)
{
    mill_buf_printf(out, "\"accepted\":%zu,\"refused\":%zu,\"results\":[", accepted,
                    call->n - accepted);
    for (size_t i = 0; i < call->n; i++) {
        const struct mail_item *item = &call->items[i];
        struct ingest_refusal r = mail_refusal(item);
        unsigned status = item->problem ? ingest_problem_status(item->problem) : 202;
        mill_buf_printf(out, "%s{\"index\":%zu,\"status\":%u,", i ? "," : "", i, status);
        if (item->problem) {
            mill_buf_puts(out, "\"problem\":");
            ingest_problem_add(out, &r, (struct mill_str){0});
        } else {
            mail_add_accepted(out, item);
        }
        mill_buf_putc(out, '}');
    }
    mill_buf_putc(out, ']');
}

/* 202: all accepted. 200: some not, see each. 503: none accepted, and some could be later. */
static void mail_answer_batch(struct mail_call *call)
{
    enum ingest_problem worst = 0;
    size_t accepted = 0;
    struct mill_buf body;

    for (size_t i = 0; i < call->n; i++) {
        enum ingest_problem p = call->items[i].problem;
        accepted += !p;
        if (p == PROBLEM_OUTCOME_UNKNOWN || (p == PROBLEM_UNAVAILABLE && !worst))
            worst = p;
    }
    mill_buf_init(&body, MAIL_ANSWER_BYTES);
    mill_buf_putc(&body, accepted || !worst ? '{' : ',');
    mail_add_results(&body, call, accepted);
    if (accepted || !worst) {
        mill_buf_putc(&body, '}');
        ingest_reply(call->app, call->x, accepted == call->n ? 202 : 200, &body);
    } else {
        ingest_refuse(call->app, call->x, &(struct ingest_refusal){.problem = worst},
                      mill_buf_view(&body));
    }
    mill_buf_release(&body);
}

/* One item, or we ourselves, need the call no longer; the last one answers. */
static void mail_settle(struct mail_call *call)
{
    if (atomic_fetch_sub(&call->waiting, 1) != 1)
        return;
    ingest_quota_give(call->app->quota, call->who.tenant, (uint32_t)call->n);
    mail_count(call);
    if (call->batch)
        mail_answer_batch(call);
    else
        mail_answer_one(call);
}

/* --- one item -------------------------------------------------------------------------------- */

static void mail_wrong(struct mail_item *item, enum ingest_problem p, struct mill_str detail)
{
    item->problem = p;
    item->detail = detail;
}

static void mail_too_large(struct mail_item *item)
{
    uint64_t max = item->call->app->conf->record_max_bytes;

    mail_wrong(item, PROBLEM_TOO_LARGE,
               mill_arena_printf(mill_exchange_arena(item->call->x),
                                 "the mail is over the record limit of %llu bytes (%g MiB)",
                                 (unsigned long long)max, (double)max / (1 << 20)));
}

/* On the producer's thread. */
static void mail_delivered(void *arg, enum mill_delivery d, const char *reason)
{
    struct mail_item *item = arg;

    (void)reason;
    if (d == MILL_UNDELIVERED)
        mail_wrong(item, PROBLEM_UNAVAILABLE, MILL_STR("the broker did not take the record"));
    else if (d == MILL_DOUBTFUL)
        mail_wrong(item, PROBLEM_OUTCOME_UNKNOWN,
                   MILL_STR("the record was sent, and no acknowledgement came in time"));
    else if (d == MILL_TOO_LARGE)
        mail_wrong(item, PROBLEM_TOO_LARGE,
                   MILL_STR("the mail is over the broker's own record limit"));
    mail_settle(item->call);
}

static void mail_queue(struct mail_item *item, const struct mill_request *request)
{
    struct mail_call *call = item->call;
    struct mill_err err = {0};
    enum ingest_publish rc;

    item->ticket = (struct ingest_ticket){.done = mail_delivered, .arg = item};
    atomic_fetch_add(&call->waiting, 1);
    rc = ingest_publish_send(call->app->publisher, INGEST_REQUESTS, request->request_id, request,
                             (struct mill_map){call->trace.v, call->trace.n}, &item->ticket, &err);
    if (rc == INGEST_QUEUED) /* item may be answered already: hands off */
        return;
    if (rc == INGEST_TOO_LARGE) {
        mail_too_large(item);
    } else if (rc == INGEST_AWAY) {
        const char *why = ingest_publisher_why(call->app->publisher);
        mail_wrong(item, PROBLEM_UNAVAILABLE, mill_str(why ? why : "too much is waiting"));
    } else {
        mill_log_err(MILL_ERROR, "publish_failed", &err);
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
    }
    atomic_fetch_sub(&call->waiting, 1); /* ours is still in it: not the last */
}

static bool mail_name(struct mail_item *item, size_t index)
{
    struct mail_call *call = item->call;
    char key[MAIL_KEY_ROOM];

    if (!call->key[0])
        return mill_uuid7(item->id);
    /* No key has a control character: an item's never meets one of a single mail's. */
    if (call->batch)
        snprintf(key, sizeof key, "%s\x1f%zu", call->key, index);
    else
        snprintf(key, sizeof key, "%s", call->key);
    return mill_request_id_of_key(mill_str(call->who.client), mill_str(key), item->id);
}

static void mail_take_faults(struct mail_item *item, const struct mill_faults *faults)
{
    struct mill_arena *arena = mill_exchange_arena(item->call->x);
    struct ingest_wrong *wrong = mill_arena_calloc(arena, faults->n, sizeof *wrong);

    mail_wrong(item, PROBLEM_INVALID_REQUEST, (struct mill_str){0});
    for (size_t i = 0; wrong && i < faults->n; i++)
        wrong[i] = (struct ingest_wrong){mill_arena_dup(arena, mill_str(faults->v[i].pointer)),
                                         mill_arena_dup(arena, mill_str(faults->v[i].text))};
    item->wrong = wrong;
    item->wrong_n = wrong ? faults->n : 0;
    if (faults->more)
        item->detail = mill_arena_printf(arena, "%zu more faults are not listed", faults->more);
}

/* The request of one JSON text's value; false when it is refused (the item says why). */
static bool mail_read(struct mail_item *item, const json_t *json, struct mill_arena *arena,
                      struct mill_request *request)
{
    const struct mail_call *call = item->call;
    struct mill_rules rules = {
        .mailbox_flags = call->app->conf->deliverable_only ? MILL_MAILBOX_DELIVERABLE : 0,
        .now_us = call->accepted_at,
    };
    struct mill_faults faults;
    struct mill_err err = {0};
    enum mill_code rc = mill_request_read(json, &rules, arena, request, &faults, &err);

    if (!rc)
        return true;
    if (rc != MILL_E_DATA) {
        mill_log_err(MILL_ERROR, "request_not_read", &err);
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
    } else if (faults.too_large) {
        mail_too_large(item);
    } else {
        mail_take_faults(item, &faults);
    }
    return false;
}

static void mail_item(struct mail_item *item, size_t index, struct mill_str text)
{
    struct mail_call *call = item->call;
    struct mill_arena arena = {0}; /* of this item: thrown away when it is queued */
    struct mill_request request = {0};
    char fingerprint[MILL_FINGERPRINT_SIZE];
    struct mill_err err = {0};
    json_t *json = NULL;

    if (text.n > call->app->conf->record_max_bytes) {
        mail_too_large(item);
        return;
    }
    if (mill_json_parse(text, &json, &err)) {
        mail_wrong(item, PROBLEM_MALFORMED_BODY,
                   mill_arena_printf(mill_exchange_arena(call->x), "%s: %s", err.where, err.text));
        return;
    }
    if (!mail_read(item, json, &arena, &request))
        goto out;
    if (!mail_name(item, index) || !mill_request_fingerprint(&request, fingerprint)) {
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
        goto out;
    }
    /* Whose mail this is says the credential, never the body. */
    request.request_id = mill_str(item->id);
    request.fingerprint = mill_str(fingerprint);
    request.tenant = mill_str(call->who.tenant);
    request.client = mill_str(call->who.client);
    request.accepted_at = call->accepted_at;
    item->messages = request.personalizations.n;
    mail_queue(item, &request);
out:
    mill_arena_release(&arena);
    json_decref(json);
}

/* --- the call -------------------------------------------------------------------------------- */

/* Cuts the body into items; false when it was refused. */
static bool mail_split(struct mail_call *call, struct mill_str **texts)
{
    struct mill_arena *arena = mill_exchange_arena(call->x);
    struct mill_str body = mill_exchange_body(call->x);
    size_t room = call->batch ? INGEST_BATCH_MAX : 1;
    enum ingest_batch rc = INGEST_BATCH_OK;

    *texts = mill_arena_calloc(arena, room, sizeof **texts);
    if (!*texts) {
        mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    (*texts)[0] = body;
    call->n = 1;
    if (call->batch)
        rc = ingest_batch_split(body, call->media == INGEST_MEDIA_NDJSON, *texts, &call->n);
    if (rc == INGEST_BATCH_MALFORMED)
        mail_refuse(call, PROBLEM_MALFORMED_BODY, MILL_STR("the body is no JSON array"));
    else if (rc == INGEST_BATCH_EMPTY)
        mail_refuse(call, PROBLEM_INVALID_REQUEST, MILL_STR("the batch has no items"));
    else if (rc == INGEST_BATCH_TOO_MANY)
        mail_refuse(call, PROBLEM_INVALID_REQUEST, MILL_STR("a batch has at most 1000 items"));
    if (rc)
        return false;
    call->items = mill_arena_calloc(arena, call->n, sizeof *call->items);
    if (!call->items)
        mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
    return call->items != NULL;
}

static bool mail_headers_ok(struct mail_call *call)
{
    struct mill_str encoding = mill_exchange_header(call->x, "Content-Encoding");
    struct mill_str key = mill_exchange_header(call->x, "Idempotency-Key");

    call->media = ingest_media_of(mill_exchange_header(call->x, "Content-Type"));
    if (call->media == INGEST_MEDIA_OTHER || (call->media == INGEST_MEDIA_NDJSON && !call->batch) ||
        (encoding.n && !mill_str_ieq(encoding, MILL_STR("identity")))) {
        mail_refuse(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, (struct mill_str){0});
        return false;
    }
    if (key.p && !ingest_key_parse(key, call->key)) {
        mail_refuse(call, PROBLEM_INVALID_IDEMPOTENCY_KEY, (struct mill_str){0});
        return false;
    }
    if (!ingest_trace_of(call->x, &call->trace)) {
        mail_refuse(call, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    return true;
}

/* The caller is known: the rest of the way. */
static void mail_run(struct mail_call *call)
{
    struct mill_str *texts;

    if (!(call->who.scopes & INGEST_MAIL_SEND)) {
        mail_refuse(call, PROBLEM_MISSING_SCOPE,
                    MILL_STR("the credential lacks the scope mail:send"));
        return;
    }
    if (!mail_headers_ok(call) || !mail_split(call, &texts))
        return;
    if (!ingest_quota_take(call->app->quota, call->who.tenant, (uint32_t)call->n)) {
        mail_refuse(call, PROBLEM_TOO_MANY_IN_FLIGHT, (struct mill_str){0});
        return;
    }
    mill_metric_add(call->app->metrics, M_BYTES, call->batch ? BYTES_BATCH : BYTES_MAIL,
                    mill_exchange_body(call->x).n);
    call->accepted_at = mill_now_us();
    atomic_init(&call->waiting, 1);
    for (size_t i = 0; i < call->n; i++) {
        call->items[i].call = call;
        mail_item(&call->items[i], i, texts[i]);
    }
    mail_settle(call);
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
        mail_refuse(call, PROBLEM_UNAVAILABLE,
                    MILL_STR("too many credentials wait for their check"));
        break;
    case INGEST_AUTH_REFUSED:
    default:
        mail_refuse(call, PROBLEM_UNAUTHENTICATED, (struct mill_str){0});
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
