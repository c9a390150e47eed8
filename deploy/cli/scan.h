/**
 * @file scan.h
 * @brief Read a topic between two places, all partitions, one callback a record.
 */
#ifndef SCAN_H
#define SCAN_H

#include "cli.h"
#include "range.h"

/** Offsets of each partition. */
struct scan_bounds {
    int32_t n;
    struct scan_bound {
        int64_t from, to; /**< [from, to); to -1 = no end */
    } * v;
};

struct scan {
    const char *topic;
    struct range range; /**< range.to PLACE_NONE: go on after the end */
    int32_t only;       /**< 1 + the only partition to read; 0 = all */
    uint64_t count;     /**< end after so many records that `each` took; 0 = no limit */
    /** Instead of range and only; NULL = they count. @own borrowed */
    const struct scan_bounds *bounds;
    bool stop; /**< `each` may set it: the walk ends */
    /** @return true when the record counts */
    bool (*each)(void *arg, const struct mill_record *in);
    void *arg;
};

/** @brief --from and --to over what stands in scan->range. @return MILL_OK, MILL_E_DATA */
enum mill_code scan_range(const struct cli *cli, struct scan *scan,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief What range and only mean now. @own new in *out (scan_bounds_release) */
enum mill_code scan_bounds_find(struct cli *cli, const struct scan *scan, struct scan_bounds *out,
                                struct mill_err *err) MILL_NODISCARD;
void scan_bounds_release(struct scan_bounds *b);
/** @brief Offsets within, markers and holes counted. */
uint64_t scan_bounds_count(const struct scan_bounds *b);
/** @return MILL_OK at the end, the count, or Ctrl-C; MILL_E_NOENT: no such topic */
enum mill_code scan_run(struct cli *cli, struct scan *scan, struct mill_err *err) MILL_NODISCARD;
/** @brief Exit code of a walk that only shows: Ctrl-C is how one that follows ends. */
int scan_exit(const struct scan *scan);

#endif
