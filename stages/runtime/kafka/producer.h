/**
 * @file producer.h
 * @brief A plain idempotent producer (acks=all) for processes that are no stage: ingest, command
 * line.
 *
 * Model: produce copies and returns; the outcome comes once, in `done`, on the producer's own
 * thread. Bounded: when the queue is full or the broker is known to be away, produce says so at
 * once.
 */
#ifndef MILL_PRODUCER_H
#define MILL_PRODUCER_H

#include "kafka/client.h"

struct mill_producer;

enum mill_delivery {
    MILL_DELIVERED,   /**< acks=all */
    MILL_UNDELIVERED, /**< proven not written */
    MILL_DOUBTFUL,    /**< timed out in flight: it may have been written */
    MILL_TOO_LARGE,   /**< over the broker's or topic's limit */
};

typedef void (*mill_delivery_fn)(void *arg, enum mill_delivery d, int32_t partition, int64_t offset,
                                 const char *reason);

/** @own new. Properties in conf->rdkafka override ours, but not acks and enable.idempotence. */
enum mill_code mill_producer_new(struct mill_producer **out, const struct mill_kafka_conf *conf,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Flush up to timeout_ms, then free; done is called for all. NULL-safe. */
void mill_producer_free(struct mill_producer *p, uint32_t timeout_ms);
/**
 * @brief Queue a record. @param partition -1 = mill_partition(key)
 * @return MILL_OK; MILL_E_IO (queue full or broker away: try later); MILL_E_DATA (too large);
 *         MILL_E_NOENT (no such topic)
 * @thread any
 */
enum mill_code mill_producer_send(struct mill_producer *p, const char *topic, int32_t partition,
                                  struct mill_str key, struct mill_str value,
                                  struct mill_map headers, mill_delivery_fn done, void *arg,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief Is a broker connected and the topic known? For /readyz. @thread any */
bool mill_producer_ready(struct mill_producer *p, const char *topic, uint32_t timeout_ms);
/** @brief Records queued or in flight. @thread any */
size_t mill_producer_queued(const struct mill_producer *p);

#endif
