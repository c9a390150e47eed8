/**
 * @file common.h
 * @brief The options that every program has, stage or not.
 */
#ifndef MILL_COMMON_H
#define MILL_COMMON_H

#include "base/log.h"
#include "base/opt.h"

struct mill_common {
    const char *brokers, *registry, *instance, *status_listen, *log_level;
    uint64_t drain_ms;
    struct mill_map rdkafka; /**< names without the "rdkafka." */
};

/** Where broker and registry are, for every program, the command line too. Fills a struct
 *  mill_common; ends with {0}. */
extern const struct mill_opt mill_client_opts[];
/** The rest of a struct mill_common, for what runs on its own; ends with {0}. */
extern const struct mill_opt mill_common_opts[];

/**
 * @brief What the table cannot say: is the level one, does librdkafka know the properties?
 * @param level out: the parsed log level
 * @return MILL_OK; MILL_E_CONFIG (where = option or property)
 */
enum mill_code mill_common_check(const struct mill_common *c, enum mill_level *level,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
