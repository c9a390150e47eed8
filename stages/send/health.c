/** @file health.c  @brief See health.h. */
#include "send/health.h"

enum { HISTORY = 32, MS = 1000 };

static double interval_ms(const struct send_health_conf *c)
{
    return c->rate ? (double)MS / (double)c->rate : 0;
}

/** How far the steady rate may be overdrawn: the burst less the call that is taken. */
static double slack_ms(const struct send_health_conf *c)
{
    uint32_t burst = c->burst ? c->burst : c->rate;

    return burst ? (double)(burst - 1) * interval_ms(c) : 0;
}

static int64_t token_ms(const struct send_health *h, const struct send_health_conf *c)
{
    double at = h->next_ms - slack_ms(c);

    return c->rate && at > 0 ? (int64_t)at + ((double)(int64_t)at < at) : 0;
}

int64_t send_health_ready(const struct send_health *h, const struct send_health_conf *c,
                          int64_t now_ms)
{
    int64_t at = token_ms(h, c);

    if (h->state != SEND_CLOSED) {
        if (h->probing && now_ms >= h->until_ms)
            return INT64_MAX;
        at = h->until_ms > at ? h->until_ms : at;
    }
    return h->throttled_ms > at ? h->throttled_ms : at;
}

bool send_health_paced(const struct send_health *h, int64_t now_ms)
{
    return h->state == SEND_CLOSED && h->throttled_ms <= now_ms;
}

bool send_health_take(struct send_health *h, const struct send_health_conf *c, int64_t now_ms)
{
    bool probe = h->state != SEND_CLOSED;

    if (c->rate)
        h->next_ms = (h->next_ms > (double)now_ms ? h->next_ms : (double)now_ms) + interval_ms(c);
    h->probing = h->probing || probe;
    return probe;
}

void send_health_give_back(struct send_health *h, const struct send_health_conf *c, bool probe)
{
    h->next_ms -= interval_ms(c);
    if (probe)
        h->probing = false;
}

bool send_health_allows(const struct send_health *h, bool probe, int64_t now_ms)
{
    return h->throttled_ms <= now_ms && (h->state == SEND_CLOSED || (probe && h->probing));
}

static bool failed(enum mill_outcome outcome)
{
    return outcome == MILL_OUTCOME_TRANSIENT || outcome == MILL_OUTCOME_UNKNOWN;
}

static bool too_many_failed(const struct send_health *h, const struct send_health_conf *c)
{
    uint32_t n = 0, in_a_row = 0;

    for (uint32_t i = 0; i < h->history_n; i++) {
        bool bad = h->history >> i & 1;
        n += bad;
        in_a_row += bad && in_a_row == i;
    }
    return (c->failures && in_a_row >= c->failures) ||
           (c->percent && h->history_n == HISTORY && n * 100 >= c->percent * HISTORY);
}

static void open_for(struct send_health *h, int64_t ms, int64_t now_ms)
{
    h->state = SEND_OPEN;
    h->open_ms = ms;
    h->until_ms = now_ms + ms;
}

static void throttle(struct send_health *h, const struct send_health_conf *c, int64_t wait_ms,
                     int64_t now_ms)
{
    int64_t ms = wait_ms ? wait_ms : (int64_t)c->throttle_ms;

    if (wait_ms < 0) /* this one mail was too many, not we */
        return;
    ms = ms < (int64_t)c->throttle_max ? ms : (int64_t)c->throttle_max;
    h->throttled_ms = now_ms + ms > h->throttled_ms ? now_ms + ms : h->throttled_ms;
}

static void note_probe(struct send_health *h, const struct send_health_conf *c,
                       enum mill_outcome outcome, int64_t now_ms)
{
    int64_t twice = 2 * (h->open_ms ? h->open_ms : (int64_t)c->open_ms / 2);

    h->probing = false;
    if (failed(outcome)) {
        open_for(h, twice < (int64_t)c->open_max_ms ? twice : (int64_t)c->open_max_ms, now_ms);
        return;
    }
    h->state = SEND_CLOSED;
    h->open_ms = h->until_ms = 0;
    h->history = h->history_n = 0;
}

bool send_health_note(struct send_health *h, const struct send_health_conf *c,
                      enum mill_outcome outcome, bool probe, int64_t wait_ms, int64_t now_ms)
{
    enum send_breaker before = h->state;

    if (outcome == MILL_OUTCOME_THROTTLED || (outcome == MILL_OUTCOME_TRANSIENT && wait_ms > 0))
        throttle(h, c, wait_ms, now_ms);
    if (outcome == MILL_OUTCOME_CREDENTIAL) {
        h->probing = h->probing && !probe;
        h->state = SEND_PAUSED;
        h->until_ms = now_ms + (int64_t)c->pause_ms;
    } else if (probe) {
        note_probe(h, c, outcome, now_ms);
    } else if (h->state == SEND_CLOSED && outcome != MILL_OUTCOME_THROTTLED) {
        h->history = h->history << 1 | failed(outcome);
        h->history_n += h->history_n < HISTORY;
        if (failed(outcome) && too_many_failed(h, c))
            open_for(h, (int64_t)c->open_ms, now_ms);
    }
    return h->state != before;
}

enum send_breaker send_health_state(const struct send_health *h, int64_t now_ms)
{
    if (h->state != SEND_CLOSED && (h->probing || now_ms >= h->until_ms))
        return SEND_HALF_OPEN;
    return h->state;
}

double send_health_tokens(const struct send_health *h, const struct send_health_conf *c,
                          int64_t now_ms)
{
    double ahead = h->next_ms - (double)now_ms, left;

    if (!c->rate)
        return c->burst;
    left = (slack_ms(c) - (ahead > 0 ? ahead : 0)) / interval_ms(c) + 1;
    return left > 0 ? left : 0;
}
