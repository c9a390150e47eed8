/** @file test_delay.c  @brief The stage `delay`: waits, releases, goes round again. */
#include "base/clock.h"
#include "stage_test.h"
#include "timer.h"

extern const struct mill_stage mill_stage_delay;

enum { NO_DUE = INT32_MAX };
#define REJECTED ""

enum { S1, S10, M1, M10, H1, D1 };

static const struct row {
    const char *name;
    size_t port;
    int appended_ms, due_ms; /**< relative to now; NO_DUE = no such header */
    const char *target, *partition;
    const char *out; /**< NULL = MILL_LATER */
} rows[] = {
    {"just arrived", S10, 0, 10000, "mail.retry.send", "2", NULL},
    {"not yet", M1, -30000, 30000, "mail.retry.send", "2", NULL},
    {"not for a day", D1, -86390000, 10000, "mail.retry.send", "2", NULL},
    {"even when due: the order is that of arrival", M1, -30000, -1000, "mail.retry.send", "2",
     NULL},
    {"over", S10, -10000, 0, "mail.retry.send", "2", "> mail.retry.send 2 k mill.attempt=3\n"},
    {"long over", H1, -3600000, -3590, "mail.retry.send", "2",
     "> mail.retry.send 2 k mill.attempt=3\n"},
    {"no partition: by key", S10, -11000, -1000, "mail.requests", NULL,
     "> mail.requests -1 k mill.attempt=3\n"},
    {"due very soon: now is nearer than the end of another hop", S1, -1000, 680, "mail.retry.send",
     "2", "> mail.retry.send 2 k mill.attempt=3\n"},
    {"due a little later", S10, -10000, 5000, "mail.retry.send", "2",
     "> mail.delay.1s -1 k mill.attempt=3 mill.due=DUE mill.target=mail.retry.send "
     "mill.target-partition=2\n"},
    {"by key, and not yet", S10, -10000, 5000, "mail.retry.send", NULL,
     "> mail.delay.1s -1 k mill.attempt=3 mill.due=DUE mill.target=mail.retry.send\n"},
    {"due in a minute and a half", S10, -10000, 90000, "mail.retry.send", "2",
     "> mail.delay.1m -1 k"},
    {"due in 59 s", M1, -60000, 59000, "mail.retry.send", "2", "> mail.delay.10s -1 k"},
    {"due in 599 s", M10, -600000, 599000, "mail.retry.send", "2", "> mail.delay.1m -1 k"},
    {"due in 3599 s", H1, -3600000, 3599000, "mail.retry.send", "2", "> mail.delay.10m -1 k"},
    {"due in 23 h", D1, -86400000, 23 * 3600000, "mail.retry.send", "2", "> mail.delay.1h -1 k"},
    {"due in 20 days", D1, -86400000, 20 * 86400000, "mail.retry.send", "2",
     "> mail.delay.1d -1 k"},
    {"no due", S10, -10000, NO_DUE, "mail.retry.send", "2", REJECTED},
    {"no target", S10, -10000, 0, NULL, "2", REJECTED},
    {"a target that is no topic", S10, -10000, 0, "a b", "2", REJECTED},
    {"a target that is a path", S10, -10000, 0, "..", "2", REJECTED},
    {"a target that is not there, and not due yet", S10, -10000, 20000, "missing.x", "2",
     "> mail.delay.10s -1 k"},
    {"a partition that is no number", S10, -10000, 0, "mail.retry.send", "two", REJECTED},
    {"a partition below zero", S10, -10000, 0, "mail.retry.send", "-3", REJECTED},
    {"a topic that is not there", S10, -10000, 0, "missing.x", "2", REJECTED},
    {"a partition that is not there", S10, -10000, 0, "mail.retry.send", "4", REJECTED},
    {"a partition beyond Kafka", S10, -10000, 0, "mail.retry.send", "4294967296", REJECTED},
};

static const int64_t tier_ms[] = {1000, 10000, 60000, 600000, 3600000, 86400000};

/** The row's text with the due time in it. @own static */
static const char *expected(const struct row *row, const char *due)
{
    static char text[300];
    const char *at = strstr(row->out, "DUE");

    if (!at)
        return row->out;
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - row->out), row->out, due, at + 3);
    return text;
}

static void delay_row(void **state)
{
    const struct row *row = *state;
    struct mill_ctx *ctx = fake_new(&mill_stage_delay, NULL);
    struct mill_record in = fake_record(ctx, row->port, "k", &MILL_STR("v"));
    struct mill_err err = {0};
    int64_t now_ms = mill_now_us() / 1000;
    struct mill_pair h[4] = {{MILL_STR("mill.attempt"), MILL_STR("3")}};
    char due[32];
    size_t n = 1;

    in.timestamp_us = (now_ms + row->appended_ms) * 1000;
    snprintf(due, sizeof(due), "%lld", (long long)(now_ms + row->due_ms));
    if (row->due_ms != NO_DUE) {
        h[n++] = (struct mill_pair){MILL_STR("mill.due"), mill_str(due)};
    }
    if (row->target) {
        h[n++] = (struct mill_pair){MILL_STR("mill.target"), mill_str(row->target)};
    }
    if (row->partition) {
        h[n++] = (struct mill_pair){MILL_STR("mill.target-partition"), mill_str(row->partition)};
    }
    in.headers = (struct mill_map){h, n};
    if (!row->out) {
        assert_int_equal(fake_run(ctx, &in, &err), MILL_LATER);
        assert_int_equal(fake_wait_until(ctx), in.timestamp_us / 1000 + tier_ms[row->port]);
        assert_int_equal(fake_emits(ctx), 0);
    } else if (!*row->out) {
        assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_REJECT);
        assert_int_equal(fake_emits(ctx), 0);
        assert_true(strlen(err.text) > 10);
    } else {
        assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
        assert_memory_equal(stage_text(ctx, &mill_stage_delay), expected(row, due),
                            strlen(expected(row, due)));
        assert_int_equal(fake_emits(ctx), 1);
        assert_true(mill_str_is(fake_emit(ctx, 0)->bytes, "v"));
    }
    fake_free(ctx);
}

static void tiers(void **state)
{
    static const struct {
        int64_t left_ms;
        const char *name;
    } want[] = {
        {INT64_MIN, "1s"},   {-1, "1s"},        {0, "1s"},       {999, "1s"},      {1000, "1s"},
        {9999, "1s"},        {10000, "10s"},    {59999, "10s"},  {60000, "1m"},    {599999, "1m"},
        {600000, "10m"},     {3599999, "10m"},  {3600000, "1h"}, {86399999, "1h"}, {86400000, "1d"},
        {31536000000, "1d"}, {INT64_MAX, "1d"},
    };

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(want); i++)
        assert_string_equal(mill_timers[mill_timer_tier(want[i].left_ms)].name, want[i].name);
    for (size_t i = 0; i < MILL_TIMERS; i++) { /* ports and tiers are one table in two places */
        assert_int_equal(mill_timers[i].ms, tier_ms[i]);
        assert_string_equal(mill_timers[i].name, mill_stage_delay.in[i].name);
    }
}

/** What is left shrinks hop by hop, whatever the hops cost: never a second off. */
static void hops(void **state)
{
    static const int64_t waits[] = {1, 700, 14999, 61234, 4567890, 90061001, 31536000000};

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(waits); i++) {
        int64_t left = waits[i];
        size_t n = 0;
        while (left > MILL_TIMER_EARLY_MS) {
            left -= mill_timers[mill_timer_tier(left)].ms + 40;
            assert_true(++n < 365 + 23 + 5 + 9 + 5 + 9 + 5);
        }
        assert_in_range(left + 1000, MILL_TIMER_EARLY_MS - 40, 1000 + MILL_TIMER_EARLY_MS + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiers), cmocka_unit_test(hops)};

    return TABLE(rows, delay_row) + TESTS(tests);
}
