/** @file look.c  @brief What is known of a message: the ledger's word, and our own over it. */
#include "send/send.h"

struct mill_ledger send_deed_record(const struct send_deed *deed)
{
    return (struct mill_ledger){
        .message_id = mill_str(deed->message_id),
        .kind = MILL_LEDGER_OUTCOME,
        .attempt = deed->attempt,
        .provider = mill_str(deed->provider->name),
        .provider_id = mill_str(deed->provider_id),
        .outcome = (int)deed->outcome,
        .fingerprint = mill_str(deed->fingerprint),
        .at = deed->at,
        .tenant = mill_str(deed->tenant),
        .resend_id = mill_str(deed->resend_id),
    };
}

int64_t send_redrives(const struct mill_record *in)
{
    int64_t n = 0;

    return mill_str_i64(mill_header(in, "mill.redrives"), &n) && n > 0 ? n : 0;
}

enum mill_code send_plan_look(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);
    struct mill_arena *mem = mill_batch_arena(ctx);
    const struct send_deed *deed = send_life_find(st->life, job->msg->message_id);
    const struct mill_ledger_ask ask = {
        .partition = job->in->partition,
        .message_id = job->msg->message_id,
        .resend_id = job->msg->resend_id,
        .skip_attempt = deed ? deed->attempt : 0,
    };
    enum mill_code rc =
        mill_ledger_look(mill_ctx_table(ctx, SEND_TABLE_LEDGER), &ask, mem, &job->view, err);

    if (!rc && deed) {
        const struct mill_ledger own = send_deed_record(deed);
        if (!mill_ledger_fold(&job->view, &own, ask.resend_id, mem))
            rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    }
    job->attempt = job->view.attempts;
    return rc;
}
