/**
 * @file delay.c
 * @brief The timer: a record in a delay topic goes on when the topic's time is over.
 *
 * in   1s 10s 1m 10m 1h 1d  mail.delay.*  raw; headers mill.due (ms since 1970), mill.target, and
 *                                         mill.target-partition (optional: without it, by key)
 * out  delay-1s …           mail.delay.*  a record that is due later: the longest tier that fits
 *      and the topic that mill.target names
 * Verdicts: DONE; REJECT of a record whose headers name no time, or no place that there is; LATER
 * until the record's append time + tier: in a topic with one delay and broker append time, order of
 * arrival is order of expiry, so a waiting partition is an exact timer. The last hop ends within a
 * second, on either side (MILL_TIMER_EARLY_MS).
 * State: none.
 */
#include "base/clock.h"
#include "timer.h"

enum { OUT_DELAY };
enum { M_RECORDS };
enum { WAY_DUE, WAY_AGAIN, WAY_REJECTED };

static const char *const ways[] = {"due", "again", "rejected", NULL};
static const struct mill_metric metrics[] = {
    [M_RECORDS] = {"mill_delay_records_total", MILL_COUNTER, "Records whose tier ended.", "way",
                   ways},
    {0},
};

/** In the order of mill_timers. */
static const struct mill_port in_ports[] = {
    {"1s", "mail.delay.1s", NULL},
    {"10s", "mail.delay.10s", NULL},
    {"1m", "mail.delay.1m", NULL},
    {"10m", "mail.delay.10m", NULL},
    {"1h", "mail.delay.1h", NULL},
    {"1d", "mail.delay.1d", NULL},
    {0},
};
static const struct mill_port out_ports[] = {
    MILL_TIMER_OUT(OUT_DELAY),
    {0},
};

/** Send it where it wanted to go, without the headers that say so. */
static enum mill_code delay_release(struct mill_ctx *ctx, const struct mill_record *in,
                                    const struct mill_timer_mark *to, struct mill_err *err)
{
    struct mill_pair *h = mill_arena_calloc(mill_batch_arena(ctx), in->headers.n + 1, sizeof(*h));
    size_t n = 0;

    if (!h)
        return mill_fail(err, MILL_E_NOMEM, "headers", "out of memory");
    for (size_t i = 0; i < in->headers.n; i++)
        if (!mill_timer_header(in->headers.v[i].key))
            h[n++] = in->headers.v[i];
    return mill_forward(ctx, to->topic, to->partition, in, (struct mill_map){h, n}, err);
}

static enum mill_verdict delay_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                         struct mill_err *err)
{
    int64_t now_ms = mill_now_us() / 1000;
    int64_t ends_ms = in->timestamp_us / 1000 + mill_timers[in->port].ms;
    struct mill_timer_mark to;
    enum mill_code rc;
    size_t way;

    if (ends_ms > now_ms) {
        mill_wait_until(ctx, ends_ms);
        return MILL_LATER;
    }
    if (!mill_timer_read(in, &to)) {
        way = WAY_REJECTED;
        rc = mill_fail(err, MILL_E_NOENT, "headers", "name no time, or no place");
    } else if (to.due_ms > now_ms + MILL_TIMER_EARLY_MS) {
        way = WAY_AGAIN;
        rc = mill_timer_forward(ctx, OUT_DELAY, in, to.due_ms, to.topic, to.partition,
                                (struct mill_map){NULL, 0}, err);
    } else {
        rc = delay_release(ctx, in, &to, err);
        way = rc == MILL_E_NOENT ? WAY_REJECTED : WAY_DUE;
    }
    if (rc && way != WAY_REJECTED)
        return MILL_STOP;
    mill_count(ctx, M_RECORDS, way, 1);
    return way == WAY_REJECTED ? MILL_REJECT : MILL_DONE;
}

MILL_STAGE(delay) = {
    .name = "delay",
    .summary = "hold records until they are due",
    .in = in_ports,
    .out = out_ports,
    .metrics = metrics,
    .no_retry = true,
    .passes_on = true,
    .fetch_little = true,
    .on_record = delay_on_record,
};
