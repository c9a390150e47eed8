/**
 * @file caller.h
 * @brief Who is calling, for a route that asks for credentials.
 *
 * Model: the first member of what such a route keeps of a request (in its exchange's arena). A
 * caller that is known goes on at once on the server's thread; one whose password must be hashed,
 * on later's.
 */
#ifndef INGEST_CALLER_H
#define INGEST_CALLER_H

#include "app.h"

struct ingest_caller {
    struct ingest *app;
    struct mill_exchange *x;
    struct ingest_identity who;
    unsigned scope;                          /**< enum ingest_scope that is asked for */
    void (*run)(struct ingest_caller *self); /**< the rest of the way; must answer x */
};

/** @brief Check the credentials, then run; or refuse: 401, 403 without the scope, 503. */
void ingest_caller_check(struct ingest_caller *c);
/** @brief Refuse; x is gone afterwards. @thread any */
void ingest_caller_refuse(struct ingest_caller *c, enum ingest_problem p, struct mill_str detail);

/** @brief Room for a call that begins: size zeroed bytes that live as long as the exchange.
 *  @return NULL when the call is refused already (we are going down, no memory); x is gone then
 *  @own borrowed */
void *ingest_call_new(struct ingest *app, struct mill_exchange *x, size_t size) MILL_NODISCARD;

#endif
