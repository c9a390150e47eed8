/**
 * @file client.h
 * @brief What every Kafka client of ours shares: configuration, partitioner, error classes.
 */
#ifndef MILL_KAFKA_CLIENT_H
#define MILL_KAFKA_CLIENT_H

#include "base/err.h"

struct mill_kafka_conf {
    const char *brokers; /**< host:port,… */
    const char *client_id;
    struct mill_map rdkafka; /**< pass-through properties, names without the "rdkafka." prefix */
};

/** @brief The Java clients' default partitioner: murmur2 of the key up to its first '/'. */
int32_t mill_partition(struct mill_str key, int32_t partitions);

/** @brief Version text of librdkafka in use. @own static */
const char *mill_kafka_version(void);

#endif
