/**
 * @file scan.h
 * @brief What lies in a lake: its objects by name, and each one's footer.
 *
 * Model: listed once, then the footers are fetched by several threads at a time, a fetch being
 * mostly waiting. Texts live as long as the scan. Used by one thread; the others are its own.
 */
#ifndef MILL_COMPACT_SCAN_H
#define MILL_COMPACT_SCAN_H

#include "lake/compact.h"
#include "net/s3_opts.h"

enum { MILL_SCAN_READERS = 8 };

struct mill_scan {
    const struct mill_s3_opts *s3;
    struct mill_compact_object *v;
    size_t n, room;
    size_t swept;   /**< objects of the sweeper's */
    size_t foreign; /**< objects of other names */
    struct mill_arena names, footers[MILL_SCAN_READERS];
};

/** @param s3 borrowed for the scan's life */
void mill_scan_init(struct mill_scan *s, const struct mill_s3_opts *s3);
void mill_scan_release(struct mill_scan *s);
/** @brief List the lake, staged files too (their age is fetched one by one).
 *  @param topic only this one's objects; NULL = all
 *  @param stopped asked now and then, may be NULL; true: what was listed so far is all
 *  @return MILL_OK; as s3.h says; MILL_E_NOMEM */
enum mill_code mill_scan_list(struct mill_scan *s, const char *topic, bool (*stopped)(void),
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Fetch the footers. An object that has none gets its `why`: that is no error. */
enum mill_code mill_scan_footers(struct mill_scan *s, const struct mill_parquet *lib,
                                 bool (*stopped)(void), struct mill_err *err) MILL_NODISCARD;

#endif
