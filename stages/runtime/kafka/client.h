/**
 * @file client.h
 * @brief What every Kafka client of ours shares: configuration, partitioner, error classes.
 */
#ifndef MILL_KAFKA_CLIENT_H
#define MILL_KAFKA_CLIENT_H

#include "base/arena.h"
#include "base/err.h"

struct mill_kafka_conf {
    const char *brokers; /**< host:port,… */
    const char *client_id;
    struct mill_map rdkafka; /**< pass-through properties, names without the "rdkafka." prefix */
};

/** @brief The Java clients' default partitioner: murmur2 of the key up to its first '/'. */
int32_t mill_partition(struct mill_str key, int32_t partitions);

/** @brief The mill.origin of a record that has none: the place where a process read it first.
 *  @param topic_id "-" where the broker gives none. @return p NULL when out of memory */
struct mill_str mill_origin(struct mill_arena *a, const char *topic_id, int32_t partition,
                            int64_t offset, int64_t timestamp_us) MILL_NODISCARD;

/** @brief Version text of librdkafka in use. @own static */
const char *mill_kafka_version(void);

#endif
