/**
 * @file store.c
 * @brief A record of its own into the broker's hands, and the answer from its outcome.
 */
#include "store.h"

#include "base/log.h"

static void store_refuse(struct ingest_store *s, enum ingest_problem p, const char *detail)
{
    ingest_refuse(s->app, s->x, &(struct ingest_refusal){.problem = p, .detail = mill_str(detail)},
                  (struct mill_str){0});
}

/* On the producer's thread. Stored twice does no harm: each of these records has an identity. */
static void store_delivered(void *arg, enum mill_delivery d, const char *reason)
{
    struct ingest_store *s = arg;

    (void)reason;
    if (d == MILL_DELIVERED) {
        mill_metric_add(s->app->metrics, s->metric, s->label, 1);
        mill_metric_add(s->app->metrics, M_ANSWERS, 0, 1);
        mill_exchange_answer(s->x, s->status, s->head, s->body);
    } else if (d == MILL_TOO_LARGE) {
        store_refuse(s, PROBLEM_TOO_LARGE, "over the broker's own record limit");
    } else {
        store_refuse(s, PROBLEM_UNAVAILABLE, "the broker did not acknowledge the record");
    }
}

void ingest_store(struct ingest_store *s)
{
    struct ingest_trace trace = {0};
    struct mill_err err = {0};
    enum ingest_publish rc;

    if (!ingest_trace_of(s->x, &trace)) {
        store_refuse(s, PROBLEM_INTERNAL, NULL);
        return;
    }
    s->ticket = (struct ingest_ticket){.done = store_delivered, .arg = s};
    rc = ingest_publish_send(s->app->publisher, s->port, s->key, s->value,
                             (struct mill_map){trace.v, trace.n}, &s->ticket, &err);
    if (rc == INGEST_AWAY) {
        store_refuse(s, PROBLEM_UNAVAILABLE, ingest_publisher_why(s->app->publisher));
    } else if (rc == INGEST_TOO_LARGE) {
        store_refuse(s, PROBLEM_TOO_LARGE, "over the record limit");
    } else if (rc == INGEST_FAILED) {
        mill_log_err(MILL_ERROR, "publish_failed", &err);
        store_refuse(s, PROBLEM_INTERNAL, NULL);
    }
}
