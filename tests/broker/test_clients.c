/* Reader, producer and admin on a mock cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kafka/admin.h"
#include "kafka/producer.h"
#include "kafka/reader.h"
#include "lab.h"

enum { WAIT_MS = 20000, UNSEEN = -1 };

static struct lab lab;
static struct mill_kafka_conf conf;

static int setup(void **state)
{
    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "t", 4);
    conf = (struct mill_kafka_conf){.brokers = lab.brokers, .client_id = "test"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

/* ---- reader ---- */

static bool next(struct mill_reader *r, struct mill_record *in)
{
    struct mill_err err = {0};
    int64_t until = mill_tick_ms() + WAIT_MS;
    bool got = false;

    while (!got && mill_tick_ms() < until)
        assert_int_equal(mill_reader_next(r, 200, in, &got, &err), MILL_OK);
    return got;
}

static void a_reader_knows_where_it_is(void **state)
{
    static const char *const headers[] = {"h=v", NULL};
    struct mill_reader *r = NULL;
    struct mill_record in;
    struct mill_err err = {0};
    int64_t low, high;
    int32_t n;

    (void)state;
    lab_produce(&lab, "t", 1, MILL_STR("k1"), MILL_STR("one"), headers);
    lab_produce(&lab, "t", 1, MILL_STR("k2"), (struct mill_str){0}, NULL);
    assert_int_equal(mill_reader_new(&r, &conf, &err), MILL_OK);
    assert_int_equal(mill_reader_partitions(r, "t", &n, &err), MILL_OK);
    assert_int_equal(n, 4);
    assert_int_equal(mill_reader_marks(r, "t", 1, &low, &high, &err), MILL_OK);
    assert_true(low == 0 && high == 2);
    assert_int_equal(mill_reader_position(r, "t", 1), -1);
    assert_int_equal(mill_reader_add(r, "t", 1, MILL_READ_START, &err), MILL_OK);
    assert_int_equal(mill_reader_position(r, "t", 1), 0);
    assert_true(next(r, &in));
    assert_true(mill_str_is(in.key, "k1") && mill_str_is(in.raw, "one") && in.offset == 0);
    assert_true(mill_str_is(mill_header(&in, "h"), "v"));
    assert_int_equal(mill_reader_position(r, "t", 1), 1);
    assert_true(next(r, &in));
    assert_true(mill_str_is(in.key, "k2") && !in.raw.p);
    assert_int_equal(mill_reader_position(r, "t", 1), 2);
    /* Another partition joins: nothing of the first comes twice. */
    lab_produce(&lab, "t", 2, MILL_STR("k3"), MILL_STR("x"), NULL);
    assert_int_equal(mill_reader_add(r, "t", 2, 0, &err), MILL_OK);
    assert_true(next(r, &in));
    assert_true(mill_str_is(in.key, "k3") && in.partition == 2);
    /* Removed: its records are not seen, and it has no position. */
    assert_int_equal(mill_reader_remove(r, "t", 2, &err), MILL_OK);
    assert_int_equal(mill_reader_position(r, "t", 2), -1);
    lab_produce(&lab, "t", 2, MILL_STR("k4"), MILL_STR("x"), NULL);
    lab_produce(&lab, "t", 1, MILL_STR("k6"), MILL_STR("x"), NULL);
    assert_true(next(r, &in));
    assert_true(mill_str_is(in.key, "k6"));
    /* From the end: only what comes later. */
    assert_int_equal(mill_reader_add(r, "t", 2, MILL_READ_END, &err), MILL_OK);
    lab_produce(&lab, "t", 2, MILL_STR("k5"), MILL_STR("x"), NULL);
    assert_true(next(r, &in));
    assert_true(mill_str_is(in.key, "k5"));
    mill_reader_free(r);
    mill_reader_free(NULL);
}

/* Of the two questions one fails: then there are no marks. (Not the log's end as its start.) */
static void half_an_answer_gives_no_marks(void **state)
{
    struct mill_reader *r = NULL;
    struct mill_err err = {0};
    int64_t low, high;

    (void)state;
    lab_produce(&lab, "t", 1, MILL_STR("k1"), MILL_STR("one"), NULL);
    assert_int_equal(mill_reader_new(&r, &conf, &err), MILL_OK);
    for (int i = 0; i < 20; i++) {
        rd_kafka_resp_err_t bad = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        rd_kafka_mock_push_request_errors(lab.mock, LIST_OFFSETS, 2, i % 2 ? bad : 0,
                                          i % 2 ? 0 : bad);
        assert_int_equal(mill_reader_marks(r, "t", 1, &low, &high, &err), MILL_E_NOENT);
        assert_int_equal(mill_reader_marks(r, "t", 1, &low, &high, &err), MILL_OK);
        assert_true(low == 0 && high == 1);
    }
    mill_reader_free(r);
}

static void a_time_after_the_last_record_is_the_end(void **state)
{
    struct mill_reader *r = NULL;
    struct mill_err err = {0};
    int64_t offset = UNSEEN;

    (void)state;
    lab_produce(&lab, "t", 0, MILL_STR("k"), MILL_STR("x"), NULL);
    assert_int_equal(mill_reader_new(&r, &conf, &err), MILL_OK);
    assert_int_equal(
        mill_reader_offset_at(r, "t", 0, mill_now_us() / 1000 + 3600000, &offset, &err), MILL_OK);
    assert_int_equal(offset, 1);
    mill_reader_free(r);
}

/* ---- producer ---- */

struct outcome {
    atomic_int seen;
    int32_t partition;
};

static void delivered(void *arg, enum mill_delivery d, int32_t partition, int64_t offset,
                      const char *reason)
{
    struct outcome *o = arg;

    (void)offset;
    (void)reason;
    o->partition = partition;
    atomic_store(&o->seen, (int)d);
}

static int wait_for(struct outcome *o, int64_t wait_ms)
{
    int64_t until = mill_tick_ms() + wait_ms;

    while (atomic_load(&o->seen) == UNSEEN && mill_tick_ms() < until)
        usleep(5000);
    return atomic_load(&o->seen);
}

static enum mill_code post(struct mill_producer *p, struct outcome *o, struct mill_str key,
                           struct mill_str value, struct mill_err *err)
{
    const struct mill_pair h = {MILL_STR("h"), MILL_STR("v")};

    atomic_store(&o->seen, UNSEEN);
    return mill_producer_send(p, "t", -1, key, value, (struct mill_map){&h, 1}, delivered, o, err);
}

static void a_producer_says_what_became_of_each_record(void **state)
{
    struct mill_producer *p = NULL;
    struct mill_err err = {0};
    struct outcome o = {0};
    struct lab_record v[4];
    char *big = calloc(1, 5000000);

    (void)state;
    assert_int_equal(mill_producer_new(&p, &conf, &err), MILL_OK);
    assert_true(mill_producer_ready(p, "t", WAIT_MS));
    assert_int_equal(post(p, &o, MILL_STR("id/1"), MILL_STR("x"), &err), MILL_OK);
    assert_int_equal(wait_for(&o, WAIT_MS), MILL_DELIVERED);
    assert_int_equal(o.partition, mill_partition(MILL_STR("id"), 4));
    assert_int_equal(lab_read(&lab, "t", v, 4, 1), 1);
    assert_string_equal(v[0].headers, "h=v\n");
    /* Ours says at once, the broker says later. */
    assert_int_equal(post(p, &o, MILL_STR("k"), (struct mill_str){big, 5000000}, &err),
                     MILL_E_DATA);
    rd_kafka_mock_push_request_errors(lab.mock, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(post(p, &o, MILL_STR("k"), MILL_STR("x"), &err), MILL_OK);
    assert_int_equal(wait_for(&o, WAIT_MS), MILL_TOO_LARGE);
    assert_int_equal(mill_producer_queued(p), 0);
    mill_producer_free(p, WAIT_MS);
    free(big);
}

static void what_did_not_reach_a_broker_is_undelivered(void **state)
{
    struct mill_producer *p = NULL;
    struct mill_err err = {0};
    struct outcome o = {0};

    (void)state;
    assert_int_equal(mill_producer_new(&p, &conf, &err), MILL_OK);
    rd_kafka_mock_broker_set_down(lab.mock, 1);
    assert_false(mill_producer_ready(p, "t", 300));
    assert_int_equal(post(p, &o, MILL_STR("k"), MILL_STR("x"), &err), MILL_OK);
    mill_producer_free(p, 100);
    assert_int_equal(atomic_load(&o.seen), MILL_UNDELIVERED);
    mill_producer_free(NULL, 0);
}

/* ---- admin ---- */

static void admin_lists_topics_with_their_ids(void **state)
{
    struct mill_admin *a = NULL;
    const struct mill_topic *v = NULL;
    struct mill_topic t;
    struct mill_err err = {0};
    size_t n = 0;
    int64_t began = mill_tick_ms();

    (void)state;
    assert_int_equal(mill_admin_new(&a, &conf, 30000, &err), MILL_OK);
    assert_int_equal(mill_admin_topic(a, "t", &t, &err), MILL_OK);
    assert_int_equal(t.partitions, 4);
    assert_int_equal(strlen(t.id), 22);
    assert_null(strpbrk(t.id, "+/"));
    /* It asked the broker that had answered, and waited for no controller. */
    assert_true(mill_tick_ms() - began < 25000);
    assert_int_equal(mill_admin_list(a, &v, &n, &err), MILL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(v[0].name, "t");
    assert_int_equal(v[0].partitions, 4);
    mill_admin_free(a);
    mill_admin_free(NULL);
}

static void an_admin_without_a_broker_fails(void **state)
{
    struct mill_admin *a = NULL;
    struct mill_topic t;
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_admin_new(&a, &conf, 3000, &err), MILL_OK);
    rd_kafka_mock_broker_set_down(lab.mock, 1);
    assert_int_equal(mill_admin_topic(a, "t", &t, &err), MILL_E_IO);
    mill_admin_free(a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_reader_knows_where_it_is),
        T(half_an_answer_gives_no_marks),
        T(a_time_after_the_last_record_is_the_end),
        T(a_producer_says_what_became_of_each_record),
        T(what_did_not_reach_a_broker_is_undelivered),
        T(admin_lists_topics_with_their_ids),
        T(an_admin_without_a_broker_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
