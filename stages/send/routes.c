/**
 * @file routes.c
 * @brief The providers in use: their accounts from the options, and whether they are well.
 *
 * A provider that refuses our credentials is left alone for a while; then one call, a probe, finds
 * out whether somebody has mended it. Its mail waits: a credential fault is no mail's fault.
 */
#include "base/clock.h"
#include "send/send.h"

/** A provider's own options. */
static enum mill_code routes_account(const struct send_conf *conf, const struct mill_provider *p,
                                     struct mill_account *out, struct mill_err *err)
{
    const struct {
        const struct mill_provider *provider;
        struct mill_account account;
        bool secret_needed;
    } known[] = {
        {&mill_provider_sendgrid, {conf->sendgrid_url, NULL, conf->sendgrid_key, NULL}, true},
        {&mill_provider_smtp, {conf->smtp_url, conf->smtp_user, conf->smtp_password, NULL}, false},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].provider != p)
            continue;
        *out = known[i].account;
        out->tls_ca = conf->tls_ca;
        if (!out->url || !out->url[0])
            return mill_fail(err, MILL_E_CONFIG, p->name, "its URL is not set");
        if (known[i].secret_needed && (!out->secret || !out->secret[0]))
            return mill_fail(err, MILL_E_CONFIG, p->name, "its key is not set");
        return MILL_OK;
    }
    return mill_fail(err, MILL_E_CONFIG, p->name, "has no options");
}

enum mill_code send_routes_open(struct send_state *st, const struct send_conf *conf,
                                struct mill_err *err)
{
    struct mill_str rest = mill_str(conf->providers);

    while (rest.n) {
        struct mill_str name = mill_str_trim(mill_str_take(&rest, ','));
        const struct mill_provider *p = mill_provider_find(name);
        enum mill_code rc = MILL_OK;

        if (!p || st->routes_n == SEND_ROUTES_MAX) {
            return mill_fail(err, MILL_E_CONFIG, "providers", "\"%.*s\" is not known, or too many",
                             MILL_FMT(name));
        }
        rc = routes_account(conf, p, &st->routes[st->routes_n].account, err);
        if (rc)
            return rc;
        st->routes[st->routes_n++].provider = p;
    }
    return st->routes_n ? MILL_OK : mill_fail(err, MILL_E_CONFIG, "providers", "none given");
}

/** The provider answered: is it still on speaking terms with us? */
void send_routes_note(struct mill_ctx *ctx, const struct send_job *job)
{
    const struct send_conf *conf = mill_conf(ctx);
    struct send_state *st = mill_state(ctx);
    struct send_route *r = job->route;
    size_t paused = 0;

    r->probing = false;
    if (job->called) {
        bool refused = job->answer.outcome == MILL_OUTCOME_CREDENTIAL;
        r->paused_until_ms = refused ? mill_tick_ms() + (int64_t)conf->credential_pause_ms : 0;
    }
    for (size_t i = 0; i < st->routes_n; i++)
        paused += st->routes[i].paused_until_ms != 0;
    mill_gauge(ctx, SEND_M_PAUSED, 0, (double)paused);
    if (paused && !st->unready) {
        mill_log(MILL_ERROR, "provider_credentials",
                 MILL_KV(MILL_KS("provider", r->provider->name)),
                 "the provider refuses our credentials: its mail waits");
    }
    if ((paused != 0) != st->unready) {
        st->unready = paused != 0;
        mill_unready(ctx, paused ? "a provider refuses our credentials" : NULL);
    }
}

struct send_route *send_routes_take(struct send_state *st)
{
    for (size_t i = 0; i < st->routes_n; i++) {
        struct send_route *r = &st->routes[i];

        if (!r->paused_until_ms)
            return r;
        if (!r->probing && mill_tick_ms() >= r->paused_until_ms) {
            r->probing = true;
            return r;
        }
    }
    return NULL;
}
