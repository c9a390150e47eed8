/**
 * @file app.h
 * @brief The running edge: what all handlers share, and its start and end.
 *
 * Model: started and ticked by main (or a test); handlers run on the server's threads and share
 * this struct read-only, but for what is atomic or locked inside.
 */
#ifndef INGEST_APP_H
#define INGEST_APP_H

#include "auth.h"
#include "blobs.h"
#include "conf.h"
#include "keys.h"
#include "later.h"
#include "metrics.h"
#include "problem.h"
#include "publish.h"
#include "quota.h"
#include "rate.h"
#include "secrets.h"
#include <stdatomic.h>

struct ingest {
    const struct ingest_conf *conf;
    struct ingest_auth auth;
    struct ingest_publisher *publisher;
    struct mill_table *used_keys; /**< mail.idempotency */
    struct ingest_keys *keys;
    struct ingest_quota *quota;
    struct ingest_later *later; /**< password hashes */
    struct ingest_later *large; /**< mails that may have to go to S3; NULL without a bucket */
    struct ingest_blobs *blobs; /**< NULL without a bucket */
    uint64_t mail_max_bytes;    /**< of one mail's body */
    struct mill_metrics *metrics;
    struct mill_server *server, *status; /**< status may be NULL */
    struct ingest_secrets secrets;
    struct ingest_rate unsubscribes;
    atomic_bool draining;    /**< no new work */
    struct mill_arena arena; /**< texts that live as long as the app */
    char client_id[80];
    struct mill_route routes[20];
};

/** @param conf borrowed for the app's life. @own out new
 *  @return MILL_OK; MILL_E_CONFIG, MILL_E_NOMEM … */
enum mill_code ingest_app_start(struct ingest **out, const struct ingest_conf *conf,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Stop accepting, answer what is in hand within drain_ms, end. NULL-safe. */
void ingest_app_stop(struct ingest *app);
/** @brief What must be done some times a second: credentials, schemas, broker.
 *  @param reread read the credentials in any case. @thread one */
void ingest_app_tick(struct ingest *app, bool reread);
/** @brief Everything that is checked before anything is opened: keys and credentials. */
enum mill_code ingest_app_check(const struct ingest_conf *conf,
                                struct mill_err *err) MILL_NODISCARD;

/** @brief Refuse a request, and count it. x is gone afterwards. @thread any */
void ingest_refuse(struct ingest *app, struct mill_exchange *x, const struct ingest_refusal *r,
                   struct mill_str extra);
/** @brief Answer with JSON, and count it. x is gone afterwards. @param more one header at most
 *  @thread any */
void ingest_reply(struct ingest *app, struct mill_exchange *x, unsigned status,
                  struct mill_map more, const struct mill_buf *json);
/** @brief Why no mail can be accepted now; NULL = it can. @own static @thread any */
const char *ingest_why(const struct ingest *app);
/** @brief Is the process about to go? Then the request is refused (503) and x is gone. */
bool ingest_refuse_draining(struct ingest *app, struct mill_exchange *x) MILL_NODISCARD;

/** Handlers (mill_handler_fn); app is struct ingest. */
void ingest_mail_post(void *app, struct mill_exchange *x);
void ingest_batch_post(void *app, struct mill_exchange *x);
void ingest_mail_delete(void *app, struct mill_exchange *x);
void ingest_callback_post(void *app, struct mill_exchange *x);
void ingest_unsubscribe_get(void *app, struct mill_exchange *x);
void ingest_unsubscribe_post(void *app, struct mill_exchange *x);
void ingest_limits_get(void *app, struct mill_exchange *x);
void ingest_healthz_get(void *app, struct mill_exchange *x);
void ingest_readyz_get(void *app, struct mill_exchange *x);
void ingest_metrics_get(void *app, struct mill_exchange *x);
void ingest_openapi_get(void *app, struct mill_exchange *x);

/** traceparent and tracestate of a new record. */
struct ingest_trace {
    struct mill_pair v[2];
    size_t n;
};
/** @brief The caller's trace if it has a valid one, else a new one. Texts live in the arena.
 *  @return false when out of memory or random bytes */
bool ingest_trace_of(struct mill_exchange *x, struct ingest_trace *out) MILL_NODISCARD;

#endif
