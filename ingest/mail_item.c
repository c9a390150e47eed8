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

static void mail_too_large(struct mail_item *item, const char *what, uint64_t max)
{
    mail_wrong(item, PROBLEM_TOO_LARGE,
               mill_arena_printf(mill_exchange_arena(item->call->by.x),
                                 "the mail is over the %s of %llu bytes (%g MiB)", what,
                                 (unsigned long long)max, (double)max / (1 << 20)));
}

/* Of a body, before anything of it goes to S3; without S3 it is the record's. */
static void mail_body_too_large(struct mail_item *item)
{
    const struct ingest *app = item->call->by.app;

    mail_too_large(item, app->blobs ? "mail limit" : "record limit", app->mail_max_bytes);
}

static void mail_settled(struct mail_item *item)
{
    if (item->in_hand)
        ingest_keys_release(item->call->by.app->keys, item->key);
    ingest_mail_settle(item->call);
}

/* On the producer's thread. The request is the broker's: without its key's record it is accepted
 * all the same. */
static void mail_key_delivered(void *arg, enum mill_delivery d, const char *reason)
{
    struct mail_item *item = arg;

    (void)reason;
    if (d != MILL_DELIVERED)
        mill_metric_add(item->call->by.app->metrics, M_KEYS_NOT_WRITTEN, 0, 1);
    mail_settled(item);
}

/* Writes down that the key was used. @return false: the item is to be settled now */
static bool mail_keep_key(struct mail_item *item)
{
    struct ingest *app = item->call->by.app;
    const struct mill_idempotency record = {.request_id = mill_str(item->id),
                                            .fingerprint = mill_str(item->fingerprint),
                                            .client = mill_str(item->call->by.who.client),
                                            .accepted_at = item->accepted_at,
                                            .messages = (int64_t)item->messages};
    struct mill_err err = {0};

    if (!item->in_hand)
        return false;
    ingest_keys_keep(app->keys, item->key, &record);
    item->key_ticket =
        (struct ingest_ticket){.done = mail_key_delivered, .arg = item, .follows = true};
    if (ingest_publish_send(app->publisher, INGEST_IDEMPOTENCY, mill_str(item->key), &record,
                            (struct mill_map){0}, &item->key_ticket, &err) == INGEST_QUEUED)
        return true;
    mill_metric_add(app->metrics, M_KEYS_NOT_WRITTEN, 0, 1);
    return false;
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
    else if (mail_keep_key(item))
        return;
    mail_settled(item);
}

/* The item goes no further: its key is as it was. */
static void mail_drop_key(struct mail_item *item)
{
    if (item->in_hand)
        ingest_keys_release(item->call->by.app->keys, item->key);
    item->in_hand = false;
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
        mail_too_large(item, "record limit", call->by.app->conf->record_max_bytes);
    } else if (rc == INGEST_AWAY) {
        const char *why = ingest_why(call->by.app);
        mail_wrong(item, PROBLEM_UNAVAILABLE, mill_str(why ? why : "too much is waiting"));
    } else {
        mill_log_err(MILL_ERROR, "publish_failed", &err);
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
    }
    mail_drop_key(item);
    atomic_fetch_sub(&call->waiting, 1); /* ours is still in it: not the last */
}

/* The id of the item's key, or "" when none was sent. */
static bool mail_name_key(struct mail_item *item, size_t index)
{
    struct mail_call *call = item->call;
    char key[MAIL_KEY_ROOM];

    if (!call->key[0])
        return true;
    /* No key has a control character: an item's never meets one of a single mail's. */
    if (call->batch)
        snprintf(key, sizeof key, "%s\x1f%zu", call->key, index);
    else
        snprintf(key, sizeof key, "%s", call->key);
    return mill_request_id_of_key(mill_str(call->by.who.client), mill_str(key), item->key);
}

/* What the item will be: a new request, the answer of an earlier one, or nothing now (false). */
static bool mail_take_key(struct mail_item *item, size_t index, struct ingest_key_use *use)
{
    struct ingest *app = item->call->by.app;

    item->accepted_at = item->call->accepted_at;
    if (!mail_name_key(item, index) || (!item->key[0] && !mill_uuid7(item->id))) {
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    if (!item->key[0])
        return true;
    switch (ingest_keys_take(app->keys, item->key, item->accepted_at, use)) {
    case INGEST_KEY_FREE:
        item->in_hand = true;
        break;
    case INGEST_KEY_USED:
        item->replayed = true;
        item->accepted_at = use->accepted_at;
        item->messages = (size_t)use->messages;
        break;
    case INGEST_KEY_IN_HAND:
        mail_wrong(item, PROBLEM_KEY_IN_HAND, (struct mill_str){0});
        return false;
    case INGEST_KEY_AWAY:
    default:
        mail_wrong(item, PROBLEM_UNAVAILABLE, mill_str(ingest_keys_why(app->keys)));
        return false;
    }
    memcpy(item->id, use->request_id, sizeof item->id);
    return true;
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
        .now_us = item->accepted_at, /* a repeated request is judged as it was the first time */
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
        mail_too_large(item, "limit of a mail with its attachments as base64,",
                       MILL_MAIL_BYTES_MAX);
    } else {
        mail_take_faults(item, &faults);
    }
    return false;
}

/* @return false: the item is as far as it goes */
static bool mail_judge(struct mail_item *item, const json_t *json, struct mill_arena *arena,
                       const struct ingest_key_use *use, struct mill_request *request)
{
    bool replayed = item->replayed;

    item->replayed = false; /* until it is known to be the same */
    if (!mail_read(item, json, arena, request))
        return false;
    if (!mill_request_fingerprint(request, item->fingerprint)) {
        mail_wrong(item, PROBLEM_INTERNAL, (struct mill_str){0});
        return false;
    }
    if (replayed && strcmp(use->fingerprint, item->fingerprint)) {
        mail_wrong(item, PROBLEM_KEY_REUSED, (struct mill_str){0});
        return false;
    }
    item->replayed = replayed;
    return !replayed;
}

/* Large attachments to S3. On failure nothing is written to the broker. */
static bool mail_store(struct mail_item *item, struct mill_request *request,
                       struct mill_arena *arena)
{
    struct mail_call *call = item->call;
    struct mill_err err = {0};
    enum mill_code rc;

    if (!call->by.app->blobs)
        return true;
    if (!call->store_away) {
        rc = ingest_blobs_store(call->by.app->blobs, request, arena, item->accepted_at, &err);
        if (!rc)
            return true;
        mill_log_err(rc == MILL_E_IO ? MILL_WARN : MILL_ERROR, "attachment_not_stored", &err);
        call->store_away = true; /* the next item of a batch need not wait for it too */
    }
    mail_wrong(item, PROBLEM_UNAVAILABLE, MILL_STR("attachments cannot be stored now"));
    return false;
}

void ingest_mail_item(struct mail_item *item, size_t index)
{
    struct mail_call *call = item->call;
    struct mill_arena arena = {0}; /* of this item: thrown away when it is queued */
    struct mill_request request = {0};
    struct ingest_key_use use;
    struct mill_err err = {0};
    json_t *json = NULL;

    if (item->text.n > call->by.app->mail_max_bytes) {
        mail_body_too_large(item);
        return;
    }
    if (mill_json_parse(item->text, &json, &err)) {
        mail_wrong(
            item, PROBLEM_MALFORMED_BODY,
            mill_arena_printf(mill_exchange_arena(call->by.x), "%s: %s", err.where, err.text));
        return;
    }
    if (!mail_take_key(item, index, &use))
        goto out;
    if (!mail_judge(item, json, &arena, &use, &request)) {
        mail_drop_key(item);
        goto out;
    }
    /* Whose mail this is says the credential, never the body. */
    request.request_id = mill_str(item->id);
    request.fingerprint = mill_str(item->fingerprint);
    request.tenant = mill_str(call->by.who.tenant);
    request.client = mill_str(call->by.who.client);
    request.accepted_at = item->accepted_at;
    item->messages = request.personalizations.n;
    if (mail_store(item, &request, &arena))
        mail_queue(item, &request);
    else
        mail_drop_key(item);
out:
    mill_arena_release(&arena);
    json_decref(json);
}
