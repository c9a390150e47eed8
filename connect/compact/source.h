/**
 * @file source.h
 * @brief An object of S3 as a file that Parquet is read from.
 *
 * Model: a small object is fetched whole, ahead of its reader or at the first read; of a larger one
 * what is asked for: a column of a row group at a time. One thread at a time.
 */
#ifndef MILL_COMPACT_SOURCE_H
#define MILL_COMPACT_SOURCE_H

#include "lake/parquet.h"
#include "net/s3.h"

enum { MILL_SOURCE_WHOLE = 8 << 20 /**< bytes of an object that is fetched whole */ };

struct mill_source {
    struct mill_s3 *s3;
    const char *key;
    uint64_t bytes;
    bool whole; /**< fetch a small one whole: all of it will be read */
    bool have;
    struct mill_buf buf;
    enum mill_code code; /**< of the fetch that failed */
    struct mill_err err;
};

/** @param s3 of whoever reads @param key borrowed while the source is used */
void mill_source_init(struct mill_source *s, struct mill_s3 *s3, const char *key, uint64_t bytes,
                      bool whole);
void mill_source_release(struct mill_source *s);
/** @brief Fetch one that is `whole` now, by a client that may be another one; as a job of
 *  net/s3_pool.h. A failure is that of the first read. @param source struct mill_source */
void mill_source_fetch(struct mill_s3 *s3, void *source);
/** @brief As Parquet wants it. @own borrows s */
struct mill_pq_source mill_source_file(struct mill_source *s);

#endif
