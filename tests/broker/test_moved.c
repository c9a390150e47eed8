/* A broker or a coordinator that is slow, is starting or has moved: a process waits for it, says
 * so, and does its work afterwards. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kafka/run.h"
#include "lab.h"
#include "loop_stage.h"
#include "net/http_client.h"

enum { WAIT_MS = 20000 };

static struct lab lab;
static struct lab_record got[4];

static int setup(void **state)
{
    (void)state;
    lab_open(&lab);
    lab_topics(&lab);
    lab_topic(&lab, "memory", 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* ---- what an error means ---- */

static void what_passes_and_what_does_not(void **state)
{
#define ROW(e, code, moves)                                                                        \
    {                                                                                              \
        RD_KAFKA_RESP_ERR_##e, code, moves                                                         \
    }
    static const struct {
        rd_kafka_resp_err_t e;
        enum mill_code want;
        bool moves;
    } rows[] = {
        ROW(NO_ERROR, MILL_OK, false),
        ROW(NOT_LEADER_FOR_PARTITION, MILL_E_IO, false),
        ROW(OFFSET_NOT_AVAILABLE, MILL_E_IO, false),
        ROW(KAFKA_STORAGE_ERROR, MILL_E_IO, false),
        ROW(UNSTABLE_OFFSET_COMMIT, MILL_E_IO, false),
        ROW(_TIMED_OUT, MILL_E_IO, false),
        ROW(NOT_COORDINATOR, MILL_E_IO, true),
        ROW(COORDINATOR_NOT_AVAILABLE, MILL_E_IO, true),
        ROW(COORDINATOR_LOAD_IN_PROGRESS, MILL_E_IO, true),
        ROW(_WAIT_COORD, MILL_E_IO, true),
        ROW(UNKNOWN_TOPIC_OR_PART, MILL_E_NOENT, false),
        ROW(TOPIC_AUTHORIZATION_FAILED, MILL_E_AUTH, false),
        /* Somebody else has our place: that never passes. */
        ROW(PRODUCER_FENCED, MILL_E_KAFKA, false),
        ROW(INVALID_PRODUCER_EPOCH, MILL_E_KAFKA, false),
        ROW(FENCED_INSTANCE_ID, MILL_E_KAFKA, false),
        ROW(ILLEGAL_GENERATION, MILL_E_KAFKA, false),
        ROW(_FENCED, MILL_E_KAFKA, false),
        ROW(_FATAL, MILL_E_KAFKA, false),
        ROW(UNKNOWN, MILL_E_KAFKA, false),
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rd_kafka_error_t *e = rd_kafka_error_new(rows[i].e, "of a test");
        assert_int_equal(mill_rd_code(rows[i].e), rows[i].want);
        assert_int_equal(mill_rd_moves(rows[i].e), rows[i].moves);
        assert_int_equal(mill_rd_passes(e), rows[i].want == MILL_E_IO);
        rd_kafka_error_destroy(e);
    }
#undef ROW
}

/* A minute without an answer is too long; a coordinator that says that it moves is no silence. */
static void a_coordinator_that_moves_is_waited_for_longer(void **state)
{
    int64_t since = 1000;

    (void)state;
    assert_false(run_committed_overdue(RD_KAFKA_RESP_ERR__TIMED_OUT, &since, 61000));
    assert_true(run_committed_overdue(RD_KAFKA_RESP_ERR__TIMED_OUT, &since, 61001));
    assert_true(run_committed_overdue(RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, &since, 61001));
    assert_false(run_committed_overdue(RD_KAFKA_RESP_ERR_NOT_COORDINATOR, &since, 61001));
    assert_false(run_committed_overdue(RD_KAFKA_RESP_ERR__TIMED_OUT, &since, 121001));
    assert_true(run_committed_overdue(RD_KAFKA_RESP_ERR__TIMED_OUT, &since, 121002));
}

/* ---- a process ---- */

static void fails(int16_t api, rd_kafka_resp_err_t e)
{
    rd_kafka_mock_push_request_errors(lab.mock, api, 1, e);
}

/* @param errors so many of them are ListOffsets' */
static void copies_one_and_ends_well(const char *mode, size_t errors)
{
    pid_t pid;

    lab_put(&lab, 0, "first", "go");
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, mode);
    assert_true(lab_wait_asked(&lab, LIST_OFFSETS, errors + 1));
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_string_equal(got[0].key, "first");
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void a_leader_that_has_moved_is_waited_for(void **state)
{
    (void)state;
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE);
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE);
    copies_one_and_ends_well("notes", 4);
}

/* None is elected yet, or its broker is not known yet: that is not a partition that is not there.
 */
static void a_leader_that_is_not_elected_yet_is_waited_for(void **state)
{
    pid_t pid;

    (void)state;
    lab_put(&lab, 0, "first", "go");
    rd_kafka_mock_start_request_tracking(lab.mock);
    rd_kafka_mock_partition_set_leader(lab.mock, "notes", 0, -1);
    pid = lab_stage(&lab, "notes");
    assert_true(lab_wait_asked(&lab, JOIN_GROUP, 1));
    sleep(5); /* it has asked, and asked again */
    rd_kafka_mock_partition_set_leader(lab.mock, "notes", 0, 1);
    assert_int_equal(lab_read(&lab, "copies", got, 4, 1), 1);
    assert_string_equal(got[0].key, "first");
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void so_is_the_leader_of_a_tables_partition(void **state)
{
    (void)state;
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART); /* it has just started */
    fails(LIST_OFFSETS, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    copies_one_and_ends_well("recall", 3);
}

static void coordinators_that_move_at_every_step_are_followed(void **state)
{
    static const int16_t steps[] = {OFFSET_FETCH,       INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN,
                                    ADD_OFFSETS_TO_TXN, END_TXN,          TXN_OFFSET_COMMIT};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fails(steps[i], RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
        fails(steps[i], RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    }
    fails(PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    copies_one_and_ends_well("notes", 0);
}

/* ---- what /readyz says ---- */

static unsigned free_port(void)
{
    static const struct mill_route none[] = {{0}};
    struct mill_server *s = NULL;
    struct mill_err err = {0};
    unsigned port;

    assert_int_equal(
        mill_server_start(&s, &(struct mill_server_conf){.listen = "127.0.0.1:0", .routes = none},
                          &err),
        MILL_OK);
    port = mill_server_port(s);
    mill_server_stop(s);
    return port;
}

/* Asks until the answer has this status and text, while the process starts too. */
static bool becomes(const char *url, long status, const char *text)
{
    struct mill_http *http = NULL;
    struct mill_err err = {0};
    struct mill_buf body;
    int64_t until = mill_tick_ms() + WAIT_MS;
    bool found = false;

    assert_int_equal(mill_http_new(&http, NULL, &err), MILL_OK);
    mill_buf_init(&body, 4096);
    while (!found && mill_tick_ms() < until) {
        struct mill_http_call call = {.method = "GET", .url = url, .direct = true};
        char said[256];
        long is = 0;
        mill_buf_reset(&body);
        if (mill_http_wait(http, &call, &is, &body, &err))
            is = 0;
        mill_str_cut(mill_buf_view(&body), said, sizeof said);
        found = is == status && strstr(said, text);
        if (!found)
            usleep(20000);
    }
    mill_buf_release(&body);
    mill_http_free(http);
    return found;
}

/* A stage process whose status port is known. @param url out: of its /readyz */
static pid_t stage_with_status(const char *mode, char *url, size_t size)
{
    char listen[64];
    unsigned port = free_port();

    snprintf(listen, sizeof listen, "--status-listen=127.0.0.1:%u", port);
    snprintf(url, size, "http://127.0.0.1:%u/readyz", port);
    return lab_stage_options(
        &lab, mode,
        (const char *const[]){listen, "--rdkafka.topic.metadata.refresh.interval.ms=600000", NULL});
}

static void meanwhile_readyz_says_what_is_waited_for(void **state)
{
    static const struct {
        int16_t api;
        rd_kafka_resp_err_t e;
        const char *why;
    } rows[] = {
        {OFFSET_FETCH, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, "group's committed offsets"},
        {LIST_OFFSETS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, "a table to catch up"},
    };
    char url[80];
    pid_t pid;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < 4; k++)
            fails(rows[i].api, rows[i].e);
    pid = stage_with_status("recall", url, sizeof url);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(becomes(url, 503, rows[i].why));
    assert_true(becomes(url, 200, "ok"));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* What is ready writes its first record without asking where it goes: librdkafka would ask at its
 * next look round, up to a second later. */
static void who_is_ready_knows_where_its_outputs_go(void **state)
{
    char url[80];
    pid_t pid;

    (void)state;
    lab_produce(&lab, "notes", 3, MILL_STR("none"), MILL_STR("ours knows the topic now"), NULL);
    pid = stage_with_status("notes", url, sizeof url);
    assert_int_equal(lab_read(&lab, "failures", got, 4, 1), 1);
    assert_true(becomes(url, 200, "ok"));
    rd_kafka_mock_start_request_tracking(lab.mock);
    lab_put(&lab, 0, "first", "go");
    assert_true(lab_wait_asked(&lab, PRODUCE, 2)); /* ours, and the copy */
    assert_int_equal(lab_asked(&lab, METADATA), 0);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        cmocka_unit_test(what_passes_and_what_does_not),
        cmocka_unit_test(a_coordinator_that_moves_is_waited_for_longer),
        T(a_leader_that_has_moved_is_waited_for),
        T(a_leader_that_is_not_elected_yet_is_waited_for),
        T(so_is_the_leader_of_a_tables_partition),
        T(coordinators_that_move_at_every_step_are_followed),
        T(meanwhile_readyz_says_what_is_waited_for),
        T(who_is_ready_knows_where_its_outputs_go),
    };

    if (argc > 2 && !strcmp(argv[1], "stage"))
        return mill_stage_main(argc - 2, argv + 2,
                               !strcmp(argv[2], "recall") ? &mill_stage_recall : &mill_stage_notes);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
