/* Group membership and the two transactions: the rules that the runtime keeps for every stage,
 * shown on a mock cluster. */
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

enum { WAIT_MS = 60000, SEEN = 64 };

static struct lab lab;
static struct lab_record got[SEEN];

static void put(const char *topic, int32_t partition, const char *key, const char *text)
{
    lab_produce(&lab, topic, partition, mill_str(key), lab_note(mill_str(text)), NULL);
}

static int setup_with(int retry_partitions)
{
    lab_open(&lab);
    lab_topic(&lab, "notes", 4);
    lab_topic(&lab, "retry", retry_partitions);
    lab_topic(&lab, "copies", 4);
    lab_topic(&lab, "intents", 4);
    lab_topic(&lab, "failures", 4);
    lab_topic(&lab, "wait", 1);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(4);
}

static int setup_unequal(void **state)
{
    (void)state;
    return setup_with(2);
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* Was it written by this process (0: any)? The text is behind frame and length. */
static bool is_by(const struct lab_record *r, pid_t by)
{
    char name[24];

    snprintf(name, sizeof name, "%ld", (long)by);
    return !by || !strcmp(r->value + 6, name);
}

/* How many records of a topic have this key (NULL: any), and were written by this process. @param
 * all so many records at least are waited for */
static size_t written(const char *topic, const char *key, pid_t by, size_t all)
{
    size_t n = lab_read(&lab, topic, got, SEEN, all), found = 0;

    for (size_t i = 0; i < n; i++)
        found += (!key || !strcmp(got[i].key, key)) && is_by(&got[i], by);
    return found;
}

static bool wait_written(const char *topic, const char *key, pid_t by)
{
    int64_t until = mill_tick_ms() + WAIT_MS;
    bool there = false;

    while (!there && mill_tick_ms() < until)
        there = written(topic, key, by, 1) > 0;
    return there;
}

/* ---- who we are, and what we read ---- */

static void without_member_or_generation_nothing_is_taken(void **state)
{
    static const struct {
        int32_t generation;
        const char *member;
        enum mill_code want;
    } rows[] = {
        {3, "m-1", MILL_OK},   {0, "m-1", MILL_OK},    {-1, "m-1", MILL_E_STATE},
        {3, "", MILL_E_STATE}, {-1, "", MILL_E_STATE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_err err = {0};
        rd_kafka_consumer_group_metadata_t *meta = rd_kafka_consumer_group_metadata_new_with_genid(
            "group", rows[i].generation, rows[i].member, NULL);
        assert_int_equal(run_identity(meta, &err), rows[i].want);
        rd_kafka_consumer_group_metadata_destroy(meta);
    }
    assert_int_equal(run_identity(NULL, &(struct mill_err){0}), MILL_E_STATE);
}

static void what_the_rules_rest_on_cannot_be_passed_through(void **state)
{
    static const char *const options[] = {
        "--rdkafka.partition.assignment.strategy=roundrobin", "--rdkafka.group.instance.id=x",
        "--rdkafka.isolation.level=read_uncommitted", "--rdkafka.transactional.id=x",
        "--rdkafka.enable.auto.commit=true"};

    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        pid_t pid = lab_stage_with(&lab, "notes", options[i]);
        assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_CONFIG);
    }
}

static void unequal_partitions_of_input_and_retry_stop_the_process(void **state)
{
    (void)state;
    put("notes", 3, "u1", "go");
    assert_int_equal(lab_wait(&lab, lab_stage(&lab, "notes")), MILL_EXIT_CONFIG);
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 0), 0);
}

/* Commits like a former owner: the mock keeps offsets that came without a transaction. */
static void commit(const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_conf_t *rc = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    char text[256];
    rd_kafka_t *rk;

    rd_kafka_conf_set(rc, "bootstrap.servers", lab.brokers, text, sizeof text);
    rd_kafka_conf_set(rc, "group.id", "mill.notes", text, sizeof text);
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, rc, text, sizeof text);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    assert_int_equal(rd_kafka_commit(rk, list, 0), 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
}

/* Offsets that are not stable yet are waited for, and asked for input and retry topic. Three errors
 * are librdkafka's to repeat within its call; what outlasts that call is a_long_start's. */
static void it_goes_on_at_the_stable_offsets_of_input_and_retry(void **state)
{
    pid_t pid;

    (void)state;
    put("notes", 0, "n0", "go");
    put("notes", 0, "n1", "go");
    put("retry", 2, "r0", "go");
    put("retry", 2, "r1", "go");
    commit("notes", 0, 1);
    commit("retry", 2, 1);
    rd_kafka_mock_push_request_errors(
        lab.mock, OFFSET_FETCH, 3, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT);
    pid = lab_stage(&lab, "notes");
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 2), 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(got[i].key + 1, "1");
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

/* ---- transactions A and B ---- */

/* Before its first record an owner waits: for stable offsets, for a table that is made anew.
 * However long that is, the group does not take it for dead (librdkafka counts max.poll.interval.ms
 * from the assignment's start on, which comes after all that), and it begins at the offset that it
 * has waited for. */
static void a_long_start_keeps_the_membership(void **state)
{
    enum { INTERVAL_MS = 8000 };
    pid_t pid;

    (void)state;
    put("notes", 0, "c0", "go");
    commit("notes", 0, 1);
    lab_refuse(&lab, OFFSET_FETCH, RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage_options(&lab, "notes",
                            (const char *const[]){"--rdkafka.session.timeout.ms=6000",
                                                  "--rdkafka.max.poll.interval.ms=8000", NULL});
    put("notes", 0, "c1", "go");
    assert_true(lab_wait_asked(&lab, OFFSET_FETCH, 1)); /* it has been given its partitions */
    usleep((INTERVAL_MS + 5000) * 1000);
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 0), 0);
    rd_kafka_mock_clear_request_errors(lab.mock, OFFSET_FETCH);
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 1), 1);
    assert_string_equal(got[0].key, "c1");
    assert_int_equal(lab_asked(&lab, JOIN_GROUP), 1);
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0);
}

static void when_a_is_refused_nothing_is_called(void **state)
{
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    pid = lab_stage(&lab, "owner");
    put("notes", 0, "a1", "go");
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_TEMP);
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 0), 0);
}

static void b_is_written_again_without_a_second_a(void **state)
{
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 3, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
                                      RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE);
    pid = lab_stage(&lab, "owner");
    rd_kafka_mock_start_request_tracking(lab.mock);
    put("notes", 0, "b1", "go");
    assert_true(wait_written("copies", "b1", pid));
    assert_int_equal(lab_stop(&lab, pid, SIGTERM), 0); /* B has ended */
    assert_int_equal(written("intents", "b1", 0, 1), 1);
    /* A; B, refused and aborted twice; B. */
    assert_int_equal(lab_asked(&lab, TXN_OFFSET_COMMIT), 4);
    assert_int_equal(lab_asked(&lab, END_TXN), 4);
}

static void who_has_lost_its_generation_writes_outcomes_as_evidence(void **state)
{
    pid_t pid;

    (void)state;
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    pid = lab_stage(&lab, "owner");
    rd_kafka_mock_start_request_tracking(lab.mock);
    put("notes", 0, "e1", "go");
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_TEMP);
    assert_true(written("copies", "e1", pid, 1) >= 1); /* the mock shows aborted ones too */
    assert_int_equal(written("intents", "e1", pid, 1), 1);
    /* A; B, which was refused and aborted; then the outcome without offsets. */
    assert_int_equal(lab_asked(&lab, TXN_OFFSET_COMMIT), 2);
    assert_int_equal(lab_asked(&lab, END_TXN), 3);
}

/* An owner whose B is refused, once A has passed. Nothing of that B gets as far as the broker (the
 * mock would show it), so that what is there was written without offsets. @return its process */
static pid_t owner_loses(const char *key, const char *text)
{
    pid_t pid;

    put("notes", 0, key, text);
    rd_kafka_mock_push_request_errors(lab.mock, ADD_PARTITIONS_TO_TXN, 1,
                                      RD_KAFKA_RESP_ERR_NO_ERROR);
    lab_refuse(&lab, ADD_PARTITIONS_TO_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    rd_kafka_mock_push_request_errors(lab.mock, TXN_OFFSET_COMMIT, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    rd_kafka_mock_start_request_tracking(lab.mock);
    pid = lab_stage(&lab, "owner");
    assert_true(lab_wait_asked(&lab, END_TXN, 2)); /* A is committed, B aborted */
    rd_kafka_mock_clear_request_errors(lab.mock, ADD_PARTITIONS_TO_TXN);
    assert_int_equal(lab_wait(&lab, pid), MILL_EXIT_TEMP);
    assert_int_equal(written("intents", key, pid, 1), 1);
    return pid;
}

/* Its record is still in its topic, for the new owner: one that is moved as well (to wait, to the
 * failures) would be there twice, and twice more with each owner. */
static void who_has_lost_its_generation_moves_no_record(void **state)
{
    pid_t pid = owner_loses("m1", "moved");

    (void)state;
    assert_int_equal(written("copies", "m1", pid, 1), 1); /* what came of its call */
    assert_int_equal(written("failures", "m1", 0, 0), 0);
    assert_int_equal(written("wait", "m1", 0, 0), 0);
}

static void who_has_lost_its_generation_says_nothing_of_what_it_did_not_call(void **state)
{
    (void)state;
    owner_loses("a1", "aside");
    assert_int_equal(written("copies", "a1", 0, 0), 0);
}

/* What slow calls wait for (owner_stage.c). */
static void let_go(void)
{
    char path[80];
    FILE *f;

    snprintf(path, sizeof path, "%s/go", lab.dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

/* The second member comes, and the first is told, while calls of the first are under way, of
 * partitions that it has to give up (the range of two members: 0 and 1, 2 and 3). The mock forgets
 * transactional offsets, so that the second does them again: what counts is that the first one's
 * are all accounted for by itself, and before that. */
static void calls_are_finished_and_written_before_partitions_are_given_up(void **state)
{
    static struct lab_record intents[SEEN];
    size_t n, intents_n, pairs = 0;
    char called[8];
    pid_t one, two;

    (void)state;
    put("notes", 2, "s2", "slow");
    put("notes", 3, "s3", "slow");
    rd_kafka_mock_start_request_tracking(lab.mock);
    one = lab_stage_with(&lab, "owner", "--rdkafka.heartbeat.interval.ms=200");
    assert_true(wait_written("intents", NULL, one)); /* one of the two, or both */
    snprintf(called, sizeof called, "%.7s", got[0].key);
    two = lab_stage_with(&lab, "owner", "--instance=1");
    assert_true(lab_wait_asked(&lab, JOIN_GROUP, 2));
    assert_true(lab_wait_asked(&lab, HEARTBEAT, lab_asked(&lab, HEARTBEAT) + 2)); /* one is told */
    assert_int_equal(lab_read(&lab, "copies", got, SEEN, 0), 0); /* they are under way */
    assert_int_equal(lab_asked(&lab, JOIN_GROUP), 2); /* it has not given its partitions up */
    let_go();
    assert_true(wait_written("intents", called, two));
    intents_n = lab_read(&lab, "intents", intents, SEEN, 2);
    for (size_t k = 0; k < intents_n; k++)
        if (is_by(&intents[k], one))
            assert_true(wait_written("copies", intents[k].key, one));
    n = lab_read(&lab, "copies", got, SEEN, 1);
    for (size_t k = 0; k < intents_n; k++)
        for (size_t i = 0; i < n; i++)
            if (is_by(&intents[k], two) && is_by(&got[i], one) &&
                !strcmp(intents[k].key, got[i].key)) {
                assert_true(intents[k].timestamp_ms >= got[i].timestamp_ms);
                pairs++;
            }
    assert_true(pairs > 0);
    assert_int_equal(lab_stop(&lab, one, SIGTERM), 0);
    assert_int_equal(lab_stop(&lab, two, SIGTERM), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        cmocka_unit_test(without_member_or_generation_nothing_is_taken),
        T(what_the_rules_rest_on_cannot_be_passed_through),
        cmocka_unit_test_setup_teardown(unequal_partitions_of_input_and_retry_stop_the_process,
                                        setup_unequal, teardown),
        T(it_goes_on_at_the_stable_offsets_of_input_and_retry),
        T(a_long_start_keeps_the_membership),
        T(when_a_is_refused_nothing_is_called),
        T(b_is_written_again_without_a_second_a),
        T(who_has_lost_its_generation_writes_outcomes_as_evidence),
        T(who_has_lost_its_generation_moves_no_record),
        T(who_has_lost_its_generation_says_nothing_of_what_it_did_not_call),
        T(calls_are_finished_and_written_before_partitions_are_given_up),
    };

    if (argc > 2 && !strcmp(argv[1], "stage"))
        return mill_stage_main(argc - 2, argv + 2,
                               !strcmp(argv[2], "owner") ? &mill_stage_owner : &mill_stage_notes);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
