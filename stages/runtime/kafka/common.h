/**
 * @file common.h
 * @brief The options that every program has, stage or not.
 */
#ifndef MILL_COMMON_H
#define MILL_COMMON_H

#include "base/opt.h"

struct mill_common {
    const char *brokers, *registry, *instance, *status_listen, *log_level;
    uint64_t drain_ms;
    struct mill_map rdkafka; /**< names without the "rdkafka." */
};

/** Fills a struct mill_common; ends with {0}. */
extern const struct mill_opt mill_common_opts[];

#endif
