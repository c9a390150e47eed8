/* The loop when things break: records over a limit, kill -9, a registry that is away, members that
 * come and go. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lab.h"
#include "loop_stage.h"

enum { MANY = 200, BIG = LAB_NOTE_MAX };

static struct lab lab;
static struct lab_record got[3 * MANY];

static size_t count(size_t n, const char *prefix)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += mill_str_starts(mill_str(got[i].key), prefix);
    return found;
}

static size_t different(size_t n)
{
    size_t keys = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < i && strcmp(got[k].key, got[i].key) != 0)
            k++;
        keys += k == i;
    }
    return keys;
}

static int setup(void **state)
{
    (void)state;
    lab_open(&lab);
    lab_topics(&lab);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static void put_big(void)
{
    char *text = malloc(BIG);

    memset(text, 'x', BIG);
    lab_produce(&lab, "notes", 0, MILL_STR("big"), lab_note((struct mill_str){text, BIG}), NULL);
    free(text);
}

static void what_the_broker_finds_too_large_is_a_dead_letter(void **state)
{
    pid_t pid;

    (void)state;
    put_big();
    rd_kafka_mock_push_request_errors(lab.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    pid = lab_stage(&lab, "notes");
    assert_int_equal(lab_read(&lab, "failures", got, 4, 1), 1);
    assert_string_equal(got[0].key, "big");
    assert_non_null(strstr(got[0].headers, "over the broker's limit"));
    assert_true(got[0].value_bytes > BIG);
    lab_put(&lab, 0, "next", "goes on");
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_string_equal(got[0].key, "next");
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* As deadletter, whose input the failures are: what it says of a letter that the DLQ finds too
 * large is its own next record. The second time the letter is cut, or it would go round for ever.
 */
static void a_letter_that_is_too_large_does_not_go_round(void **state)
{
    pid_t pid;

    (void)state;
    put_big();
    rd_kafka_mock_push_request_errors(lab.mock, PRODUCE, 3, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    pid = lab_stage_with(&lab, "notes", "--failures-topic=notes");
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_string_equal(got[0].key, "big");
    assert_int_equal(got[0].value_bytes, 65536);
    assert_non_null(strstr(got[0].headers, "mill.cut-from-bytes="));
    assert_int_equal(lab_read(&lab, "notes", got, 4, 2), 2);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void a_failure_record_over_our_own_limit_is_cut(void **state)
{
    char *junk = calloc(1, 200000);
    pid_t pid;

    (void)state;
    memset(junk, 7, 200000);
    lab_produce(&lab, "notes", 0, MILL_STR("junk"), (struct mill_str){junk, 200000}, NULL);
    free(junk);
    lab_put(&lab, 0, "next", "goes on");
    pid = lab_stage_with(&lab, "notes", "--record-max-bytes=100KiB");
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_int_equal(lab_read(&lab, "failures", got, 4, 1), 1);
    assert_string_equal(got[0].key, "junk");
    assert_int_equal(got[0].value_bytes, 65536);
    assert_non_null(strstr(got[0].headers, "mill.cut-from-bytes=200000\n"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void put_many(const char *last)
{
    char key[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "m%03d", i);
        lab_produce(&lab, "notes", i % 4, mill_str(key), lab_note(MILL_STR("go")), NULL);
    }
    lab_put(&lab, 0, "last", last);
}

/* The batch's memory is in librdkafka's hands when the stage says stop. */
static void stop_amid_outputs_leaves_nothing_behind(void **state)
{
    (void)state;
    put_many("stop");
    assert_int_equal(lab_wait(&lab, lab_stage(&lab, "notes")), MILL_EXIT_CONFIG);
    assert_int_equal(lab_read(&lab, "failures", got, 4, 0), 0);
}

/** Just started, it knows its topics by name and their partitions not yet. */
static void a_broker_that_is_not_up_to_its_topics_is_waited_for(void **state)
{
    pid_t pid;

    (void)state;
    for (int i = 0; i < 3; i++)
        rd_kafka_mock_push_request_errors(lab.mock, LIST_OFFSETS, 1,
                                          RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "notes");
    lab_put(&lab, 0, "first", "goes on");
    assert_true(lab_wait_asked(&lab, LIST_OFFSETS, 4));
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void killed_and_started_again_copies_everything(void **state)
{
    pid_t pid;
    size_t seen = 0;

    (void)state;
    put_many("go");
    pid = lab_stage_with(&lab, "notes", "--batch-records=20");
    (void)lab_read(&lab, "copies", got, 40, 30);
    assert_int_equal(lab_stop(&lab, pid, SIGKILL), -SIGKILL);
    lab_put(&lab, 1, "after", "go");
    pid = lab_stage_with(&lab, "notes", "--batch-records=20");
    /* The mock forgets transactional offsets: the second life begins at the start again. */
    for (int64_t until = mill_tick_ms() + 30000; seen < MANY + 2 && mill_tick_ms() < until;)
        seen = different(lab_read(&lab, "copies", got, 3 * MANY, MANY + 2));
    assert_int_equal(seen, MANY + 2);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* Waits until so many copies have this key. @return how many have */
static size_t wait_copied(const char *key, size_t want)
{
    int64_t until = mill_tick_ms() + 20000;
    size_t have;

    do
        have = count(lab_read(&lab, "copies", got, 64, 0), key);
    while (have < want && mill_tick_ms() < until);
    assert_true(have >= want);
    return have;
}

static void two_members_share_the_partitions(void **state)
{
    static const char *const warm[] = {"w0", "w1", "w2", "w3"}, *const both[] = {"b0", "b1", "b2",
                                                                                 "b3"};
    pid_t one, two;
    size_t n, joined;

    (void)state;
    for (int i = 0; i < 4; i++)
        lab_put(&lab, i, warm[i], "go");
    rd_kafka_mock_start_request_tracking(lab.mock);
    one = lab_stage(&lab, "notes");
    assert_int_equal(lab_read(&lab, "copies", got, 64, 4), 4);
    two = lab_stage_with(&lab, "notes", "--instance=1");
    assert_true(lab_wait_asked(&lab, JOIN_GROUP, 2));
    /* The mock keeps no transaction's offsets: after each rebalance, and there may be one or two,
     * the partitions are read again. So this says that each record is copied, not how often. */
    assert_true(lab_read(&lab, "copies", got, 64, 8) >= 8);
    for (int i = 0; i < 4; i++)
        lab_put(&lab, i, both[i], "go");
    for (int i = 0; i < 4; i++)
        wait_copied(both[i], 1);
    /* A static member that ends keeps its partitions for the session: two stay with the other,
     * unless the test took so long that the group has asked it to join anew. */
    joined = lab_asked(&lab, JOIN_GROUP);
    assert_int_equal(lab_stop(&lab, one, SIGTERM), 0);
    assert_int_equal(lab_asked(&lab, LEAVE_GROUP), 0);
    for (int i = 0; i < 4; i++)
        lab_put(&lab, i, "late", "go");
    n = wait_copied("late", 2);
    assert_true(n == 2 || lab_asked(&lab, JOIN_GROUP) > joined);
    assert_int_equal(lab_stop(&lab, two, SIGTERM), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(what_the_broker_finds_too_large_is_a_dead_letter),
        T(a_letter_that_is_too_large_does_not_go_round),
        T(a_failure_record_over_our_own_limit_is_cut),
        T(stop_amid_outputs_leaves_nothing_behind),
        T(a_broker_that_is_not_up_to_its_topics_is_waited_for),
        T(killed_and_started_again_copies_everything),
        T(two_members_share_the_partitions),
    };

    if (argc > 2 && !strcmp(argv[1], "stage"))
        return mill_stage_main(argc - 2, argv + 2, &mill_stage_notes);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
