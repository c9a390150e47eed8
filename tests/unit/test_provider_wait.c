/** @file test_provider_wait.c  @brief For how long a provider wants to be left alone. */
#include "cases.h"
#include "send/providers/wait.h"

/* Now is Tue, 24 Nov 2026 10:00:00 UTC. */
enum { NOW_S = 1795514400 };

static const struct wait {
    const char *name, *text;
    int64_t ms;
} waits[] = {
    {"seconds", "limit exceeded, try again after 30 seconds", 30000},
    {"one second", "try again after 1 second.", 1000},
    {"no unit", "Try Again After 5", 5000},
    {"minutes", "try again after 2 minutes", 120000},
    {"hours", "try again after 1h", 0}, /* one word is no number */
    {"an hour", "try again after 1 hour", 3600000},
    {"a date", "try again after Tue, 24 Nov 2026 10:00:07 GMT", 7000},
    {"a date with a zone", "try again after Tue, 24 Nov 2026 12:00:07 +0200", 7000},
    {"a date without a weekday", "try again after 24 Nov 2026 10:01:00 UTC", 60000},
    {"RFC 3339", "try again after 2026-11-24T10:00:01.5Z", 1500},
    {"over", "try again after Tue, 24 Nov 2026 09:00:00 GMT", 0},
    {"a date that is none", "try again after Tue, 99 Nov 2026 10:00:07 GMT", 0},
    {"a month that is none", "try again after Tue, 24 Nox 2026 10:00:07 GMT", 0},
    {"later", "try again after lunch", 0},
    {"negative", "try again after -5 seconds", 0},
    {"for ever", "try again after 99999999999999999999 seconds", 0},
    {"nothing behind it", "try again after ", 0},
    {"no words", "limit exceeded", 0},
    {"empty", "", 0},
};

static void wait_row(void **state)
{
    const struct wait *row = *state;

    assert_int_equal(mill_wait_words(mill_str(row->text), INT64_C(1000000) * NOW_S), row->ms);
}

static const struct header {
    const char *name, *key, *value;
    int64_t ms;
} wait_headers[] = {
    {"seconds", "retry-after", "120", 120000},
    {"a date", "Retry-After", "Tue, 24 Nov 2026 10:00:09 GMT", 9000},
    {"no number", "Retry-After", "soon", 0},
    {"negative", "Retry-After", "-1", 0},
    {"reset", "X-RateLimit-Reset", "1795514403", 3000},
    {"reset, over", "X-RateLimit-Reset", "1795514300", 0},
    {"reset without end", "X-RateLimit-Reset", "179551440300000", 0},
};

static void header_row(void **state)
{
    const struct header *row = *state;
    const struct mill_pair h = {mill_str(row->key), mill_str(row->value)};
    const struct mill_http_reply r = {.headers = {&h, 1}};

    assert_int_equal(mill_wait_headers(&r, INT64_C(1000000) * NOW_S), row->ms);
}

int main(void)
{
    return TABLE(waits, wait_row) + TABLE(wait_headers, header_row);
}
