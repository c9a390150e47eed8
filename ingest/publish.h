/**
 * @file publish.h
 * @brief From a record struct to an acknowledged record on a topic.
 *
 * Model: one publisher for the process. It registers the schemas, keeps watch over broker and
 * registry (tick), encodes with a pool of codecs and hands over to the idempotent producer. While
 * it knows that nothing can be written it refuses at once, so that no caller waits for a timeout.
 * After ingest_publish_send() said QUEUED the ticket's done is called exactly once, on the
 * producer's thread.
 */
#ifndef INGEST_PUBLISH_H
#define INGEST_PUBLISH_H

#include "avro/desc.h"
#include "base/metrics.h"
#include "kafka/producer.h"

enum ingest_port {
    INGEST_REQUESTS,
    INGEST_CALLBACKS,
    INGEST_CANCELLATIONS,
    INGEST_SUPPRESSIONS,
    INGEST_IDEMPOTENCY,
    INGEST_PORTS,
};

struct ingest_publisher;

struct ingest_publisher_conf {
    struct mill_kafka_conf kafka; /**< borrowed for the publisher's life */
    const char *registry;         /**< base URL; borrowed */
    const char *topic[INGEST_PORTS];
    const struct mill_desc *desc[INGEST_PORTS];
    uint64_t record_max_bytes; /**< of an encoded record */
};

enum ingest_publish {
    INGEST_QUEUED,    /**< done will be called */
    INGEST_AWAY,      /**< broker, registry or topic is not there, or we are going: not attempted */
    INGEST_TOO_LARGE, /**< the encoded record is over the limit */
    INGEST_FAILED,    /**< our own fault; err says what */
};

/** What a delivery finds its way back by: memory of the caller's that lives until done returns. */
struct ingest_ticket {
    void (*done)(void *arg, enum mill_delivery d, const char *reason);
    void *arg;
    bool follows; /**< upon a record that the broker has: queued even while the broker seems away */
    struct ingest_publisher *publisher; /**< set by send */
    int64_t sent_ms;                    /**< set by send */
};

/** @own new in *out */
enum mill_code ingest_publisher_new(struct ingest_publisher **out,
                                    const struct ingest_publisher_conf *conf,
                                    struct mill_metrics *metrics,
                                    struct mill_err *err) MILL_NODISCARD;
/** @brief Refuse what comes, flush up to timeout_ms; every ticket's done was called on return. */
void ingest_publisher_close(struct ingest_publisher *p, uint32_t timeout_ms);
/** @brief Close if need be, and free. NULL-safe. */
void ingest_publisher_free(struct ingest_publisher *p);
/** @brief Register what is not registered, look after the broker. Call some times a second; may
 *  block for about 2 s while something is away. @thread one */
void ingest_publisher_tick(struct ingest_publisher *p);
/** @brief Why nothing can be published now; NULL = it can. @own static @thread any */
const char *ingest_publisher_why(const struct ingest_publisher *p);
/** @brief The producer failed for good: only a new process helps. @thread any */
bool ingest_publisher_broken(const struct ingest_publisher *p);
/**
 * @brief Encode and queue a record.
 * @param key    absent = any partition
 * @param value  struct of the port's descriptor; copied
 * @param ticket with done and arg set; borrowed until done returns
 * @thread any
 */
enum ingest_publish ingest_publish_send(struct ingest_publisher *p, enum ingest_port port,
                                        struct mill_str key, const void *value,
                                        struct mill_map headers, struct ingest_ticket *ticket,
                                        struct mill_err *err) MILL_NODISCARD;

#endif
