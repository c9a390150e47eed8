/* What the runtime keeps for every sink, on a mock cluster: where one begins, how it commits. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab.h"
#include "loop_stage.h"

enum { WAIT_MS = 20000, SEEN = 8 };

static struct lab lab;
static struct lab_record got[SEEN];

static int setup(void **state)
{
    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "notes", 1);
    lab_topic(&lab, "failures", 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* The group's word on partition 0. @param metadata out */
static int64_t committed(char *metadata, size_t size)
{
    rd_kafka_conf_t *rc = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    char text[256];
    int64_t offset;
    rd_kafka_t *rk;

    rd_kafka_conf_set(rc, "bootstrap.servers", lab.brokers, text, sizeof text);
    rd_kafka_conf_set(rc, "group.id", "mill.keep", text, sizeof text);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, rc, text, sizeof text);
    rd_kafka_topic_partition_list_add(list, "notes", 0);
    assert_int_equal(rd_kafka_committed(rk, list, WAIT_MS), 0);
    offset = list->elems[0].offset;
    snprintf(metadata, size, "%.*s", (int)list->elems[0].metadata_size,
             (const char *)list->elems[0].metadata);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset;
}

/* An offset that the log does not have ends it: it neither goes back to the start nor leaves
 * anything out. */
static void it_begins_nowhere_but_where_it_was_told(void **state)
{
    char metadata[16];
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "k", "bad");
    pid = lab_stage_with(&lab, "keep", "--begin=1000");
    assert_int_not_equal(lab_wait(&lab, pid), 0);
    assert_int_equal(lab_read(&lab, "failures", got, SEEN, 0), 0);
    assert_true(committed(metadata, sizeof metadata) < 0);
}

static void an_offset_goes_with_its_text(void **state)
{
    char metadata[16];
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "k", "good");
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "keep");
    assert_true(lab_wait_asked(&lab, OFFSET_COMMIT, 1));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    assert_int_equal(lab_asked(&lab, OFFSET_COMMIT),
                     1); /* nobody else commits, not even at the end */
    assert_int_equal(lab_asked(&lab, TXN_OFFSET_COMMIT), 0);
    assert_int_equal(committed(metadata, sizeof metadata), 1);
    assert_string_equal(metadata, "kept");
}

static void a_failure_record_is_in_its_offsets_transaction(void **state)
{
    static const char *const headers[] = {"mill.origin=o:0:7:5", "h=v", "mill.attempt=2", NULL},
                             *const want[] = {"mill.origin=o:0:7:5", "h=v", "mill.attempt=3", NULL};
    pid_t pid;

    (void)state;
    lab_produce(&lab, "notes", 0, MILL_STR("k"), lab_note(MILL_STR("bad")), headers);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "keep");
    assert_true(lab_wait_asked(&lab, END_TXN, 1));
    assert_int_equal(lab_asked(&lab, END_TXN), 1);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    assert_int_equal(lab_asked(&lab, TXN_OFFSET_COMMIT), 1);
    assert_int_equal(lab_asked(&lab, OFFSET_COMMIT), 0);
    assert_int_equal(lab_read(&lab, "failures", got, SEEN, 1), 1);
    assert_string_equal(got[0].key, "k");
    assert_memory_equal(got[0].value + 6, "bad", 3);
    for (size_t i = 0; want[i]; i++) /* the record's own, which a sink asks for */
        assert_non_null(strstr(got[0].headers, want[i]));
}

/* Told to end while the coordinator is away: it has failure records in the producer's hands then,
 * which are of the sink's memory. */
static void who_is_to_end_amid_a_commit_ends(void **state)
{
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "k", "bad");
    lab_refuse(&lab, ADD_PARTITIONS_TO_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage_with(&lab, "keep", "--drain-ms=1s");
    assert_true(lab_wait_asked(&lab, ADD_PARTITIONS_TO_TXN, 2));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), MILL_EXIT_TEMP);
    assert_int_equal(lab_read(&lab, "failures", got, SEEN, 0), 0);
}

/* Whoever the group does not know any more has moved nothing and goes. */
static void who_is_refused_ends(void **state)
{
    static const struct {
        const char *note;
        int16_t api;
    } rows[] = {{"good", OFFSET_COMMIT}, {"bad", TXN_OFFSET_COMMIT}};
    char metadata[16];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        lab_put(&lab, 0, "k", rows[i].note);
        rd_kafka_mock_push_request_errors(lab.mock, rows[i].api, 1,
                                          RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
        assert_int_not_equal(lab_wait(&lab, lab_stage(&lab, "keep")), 0);
        assert_true(committed(metadata, sizeof metadata) < 0);
        teardown(NULL);
        setup(NULL);
    }
}

/* One that did not poll for too long has left the group by itself: it is nobody there, and the
 * broker would take a nobody's commit where it has no other member. */
static void who_has_left_commits_nothing(void **state)
{
    static const char *const options[] = {"--rdkafka.session.timeout.ms=6000",
                                          "--rdkafka.max.poll.interval.ms=6000", NULL};
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "k", "slow");
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage_options(&lab, "keep", options);
    assert_int_not_equal(lab_wait(&lab, pid), 0);
    assert_int_equal(lab_asked(&lab, OFFSET_COMMIT), 0);
}

/* What was read behind the record that stops it was never handed over, and yet the log's end is
 * known: nobody may take that for all there was. */
static void who_stops_is_not_asked_any_more(void **state)
{
    char metadata[16];
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "k1", "slow");
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "keep");
    assert_true(lab_wait_asked(&lab, JOIN_GROUP, 1));
    sleep(3); /* it has the slow one; what comes now it then reads in one go, to the end */
    lab_put(&lab, 0, "k2", "stop");
    lab_put(&lab, 0, "k3", "good");
    assert_int_equal(lab_wait(&lab, pid), mill_exit_of(MILL_E_STATE));
    assert_int_equal(committed(metadata, sizeof metadata), 1);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(it_begins_nowhere_but_where_it_was_told),
        T(an_offset_goes_with_its_text),
        T(a_failure_record_is_in_its_offsets_transaction),
        T(who_is_to_end_amid_a_commit_ends),
        T(who_is_refused_ends),
        T(who_has_left_commits_nothing),
        T(who_stops_is_not_asked_any_more),
    };

    if (argc > 2 && !strcmp(argv[1], "stage"))
        return mill_stage_main(argc - 2, argv + 2, &mill_stage_keep);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
