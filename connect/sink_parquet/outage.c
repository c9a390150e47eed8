/* What is outside and away: one back-off for all of it, said once in /readyz. */
#include "sink_parquet/range.h"

enum { OUTAGE_BACKOFF_MS = 500, OUTAGE_BACKOFF_MAX_MS = 15000 };

bool sink_backing_off(const struct sink *s)
{
    return s->faults && mill_tick_ms() < s->retry_ms;
}

void sink_fault(struct mill_ctx *ctx, enum sink_fault which, const struct mill_err *err)
{
    static const char *const why[] = {"S3 does not take objects", "the broker takes no commit",
                                      "the schema registry is away"};
    struct sink *s = mill_state(ctx);
    int64_t wait = (int64_t)OUTAGE_BACKOFF_MS << (s->faults < 5 ? s->faults : 5);

    s->faults++;
    s->fault = which;
    s->retry_ms = mill_tick_ms() + (wait < OUTAGE_BACKOFF_MAX_MS ? wait : OUTAGE_BACKOFF_MAX_MS);
    mill_count(ctx, SINK_M_FAULTS, which, 1);
    mill_unready(ctx, why[which]);
    mill_log(MILL_ERROR, "sink_fault", MILL_KV(MILL_KS("where", err->where)), "%s: %s", why[which],
             err->text);
}

void sink_fine(struct mill_ctx *ctx)
{
    struct sink *s = mill_state(ctx);

    if (!s->faults)
        return;
    s->faults = 0;
    mill_unready(ctx, NULL);
    mill_log(MILL_INFO, "sink_recovered", NULL, "goes on");
}
