/* The loop on a mock cluster: verdicts, failure records, waiting, settling, aborts, fencing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "avro/codec.h"
#include "base/clock.h"
#include "lab.h"
#include "loop_stage.h"

static struct lab lab;

static bool has(const struct lab_record *r, const char *line)
{
    return strstr(r->headers, line) != NULL;
}

static const struct lab_record *by_key(const struct lab_record *v, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(v[i].key, key))
            return &v[i];
    return NULL;
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

static void copies_keep_key_partition_and_headers(void **state)
{
    static const char *const headers[] = {"traceparent=00-aa-bb-01", "other=x", NULL};
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    lab_produce(&lab, "notes", 0, MILL_STR("id-1/0"), lab_note(MILL_STR("a")), headers);
    lab_put(&lab, 1, "id-1/1", "b");
    lab_put(&lab, 2, "id-2", "c");
    pid = lab_stage(&lab, "notes"); /* a group that has read nothing yet begins at the start */
    assert_int_equal(lab_read(&lab, "copies", v, 8, 3), 3);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    /* The key's part before the slash decides: all of a request lies together. */
    assert_int_equal(by_key(v, 3, "id-1/0")->partition, by_key(v, 3, "id-1/1")->partition);
    assert_true(has(by_key(v, 3, "id-1/0"), "traceparent=00-aa-bb-01\n"));
    assert_false(has(by_key(v, 3, "id-1/0"), "other="));
    assert_true(has(by_key(v, 3, "id-2"), "mill.origin="));
    assert_true(has(by_key(v, 3, "id-2"), "/2/0/"));
}

static void failures_keep_bytes_and_say_why(void **state)
{
    static const char *const headers[] = {"mine=kept", "mill.attempt=7", NULL};
    struct lab_record v[8];
    const struct lab_record *r;
    pid_t pid = lab_stage(&lab, "notes");

    (void)state;
    lab_put(&lab, 0, "k1", "reject");
    lab_produce(&lab, "notes", 1, MILL_STR("k2"), MILL_STR("\0\0\0\0\11junk"), NULL);
    lab_produce(&lab, "notes", 2, MILL_STR("k3"), MILL_STR("\0\0\0\0\1\40short"), headers);
    lab_produce(&lab, "notes", 3, MILL_STR("k4"), (struct mill_str){0}, NULL);
    lab_produce(&lab, "notes", 0, MILL_STR("k5"), MILL_STR("no frame"), NULL);
    lab_put(&lab, 1, "k6", "retry");
    lab_put(&lab, 1, "k7", "after");
    lab_put(&lab, 1, "k8", "tell");
    assert_int_equal(lab_read(&lab, "failures", v, 8, 7), 7);
    assert_true(has(by_key(v, 7, "k8"), "mill.emitted=copies\n"));
    r = by_key(v, 7, "k6");
    assert_true(has(r, "mill.emitted=\n"));
    r = by_key(v, 7, "k1");
    assert_non_null(r);
    assert_true(has(r, "mill.emitted=\n"));
    assert_true(has(r, "mill.class=poison\n") && has(r, "mill.stage=notes\n"));
    assert_true(has(r, "mill.kind=stage\n") && has(r, "mill.text=reject\n"));
    assert_true(has(r, "mill.attempt=1\n") && has(r, "__connect.errors.topic=notes\n"));
    assert_true(has(r, "__connect.errors.partition=0\n"));
    assert_true(has(r, "__connect.errors.exception.message=text: asked to reject\n"));
    assert_memory_equal(r->value, lab_note(MILL_STR("reject")).p, lab_note(MILL_STR("reject")).n);
    r = by_key(v, 7, "k2");
    assert_memory_equal(r->value, "\0\0\0\0\11junk", 9);
    r = by_key(v, 7, "k3");
    assert_true(has(r, "mine=kept\n") && has(r, "mill.attempt=8\n"));
    assert_false(has(r, "mill.attempt=7\n"));
    assert_int_equal(by_key(v, 7, "k4")->value_bytes, 0);
    assert_false(has(by_key(v, 7, "k5"), "mill.text=")); /* nobody could read it */
    r = by_key(v, 7, "k6");
    assert_true(has(r, "mill.class=transient\n"));
    /* The partition moved on; what the RETRY had emitted was withdrawn, what a REJECT had was not.
     */
    assert_int_equal(lab_read(&lab, "copies", v, 8, 2), 2);
    assert_true(by_key(v, 2, "k7") && by_key(v, 2, "k8"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void comes_back_by_the_retry_topic(void **state)
{
    static const char *const headers[] = {"mill.attempt=1", "mill.origin=x/1/2/3",
                                          "__connect.errors.topic=notes",
                                          "__connect.errors.offset=5", NULL};
    struct lab_record v[4];
    pid_t pid = lab_stage(&lab, "notes");

    (void)state;
    lab_produce(&lab, "retry", 2, MILL_STR("r1"), lab_note(MILL_STR("retry")), headers);
    lab_produce(&lab, "retry", 2, MILL_STR("r2"), lab_note(MILL_STR("reject")), headers);
    assert_int_equal(lab_read(&lab, "copies", v, 4, 1), 1);
    assert_true(has(&v[0], "mill.origin=x/1/2/3\n"));
    assert_int_equal(lab_read(&lab, "failures", v, 4, 1), 1);
    /* The place named is where it failed first, not the retry topic. */
    assert_true(has(&v[0], "__connect.errors.topic=notes\n"));
    assert_true(has(&v[0], "__connect.errors.offset=5\n") && has(&v[0], "mill.attempt=2\n"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* What waits is copied only after "free": that one would never come, were it blocked. */
static void waits_without_blocking_other_partitions(void **state)
{
    struct lab_record v[8];
    pid_t pid = lab_stage(&lab, "notes");

    (void)state;
    lab_put(&lab, 2, "w0", "up");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 1), 1);
    lab_put(&lab, 0, "w1", "later");
    lab_put(&lab, 0, "w2", "behind");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 1), 1); /* it waits, and what is behind it */
    lab_put(&lab, 1, "w3", "free");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 4), 4);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    assert_true(by_key(v, 4, "w1")->timestamp_ms >= by_key(v, 4, "w3")->timestamp_ms);
    assert_true(by_key(v, 4, "w2")->timestamp_ms >= by_key(v, 4, "w1")->timestamp_ms);
}

/* Its head is more than two seconds off: the partition is paused, and what comes meanwhile is read
 * after all, in its order. What comes to another partition does not wait for it. */
static void a_far_off_partition_is_paused_and_goes_on(void **state)
{
    struct lab_record v[4];
    int64_t began;
    pid_t pid = lab_stage(&lab, "notes");

    (void)state;
    lab_put(&lab, 3, "f0", "up");
    assert_int_equal(lab_read(&lab, "copies", v, 4, 1), 1);
    began = mill_now_us() / 1000;
    lab_put(&lab, 3, "f1", "far off");
    usleep(500000);
    lab_put(&lab, 3, "f2", "behind");
    lab_put(&lab, 1, "f3", "free");
    assert_int_equal(lab_read(&lab, "copies", v, 4, 4), 4);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    assert_true(by_key(v, 4, "f1")->timestamp_ms - began >= FAR_OFF_MS);
    assert_true(by_key(v, 4, "f2")->timestamp_ms >= by_key(v, 4, "f1")->timestamp_ms);
    assert_true(by_key(v, 4, "f3")->timestamp_ms < by_key(v, 4, "f1")->timestamp_ms);
}

#ifdef MILL_FAULT_POINTS
/* The loop is busy while a far-off record comes and the end of its partition is read: what comes
 * during the pause is the next one read. (librdkafka 2.8's call for many messages skips it.) */
static void an_end_that_was_read_before_a_pause_skips_nothing(void **state)
{
    struct lab_record v[4];
    char fault[80];
    FILE *f;
    pid_t pid;

    (void)state;
    snprintf(fault, sizeof fault, "%s/fault", lab.dir);
    f = fopen(fault, "w");
    assert_non_null(f);
    fputs("commit.after-commit sleep-1500", f);
    fclose(f);
    assert_int_equal(setenv("MILL_FAULT_FILE", fault, 1), 0);
    pid = lab_stage_with(&lab, "notes", "--rdkafka.fetch.wait.max.ms=50");
    assert_int_equal(unsetenv("MILL_FAULT_FILE"), 0);
    lab_put(&lab, 1, "e0", "busy");
    assert_int_equal(lab_read(&lab, "copies", v, 4, 1), 1);
    lab_put(&lab, 3, "e1", "far off");
    usleep(1500000);
    lab_put(&lab, 3, "e2", "behind");
    assert_int_equal(lab_read(&lab, "copies", v, 4, 3), 3);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    snprintf(fault, sizeof fault, "%s/fault.fired", lab.dir);
    assert_int_equal(unlink(fault), 0);
}
#endif

static void stop_ends_the_process_with_its_code(void **state)
{
    pid_t pid = lab_stage(&lab, "notes");
    struct lab_record v[2];

    (void)state;
    lab_put(&lab, 0, "s1", "stop");
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_CONFIG);
    assert_int_equal(lab_read(&lab, "failures", v, 2, 0), 0);
}

static void settles_later_after_announcing(void **state)
{
    struct lab_record v[16];
    pid_t pid = lab_stage(&lab, "pend");

    (void)state;
    for (int i = 0; i < 5; i++)
        lab_put(&lab, i % 4, (const char *[]){"p0", "p1", "p2", "p3", "p4"}[i],
                i == 3 ? "reject" : "go");
    assert_int_equal(lab_read(&lab, "copies", v, 16, 4), 4);
    assert_int_equal(lab_read(&lab, "intents", v, 16, 5), 5);
    assert_int_equal(lab_read(&lab, "failures", v, 16, 1), 1);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void an_abortable_error_is_written_again(void **state)
{
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "a1", "one"); /* before the errors: they are for the stage's producer */
    rd_kafka_mock_push_request_errors(lab.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    pid = lab_stage(&lab, "notes");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 1), 1);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void no_permission_ends_the_process(void **state)
{
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    pid = lab_stage(&lab, "notes");
    lab_put(&lab, 0, "a2", "one");
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_NOPERM);
}

static void a_fenced_producer_ends_the_process(void **state)
{
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, END_TXN, 1, RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    pid = lab_stage(&lab, "notes");
    lab_put(&lab, 0, "f1", "one");
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_TEMP);
}

/** What a stage that makes calls has done is written by a new producer of the same process. */
static void a_fenced_producer_is_renewed_for_outcomes(void **state)
{
    struct lab_record v[8];
    size_t second = 0;
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, END_TXN, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    pid = lab_stage(&lab, "pend");
    lab_put(&lab, 0, "n1", "one");
    /* Twice: the mock shows what was not committed, too. */
    assert_int_equal(lab_read(&lab, "copies", v, 8, 2), 2);
    lab_put(&lab, 0, "n2", "two");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 3), 3);
    for (size_t i = 0; i < 3; i++)
        second += !strcmp(v[i].key, "n2");
    assert_int_equal(second, 1);
    assert_int_equal(lab_read(&lab, "intents", v, 8, 2), 2); /* announced once each */
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void a_table_gives_what_its_topic_and_its_owner_put_there(void **state)
{
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    lab_topic(&lab, "memory", 4);
    lab_produce(&lab, "memory", 0, MILL_STR("t1"), lab_note(MILL_STR("topic")), NULL);
    pid = lab_stage(&lab, "recall");
    lab_put(&lab, 0, "t1", "x");
    lab_put(&lab, 0, "t2", "own");
    lab_put(&lab, 0, "t2", "x");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 3), 3);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
    for (size_t i = 0; i < 3; i++) /* behind frame and length */
        assert_string_equal(v[i].value + 6, strcmp(v[i].key, "t1") ? "own" : "topic");
}

static void an_assignment_is_told_when_the_table_has_caught_up(void **state)
{
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    lab_topic(&lab, "memory", 4);
    lab_produce(&lab, "memory", 0, MILL_STR("t1"), lab_note(MILL_STR("open")), NULL);
    lab_produce(&lab, "memory", 3, MILL_STR("t2"), lab_note(MILL_STR("done")), NULL);
    lab_produce(&lab, "memory", 3, MILL_STR("t3"), lab_note(MILL_STR("open")), NULL);
    pid = lab_stage(&lab, "recall"); /* there is no record to read */
    assert_int_equal(lab_read(&lab, "copies", v, 8, 2), 2);
    assert_non_null(by_key(v, 2, "t1"));
    assert_non_null(by_key(v, 2, "t3"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* A former owner's last transaction may end while its offsets are waited for: what it has written
 * is in the table before any record is read, for the table's mark is taken after the offsets. */
static void a_tables_mark_is_behind_the_committed_offsets(void **state)
{
    struct lab_record v[4];
    pid_t pid;

    (void)state;
    lab_topic(&lab, "memory", 4);
    lab_refuse(&lab, OFFSET_FETCH, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "recall");
    assert_true(lab_wait_asked(&lab, OFFSET_FETCH, 8)); /* more than one call's repetitions */
    lab_produce(&lab, "memory", 1, MILL_STR("t1"), lab_note(MILL_STR("open")), NULL);
    rd_kafka_mock_clear_request_errors(lab.mock, OFFSET_FETCH);
    assert_int_equal(lab_read(&lab, "copies", v, 4, 1), 1);
    assert_string_equal(v[0].key, "t1");
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void forwarding_to_nowhere_harms_one_record_only(void **state)
{
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    pid = lab_stage(&lab, "notes");
    lab_put(&lab, 0, "n1", "nowhere");
    lab_put(&lab, 0, "n2", "too far");
    lab_put(&lab, 0, "n3", "x");
    assert_int_equal(lab_read(&lab, "copies", v, 8, 1), 1);
    assert_int_equal(lab_read(&lab, "failures", v, 8, 2), 2);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void what_comes_back_is_of_the_port_it_came_from(void **state)
{
    static const char *const first[] = {"__connect.errors.topic=notes", NULL},
                             *const second[] = {"__connect.errors.topic=others", NULL},
                             *const itself[] = {"__connect.errors.topic=retry", NULL},
                             *const neither[] = {"__connect.errors.topic=gone", NULL};
    struct lab_record v[8];
    pid_t pid;

    (void)state;
    lab_topic(&lab, "others", 4);
    pid = lab_stage(&lab, "two");
    lab_produce(&lab, "others", 1, MILL_STR("o1"), MILL_STR("no frame"), NULL);
    lab_produce(&lab, "retry", 2, MILL_STR("o2"), MILL_STR("no frame"), second);
    lab_produce(&lab, "retry", 2, MILL_STR("n1"), lab_note(MILL_STR("note")), first);
    lab_produce(&lab, "retry", 2, MILL_STR("n2"), lab_note(MILL_STR("note")), NULL);
    /* came by the timer first, and failed then */
    lab_produce(&lab, "retry", 2, MILL_STR("n3"), lab_note(MILL_STR("note")), itself);
    lab_produce(&lab, "retry", 2, MILL_STR("x1"), lab_note(MILL_STR("note")), neither);
    assert_int_equal(lab_read(&lab, "copies", v, 8, 5), 5);
    for (size_t i = 0; i < 5; i++) /* behind frame and length */
        assert_string_equal(v[i].value + 6, *v[i].key == 'o' ? "raw" : "note");
    assert_int_equal(lab_read(&lab, "failures", v, 8, 1), 1);
    assert_string_equal(v[0].key, "x1");
    assert_true(has(&v[0], "gone is no input of ours"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static const struct mill_stage *stage_of(const char *mode)
{
    return !strcmp(mode, "pend")     ? &mill_stage_pend
           : !strcmp(mode, "recall") ? &mill_stage_recall
           : !strcmp(mode, "two")    ? &mill_stage_two
                                     : &mill_stage_notes;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(copies_keep_key_partition_and_headers),
        T(failures_keep_bytes_and_say_why),
        T(comes_back_by_the_retry_topic),
        T(waits_without_blocking_other_partitions),
        T(stop_ends_the_process_with_its_code),
        T(a_far_off_partition_is_paused_and_goes_on),
#ifdef MILL_FAULT_POINTS
        T(an_end_that_was_read_before_a_pause_skips_nothing),
#endif
        T(settles_later_after_announcing),
        T(an_abortable_error_is_written_again),
        T(no_permission_ends_the_process),
        T(a_fenced_producer_ends_the_process),
        T(a_fenced_producer_is_renewed_for_outcomes),
        T(a_table_gives_what_its_topic_and_its_owner_put_there),
        T(an_assignment_is_told_when_the_table_has_caught_up),
        T(a_tables_mark_is_behind_the_committed_offsets),
        T(forwarding_to_nowhere_harms_one_record_only),
        T(what_comes_back_is_of_the_port_it_came_from),
    };

    if (argc > 2 && !strcmp(argv[1], "stage"))
        return mill_stage_main(argc - 2, argv + 2, stage_of(argv[2]));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
