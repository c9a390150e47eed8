/**
 * @file watch.c
 * @brief Tells what becomes of the providers' health: log, metrics, /readyz.
 */
#include "base/clock.h"
#include "send/send.h"

static void watch_log(const struct send_route *r, int64_t now_ms)
{
    const char *provider = r->provider->name;

    switch (r->health.state) {
    case SEND_PAUSED:
        mill_log(MILL_ERROR, "provider_credentials", MILL_KV(MILL_KS("provider", provider)),
                 "the provider refuses our credentials and is left alone");
        break;
    case SEND_OPEN:
        mill_log(MILL_WARN, "provider_open",
                 MILL_KV(MILL_KS("provider", provider), MILL_KI("ms", r->health.until_ms - now_ms)),
                 "too many of its calls fail: the provider is left alone");
        break;
    default:
        mill_log(MILL_INFO, "provider_closed", MILL_KV(MILL_KS("provider", provider)),
                 "the provider is well again");
    }
}

void send_watch_note(struct mill_ctx *ctx, const struct send_job *job)
{
    struct send_route *r = job->route;
    int64_t now = mill_tick_ms(), throttled = r->health.throttled_ms;

    if (!job->called) {
        send_route_give_back(r, job->choice.probe);
        return;
    }
    mill_count(ctx, SEND_M_PROVIDER + (size_t)job->answer.outcome - MILL_OUTCOME_ACCEPTED, r->index,
               1);
    if (send_health_note(&r->health, &r->conf, job->answer.outcome, job->choice.probe,
                         job->answer.wait_ms, now))
        watch_log(r, now);
    if (r->health.throttled_ms > throttled && throttled <= now)
        mill_log(MILL_WARN, "provider_throttled",
                 MILL_KV(MILL_KS("provider", r->provider->name),
                         MILL_KI("ms", r->health.throttled_ms - now)),
                 "too many requests, says the provider, and is left alone");
    send_watch_report(ctx);
}

void send_watch_report(struct mill_ctx *ctx)
{
    struct send_state *st = mill_state(ctx);
    int64_t now = mill_tick_ms();
    size_t paused = 0, away = 0;
    const char *why = NULL;

    for (size_t i = 0; i < st->routes.n; i++) {
        const struct send_route *r = &st->routes.v[i];

        paused += r->health.state == SEND_PAUSED;
        away += r->health.state != SEND_CLOSED;
        mill_gauge(ctx, SEND_M_BREAKER, r->index, (double)send_health_state(&r->health, now));
        mill_gauge(ctx, SEND_M_TOKENS, r->index, send_health_tokens(&r->health, &r->conf, now));
    }
    mill_gauge(ctx, SEND_M_PAUSED, 0, (double)paused);
    if (paused)
        why = "a provider refuses our credentials";
    else if (away == st->routes.n)
        why = "no provider can be reached";
    if (why != st->unready)
        mill_unready(ctx, why);
    st->unready = why;
}
