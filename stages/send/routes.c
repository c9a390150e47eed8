/** @file routes.c  @brief See routes.h. */
#include "send/routes.h"
#include <stdlib.h>

enum { WEIGHT_MAX = 10000, PROBE_MS = 100 /**< look again when a probe is out */ };

#define OPT(m) .off = offsetof(struct send_routes_conf, m)
const struct mill_opt send_routes_opts[] = {
    {.name = "providers",
     .type = MILL_OPT_STR,
     OPT(providers),
     .def = "sendgrid",
     .help = "providers to use, as NAME:WEIGHT,…; one without a weight is a stand-by for those "
             "before it"},
    {.name = "tenant.",
     .type = MILL_OPT_PREFIX,
     OPT(tenants),
     .help = "a tenant's own providers, as `providers` has them"},
    {.name = "tls-ca",
     .type = MILL_OPT_STR,
     OPT(tls_ca),
     .help = "CA file for the providers' certificates; none = the system's"},
    {.name = "breaker-failures",
     .type = MILL_OPT_U32,
     OPT(health.failures),
     .def = "5",
     .max = 32,
     .help = "a provider is left alone after so many failed calls in a row; 0 = not looked at"},
    {.name = "breaker-percent",
     .type = MILL_OPT_U32,
     OPT(health.percent),
     .def = "50",
     .max = 100,
     .help = "or when so many of its last 32 calls failed; 0 = not looked at"},
    {.name = "breaker-open-ms",
     .type = MILL_OPT_MS,
     OPT(health.open_ms),
     .def = "5s",
     .min = 10,
     .max = 600000,
     .help = "how long it is left alone before one call is a probe; doubled when that fails"},
    {.name = "breaker-open-max-ms",
     .type = MILL_OPT_MS,
     OPT(health.open_max_ms),
     .def = "60s",
     .min = 10,
     .max = 3600000,
     .help = "the longest that the doubling comes to"},
    {.name = "credential-pause-ms",
     .type = MILL_OPT_MS,
     OPT(health.pause_ms),
     .def = "10s",
     .min = 10,
     .max = 120000,
     .help = "how long a provider that refuses our credentials is left alone"},
    {.name = "throttle-ms",
     .type = MILL_OPT_MS,
     OPT(health.throttle_ms),
     .def = "5s",
     .min = 10,
     .max = 600000,
     .help = "how long after \"too many requests\" when the provider names no time"},
    {.name = "throttle-max-ms",
     .type = MILL_OPT_MS,
     OPT(health.throttle_max),
     .def = "1h",
     .min = 10,
     .max = 86400000,
     .help = "the longest time that a provider may name"},
    {0},
};

struct send_route *send_routes_find(struct send_routes *rs, const struct mill_provider *p)
{
    for (size_t i = 0; i < rs->n; i++)
        if (rs->v[i].provider == p)
            return &rs->v[i];
    return NULL;
}

/** The provider's route, made where it is named for the first time. */
static enum mill_code routes_use(struct send_routes *rs, const struct send_routes_conf *conf,
                                 const union mill_account_room *accounts, struct mill_str name,
                                 struct send_route **out, struct mill_err *err)
{
    const struct mill_provider *p = mill_provider_find(name);
    struct send_route *r = NULL;

    if (!p)
        return mill_fail(err, MILL_E_CONFIG, "providers", "\"%.*s\" is not known", MILL_FMT(name));
    r = send_routes_find(rs, p);
    *out = r ? r : &rs->v[rs->n];
    if (r)
        return MILL_OK;
    if (rs->n == SEND_ROUTES_MAX)
        return mill_fail(err, MILL_E_CONFIG, "providers", "too many");
    r = &rs->v[rs->n++];
    r->provider = p;
    while (mill_providers[r->index] != p)
        r->index++;
    r->account = &accounts[r->index].base;
    r->conf = conf->health;
    r->conf.rate = r->account->rate;
    r->conf.burst = r->account->burst;
    return p->check(r->account, err);
}

static enum mill_code routes_order(struct send_routes *rs, const struct send_routes_conf *conf,
                                   const union mill_account_room *accounts, struct mill_str text,
                                   struct send_order *out, struct mill_err *err)
{
    while (text.n) {
        struct mill_str weight = mill_str_trim(mill_str_take(&text, ','));
        struct mill_str name = mill_str_trim(mill_str_take(&weight, ':'));
        struct send_pick *pick = &out->picks[out->n];
        int64_t n = 0;
        enum mill_code rc = MILL_OK;

        if (out->n == SEND_ROUTES_MAX)
            return mill_fail(err, MILL_E_CONFIG, "providers", "too many");
        if (weight.n && (!mill_str_i64(mill_str_trim(weight), &n) || n < 1 || n > WEIGHT_MAX))
            return mill_fail(err, MILL_E_CONFIG, "providers", "\"%.*s\" is no weight (1 to %d)",
                             MILL_FMT(weight), WEIGHT_MAX);
        rc = routes_use(rs, conf, accounts, name, &pick->route, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < out->n; i++)
            if (out->picks[i].route == pick->route)
                return mill_fail(err, MILL_E_CONFIG, "providers", "%s is there twice",
                                 pick->route->provider->name);
        pick->weight = (uint32_t)n;
        out->n++;
    }
    return out->n ? MILL_OK : mill_fail(err, MILL_E_CONFIG, "providers", "none given");
}

enum mill_code send_routes_open(struct send_routes *rs, const struct send_routes_conf *conf,
                                const union mill_account_room *accounts, struct mill_err *err)
{
    enum mill_code rc =
        routes_order(rs, conf, accounts, mill_str(conf->providers), &rs->order, err);

    if (rc || !conf->tenants.n)
        return rc;
    rs->tenants = calloc(conf->tenants.n, sizeof(*rs->tenants));
    if (!rs->tenants)
        return mill_fail(err, MILL_E_NOMEM, "tenant.", "out of memory");
    for (size_t i = 0; !rc && i < conf->tenants.n; i++) {
        rs->tenants[i].tenant = conf->tenants.v[i].key;
        rc = routes_order(rs, conf, accounts, conf->tenants.v[i].value, &rs->tenants[i], err);
        rs->tenants_n++;
    }
    return rc;
}

void send_routes_close(struct send_routes *rs)
{
    if (rs) {
        free(rs->tenants);
        rs->tenants = NULL;
        rs->tenants_n = 0;
    }
}

static struct send_order *routes_of(struct send_routes *rs, struct mill_str tenant)
{
    for (size_t i = 0; i < rs->tenants_n; i++)
        if (mill_str_eq(rs->tenants[i].tenant, tenant))
            return &rs->tenants[i];
    return &rs->order;
}

static int64_t route_ready(const struct send_route *r, int64_t now_ms)
{
    return send_health_ready(&r->health, &r->conf, now_ms);
}

static bool route_takes(const struct send_route *r, uint64_t bytes)
{
    return !r->provider->max_bytes || bytes <= r->provider->max_bytes;
}

/** Smooth weighted round-robin: each gains its weight, the richest pays for all. */
static struct send_route *order_pick(struct send_order *o, uint64_t bytes,
                                     const struct mill_provider *avoid, int64_t now_ms)
{
    struct send_pick *best = NULL;
    int64_t total = 0;

    for (size_t i = 0; i < o->n; i++) {
        struct send_pick *p = &o->picks[i];

        if (!p->weight || p->route->provider == avoid || !route_takes(p->route, bytes) ||
            route_ready(p->route, now_ms) > now_ms)
            continue;
        p->turn += p->weight;
        total += p->weight;
        best = !best || p->turn > best->turn ? p : best;
    }
    if (best) {
        best->turn -= total;
        return best->route;
    }
    for (size_t i = 0; i < o->n; i++) {
        struct send_route *r = o->picks[i].route;
        if (!o->picks[i].weight && r->provider != avoid && route_takes(r, bytes) &&
            route_ready(r, now_ms) <= now_ms)
            return r;
    }
    return NULL;
}

/** Nobody may be called now: who is the first that will be? NULL: nobody takes so large a mail. */
static struct send_route *order_first(const struct send_order *o, uint64_t bytes, int64_t now_ms)
{
    struct send_route *first = NULL;

    for (size_t i = 0; i < o->n; i++) {
        struct send_route *r = o->picks[i].route;
        if (route_takes(r, bytes) &&
            (!first || route_ready(r, now_ms) < route_ready(first, now_ms)))
            first = r;
    }
    return first;
}

int64_t send_routes_ready(const struct send_routes *rs, int64_t now_ms)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < rs->n; i++)
        first = route_ready(&rs->v[i], now_ms) < first ? route_ready(&rs->v[i], now_ms) : first;
    return first == INT64_MAX ? now_ms + PROBE_MS : first;
}

struct send_choice send_routes_take(struct send_routes *rs, struct mill_str tenant, uint64_t bytes,
                                    const struct mill_provider *avoid, int64_t now_ms)
{
    struct send_order *o = routes_of(rs, tenant);
    struct send_choice out = {.route = order_pick(o, bytes, avoid, now_ms)};
    struct send_route *first = NULL;

    if (!out.route && avoid)
        out.route = order_pick(o, bytes, NULL, now_ms);
    if (!out.route) {
        first = order_first(o, bytes, now_ms);
        out.never = !first;
        if (!first)
            return out;
        out.until_ms = route_ready(first, now_ms);
        out.others = send_routes_ready(rs, now_ms) <= now_ms;
        if (!out.others && send_health_paced(&first->health, now_ms) &&
            out.until_ms - now_ms <= SEND_PACE_MS) {
            out.route = first;
            out.start_ms = out.until_ms;
        }
    }
    if (out.route)
        out.probe = send_health_take(&out.route->health, &out.route->conf, now_ms);
    else if (out.until_ms == INT64_MAX)
        out.until_ms = now_ms + PROBE_MS;
    return out;
}

bool send_routes_failover(struct send_routes *rs, struct mill_str tenant, uint64_t bytes,
                          const struct mill_provider *refused, int64_t attempt, int64_t now_ms)
{
    const struct send_order *o = routes_of(rs, tenant);
    bool ready = false;

    for (size_t i = 0; i < o->n; i++)
        ready = ready ||
                (o->picks[i].route->provider != refused && route_takes(o->picks[i].route, bytes) &&
                 route_ready(o->picks[i].route, now_ms) <= now_ms);
    return ready && attempt < (int64_t)o->n;
}

void send_route_give_back(struct send_route *r, bool probe)
{
    send_health_give_back(&r->health, &r->conf, probe);
}
