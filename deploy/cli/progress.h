/**
 * @file progress.h
 * @brief How far a job is: a line that renews itself on a terminal, else a JSON line each 10 s.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /**< "redriven" */
    uint64_t of;      /**< 0 = nobody knows */
    int64_t began_ms; /**< mill_tick_ms() */
    int64_t said_ms;  /**< when the last line was written */
    bool terminal;    /**< stderr is one */
    bool line;        /**< a line stands there without its end */
};

void progress_begin(struct progress *p, const char *what, uint64_t of);
/** @brief Say it where it is time to. */
void progress_tick(struct progress *p, uint64_t done);
/** @brief End the line, if one stands there. */
void progress_end(struct progress *p);

#endif
