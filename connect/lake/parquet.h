/**
 * @file parquet.h
 * @brief The Parquet library, loaded at run time so that none of its symbols bind to ours.
 *
 * Model: loaded once per process and never unloaded. What is behind it is shim/shim.h.
 */
#ifndef MILL_LAKE_PARQUET_H
#define MILL_LAKE_PARQUET_H

#include "base/err.h"
#include "lake/shim/shim.h"

/** The shim's functions; see shim.h for each. */
struct mill_parquet {
    int (*open)(struct mill_pq **, struct ArrowSchema *, const struct mill_pq_options *,
                mill_pq_sink_fn, void *, char *, size_t);
    int (*write)(struct mill_pq *, struct ArrowArray *, size_t, int, char *, size_t);
    int64_t (*held)(const struct mill_pq *);
    int (*finish)(struct mill_pq *, const struct mill_pq_pair *, size_t, char *, size_t);
    void (*abort)(struct mill_pq *);
    int (*footer)(const void *, size_t, mill_pq_pair_fn, void *, int64_t *, char *, size_t);
    int (*widen)(struct mill_pq_wide **, const struct mill_pq_source *, char *, size_t);
    void (*wide_free)(struct mill_pq_wide *);
    int (*open_wide)(struct mill_pq **, const struct mill_pq_wide *, const struct mill_pq_options *,
                     mill_pq_sink_fn, void *, char *, size_t);
    int (*append)(struct mill_pq *, const struct mill_pq_source *, int64_t *, char *, size_t);
    const char *(*version)(void);
};

/**
 * @brief Load the shim.
 * @param path NULL or "": ../lib/sendmill/libmill_parquet.so, seen from the program's own folder
 * @return MILL_OK; MILL_E_CONFIG (not there, or not ours)
 * @own *out static
 */
enum mill_code mill_parquet_load(const char *path, const struct mill_parquet **out,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
