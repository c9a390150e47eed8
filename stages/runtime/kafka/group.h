/**
 * @file group.h
 * @brief What a consumer group has committed, for whoever is not its member.
 *
 * Model: asks only; never joins, never commits. One thread.
 */
#ifndef MILL_GROUP_H
#define MILL_GROUP_H

#include "kafka/client.h"

struct mill_group;

struct mill_committed {
    int32_t partition;
    int64_t offset;           /**< -1: the group has none */
    struct mill_str metadata; /**< of the commit */
    int64_t low, high;        /**< of the log, uncommitted records counted */
};

/** @own new */
enum mill_code mill_group_new(struct mill_group **out, const struct mill_kafka_conf *conf,
                              const char *group, struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. */
void mill_group_free(struct mill_group *g);
/** @brief Every partition of a topic. @return MILL_OK; MILL_E_NOENT; MILL_E_IO; MILL_E_AUTH
 *  @own out in mem */
enum mill_code mill_group_committed(struct mill_group *g, const char *topic, struct mill_arena *mem,
                                    struct mill_committed **out, size_t *n,
                                    struct mill_err *err) MILL_NODISCARD;

#endif
