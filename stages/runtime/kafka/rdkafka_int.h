/**
 * @file rdkafka_int.h
 * @brief Inside of stages/runtime/kafka: the one place where librdkafka's types are seen.
 */
#ifndef MILL_RDKAFKA_INT_H
#define MILL_RDKAFKA_INT_H

#include "base/arena.h"
#include "kafka/client.h"
#include <librdkafka/rdkafka.h>

/** One property; the later table wins, so that what the user passes through comes last. */
struct mill_prop {
    const char *name, *value;
};

/**
 * @brief A configuration: shared basics (for a producer our partitioner), then props (ends with
 * {0}), then the user's pass-through.
 * @return NULL with err (where = property). @own new; librdkafka's rd_kafka_new takes it on success
 */
rd_kafka_conf_t *mill_rd_conf(rd_kafka_type_t type, const struct mill_kafka_conf *conf,
                              const struct mill_prop *props, struct mill_err *err) MILL_NODISCARD;
/** @brief Set one property. @return MILL_OK or MILL_E_CONFIG */
enum mill_code mill_rd_set(rd_kafka_conf_t *rc, const char *name, const char *value,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief rd_kafka_new that frees the conf whatever happens. @own steals rc; new handle or NULL */
rd_kafka_t *mill_rd_new(rd_kafka_type_t type, rd_kafka_conf_t *rc,
                        struct mill_err *err) MILL_NODISCARD;
/** @brief Code that fits a librdkafka error: E_DATA for a record too large, E_NOENT for an unknown
 *  topic, E_AUTH for refused credentials, E_IO for what may pass, else E_KAFKA. */
enum mill_code mill_rd_code(rd_kafka_resp_err_t e);
/** @brief Does the error say that a coordinator has moved, or is starting? */
bool mill_rd_moves(rd_kafka_resp_err_t e);
/** @brief May the same call be made again: neither fatal nor to be aborted, and librdkafka or the
 *  table of codes.c says that it may pass. */
bool mill_rd_passes(const rd_kafka_error_t *e);
/** @brief Fill err from an error object. @own steals e */
enum mill_code mill_rd_fail(struct mill_err *err, const char *where, rd_kafka_error_t *e);
enum mill_code mill_rd_fail_code(struct mill_err *err, const char *where, rd_kafka_resp_err_t e);
/** @brief The same for a call of rk that had no answer: a broker that refused us is why. */
enum mill_code mill_rd_fail_call(struct mill_err *err, const char *where, rd_kafka_t *rk,
                                 rd_kafka_resp_err_t e);
/** @brief Partitions of a topic, by plain metadata: any broker answers this. Through a producer's
 *  handle it may create the topic.
 *  @param n out: 0 with an error @param broker out: who answered, -1 = not known; may be NULL
 *  @return the topic's error, or the call's */
rd_kafka_resp_err_t mill_rd_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms,
                                       int32_t *n, int32_t *broker) MILL_NODISCARD;
/** @brief Log start and high watermark (uncommitted: the real end of the log) of a partition. */
enum mill_code mill_rd_marks(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
                             int64_t *high, int timeout_ms, struct mill_err *err) MILL_NODISCARD;
/** @brief First offset at or after a time; -1 = nothing that late. */
enum mill_code mill_rd_offset_at(rd_kafka_t *rk, const char *topic, int32_t partition,
                                 int64_t time_ms, int64_t *offset, int timeout_ms,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Headers of a message as a map in the arena (absent values become "").
 *  @return false: out of memory */
bool mill_rd_headers(const rd_kafka_message_t *m, struct mill_arena *arena,
                     struct mill_map *out) MILL_NODISCARD;
/** @brief Map to headers. @own new; NULL for an empty map or when out of memory */
rd_kafka_headers_t *mill_rd_headers_new(struct mill_map map);

#endif
