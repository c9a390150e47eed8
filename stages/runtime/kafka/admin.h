/**
 * @file admin.h
 * @brief Topics: list, describe, create, configure. Blocking, with a timeout.
 */
#ifndef MILL_ADMIN_H
#define MILL_ADMIN_H

#include "kafka/client.h"

struct mill_admin;

struct mill_topic {
    const char *name;
    char id[37];            /**< topic id, text as the broker's tools print it */
    int32_t partitions;     /**< 0 = no such topic */
    struct mill_map config; /**< what is set or (for create) to be set */
};

enum mill_code mill_admin_new(struct mill_admin **out, const struct mill_kafka_conf *conf,
                              uint32_t timeout_ms, struct mill_err *err) MILL_NODISCARD;
void mill_admin_free(struct mill_admin *a);
/** @brief All topics (without internal ones). @own borrowed until the next call */
enum mill_code mill_admin_list(struct mill_admin *a, const struct mill_topic **topics, size_t *n,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief One topic's partition count and id, no configuration; MILL_E_NOENT. The id stays empty
 *  where the broker does not say it (before Kafka 2.8). */
enum mill_code mill_admin_topic(struct mill_admin *a, const char *name, struct mill_topic *out,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief One topic with its effective configuration; MILL_E_NOENT. @own borrowed until next call
 */
enum mill_code mill_admin_describe(struct mill_admin *a, const char *name, struct mill_topic *out,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Create; MILL_E_STATE when it exists. */
enum mill_code mill_admin_create(struct mill_admin *a, const struct mill_topic *t,
                                 int32_t replication, struct mill_err *err) MILL_NODISCARD;
/** @brief Set config values of a topic (others stay). */
enum mill_code mill_admin_alter(struct mill_admin *a, const char *name, struct mill_map config,
                                struct mill_err *err) MILL_NODISCARD;

#endif
