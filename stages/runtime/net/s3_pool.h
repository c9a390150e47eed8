/**
 * @file s3_pool.h
 * @brief Blocking S3 calls side by side: threads that have a client each.
 *
 * Model: jobs are added, by any thread, and the owner waits until all are done. A job is a function
 * and what it works on; it runs on one of the threads with that thread's client, and until the wait
 * is over, or the job has said so itself, what it works on is its own.
 */
#ifndef MILL_S3_POOL_H
#define MILL_S3_POOL_H

#include "net/s3_opts.h"

enum { MILL_S3_POOL_MAX = 64 };

struct mill_s3_pool;

/** @param threads 1 to MILL_S3_POOL_MAX @return as mill_s3_open(). @own new in *out */
enum mill_code mill_s3_pool_new(struct mill_s3_pool **out, const struct mill_s3_opts *o,
                                size_t threads, struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. No job may be left: see mill_s3_pool_wait(). */
void mill_s3_pool_free(struct mill_s3_pool *p);
/** @brief Run it as soon as a thread is free, for which this waits. @param arg borrowed until
 *  the job is done */
void mill_s3_pool_add(struct mill_s3_pool *p, void (*run)(struct mill_s3 *s3, void *arg),
                      void *arg);
/** @brief Return when all that was added has been run. For one thread, the owner. */
void mill_s3_pool_wait(struct mill_s3_pool *p);

#endif
