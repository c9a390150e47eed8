/* sendmill's walk over a topic, on a mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab.h"
#include "scan.h"

static struct lab lab;
static struct cli cli;

bool cli_stopped(void)
{
    return false;
}

/* Partition 0: a0…a4, partition 1: b0…b2, the others empty. */
static int setup(void **state)
{
    char value[16];

    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "t", 4);
    for (int i = 0; i < 8; i++) {
        snprintf(value, sizeof value, "%c%d", i < 5 ? 'a' : 'b', i < 5 ? i : i - 5);
        lab_produce(&lab, "t", i < 5 ? 0 : 1, MILL_STR("k"), mill_str(value), NULL);
    }
    cli.kafka = (struct mill_kafka_conf){.brokers = lab.brokers, .client_id = "test"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

struct seen {
    struct scan *scan;
    char of[2][32]; /**< values of partitions 0 and 1, in order */
    bool stop;
};

static bool see(void *arg, const struct mill_record *in)
{
    struct seen *s = arg;
    char *to = s->of[in->partition];

    snprintf(to + strlen(to), sizeof s->of[0] - strlen(to), "%.*s", MILL_FMT(in->raw));
    s->scan->stop = s->stop;
    return true;
}

/* Times are left out: the mock knows no offsets for them. */
static const struct row {
    const char *from, *to;
    int32_t only;
    uint64_t count;
    const char *a, *b;
} rows[] = {
    {"start", "end", 0, 0, "a0a1a2a3a4", "b0b1b2"},
    {"end", "end", 0, 0, "", ""},
    {"3", "end", 0, 0, "a3a4", ""},
    {"+1", "-1", 0, 0, "a1a2a3", "b1"},
    {"-1", "end", 0, 0, "a4", "b2"},
    {"1:3", NULL, 0, 0, "a1a2", "b1b2"},
    {"4", "2147483647", 0, 0, "a4", ""},
    {"start", "end", 1, 0, "a0a1a2a3a4", ""},
    {"start", "end", 2, 0, "", "b0b1b2"},
    {"start", "end", 9, 0, "", ""},
    {"start", "end", 2, 2, "", "b0b1"},
};

static void what_is_between(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct seen seen = {0};
        struct scan scan = {.topic = "t",
                            .range = {{PLACE_START, 0}, {PLACE_END, 0}},
                            .only = row->only,
                            .count = row->count,
                            .each = see,
                            .arg = &seen};
        struct mill_err err = {0};
        seen.scan = &scan;
        cli.conf.from = row->from;
        cli.conf.to = row->to;
        assert_int_equal(scan_range(&cli, &scan, &err), MILL_OK);
        if (scan_run(&cli, &scan, &err))
            fail_msg("%s to %s: %s: %s", row->from, row->to ? row->to : "", err.where, err.text);
        assert_string_equal(seen.of[0], row->a);
        assert_string_equal(seen.of[1], row->b);
    }
}

static void bounds_hold_although_the_topic_grows(void **state)
{
    struct seen seen = {0};
    struct scan scan = {
        .topic = "t", .range = {{PLACE_START, 0}, {PLACE_END, 0}}, .each = see, .arg = &seen};
    struct scan_bounds bounds;
    struct mill_err err = {0};

    (void)state;
    seen.scan = &scan;
    assert_int_equal(scan_bounds_find(&cli, &scan, &bounds, &err), MILL_OK);
    assert_int_equal(bounds.n, 4);
    assert_int_equal(scan_bounds_count(&bounds), 8);
    lab_produce(&lab, "t", 1, MILL_STR("k"), MILL_STR("b3"), NULL);
    scan.bounds = &bounds;
    assert_int_equal(scan_run(&cli, &scan, &err), MILL_OK);
    assert_string_equal(seen.of[0], "a0a1a2a3a4");
    assert_string_equal(seen.of[1], "b0b1b2");
    scan_bounds_release(&bounds);
    assert_null(bounds.v);
}

static void it_ends_when_it_is_told_to(void **state)
{
    struct seen seen = {.stop = true};
    struct scan scan = {/* follows */
                        .topic = "t",
                        .range = {{PLACE_START, 0}, {PLACE_NONE, 0}},
                        .each = see,
                        .arg = &seen};
    struct mill_err err = {0};

    (void)state;
    seen.scan = &scan;
    assert_int_equal(scan_run(&cli, &scan, &err), MILL_OK);
    assert_int_equal(strlen(seen.of[0]) + strlen(seen.of[1]), 2);
    assert_int_equal(scan_exit(&scan), MILL_EXIT_OK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_between),
        cmocka_unit_test(bounds_hold_although_the_topic_grows),
        cmocka_unit_test(it_ends_when_it_is_told_to),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
