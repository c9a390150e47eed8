/**
 * @file rate.c
 * @brief A token bucket.
 */
#include "rate.h"

#include "base/clock.h"

void ingest_rate_init(struct ingest_rate *r, uint32_t per_second)
{
    pthread_mutex_init(&r->lock, NULL);
    r->per_second = per_second;
    r->left = per_second;
    r->at_ms = mill_tick_ms();
}

bool ingest_rate_take_at(struct ingest_rate *r, int64_t now_ms)
{
    bool ok;

    pthread_mutex_lock(&r->lock);
    if (now_ms > r->at_ms) { /* another thread may have looked at the clock later than we */
        r->left += (double)(now_ms - r->at_ms) * r->per_second / 1000.0;
        r->at_ms = now_ms;
    }
    if (r->left > r->per_second)
        r->left = r->per_second;
    ok = r->left >= 1.0;
    if (ok)
        r->left -= 1.0;
    pthread_mutex_unlock(&r->lock);
    return ok;
}

bool ingest_rate_take(struct ingest_rate *r)
{
    return ingest_rate_take_at(r, mill_tick_ms());
}
