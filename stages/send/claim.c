/**
 * @file claim.c
 * @brief Whose content a request id belongs to: one CLAIM per request, written with its first
 * INTENT.
 *
 * Another fingerprint under the same id is a conflict as long as some call for the request may have
 * been accepted; when all of them are proven refusals, the corrected content takes the claim over.
 * An explicit resend brings its own authority and claims nothing.
 */
#include "base/clock.h"
#include "send/send.h"
#include <stdio.h>

struct mill_str send_request_of(struct mill_str message_id)
{
    const char *slash = memchr(message_id.p, '/', message_id.n);

    return (struct mill_str){message_id.p, slash ? (size_t)(slash - message_id.p) : message_id.n};
}

static struct mill_str claim_key(char *buf, struct mill_str request_id)
{
    int n = snprintf(buf, MILL_LEDGER_KEY_MAX + 1, "%.*s/claim", MILL_FMT(request_id));

    return (struct mill_str){buf, n > MILL_LEDGER_KEY_MAX ? MILL_LEDGER_KEY_MAX : (size_t)n};
}

enum mill_code send_emit_claim(struct mill_ctx *ctx, const struct send_job *job,
                               struct mill_err *err)
{
    const struct mill_message *m = job->msg;
    const struct mill_str request_id = send_request_of(m->message_id);
    const struct mill_ledger claim = {
        .message_id = request_id,
        .kind = MILL_LEDGER_CLAIM,
        .fingerprint = m->fingerprint,
        .at = mill_now_us(),
        .request_id = request_id,
        .tenant = m->tenant,
        .accepted_at = m->accepted_at,
    };
    char key[MILL_LEDGER_KEY_MAX + 1];

    return send_emit_known(ctx, job->in->partition, claim_key(key, request_id), &claim, err);
}

/** A search through the table. */
struct claim_look {
    struct mill_str fingerprint; /**< of the message in hand */
    enum { CLAIM_NONE, CLAIM_OURS, CLAIM_OTHER } owner;
    bool stands; /**< other content may have gone out */
};

static bool claim_each(void *arg, struct mill_str key, const void *value)
{
    struct claim_look *look = arg;
    const struct mill_ledger *r = value;

    (void)key;
    if (r->kind == MILL_LEDGER_CLAIM)
        look->owner = mill_str_eq(r->fingerprint, look->fingerprint) ? CLAIM_OURS : CLAIM_OTHER;
    return false;
}

static bool stands_each(void *arg, struct mill_str key, const void *value)
{
    struct claim_look *look = arg;
    const struct mill_ledger *r = value;

    (void)key;
    look->stands = mill_ledger_stands(r) && r->fingerprint.n &&
                   !mill_str_eq(r->fingerprint, look->fingerprint);
    return !look->stands;
}

/** Claims of this batch are not in the table yet. */
static bool claim_in_batch(const struct send_state *st, const struct send_job *job,
                           struct claim_look *look)
{
    for (const struct send_job *j = st->jobs; j < job; j++) {
        if ((j->plan != SEND_CALL && j->plan != SEND_AGAIN) || j->msg->resend_id.n ||
            !mill_str_eq(send_request_of(j->msg->message_id),
                         send_request_of(job->msg->message_id)))
            continue;
        look->owner =
            mill_str_eq(j->msg->fingerprint, look->fingerprint) ? CLAIM_OURS : CLAIM_OTHER;
        look->stands = look->owner == CLAIM_OTHER; /* it is being called */
        return true;
    }
    return false;
}

enum mill_code send_claim_plan(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct mill_table *ledger = mill_ctx_table(ctx, SEND_TABLE_LEDGER);
    struct claim_look look = {.fingerprint = job->msg->fingerprint};
    char key[MILL_LEDGER_KEY_MAX + 1];
    struct mill_str request_id = send_request_of(job->msg->message_id);
    enum mill_code rc = MILL_OK;

    if (!look.fingerprint.n || job->msg->resend_id.n)
        return MILL_OK;
    if (!claim_in_batch(mill_state(ctx), job, &look)) {
        rc = mill_table_each(ledger, job->in->partition, claim_key(key, request_id), claim_each,
                             &look, err);
        if (!rc && look.owner == CLAIM_OTHER) {
            rc = mill_table_each(ledger, job->in->partition,
                                 (struct mill_str){key, request_id.n + 1}, stands_each, &look, err);
        }
    }
    job->claim = look.owner != CLAIM_OURS;
    if (look.stands)
        job->plan = SEND_CONFLICT;
    return rc;
}
