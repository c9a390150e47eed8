/**
 * @file where.h
 * @brief The one grammar for places in a topic: start, end, 47, -3, @time.
 */
#ifndef WHERE_H
#define WHERE_H

#include "kafka/reader.h"

enum where_kind {
    WHERE_START,
    WHERE_END,
    WHERE_OFFSET, /**< n */
    WHERE_BACK,   /**< n records before the end */
    WHERE_TIME,   /**< n = ms since 1970 */
};

struct where {
    enum where_kind kind;
    int64_t n;
};

/**
 * @brief Read a place: `start`, `end`, `47`, `-3`, `@RFC3339`, `@1771034400` (s), `@1771034400000`
 *        (ms), `@-48h` (before now; s m h d).
 * @param now_ms what `@-…` counts from
 * @return MILL_OK or MILL_E_DATA
 */
enum mill_code where_parse(struct mill_str text, int64_t now_ms, struct where *out,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief The offset of a place in one partition. */
enum mill_code where_resolve(struct mill_reader *r, const char *topic, int32_t partition,
                             const struct where *w, int64_t *offset,
                             struct mill_err *err) MILL_NODISCARD;

#endif
