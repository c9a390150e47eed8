/** @file test_delay.c  @brief The stage `delay`: waits, releases, goes round again. */
#include "base/clock.h"
#include "stage_test.h"

extern const struct mill_stage mill_stage_delay;

enum { NO_DUE = INT32_MAX };

static const struct row {
    const char *name;
    int appended_s, due_s; /**< relative to now; NO_DUE = no such header */
    const char *target, *partition;
    const char *out; /**< NULL = MILL_LATER */
} rows[] = {
    {"just arrived", 0, 10, "mail.retry.send", "2", NULL},
    {"not yet", -9, 1, "mail.retry.send", "2", NULL},
    {"even when due: the order is that of arrival", -9, -1, "mail.retry.send", "2", NULL},
    {"over", -10, 0, "mail.retry.send", "2", "> mail.retry.send 2 k mill.attempt=3\n"},
    {"long over", -3600, -3590, "mail.retry.send", "2", "> mail.retry.send 2 k mill.attempt=3\n"},
    {"no partition: by key", -11, -1, "mail.requests", NULL,
     "> mail.requests -1 k mill.attempt=3\n"},
    {"due later: once more round", -10, 60, "mail.retry.send", "2", "> mail.delay.10s -1 k"},
    {"due in less than the tier: once more too", -10, 3, "mail.retry.send", "2",
     "> mail.delay.10s -1 k"},
    {"no due", -10, NO_DUE, "mail.retry.send", "2", "> mail.dlq -1 k"},
    {"no target", -10, 0, NULL, "2", "> mail.dlq -1 k"},
    {"a target that is no topic", -10, 0, "a b", "2", "> mail.dlq -1 k"},
    {"a target that is a path", -10, 0, "..", "2", "> mail.dlq -1 k"},
    {"a partition that is no number", -10, 0, "mail.retry.send", "two", "> mail.dlq -1 k"},
    {"a partition below zero", -10, 0, "mail.retry.send", "-3", "> mail.dlq -1 k"},
    {"a topic that is not there", -10, 0, "missing.x", "2", "> mail.dlq -1 k"},
    {"a partition that is not there", -10, 0, "mail.retry.send", "4", "> mail.dlq -1 k"},
    {"a partition beyond Kafka", -10, 0, "mail.retry.send", "4294967296", "> mail.dlq -1 k"},
};

static void delay_row(void **state)
{
    const struct row *row = *state;
    struct mill_ctx *ctx = fake_new(&mill_stage_delay, NULL);
    struct mill_record in = fake_record(ctx, 0, "k", &MILL_STR("v"));
    struct mill_err err = {0};
    int64_t now_ms = mill_now_us() / 1000;
    struct mill_pair h[4] = {{MILL_STR("mill.attempt"), MILL_STR("3")}};
    char due[32];
    size_t n = 1;

    in.timestamp_us = (now_ms + row->appended_s * 1000) * 1000;
    snprintf(due, sizeof(due), "%lld", (long long)(now_ms + (int64_t)row->due_s * 1000));
    if (row->due_s != NO_DUE) {
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
        assert_int_equal(fake_wait_until(ctx), in.timestamp_us / 1000 + 10000);
        assert_int_equal(fake_emits(ctx), 0);
    } else {
        assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
        assert_int_equal(strncmp(stage_text(ctx, &mill_stage_delay), row->out, strlen(row->out)),
                         0);
        assert_int_equal(fake_emits(ctx), 1);
        assert_true(mill_str_is(fake_emit(ctx, 0)->bytes, "v"));
        if (strstr(row->out, "dlq")) {
            assert_true(
                mill_map_get(fake_emit(ctx, 0)->headers, "__connect.errors.exception.message").n >
                10);
        }
    }
    fake_free(ctx);
}

int main(void)
{
    return TABLE(rows, delay_row);
}
