/* Ranges that are written beside those that are gathered: a slow S3, one that fails amid, a
 * partition that is given away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sink_case.h"
#include "sink_parquet/range.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_bool shut;   /**< S3 answers when it is not */
static atomic_int waiting; /**< threads, for its answer */
static pthread_t main_thread;

static void slow_s3(void)
{
    if (pthread_equal(pthread_self(), main_thread))
        return;
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&shut))
        usleep(1000);
    atomic_fetch_sub(&waiting, 1);
}

/** From now on S3 answers no upload, until it is open again. */
static void shut_s3(void)
{
    main_thread = pthread_self();
    atomic_store(&shut, true);
    fake_lake.on_act = slow_s3;
}

/** A slow S3: nobody waits for it for longer than a turn. The next range is gathered meanwhile, and
 *  goes out when this one is in the lake. */
static void test_slow_s3(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct sink *s = mill_state(ctx);
    struct mill_record in = record_at("t", 14);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    s->turn_ms = 1;
    sink_turn(s, 1);
    shut_s3();
    sink_feed(ctx, "t", 0, 7);
    fake_lake.read_to = 9; /* markers; but what is before them is not in the lake yet */
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.offset, 0);
    fake_lake.read_to = -1;
    sink_feed(ctx, "t", 7, 14);
    assert_int_equal(s->n_uploads, 1);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.offset, 0); /* planned, nothing more */
    assert_null(fake_unready(ctx));
    atomic_store(&shut, false);
    sink_rest(ctx);
    assert_int_equal(fake_lake.offset, 7);
    sink_feed(ctx, "t", 14, 15);
    sink_rest(ctx);
    assert_int_equal(fake_lake.offset, 14);
    fake_free(ctx);
    sink_check_whole("t", 14);
}

/** Records of the topic in the lake, all of them in one range. */
static int64_t in_range(const char *topic, int64_t start, int64_t end)
{
    int64_t rows = 0;

    for (size_t i = 0; i < fake_lake.n; i++) {
        struct mill_object o;
        assert_true(mill_object_parse(mill_str(fake_lake.objects[i].key), MILL_STR("p/"), &o));
        if (!mill_str_is(o.topic, topic))
            continue;
        assert_true(o.start == start && o.end == end);
        rows += atoll(fake_footer(&fake_lake.objects[i], "sendmill.rows"));
    }
    return rows;
}

/** Two ranges are written side by side, and a third waits for its turn; an S3 that goes down amid
 *  keeps none of them from the lake. */
static void test_two_beside(void **state)
{
    static const char *const topics[] = {"t", "u", "v"};
    struct mill_ctx *ctx = sink_start(NULL);
    struct sink *s = mill_state(ctx);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    sink_beside(ctx);
    s->turn_ms = 1;
    sink_turn(s, 1);
    for (size_t k = 0; k < 3; k++) {
        fake_lake.offset = -1;
        assert_int_equal(sink_assign(ctx, topics[k], 0, 50, &from, &err), MILL_DONE);
    }
    shut_s3();
    for (size_t k = 0; k < 3; k++)
        sink_feed(ctx, topics[k], 0, 7);
    assert_int_equal(s->n_uploads, 2);
    assert_int_equal(s->n_out, 3);
    assert_int_equal(s->parts[2]->out->state, SINK_PLAN);
    while (atomic_load(&waiting) < 2)
        usleep(1000);
    atomic_store(&fake_lake.s3_down, true);
    atomic_store(&shut, false);
    while (!s->faults) {
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
        usleep(1000);
    }
    atomic_store(&fake_lake.s3_down, false);
    while (s->n_out) {
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
        usleep(1000);
    }
    fake_free(ctx);
    for (size_t k = 0; k < 3; k++)
        assert_int_equal(in_range(topics[k], 0, 7), 7);
}

/** However many partitions wait for an S3 that hangs, all of them together hold the loop up for a
 *  turn: the consumer is to be polled. */
static void test_one_turn_for_all(void **state)
{
    enum { TURN_MS = 300, CALLS = 20 };
    struct mill_ctx *ctx = sink_start(NULL);
    struct sink *s = mill_state(ctx);
    struct mill_record in = record_at("t", 14);
    struct mill_err err = {0};
    int64_t from, began;
    (void)state;

    sink_beside(ctx);
    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    shut_s3();
    sink_feed(ctx, "t", 0, 14);
    assert_int_equal(s->n_uploads, 1);
    s->turn_ms = TURN_MS;
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    began = mill_tick_ms();
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_in_range(mill_tick_ms() - began, TURN_MS - 1, CALLS * TURN_MS / 2);
    atomic_store(&shut, false);
    sink_rest(ctx);
    fake_free(ctx);
}

/** A range that is out and cannot go on is no reason for the others not to make room. */
static void test_another_makes_room(void **state)
{
    enum { VALUE = 64 << 10, ROLL_MEMORY = 3 };
    struct mill_ctx *ctx = fake_new(sink_spec, "--s3-bucket=lake", "--s3-prefix=p/", "--flush=1h",
                                    "--memory=32MiB", "--raw-topics=*", NULL);
    struct sink *s = mill_state(ctx);
    struct mill_record in;
    struct mill_err err = {0};
    int *value = calloc(1, VALUE);
    int64_t from;
    (void)state;

    assert_non_null(value);
    for (size_t k = 0; k < 2; k++) {
        fake_lake.offset = -1;
        assert_int_equal(sink_assign(ctx, k ? "u" : "t", 0, 9999, &from, &err), MILL_DONE);
    }
    s->turn_ms = 1;
    sink_turn(s, 1);
    shut_s3();
    /* t has a range out, and gathers one that is larger than u's. */
    for (int64_t i = 0; fake_metric(ctx, 3, ROLL_MEMORY) < 2 && i < 2000; i++) {
        in = record_at(i < 5 ? "u" : "t", i);
        for (size_t k = 0; k < VALUE / sizeof *value; k++) /* nothing that could be compressed */
            value[k] = rand();
        in.raw = (struct mill_str){(const char *)value, i < 5 ? 16 : VALUE};
        if (sink_spec->on_record(ctx, &in, &err) != MILL_DONE)
            assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    }
    assert_int_equal(fake_metric(ctx, 3, ROLL_MEMORY), 2);
    assert_true(s->parts[0]->out && s->parts[1]->out);
    for (size_t k = 0; k < 2; k++) /* they still take their room */
        assert_true(s->largest >= s->parts[k]->out->files[0].held);
    atomic_store(&shut, false);
    sink_rest(ctx);
    fake_free(ctx);
    free(value);
}

static void *open_later(void *arg)
{
    usleep(20000);
    atomic_store(&shut, false);
    return arg;
}

/** The partition is given away while its range is being written, and the next one gathered: what
 * goes on is waited for, nothing is committed, and the new owner carries the plan out. */
static void test_revoked_amid(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    pthread_t opener;
    int64_t from;
    (void)state;

    sink_beside(ctx);
    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    shut_s3();
    sink_feed(ctx, "t", 0, 12);
    assert_int_equal(pthread_create(&opener, NULL, open_later, NULL), 0);
    sink_spec->sink->on_revoke(ctx, "t", 0, true);
    pthread_join(opener, NULL);
    assert_int_equal(((const struct sink *)mill_state(ctx))->n_uploads, 0);
    assert_int_equal(fake_lake.offset, 0);
    assert_non_null(strstr(fake_lake.metadata, "\"end\":7"));
    fake_free(ctx);
    sink_live("t", 20);
    sink_check_whole("t", 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, sink_setup, sink_teardown)
        T(test_slow_s3),          T(test_two_beside),
        T(test_one_turn_for_all), T(test_another_makes_room),
        T(test_revoked_amid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
