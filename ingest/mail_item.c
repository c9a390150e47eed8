/**
 * @file mail_item.c
 * @brief One mail of a call: from its JSON to a record in the broker's hands, and its outcome.
 *
 * A 202 is a promise: it is given in mail_delivered's words only, after acks=all. An item that the
 * broker did not acknowledge is 503: nothing of it was written, or (outcome-unknown) nobody knows.
 */
#include "mail_call.h"

#include "base/json.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/request_json.h"
#include <stdio.h>

enum { MAIL_KEY_ROOM = INGEST_KEY_MAX + 8 /* key, separator, index of the item */ };

static void mail_wrong(struct mail_item *item, enum ingest_problem p, struct mill_str detail)
{
    item->problem = p;
    item->detail = detail;
}

static void mail_too_large(struct mail_item *item)
{
    uint64_t max = item->call->by.app->conf->record_max_bytes;

    mail_wrong(item, PROBLEM_TOO_LARGE,
               mill_arena_printf(mill_exchange_arena(item->call->by.x),
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
    ingest_mail_settle(item->call);
}

static void mail_queue(struct mail_item *item, const struct mill_request *request)
{
    struct mail_call *call = item->call;
    struct mill_err err = {0};
    enum ingest_publish rc;

    item->ticket = (struct ingest_ticket){.done = mail_delivered, .arg = item};
    atomic_fetch_add(&call->waiting, 1);
    rc = ingest_publish_send(call->by.app->publisher, INGEST_REQUESTS, request->request_id, request,
                             (struct mill_map){call->trace.v, call->trace.n}, &item->ticket, &err);
    if (rc == INGEST_QUEUED) /* item may be answered already: hands off */
        return;
    if (rc == INGEST_TOO_LARGE) {
        mail_too_large(item);
    } else if (rc == INGEST_AWAY) {
        const char *why = ingest_publisher_why(call->by.app->publisher);
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
    return mill_request_id_of_key(mill_str(call->by.who.client), mill_str(key), item->id);
}

static void mail_take_faults(struct mail_item *item, const struct mill_faults *faults)
{
    struct mill_arena *arena = mill_exchange_arena(item->call->by.x);
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
        .mailbox_flags = call->by.app->conf->deliverable_only ? MILL_MAILBOX_DELIVERABLE : 0,
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

void ingest_mail_item(struct mail_item *item, size_t index, struct mill_str text)
{
    struct mail_call *call = item->call;
    struct mill_arena arena = {0}; /* of this item: thrown away when it is queued */
    struct mill_request request = {0};
    char fingerprint[MILL_FINGERPRINT_SIZE];
    struct mill_err err = {0};
    json_t *json = NULL;

    if (text.n > call->by.app->conf->record_max_bytes) {
        mail_too_large(item);
        return;
    }
    if (mill_json_parse(text, &json, &err)) {
        mail_wrong(
            item, PROBLEM_MALFORMED_BODY,
            mill_arena_printf(mill_exchange_arena(call->by.x), "%s: %s", err.where, err.text));
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
    request.tenant = mill_str(call->by.who.tenant);
    request.client = mill_str(call->by.who.client);
    request.accepted_at = call->accepted_at;
    item->messages = request.personalizations.n;
    mail_queue(item, &request);
out:
    mill_arena_release(&arena);
    json_decref(json);
}
