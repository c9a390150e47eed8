/** @file emit.c  @brief What send writes of a message: ledger records, status, a wait by the timer.
 */
#include "base/clock.h"
#include "send/send.h"
#include "timer.h"

struct mill_ledger send_ledger_of(const struct mill_message *m)
{
    return (struct mill_ledger){
        .message_id = m->message_id,
        .fingerprint = m->fingerprint,
        .request_id = m->request_id,
        .tenant = m->tenant,
        .categories = m->categories,
        .metadata = m->metadata,
        .accepted_at = m->accepted_at,
        .resend_id = m->resend_id,
    };
}

static struct mill_ledger ledger_record(const struct send_job *job, int kind)
{
    struct mill_ledger record = send_ledger_of(job->msg);

    record.kind = kind;
    record.attempt = job->attempt;
    record.provider = mill_str(job->route ? job->route->provider->name : NULL);
    record.at = mill_now_us();
    if (kind == MILL_LEDGER_OUTCOME) {
        record.provider_id = job->answer.provider_id;
        record.outcome = (int)job->answer.outcome;
    }
    return record;
}

enum mill_code send_emit_ledger(struct mill_ctx *ctx, const struct send_job *job, int kind,
                                struct mill_err *err)
{
    const struct mill_ledger record = ledger_record(job, kind);
    char buf[MILL_LEDGER_KEY_MAX + 1];
    const struct mill_str key = mill_ledger_key(buf, record.message_id, record.attempt, "send");

    return kind == MILL_LEDGER_INTENT /* life.h knows what runs */
               ? mill_emit(ctx, SEND_OUT_LEDGER, key, &record, err)
               : send_emit_known(ctx, job->in->partition, key, &record, err);
}

/** Before its commit: where that fails for good, the process ends, and the table's own records with
 *  it. Where the partition is not held any more, its new owner reads the topic. */
enum mill_code send_emit_known(struct mill_ctx *ctx, int32_t partition, struct mill_str key,
                               const struct mill_ledger *record, struct mill_err *err)
{
    enum mill_code rc = mill_emit(ctx, SEND_OUT_LEDGER, key, record, err);
    struct mill_err gone = {0};

    if (!rc &&
        mill_table_put(mill_ctx_table(ctx, SEND_TABLE_LEDGER), partition, key, record, &gone))
        mill_log_err(MILL_WARN, "ledger_put", &gone);
    return rc;
}

enum mill_code send_emit_status(struct mill_ctx *ctx, const struct send_job *job,
                                enum mill_state state, const char *cls, struct mill_str reason,
                                struct mill_err *err)
{
    const struct mill_message *m = job->msg;
    const struct mill_status status = {
        .message_id = m->message_id,
        .request_id = m->request_id,
        .tenant = m->tenant,
        .state = (int)state,
        .cls = mill_str(cls),
        .reason = reason.n ? reason : job->left_out,
        .provider = job->route ? mill_str(job->route->provider->name) : job->view.open.provider,
        .attempt = job->attempt,
        .at = mill_now_us(),
    };

    enum mill_code rc = mill_emit(ctx, SEND_OUT_STATUS, m->message_id, &status, err);

    if (rc == MILL_E_DATA) { /* a tenant of megabytes: no reason to stop for everybody */
        mill_log(MILL_WARN, "status_not_written", NULL, "%s: %s", err->where, err->text);
        rc = MILL_OK;
    }
    return rc;
}

enum mill_code send_later(struct mill_ctx *ctx, const struct send_job *job, int64_t due_ms,
                          struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);

    return mill_timer_forward(ctx, SEND_OUT_DELAY, job->in, due_ms, conf->return_topic,
                              job->in->partition, (struct mill_map){NULL, 0}, err);
}

enum mill_code send_round(struct mill_ctx *ctx, const struct send_job *job, int64_t wait_ms,
                          struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);

    if (wait_ms <= 0)
        return mill_forward(ctx, conf->return_topic, job->in->partition, job->in, job->in->headers,
                            err);
    return send_later(ctx, job, mill_now_us() / 1000 + wait_ms, err);
}
