/** @file outcome.c  @brief What an outcome means to the ledger, to mail.status and to the record.
 */
#include "base/clock.h"
#include "mail/ids.h"
#include "send/send.h"

/** By outcome: state for people, verdict for the runtime, class for the retry policy. */
static const struct meaning {
    enum mill_state state;
    enum mill_verdict verdict;
    const char *cls;
    enum mill_code code;
} meanings[] = {
    [MILL_OUTCOME_NONE] = {MILL_STATE_UNKNOWN, MILL_DONE, "unknown", MILL_E_IO},
    [MILL_OUTCOME_ACCEPTED] = {MILL_STATE_SENT, MILL_DONE, NULL, MILL_OK},
    [MILL_OUTCOME_PERMANENT] = {MILL_STATE_FAILED, MILL_REJECT, "permanent", MILL_E_DATA},
    [MILL_OUTCOME_THROTTLED] = {MILL_STATE_RETRYING, MILL_RETRY, "throttled", MILL_E_IO},
    [MILL_OUTCOME_TRANSIENT] = {MILL_STATE_RETRYING, MILL_RETRY, "transient", MILL_E_IO},
    [MILL_OUTCOME_UNKNOWN] = {MILL_STATE_UNKNOWN, MILL_DONE, "unknown", MILL_E_IO},
    [MILL_OUTCOME_CREDENTIAL] = {MILL_STATE_RETRYING, MILL_RETRY, "credential", MILL_E_AUTH},
};

static const struct mill_str no_reason = {NULL, 0};

/** Whom the provider did not take while it answered for all, into the deed: where the outcome has
 * to be told again, they are too. */
static enum mill_code keep_refusals(struct send_job *job, struct mill_err *err)
{
    struct mill_buf *kept = &job->deed->refusals;

    for (size_t i = 0; i < job->answer.refusals_n; i++) {
        const struct mill_refusal *r = &job->answer.refusals[i];

        if (!job->route->provider->refusal_event(kept, job->msg->message_id,
                                                 mill_str(job->call.http.rcpt[r->rcpt]), r->reply,
                                                 job->deed->at) ||
            !mill_buf_putc(kept, '\n'))
            return mill_fail(err, MILL_E_NOMEM, "refusal", "out of memory");
    }
    return MILL_OK;
}

/** An event each, by the way that others' events take. */
static enum mill_code emit_refusals(struct mill_ctx *ctx, struct send_job *job,
                                    struct mill_err *err)
{
    struct mill_callback_event event = {
        .message_id = job->msg->message_id,
        .provider = mill_str(job->route ? job->route->provider->name : NULL),
        .callback_topic = mill_str(job->in->topic),
        .callback_partition = job->in->partition,
        .callback_offset = job->in->offset,
    };
    enum mill_code rc = job->deed ? keep_refusals(job, err) : MILL_OK;
    struct mill_str rest = job->deed ? mill_buf_view(&job->deed->refusals) : MILL_STR("");

    while (!rc && rest.n) {
        event.raw = mill_str_take(&rest, '\n');
        event.received_at = job->deed->at;
        rc = mill_emit(ctx, SEND_OUT_EVENTS, event.message_id, &event, err);
        event.index++;
    }
    return rc;
}

/** Nobody knows how our own call ended: say so and wait for evidence, unless it is there already.
 */
static enum mill_verdict conclude_unknown(struct mill_ctx *ctx, struct send_job *job,
                                          struct mill_err *err)
{
    struct mill_err behind = {0};

    /* Evidence may have come while the call ran; what cannot be read now is read when it is back.
     */
    (void)!mill_table_refresh(mill_ctx_table(ctx, SEND_TABLE_LEDGER), &behind);
    if (send_plan_look(ctx, job, err))
        return MILL_STOP;
    if (job->view.accepted)
        return MILL_DONE; /* enrich has said SENT */
    if (send_emit_status(ctx, job, MILL_STATE_UNKNOWN, "unknown", job->answer.reason, err) ||
        send_later(ctx, job, send_doubt_due(ctx, &job->view.open), err))
        return MILL_STOP;
    return MILL_DONE;
}

/** Provably not accepted: when does it go round, with no attempt counted? Where nobody was called,
 *  soon; where another provider would take it, at once. @return ms from now; < 0 = it does not */
static int64_t round_ms(struct mill_ctx *ctx, const struct send_job *job)
{
    struct send_state *st = mill_state(ctx);

    if (meanings[job->answer.outcome].verdict != MILL_RETRY || !job->route)
        return -1;
    if (job->unfetched)
        return -1; /* S3 may be away for long: backoff, and an end of it, as deadletter has them */
    if (!job->called)
        return SEND_ASIDE_MS;
    return send_routes_failover(&st->routes, job->msg->tenant, send_mail_bytes(job->msg),
                                job->route->provider, job->attempt, mill_tick_ms())
               ? 0
               : -1;
}

enum mill_verdict send_conclude(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    const struct meaning *means = &meanings[job->answer.outcome];
    int64_t again_ms = round_ms(ctx, job);

    if (send_emit_ledger(ctx, job, MILL_LEDGER_OUTCOME, err))
        return MILL_STOP; /* an outcome that is not written down would be a doubt for ever */
    if (job->cancelled)
        return send_emit_status(ctx, job, MILL_STATE_CANCELLED, NULL, no_reason, err) ? MILL_STOP
                                                                                      : MILL_DONE;
    if (means->state == MILL_STATE_UNKNOWN)
        return conclude_unknown(ctx, job, err);
    if (send_emit_status(ctx, job, means->state, means->cls, job->answer.reason, err) ||
        emit_refusals(ctx, job, err))
        return MILL_STOP;
    if (again_ms >= 0)
        return send_round(ctx, job, again_ms, err) ? MILL_STOP : MILL_DONE;
    if (means->verdict != MILL_DONE) {
        struct mill_str why = job->answer.reason;

        mill_fail(err, means->code, job->route ? job->route->provider->name : "send", "%.*s",
                  MILL_FMT(why));
        err->cls = means->cls;
    }
    return means->verdict;
}

/** A fault of this record that no provider was asked about. */
static enum mill_verdict refuse(struct mill_ctx *ctx, const struct send_job *job,
                                enum mill_state state, const char *cls, const char *why,
                                struct mill_err *err)
{
    if (send_emit_status(ctx, job, state, cls, mill_str(why), err))
        return MILL_STOP;
    mill_fail(err, MILL_E_DATA, "message_id", "%s", why);
    err->cls = cls;
    return MILL_REJECT;
}

/** Somebody's call is in doubt. UNKNOWN is said once: the ledger remembers that. Another copy in
 * the same batch may have said it since this one was planned. */
static enum mill_code conclude_doubt(struct mill_ctx *ctx, struct send_job *job,
                                     struct mill_err *err)
{
    enum mill_code rc = send_plan_look(ctx, job, err);

    if (!rc && job->view.told < job->view.open.attempt) {
        const struct mill_ledger open = send_doubt_of(job);
        rc = send_emit_doubt(ctx, job->in->partition, &open, err);
    }
    return rc ? rc : send_later(ctx, job, job->due_ms, err);
}

/** For a person to decide: one dead letter, however many copies there are. */
static enum mill_verdict conclude_hold(struct mill_ctx *ctx, struct send_job *job,
                                       struct mill_err *err)
{
    if (send_plan_look(ctx, job, err))
        return MILL_STOP;
    if (send_doubt_held(job)) /* by another copy in the same batch */
        return MILL_DONE;
    if (send_emit_held(ctx, job, err))
        return MILL_STOP;
    return refuse(ctx, job, MILL_STATE_HELD, "unknown",
                  "a call was begun, and nothing has come that tells how it ended", err);
}

/** The id is somebody else's: what is said must not stand over that mail's own state. */
static enum mill_verdict conclude_conflict(struct mill_ctx *ctx, const struct send_job *job,
                                           struct mill_err *err)
{
    struct mill_message m = *job->msg;
    struct send_job other = *job;
    char request_id[MILL_UUID_TEXT], message_id[MILL_MESSAGE_ID_SIZE];

    other.msg = &m;
    other.attempt = 0;
    other.view = (struct mill_ledger_view){0};
    if (!mill_request_id_of_origin(job->in->origin, request_id)) {
        mill_fail(err, MILL_E_NOMEM, "origin", "the crypto library failed");
        return MILL_STOP;
    }
    m.request_id = mill_str(request_id);
    m.message_id = mill_message_id(m.request_id, m.index, message_id);
    return refuse(ctx, &other, MILL_STATE_REJECTED, "idempotency-conflict",
                  "its id was sent with other content", err);
}

enum mill_verdict send_conclude_uncalled(struct mill_ctx *ctx, struct send_job *job,
                                         struct mill_err *err)
{
    switch (job->plan) {
    case SEND_DUPLICATE: /* an event, no state: counted, and nothing is said over `sent` */
        return MILL_DONE;
    case SEND_EARLY:
        return send_emit_status(ctx, job, MILL_STATE_SCHEDULED, NULL, no_reason, err) ||
                       send_later(ctx, job, job->msg->send_at.v / 1000, err)
                   ? MILL_STOP
                   : MILL_DONE;
    case SEND_CANCELLED:
        return send_emit_status(ctx, job, MILL_STATE_CANCELLED, NULL, no_reason, err) ? MILL_STOP
                                                                                      : MILL_DONE;
    case SEND_SUPPRESSED:
        return send_emit_status(ctx, job, MILL_STATE_SUPPRESSED, "suppressed", no_reason, err)
                   ? MILL_STOP
                   : MILL_DONE;
    case SEND_HALTED:
        return send_pause_conclude(ctx, job, err) ? MILL_STOP : MILL_DONE;
    case SEND_CANCELLATION:
        return send_cancel_conclude(ctx, job->in, err);
    case SEND_DOUBT:
        return conclude_doubt(ctx, job, err) ? MILL_STOP : MILL_DONE;
    case SEND_HOLD:
        return conclude_hold(ctx, job, err);
    case SEND_REFUSED:
        return refuse(ctx, job, MILL_STATE_FAILED, "permanent",
                      "a provider has refused it for good: redrive or resend it", err);
    case SEND_CONFLICT:
        return conclude_conflict(ctx, job, err);
    case SEND_EXPIRED:
        return refuse(ctx, job, MILL_STATE_EXPIRED, "expired",
                      "too old to be sent, or past its expires_at", err);
    case SEND_OVERSIZE:
        return refuse(ctx, job, MILL_STATE_FAILED, "permanent",
                      "no provider takes a mail of this size; none was called", err);
    case SEND_BUSY:
        mill_fail(err, MILL_E_STATE, "message_id", "a call for the same message is on its way");
        return MILL_RETRY;
    default:
        *err = job->err;
        return MILL_REJECT;
    }
}
