/**
 * @file rate.h
 * @brief So many a second, and no more: for a route that asks for no credentials.
 *
 * Model: a bucket that holds one second's worth and fills steadily. Safe for any thread.
 */
#ifndef INGEST_RATE_H
#define INGEST_RATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ingest_rate {
    pthread_mutex_t lock;
    uint32_t per_second;
    double left;
    int64_t at_ms;
};

void ingest_rate_init(struct ingest_rate *r, uint32_t per_second);
/** @brief One more now? @thread any */
bool ingest_rate_take(struct ingest_rate *r);
/** @brief The same at a time that is given, ms of mill_tick_ms(). */
bool ingest_rate_take_at(struct ingest_rate *r, int64_t now_ms);

#endif
