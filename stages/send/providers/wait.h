/**
 * @file wait.h
 * @brief For how long a provider wants to be left alone: Retry-After, X-RateLimit-Reset, and words.
 *
 * Model: pure; the clock is the caller's. What cannot be understood is not said: 0.
 */
#ifndef MILL_PROVIDER_WAIT_H
#define MILL_PROVIDER_WAIT_H

#include "net/http_client.h"

/** @brief The longest that a reply's headers ask for: Retry-After (seconds or a date),
 *  X-RateLimit-Reset (unix seconds). @param now_us µs since 1970 @return ms; 0 = not said, or over
 */
int64_t mill_wait_headers(const struct mill_http_reply *r, int64_t now_us);
/** @brief Mailgun's "… limit exceeded, try again after 120 seconds", or after a date.
 *  @return ms; 0 = not said */
int64_t mill_wait_words(struct mill_str text, int64_t now_us);
/** @brief "Tue, 24 Nov 2026 10:00:00 GMT" (also UTC, +0000 …), or RFC 3339. @return false when it
 * is no such date */
bool mill_wait_date(struct mill_str text, int64_t *us) MILL_NODISCARD;

#endif
