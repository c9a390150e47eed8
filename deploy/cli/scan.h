/**
 * @file scan.h
 * @brief Read a topic between two places, all partitions, one callback a record.
 */
#ifndef SCAN_H
#define SCAN_H

#include "cli.h"
#include "where.h"

struct scan {
    const char *topic;
    struct where from, to;
    bool follow;    /**< go on after the end; `to` is not looked at */
    uint64_t count; /**< end after so many records that `each` took; 0 = no limit */
    /** @return true when the record counts */
    bool (*each)(void *arg, const struct mill_record *in);
    void *arg;
};

/** @return MILL_OK at the end, the count, or Ctrl-C; MILL_E_NOENT: no such topic */
enum mill_code scan_run(struct cli *cli, struct scan *scan, struct mill_err *err) MILL_NODISCARD;

#endif
