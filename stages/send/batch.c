/**
 * @file batch.c
 * @brief A batch from its records to its INTENTs, and what the batch before it has left.
 */
#include "base/fault.h"
#include "send/send.h"
#include <stdlib.h>

void send_batch_drop(struct send_state *st)
{
    for (size_t i = 0; i < st->jobs_n; i++)
        send_job_release(&st->jobs[i]);
    free(st->jobs);
    st->jobs = NULL;
    st->jobs_n = st->cursor = 0;
    st->waiting = (struct send_queue){NULL, NULL};
}

/** An INTENT that was not committed was not called. */
static void batch_drop_unstarted(struct send_state *st)
{
    for (size_t i = 0; i < st->jobs_n; i++) {
        struct send_job *job = &st->jobs[i];

        if (job->plan == SEND_CALL && !job->started) {
            send_route_give_back(job->route, job->choice.probe);
            send_deed_forget(job->deed);
        }
    }
}

/** What ended in the batch before is committed, unless its record has come again. */
static void batch_end(struct mill_ctx *ctx, const struct mill_record *const *in, size_t n)
{
    struct send_state *st = mill_state(ctx);
    struct send_deed *ended = send_life_take_ended(st->life), *next;

    for (size_t i = 0; ended && i < n; i++) {
        const struct mill_message *m = in[i]->value;
        struct send_deed *deed =
            in[i]->port == SEND_IN_MESSAGES ? send_life_find(st->life, m->message_id) : NULL;
        if (deed && !deed->running && !deed->told && send_deed_of(deed, in[i]))
            deed->again = true;
    }
    for (struct send_deed *deed = ended; deed; deed = next) {
        next = deed->next;
        if (deed->again)
            send_life_list(st->life, deed);
        else
            send_deed_told(deed);
    }
}

/** Emit INTENT, and the request's CLAIM before the first. One that cannot be written (too large) is
 *  its record's fault: no call then. */
static enum mill_code batch_announce(struct mill_ctx *ctx, struct send_job *job,
                                     struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    mill_current(ctx, job->in);
    if (job->claim)
        rc = send_emit_claim(ctx, job, err);
    if (!rc)
        rc = send_emit_ledger(ctx, job, MILL_LEDGER_INTENT, err);
    mill_current(ctx, NULL);
    if (rc == MILL_E_DATA) {
        job->plan = SEND_BROKEN;
        job->err = *err;
        send_route_give_back(job->route, job->choice.probe);
        send_deed_forget(job->deed);
        rc = MILL_OK;
    }
    return rc;
}

enum mill_verdict send_batch_begin(struct mill_ctx *ctx, const struct mill_record *const *in,
                                   size_t n, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);

    MILL_FAULT_POINT("send.before-intent");
    batch_drop_unstarted(st);
    send_batch_drop(st);
    st->jobs = calloc(n ? n : 1, sizeof(*st->jobs));
    if (!st->jobs) {
        mill_fail(err, MILL_E_NOMEM, "send", "out of memory");
        return MILL_STOP;
    }
    batch_end(ctx, in, n);
    for (size_t i = 0; i < n; i++)
        if (in[i]->port == SEND_IN_CANCELLATIONS && send_cancel_take(ctx, in[i], err))
            return MILL_STOP;
    for (size_t i = 0; i < n; i++) {
        struct send_job *job = &st->jobs[st->jobs_n++];

        job->in = in[i];
        job->msg = in[i]->port == SEND_IN_MESSAGES ? in[i]->value : NULL;
        if (send_plan_job(ctx, job, err))
            return MILL_STOP;
        if (job->plan == SEND_CALL && batch_announce(ctx, job, err))
            return MILL_STOP;
        mill_count(ctx, SEND_M_SKIPPED, job->plan, 1);
    }
    return MILL_DONE;
}
