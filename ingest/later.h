/**
 * @file later.h
 * @brief Threads for work that would hold up the server's own: password hashes, large mails.
 *
 * Model: a bounded queue. A flood of wrong passwords fills the queue and is refused; callers whose
 * credentials are verified already never come here. The same for mails with large attachments, on
 * another one.
 */
#ifndef INGEST_LATER_H
#define INGEST_LATER_H

#include "base/str.h"

enum { INGEST_LATER_THREADS = 64 };

struct ingest_later;

/** @param queue_max jobs that may wait @param threads at most INGEST_LATER_THREADS
 *  @own new; NULL when a thread or memory is missing */
struct ingest_later *ingest_later_new(size_t queue_max, uint32_t threads) MILL_NODISCARD;
/** @brief Run what waits, then end. NULL-safe. */
void ingest_later_free(struct ingest_later *l);
/** @return false: the queue is full, run will not be called. @thread any */
bool ingest_later_put(struct ingest_later *l, void (*run)(void *arg), void *arg) MILL_NODISCARD;

#endif
