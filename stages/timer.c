/** @file timer.c  @brief The tiers, and the headers of a record that waits. */
#include "timer.h"
#include "base/clock.h"

enum { OWN_HEADERS = 3 };

const struct mill_timer mill_timers[MILL_TIMERS] = {
    {"1s", 1000}, {"10s", 10000}, {"1m", 60000}, {"10m", 600000}, {"1h", 3600000}, {"1d", 86400000},
};

size_t mill_timer_tier(int64_t left_ms)
{
    size_t best = 0;

    for (size_t i = 1; i < MILL_TIMERS; i++)
        if (mill_timers[i].ms <= left_ms)
            best = i;
    return best;
}

bool mill_timer_header(struct mill_str name)
{
    return mill_str_is(name, "mill.due") || mill_str_is(name, "mill.target") ||
           mill_str_is(name, "mill.target-partition");
}

/** The record's headers but those of a wait, then the extra ones. @return count */
static size_t timer_headers(const struct mill_record *in, struct mill_map extra,
                            struct mill_pair *h)
{
    size_t n = 0;

    for (size_t i = 0; i < in->headers.n; i++)
        if (!mill_timer_header(in->headers.v[i].key))
            h[n++] = in->headers.v[i];
    for (size_t i = 0; i < extra.n; i++)
        h[n++] = extra.v[i];
    return n;
}

enum mill_code mill_timer_forward(struct mill_ctx *ctx, size_t first_out_port,
                                  const struct mill_record *in, int64_t due_ms, const char *topic,
                                  int32_t partition, struct mill_map extra, struct mill_err *err)
{
    struct mill_arena *mem = mill_batch_arena(ctx);
    struct mill_pair *h = mill_arena_calloc(mem, in->headers.n + extra.n + OWN_HEADERS, sizeof(*h));
    struct mill_str due = mill_arena_printf(mem, "%lld", (long long)due_ms);
    struct mill_str to = mill_arena_printf(mem, "%d", (int)partition);
    size_t tier = mill_timer_tier(due_ms - mill_now_us() / 1000);
    size_t n;

    if (!h || !due.p || !to.p)
        return mill_fail(err, MILL_E_NOMEM, "headers", "out of memory");
    n = timer_headers(in, extra, h);
    h[n++] = (struct mill_pair){MILL_STR("mill.due"), due};
    h[n++] = (struct mill_pair){MILL_STR("mill.target"), mill_str(topic)};
    if (partition >= 0)
        h[n++] = (struct mill_pair){MILL_STR("mill.target-partition"), to};
    return mill_forward(ctx, mill_out_topic(ctx, first_out_port + tier), -1, in,
                        (struct mill_map){h, n}, err);
}

static bool topic_name_ok(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return s.n > 0 && s.n <= MILL_TIMER_TARGET_MAX && !mill_str_is(s, ".") && !mill_str_is(s, "..");
}

bool mill_timer_read(const struct mill_record *in, struct mill_timer_mark *out)
{
    struct mill_str topic = mill_header(in, "mill.target");
    struct mill_str to = mill_header(in, "mill.target-partition");
    int64_t partition = -1;

    if (!mill_str_i64(mill_header(in, "mill.due"), &out->due_ms) || out->due_ms < 0 ||
        !topic_name_ok(topic) ||
        (to.p && (!mill_str_i64(to, &partition) || partition < 0 || partition > INT32_MAX)))
        return false;
    out->partition = (int32_t)partition;
    mill_str_cut(topic, out->topic, sizeof(out->topic));
    return true;
}
