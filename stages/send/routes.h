/**
 * @file routes.h
 * @brief Which provider a message goes to now, or why to none.
 *
 * Model: a route is a provider in use, with its account and its health (health.h: breaker, pause,
 * rate). An order says which routes a message may take: the option `providers`, or a tenant's own,
 * `tenant.NAME`. In an order `sendgrid:3,mailgun:1,smtp`, those with a weight share the mail by it
 * (smooth weighted round-robin over those that may be called); one without is a stand-by, taken in
 * the order given when none of the others may be called. So `sendgrid,smtp` is "the first that is
 * well".
 *
 *   a message whose last attempt proved "not accepted" avoids that provider where another is well
 *   no route of its order, others could go  it steps aside by the delay topics until one is ready
 *   no route at all, only tokens missing    it is paced: its call has a start time, PACE_MS ahead
 *   no route at all                         it is held; see send.c
 *
 * Failover is by the next attempt, with an INTENT of its own: within one attempt only one provider
 * is ever called. What was provably not accepted goes straight to mail.retry.send while another
 * provider is ready and not each was asked once; after that, to deadletter's waits. The probe of a
 * half-open breaker is a real message. Single thread.
 */
#ifndef MILL_SEND_ROUTES_H
#define MILL_SEND_ROUTES_H

#include "send/health.h"
#include "send/provider.h"

enum {
    SEND_ROUTES_MAX = 8,
    SEND_PACE_MS = 5000, /**< a call is planned so far ahead at most when tokens are short */
};

struct send_routes_conf {
    const char *providers, *tls_ca;
    struct mill_map tenants; /**< tenant → order */
    struct send_health_conf health;
};
extern const struct mill_opt send_routes_opts[];

struct send_route {
    const struct mill_provider *provider;
    size_t index; /**< in mill_providers */
    const struct mill_account *account;
    struct send_health health;
    struct send_health_conf conf;
};

struct send_pick {
    struct send_route *route;
    uint32_t weight; /**< 0 = stand-by */
    int64_t turn;    /**< of the round-robin */
};

struct send_order {
    struct mill_str tenant; /**< absent: everybody else's */
    struct send_pick picks[SEND_ROUTES_MAX];
    size_t n;
};

struct send_routes {
    struct send_route v[SEND_ROUTES_MAX];
    size_t n;
    struct send_order order;
    struct send_order *tenants;
    size_t tenants_n;
};

/** Which route, or when to ask again. */
struct send_choice {
    struct send_route *route; /**< NULL = none now */
    bool probe;
    int64_t start_ms; /**< tick before which it is not to be called; 0 = now */
    bool never;       /**< route NULL: none of its order takes a mail of that size */
    int64_t until_ms; /**< route NULL: tick when one of its order may be ready */
    bool others;      /**< route NULL: a message with another order could go now */
};

/** @brief Read the orders. @param accounts rooms in the order of mill_providers; borrowed
 *  @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM. @own send_routes_close() even after a failure */
enum mill_code send_routes_open(struct send_routes *rs, const struct send_routes_conf *conf,
                                const union mill_account_room *accounts,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe, idempotent. */
void send_routes_close(struct send_routes *rs);
/** @brief Choose a route for a message and take its token.
 *  @param bytes of the mail, its attachments as base64
 *  @param avoid refused this message last time; NULL = none */
struct send_choice send_routes_take(struct send_routes *rs, struct mill_str tenant, uint64_t bytes,
                                    const struct mill_provider *avoid,
                                    int64_t now_ms) MILL_NODISCARD;
/** @brief A message that this provider has provably not taken: would another of its order take it
 *  now, and is it no more than its first round? @param attempt of the refused call */
bool send_routes_failover(struct send_routes *rs, struct mill_str tenant, uint64_t bytes,
                          const struct mill_provider *refused, int64_t attempt, int64_t now_ms);
/** @brief It is not called after all. */
void send_route_give_back(struct send_route *r, bool probe);
/** @brief When any route may be called: now_ms or earlier means now. */
int64_t send_routes_ready(const struct send_routes *rs, int64_t now_ms);
/** @brief By provider; NULL when it is not in use. @own borrowed */
struct send_route *send_routes_find(struct send_routes *rs, const struct mill_provider *p);

#endif
