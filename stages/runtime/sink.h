/**
 * @file sink.h
 * @brief A stage that delivers to another system: it keeps records and commits offsets itself.
 *
 * Model: for each assigned partition on_assign is called before its records, on_revoke after the
 * last one. on_record keeps (copies) what it needs and returns MILL_DONE; nothing is committed
 * until the sink calls mill_sink_commit. The in port's topic option may name several topics,
 * separated by commas. What a sink writes to topics is failure records, each in the transaction of
 * the commit that settles its record.
 */
#ifndef MILL_SINK_H
#define MILL_SINK_H

#include "stage.h"

struct mill_position {
    const char *topic;
    int32_t partition;
    int64_t offset;           /**< committed offset; -1 = none */
    struct mill_str metadata; /**< committed with it; empty if none */
    char topic_id[37]; /**< the broker's id of the topic, UUID text or base64 as it gives it */
    int64_t low, high; /**< log start, and high watermark, when assigned */
};

struct mill_sink {
    /** @brief Bytes that records read ahead may take, all partitions together; NULL = as in other
     *  stages. */
    uint64_t (*prefetch)(const void *conf);
    /** @param start in: where the runtime would begin (committed offset, else log start); out:
     * where to begin. MILL_DONE, or MILL_STOP with err. */
    enum mill_verdict (*on_assign)(struct mill_ctx *ctx, const struct mill_position *at,
                                   int64_t *start, struct mill_err *err);
    /** @param lost true when the group has already given the partition away: commit nothing */
    void (*on_revoke)(struct mill_ctx *ctx, const char *topic, int32_t partition, bool lost);
};

/** @brief Headers of a record that on_record is given. A sink's records come without: to read them
 *  all was a seventh of its time, and few are looked at. @own of the batch. MILL_E_NOMEM */
enum mill_code mill_sink_headers(struct mill_ctx *ctx, const struct mill_record *in,
                                 struct mill_map *headers, struct mill_err *err) MILL_NODISCARD;
/** A record that could not be delivered, and why. */
struct mill_sink_failure {
    struct mill_record in; /**< what it points to is borrowed */
    struct mill_err why;
};

/** @brief Commit an offset with metadata, synchronously; where there are any, the failure records
 *  of these records too (original bytes, headers that say what happened, to failures-topic), in one
 *  transaction: both or neither. With an empty failures-topic only the offset.
 *  @param next offset of the first record not delivered
 *  @param v may be NULL when n is 0; borrowed until the call is over
 *  @return MILL_OK; MILL_E_STATE when the group refused (stale owner): stop using the partition;
 *  MILL_E_KAFKA when it is not known whether it was taken; MILL_E_NOMEM */
enum mill_code mill_sink_commit(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                int64_t next, struct mill_str metadata,
                                const struct mill_sink_failure *v, size_t n,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief How far the log went when the partition was last read to its end: behind the last record
 *  and the transaction markers that follow it. @return -1 = never yet, or records wait (MILL_LATER)
 */
int64_t mill_sink_read_to(struct mill_ctx *ctx, const char *topic,
                          int32_t partition) MILL_NODISCARD;
/** @brief Writer's schema text of a registry id, from the runtime's cached registry.
 *  @return MILL_OK; MILL_E_NOENT; MILL_E_IO. @own borrowed for the process's life */
enum mill_code mill_sink_schema(struct mill_ctx *ctx, int32_t id, struct mill_str *json,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Newest schema of a topic's values, by the registry. @return as mill_sink_schema */
enum mill_code mill_sink_newest(struct mill_ctx *ctx, const char *topic, int32_t *id,
                                struct mill_str *json, struct mill_err *err) MILL_NODISCARD;

#endif
