/**
 * @file range.h
 * @brief The one grammar for a part of a topic: where it begins, where it ends.
 *
 * Model: a place is `start`, `end`, `47` (offset), `+3` (behind the start of the log), `-3` (before
 * its end) or a time behind an @: a date, RFC 3339, seconds (10 digits), milliseconds (13 digits),
 * `-48h` (before now; s m h d). --from may name both ends at once, A:B, where either may be left
 * out: `12:47`, `@-48h:-24h`, `@-1m:end`, `@:-1h`, `@2026-02-14:1h`. A duration at the end counts
 * from the beginning where that is a date or a stamp, else from now. The end itself is not in it.
 */
#ifndef RANGE_H
#define RANGE_H

#include "kafka/reader.h"

enum place_kind {
    PLACE_NONE, /**< not given */
    PLACE_START,
    PLACE_END,
    PLACE_OFFSET, /**< n */
    PLACE_AFTER,  /**< n records behind the start of the log */
    PLACE_BEFORE, /**< n records before its end */
    PLACE_TIME,   /**< n = ms since 1970 */
};

struct place {
    enum place_kind kind;
    int64_t n; /**< ≥ 0 */
};

struct range {
    struct place from, to;
};

/**
 * @brief Read --from and --to.
 * @param from,to absent = not given: what stands in *out is left
 * @param now_ms  what `@-…` counts from
 * @return MILL_OK or MILL_E_DATA (where = from or to)
 */
enum mill_code range_parse(struct mill_str from, struct mill_str to, int64_t now_ms,
                           struct range *out, struct mill_err *err) MILL_NODISCARD;
/** @brief The offset of a place in one partition, within its log. @param place not PLACE_NONE */
enum mill_code range_resolve(struct mill_reader *r, const char *topic, int32_t partition,
                             const struct place *place, int64_t *offset,
                             struct mill_err *err) MILL_NODISCARD;

#endif
