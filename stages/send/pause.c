/**
 * @file pause.c
 * @brief Paused categories: their messages go round by the delay topics until the pause is lifted.
 *
 * HELD is said when a message enters a pause; the header mill.paused (ms since 1970) says that it
 * has been. Rounds are short at first, so that a short pause costs no more than itself.
 */
#include "base/clock.h"
#include "mail/controls.h"
#include "send/send.h"
#include "timer.h"

enum { ROUND_MS = 10000, LONG_ROUND_MS = 60000, SHORT_FOR_MS = 60000 };

enum mill_code send_pause_look(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct mill_table *pauses = mill_ctx_table(ctx, SEND_TABLE_PAUSES);
    struct mill_arena *mem = mill_batch_arena(ctx);

    for (size_t i = 0; i < job->msg->categories.n; i++) {
        struct mill_pause *p = mill_arena_calloc(mem, 1, sizeof(*p));
        enum mill_code rc =
            p ? mill_table_get(pauses, job->msg->categories.v[i], mem, p, err) : MILL_E_NOMEM;

        if (rc == MILL_E_NOENT)
            continue;
        if (rc)
            return rc;
        if (p->paused) {
            job->plan = SEND_HALTED;
            job->pause = p;
            return MILL_OK;
        }
    }
    return MILL_OK;
}

enum mill_code send_pause_conclude(struct mill_ctx *ctx, const struct send_job *job,
                                   struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);
    struct mill_arena *mem = mill_batch_arena(ctx);
    int64_t now_ms = mill_now_us() / 1000, since_ms = 0;
    struct mill_pair since = {MILL_STR("mill.paused"), {NULL, 0}};
    struct mill_str why;

    if (!mill_str_i64(mill_header(job->in, "mill.paused"), &since_ms) ||
        since_ms < job->pause->at / 1000) { /* not in this pause yet */
        since_ms = now_ms;
        why = mill_arena_printf(mem, "category %.*s is paused: %.*s",
                                MILL_FMT(job->pause->category), MILL_FMT(job->pause->reason));
        if (send_emit_status(ctx, job, MILL_STATE_HELD, NULL, why, err))
            return err->code;
    }
    since.value = mill_arena_printf(mem, "%lld", (long long)since_ms);
    if (!since.value.p)
        return mill_fail(err, MILL_E_NOMEM, "pause", "out of memory");
    return mill_timer_forward(
        ctx, SEND_OUT_DELAY, job->in,
        now_ms + (now_ms - since_ms < SHORT_FOR_MS ? ROUND_MS : LONG_ROUND_MS) +
            MILL_TIMER_EARLY_MS,
        conf->return_topic, job->in->partition, (struct mill_map){&since, 1}, err);
}
