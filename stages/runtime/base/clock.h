/**
 * @file clock.h
 * @brief Times: microseconds since 1970 UTC for records, a monotonic clock for waiting.
 */
#ifndef MILL_CLOCK_H
#define MILL_CLOCK_H

#include "base/str.h"

/** @brief Wall clock, µs since 1970-01-01 UTC. */
int64_t mill_now_us(void);
/** @brief Clock that never goes back and counts suspend (CLOCK_BOOTTIME), ms. */
int64_t mill_tick_ms(void);
/** @brief RFC 3339 with µs and Z into out (at least 28 bytes). @own out */
char *mill_time_text(int64_t us, char *out, size_t size);
/** @brief RFC 3339 (any offset) or 10-digit seconds → µs. @return false when it is neither. */
bool mill_time_parse(struct mill_str s, int64_t *us) MILL_NODISCARD;

#endif
