/**
 * @file object.h
 * @brief Names of the lake's objects, built and read back.
 *
 * Model: PREFIX{topic|rejected}=T/dt=YYYY-MM-DD[/hour=HH]/T+ID+P+S-E.parquet holds the rows of
 * partition P whose offsets lie in [S,E) and whose time (the broker's, or the record's own) lies in
 * that day (or hour), UTC. The name alone says which range of which incarnation of a topic it is:
 * nothing is ever overwritten. A struct mill_object read from a name borrows from that name.
 *
 * Beside them may lie what deploy/athena/sweep.py made of dead letters. Such an object is of no
 * range, and nobody but the sweeper ever changes it:
 * PREFIX{topic|swept}=T/dt=YYYY-MM-DD[/hour=HH]/swept+LETTERS+ID+P+YYYY-MM-DD+S-E.parquet, of the
 * letters of partition P that lie in that day and in [S,E).
 */
#ifndef MILL_LAKE_OBJECT_H
#define MILL_LAKE_OBJECT_H

#include "base/buf.h"

enum mill_object_kind {
    MILL_OBJECT_ROWS,     /**< topic=T: decoded rows, or raw ones of a raw topic */
    MILL_OBJECT_REJECTED, /**< rejected=T: records that could not be decoded, raw, with a reason */
};

enum { MILL_OBJECT_NAME_MAX = 1024 /**< bytes; S3's own limit of a key */ };

struct mill_object {
    enum mill_object_kind kind;
    struct mill_str topic;    /**< [A-Za-z0-9._-], 1..249 bytes */
    struct mill_str topic_id; /**< [A-Za-z0-9_-], 1..36 bytes */
    int32_t partition;
    int64_t start, end; /**< offsets, start <= end */
    int32_t day;        /**< days since 1970-01-01, 0..2932896 (9999-12-31) */
    int hour;           /**< 0..23, or -1: the layout has no hours */
};

/** @brief Day (days since 1970, UTC) and hour of a broker time. Before 1970 is day 0 (the broker's
 *  "no timestamp" is -1), after 9999 is the last day. @param hour out, may be NULL */
int32_t mill_object_day(int64_t timestamp_us, int *hour);

/** @brief Append the name. @param prefix "" or a folder path that ends in '/'
 *  @return MILL_OK; MILL_E_DATA (a part has bytes that a name cannot carry, or too long) */
enum mill_code mill_object_name(const struct mill_object *o, struct mill_str prefix,
                                struct mill_buf *out, struct mill_err *err) MILL_NODISCARD;
/** @brief Read a name back; the prefix must be there and is cut off.
 *  @return false when it is no object of ours */
bool mill_object_parse(struct mill_str name, struct mill_str prefix,
                       struct mill_object *out) MILL_NODISCARD;
/** @brief Is it the sweeper's? */
bool mill_object_swept(struct mill_str name, struct mill_str prefix) MILL_NODISCARD;

#endif
