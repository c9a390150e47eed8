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
    main_thread = pthread_self();
    atomic_store(&shut, true);
    fake_lake.on_act = slow_s3;
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
    for (size_t k = 0; k < 3; k++) {
        fake_lake.offset = -1;
        assert_int_equal(sink_assign(ctx, topics[k], 0, 50, &from, &err), MILL_DONE);
    }
    main_thread = pthread_self();
    atomic_store(&shut, true);
    fake_lake.on_act = slow_s3;
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
    main_thread = pthread_self();
    atomic_store(&shut, true);
    fake_lake.on_act = slow_s3;
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
        T(test_slow_s3),
        T(test_two_beside),
        T(test_revoked_amid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
