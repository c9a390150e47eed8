/**
 * @file delay.c
 * @brief The timer: a record in a delay topic goes on when the topic's time is over.
 *
 * in   10s  mail.delay.10s  raw; headers mill.due (ms since 1970), mill.target, and
 *                           mill.target-partition (optional: without it, by key)
 * out  10s  mail.delay.10s  a record that is due later than this tier reaches, once more round
 *      dlq  mail.dlq        a record whose headers name no time, or no place that there is
 *      and the topic that mill.target names
 * Verdicts: DONE; LATER until the record's append time + tier: in a topic with one delay and broker
 * append time, order of arrival is order of expiry, so a waiting partition is an exact timer.
 * State: none.
 */
#include "base/clock.h"
#include "stage.h"

enum { TIER_10S };
enum { OUT_10S, OUT_DLQ };
enum { M_RECORDS };
enum { WAY_DUE, WAY_AGAIN, WAY_DLQ };
enum { TARGET_MAX = 249 }; /**< longest topic name that Kafka takes */
/** A record this close to its due time goes on: another round would be a tier too late. */
enum { EARLY_MS = 250 };

/** Length of each in port's tier, shortest first, and the out port that leads back into it. */
static const struct tier {
    int64_t ms;
    size_t out;
} tiers[] = {
    [TIER_10S] = {10000, OUT_10S},
};

static const char *const ways[] = {"due", "again", "dlq", NULL};
static const struct mill_metric metrics[] = {
    [M_RECORDS] = {"mill_delay_records_total", MILL_COUNTER, "Records whose tier ended.", "way",
                   ways},
    {0},
};

static const struct mill_port in_ports[] = {[TIER_10S] = {"10s", "mail.delay.10s", NULL}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_10S] = {"10s", "mail.delay.10s", NULL},
    [OUT_DLQ] = {"dlq", "mail.dlq", NULL},
    {0},
};

/** The longest tier that fits what is left, else the shortest. */
static size_t delay_tier(int64_t left_ms)
{
    size_t best = 0;

    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++)
        if (tiers[i].ms <= left_ms)
            best = i;
    return best;
}

static bool topic_name_ok(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return s.n > 0 && s.n <= TARGET_MAX && !mill_str_is(s, ".") && !mill_str_is(s, "..");
}

static bool is_ours(struct mill_str name)
{
    return mill_str_is(name, "mill.due") || mill_str_is(name, "mill.target") ||
           mill_str_is(name, "mill.target-partition");
}

/** Nowhere to send it to: a dead letter that says why. */
static enum mill_code delay_give_up(struct mill_ctx *ctx, const struct mill_record *in,
                                    struct mill_str why, struct mill_err *err)
{
    struct mill_pair *h = mill_arena_calloc(mill_batch_arena(ctx), in->headers.n + 3, sizeof(*h));
    size_t n = in->headers.n;

    if (!h || !why.p)
        return mill_fail(err, MILL_E_NOMEM, "headers", "out of memory");
    if (n)
        memcpy(h, in->headers.v, n * sizeof(*h));
    h[n++] = (struct mill_pair){MILL_STR("mill.class"), MILL_STR("poison")};
    h[n++] = (struct mill_pair){MILL_STR("mill.stage"), MILL_STR("delay")};
    h[n++] = (struct mill_pair){MILL_STR("__connect.errors.exception.message"), why};
    return mill_forward(ctx, mill_out_topic(ctx, OUT_DLQ), -1, in, (struct mill_map){h, n}, err);
}

/** Send it where it wanted to go, without the headers that say so. */
static enum mill_code delay_release(struct mill_ctx *ctx, const struct mill_record *in,
                                    int32_t partition, struct mill_err *err)
{
    char topic[TARGET_MAX + 1];
    struct mill_pair *h = mill_arena_calloc(mill_batch_arena(ctx), in->headers.n + 1, sizeof(*h));
    size_t n = 0;

    if (!h)
        return mill_fail(err, MILL_E_NOMEM, "headers", "out of memory");
    for (size_t i = 0; i < in->headers.n; i++)
        if (!is_ours(in->headers.v[i].key))
            h[n++] = in->headers.v[i];
    mill_str_cut(mill_header(in, "mill.target"), topic, sizeof(topic));
    return mill_forward(ctx, topic, partition, in, (struct mill_map){h, n}, err);
}

static enum mill_verdict delay_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                         struct mill_err *err)
{
    int64_t now_ms = mill_now_us() / 1000;
    int64_t ends_ms = in->timestamp_us / 1000 + tiers[in->port].ms;
    int64_t due_ms = -1, partition = -1;
    struct mill_str to = mill_header(in, "mill.target-partition");
    enum mill_code rc = MILL_OK;
    size_t way = WAY_DUE;

    if (ends_ms > now_ms) {
        mill_wait_until(ctx, ends_ms);
        return MILL_LATER;
    }
    if (!mill_str_i64(mill_header(in, "mill.due"), &due_ms) || due_ms < 0 ||
        !topic_name_ok(mill_header(in, "mill.target")) ||
        (to.p && (!mill_str_i64(to, &partition) || partition < 0 || partition > INT32_MAX))) {
        way = WAY_DLQ;
        rc = delay_give_up(ctx, in, MILL_STR("delay: headers name no time or place"), err);
    } else if (due_ms > now_ms + EARLY_MS) {
        way = WAY_AGAIN;
        rc = mill_forward(ctx, mill_out_topic(ctx, tiers[delay_tier(due_ms - now_ms)].out), -1, in,
                          in->headers, err);
    } else {
        rc = delay_release(ctx, in, (int32_t)partition, err);
        if (rc == MILL_E_NOENT) {
            way = WAY_DLQ;
            rc = delay_give_up(
                ctx, in, mill_arena_printf(mill_batch_arena(ctx), "delay: %s", err->text), err);
        }
    }
    mill_count(ctx, M_RECORDS, way, 1);
    return rc ? MILL_STOP : MILL_DONE;
}

MILL_STAGE(delay) = {
    .name = "delay",
    .summary = "hold records until they are due",
    .in = in_ports,
    .out = out_ports,
    .metrics = metrics,
    .no_retry = true,
    .on_record = delay_on_record,
};
