/* The sink's real objects with a bucket and a group in memory: where each record ends, and what is
 * left when the process dies at any step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sink_case.h"
#include "sink_parquet/range.h"
#include <stdio.h>
#include <unistd.h>

static void test_whole(void **state)
{
    (void)state;
    sink_live("t", 100);
    sink_check_whole("t", 100);
    assert_int_equal(fake_lake.offset, 100);
}

/** Dies at its n-th act, for every n, before or after the act has its effect. */
static void killed(bool forgotten, bool beside)
{
    enum { TO = 40 };

    for (int after = 0; after < 2; after++) {
        bool lived = false;
        for (int n = 1; !lived; n++) {
            sink_setup(NULL);
            sink_all_beside = beside;
            fake_lake.die_at = n;
            fake_lake.die_after = after;
            sink_live("t", TO);
            lived = !fake_lake.dead;
            fake_lake.dead = false;
            fake_lake.die_at = 0;
            if (forgotten) {
                fake_lake.offset = -1;
                fake_lake.metadata[0] = '\0';
            }
            sink_live("t", TO);
            if (forgotten) /* its failure records may be forgotten, too */
                sink_check_ranges("t", TO);
            else
                sink_check_whole("t", TO);
            assert_true(n < 200);
        }
    }
}

static void test_killed_anywhere(void **state)
{
    (void)state;
    killed(false, false);
}

/** The same, where each range is written while the next one is gathered. */
static void test_killed_beside(void **state)
{
    (void)state;
    killed(false, true);
    killed(true, true);
}

/** The same, and the group has forgotten by then what it had committed (it was away for longer than
 *  offsets are kept, or has another name): a range of which some objects are there is finished by
 *  the plan in their footers, not taken for whole. */
static void test_killed_and_forgotten(void **state)
{
    (void)state;
    killed(true, false);
}

/** Dies again and again, at every third act. */
static void test_killed_often(void **state)
{
    (void)state;
    for (int n = 0; n < 100 && fake_lake.offset < 60; n++) {
        fake_lake.die_at = fake_lake.acts + 3;
        fake_lake.die_after = n % 2;
        sink_live("t", 60);
        fake_lake.dead = false;
    }
    fake_lake.die_at = 0;
    sink_live("t", 60);
    sink_check_whole("t", 60);
}

static void test_footer(void **state)
{
    (void)state;
    sink_live("t", 6); /* 3 is damaged, 5 has no value: 0 on day 1; 1, 2, 4 on day 0 */
    assert_int_equal(fake_lake.n, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct fake_object *o = &fake_lake.objects[i];
        assert_string_equal(fake_footer(o, "sendmill.topic"), "t");
        assert_string_equal(fake_footer(o, "sendmill.topic_id"), TOPIC_ID);
        assert_string_equal(fake_footer(o, "sendmill.partition"), "0");
        assert_string_equal(fake_footer(o, "sendmill.start"), "0");
        assert_string_equal(fake_footer(o, "sendmill.end"), "6");
        assert_string_equal(fake_footer(o, "sendmill.rejected"), "[3,5]");
        assert_non_null(strstr(fake_footer(o, "sendmill.siblings"),
                               "{\"object\":\"p/rejected=t/dt=1970-01-01/t+" TOPIC_ID
                               "+0+0-6.parquet\",\"rows\":1}"));
    }
    assert_string_equal(fake_lake.objects[0].key,
                        "p/topic=t/dt=1970-01-02/t+" TOPIC_ID "+0+0-6.parquet");
}

static void test_s3_outage(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 14);
    int64_t from, before_ms = 0;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.s3_down = true;
    sink_feed(ctx, "t", 0, 14);   /* a range that is to go out, and the next one */
    for (int i = 0; i < 5; i++) { /* it waits, and keeps what it has */
        before_ms = mill_now_us() / 1000;
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    }
    assert_non_null(fake_unready(ctx));
    assert_true(fake_wait_until(ctx) > before_ms);
    assert_int_equal(fake_lake.n, 0);
    assert_int_equal(fake_lake.offset, 0); /* the plan, nothing more */
    fake_lake.s3_down = false;
    sink_wait_backoff(ctx);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_null(fake_unready(ctx));
    sink_feed(ctx, "t", 14, 21);
    fake_free(ctx);
    sink_check_whole("t", 21);
}

/** It is not known whether the plan was taken: the same plan again, never another end. */
static void test_unknown_commit(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 14);
    char first[4096];
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.commit_unknown = true;
    sink_feed(ctx, "t", 0, 14);
    snprintf(first, sizeof first, "%s", fake_lake.metadata);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    sink_wait_backoff(ctx);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_string_equal(fake_lake.metadata, first);
    assert_int_equal(fake_lake.n, 0);
    fake_lake.commit_unknown = false;
    sink_wait_backoff(ctx);
    sink_feed(ctx, "t", 14, 21);
    fake_free(ctx);
    sink_check_whole("t", 21);
}

static void test_stale_owner(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 7);
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.stale = true;
    sink_feed(ctx, "t", 0, 7);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_int_equal(fake_lake.n, 0);
    sink_spec->sink->on_revoke(ctx, "t", 0, true);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_STOP); /* not ours any more */
    fake_free(ctx);
}

/** S3 is away for longer than put-within: nothing is put before the group has taken the plan again.
 *  @param stale another one has the partition by then, and compaction may have merged the range */
static void slept(bool redo, bool stale)
{
    struct mill_ctx *ctx = sink_start(NULL);
    const struct sink *s;
    struct mill_err err = {0};
    char plan[4096];
    int acts;
    int64_t from;

    assert_int_equal(sink_assign(ctx, "t", 0, 7, &from, &err), MILL_DONE);
    fake_lake.s3_down = true;
    sink_feed(ctx, "t", 0, 7);
    snprintf(plan, sizeof plan, "%s", fake_lake.metadata);
    if (redo) { /* the same by one who found the plan */
        fake_free(ctx);
        ctx = sink_start(NULL);
        assert_int_equal(sink_assign(ctx, "t", 0, 7, &from, &err), MILL_DONE);
        sink_feed(ctx, "t", 0, 7);
    }
    s = mill_state(ctx);
    assert_non_null(s->parts[0]->out);
    s->parts[0]->out->planned_ms -= 3600000;
    sink_wait_backoff(ctx);
    fake_lake.s3_down = false;
    fake_lake.stale = stale;
    acts = fake_lake.acts;
    for (int i = 0; i < 2 || (!stale && fake_lake.offset < 7 && i < 100); i++)
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    if (stale) {
        assert_int_equal(fake_lake.n, 0);
        assert_string_equal(fake_lake.metadata, plan);
    } else { /* the plan again, the objects, done */
        assert_int_equal(fake_lake.acts - acts, (int)fake_lake.n + 2);
        sink_check_whole("t", 7);
    }
    fake_free(ctx);
}

static void test_slept(void **state)
{
    (void)state;
    slept(false, false);
    sink_setup(NULL);
    slept(true, false);
    sink_setup(NULL);
    slept(false, true);
    sink_setup(NULL);
    slept(true, true);
}

/** Whoever slept between reading a plan and carrying it out puts nothing before the group has taken
 *  that plan from him: another may have done it, and its objects may be merged and deleted. */
static void test_redo_is_asked_for(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 7, &from, &err), MILL_DONE);
    fake_lake.s3_down = true;
    sink_feed(ctx, "t", 0, 7);
    fake_free(ctx);
    fake_lake.s3_down = false;
    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 0, 7, &from, &err), MILL_DONE);
    fake_lake.stale = true;
    sink_feed(ctx, "t", 0, 7);
    sink_rest(ctx);
    assert_int_equal(fake_lake.n, 0);
    fake_free(ctx);
}

static void test_foreign_object(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    enum mill_s3_put how;
    int64_t from;
    enum mill_verdict v = MILL_DONE;
    (void)state;

    assert_int_equal(mill_s3_put_large(NULL, "p/topic=t/dt=1970-01-02/t+" TOPIC_ID "+0+0-7.parquet",
                                       MILL_STR("x"), (struct mill_map){0}, &how, &err),
                     MILL_OK);
    fake_lake.offset = 0;
    snprintf(fake_lake.metadata, sizeof fake_lake.metadata,
             "{\"mill\":1,\"topic_id\":\"%s\",\"policy\":\"x\",\"done\":true}", TOPIC_ID);
    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 7 && v == MILL_DONE; i++) {
        struct mill_record in = record_at("t", i);
        v = sink_spec->on_record(ctx, &in, &err);
    }
    assert_int_equal(v, MILL_STOP);
    assert_non_null(strstr(err.text, "another plan"));
    fake_free(ctx);
}

static void test_redo_never_thinner(void **state)
{
    struct mill_ctx *ctx;
    struct mill_err err = {0};
    int64_t from;
    enum mill_verdict v = MILL_DONE;
    (void)state;

    fake_lake.die_at = 2; /* the plan is committed, the first object is not there */
    sink_live("t", 20);
    fake_lake.dead = false;
    fake_lake.die_at = 0;
    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 0, 20, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 20 && v == MILL_DONE; i++) {
        struct mill_record in = record_at("t", i);
        if (i != 2) /* compacted away */
            v = sink_spec->on_record(ctx, &in, &err);
    }
    assert_int_equal(v, MILL_STOP);
    assert_int_equal(fake_lake.n, 0);
    fake_free(ctx);
}

/** With accept-gaps a redo takes what is left, under the plan's names, and goes on. */
static void test_redo_over_gap(void **state)
{
    static const int64_t first[] = {2, 7, 20}; /* what the log still has: a part, nothing of it */
    (void)state;

    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        struct mill_ctx *ctx;
        struct mill_err err = {0};
        int64_t from;

        sink_setup(NULL);
        fake_lake.die_at = 2;
        sink_live("t", 20);
        fake_lake.dead = false;
        fake_lake.die_at = 0;
        ctx = sink_start("--accept-gaps=yes");
        assert_int_equal(sink_assign(ctx, "t", first[i], 40, &from, &err), MILL_DONE);
        assert_int_equal(from, first[i]);
        sink_feed(ctx, "t", from, 40);
        fake_drain(ctx, true);
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
        assert_int_equal(fake_lake.offset, 40);
        for (size_t k = 0; k < fake_lake.n; k++) {
            const struct fake_object *o = &fake_lake.objects[k];
            if (first[i] < 7 && !strcmp(fake_footer(o, "sendmill.start"), "0"))
                assert_string_equal(fake_footer(o, "sendmill.end"), "7");
        }
        assert_string_equal(fake_footer(&fake_lake.objects[0], "sendmill.start"),
                            first[i] < 7 ? "0" : "7");
        fake_free(ctx);
    }
}

/** Without it, not even the first record behind the plan's end is taken. */
static void test_redo_of_nothing(void **state)
{
    struct mill_ctx *ctx;
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 8);
    int64_t from;
    (void)state;

    fake_lake.die_at = 2;
    sink_live("t", 20);
    fake_lake.dead = false;
    fake_lake.die_at = 0;
    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 0, 20, &from, &err), MILL_DONE);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_STOP);
    assert_non_null(strstr(err.text, "no record of"));
    fake_free(ctx);
}

/** The end of the range is compacted away and nothing follows: the log's end, read, tells. */
static void test_redo_ends_by_position(void **state)
{
    (void)state;
    for (int accept = 0; accept < 2; accept++)
        for (int64_t left = 0; left < 7; left += 6) {
            struct mill_ctx *ctx;
            struct mill_err err = {0};
            int64_t from;

            sink_setup(NULL);
            fake_lake.die_at = 2;
            sink_live("t", 7);
            fake_lake.dead = false;
            fake_lake.die_at = 0;
            ctx = sink_start(accept ? "--accept-gaps=yes" : NULL);
            assert_int_equal(sink_assign(ctx, "t", 0, 7, &from, &err), MILL_DONE);
            sink_feed(ctx, "t", 0, left);
            assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE); /* there may be more */
            fake_lake.read_to = 8;
            assert_int_equal(sink_spec->on_poll(ctx, 0, &err), accept ? MILL_DONE : MILL_STOP);
            assert_int_equal(fake_lake.offset, accept ? 7 : 0);
            assert_int_equal(fake_lake.n > 0, accept && left > 0);
            if (accept && left) { /* and there the next one begins */
                sink_feed(ctx, "t", 7, 14);
                assert_string_equal(
                    fake_footer(&fake_lake.objects[fake_lake.n - 1], "sendmill.start"), "7");
            }
            fake_free(ctx);
        }
}

/** Behind the last record stands the marker of its transaction. Retention may take it before
 * another record comes: no gap, and the next range begins where the last one ended. */
static void test_markers_expire(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    size_t before;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 7);
    assert_int_equal(fake_lake.offset, 7);
    fake_lake.read_to = 9;
    for (int i = 0; i < 3; i++) {
        int acts = fake_lake.acts;
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
        assert_int_equal(fake_lake.acts - acts, i == 0); /* once */
    }
    assert_int_equal(fake_lake.offset, 7);
    fake_free(ctx);

    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 10, 10, &from, &err), MILL_STOP); /* 9 was a record */
    fake_free(ctx);
    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 9, 9, &from, &err), MILL_DONE);
    assert_int_equal(from, 9);
    fake_lake.read_to = -1;
    before = fake_lake.n;
    sink_feed(ctx, "t", 9, 20);
    fake_free(ctx);
    assert_true(fake_lake.n > before);
    assert_string_equal(fake_footer(&fake_lake.objects[before], "sendmill.start"), "7");
    assert_true(atoll(fake_footer(&fake_lake.objects[before], "sendmill.end")) > 9);
}

#define DONE(id) "{\"mill\":1,\"topic_id\":\"" id "\",\"policy\":\"p\",\"done\":true}"

static void test_assign(void **state)
{
    static const struct {
        int64_t offset, low, high;
        const char *metadata;
        int64_t lake; /**< end of an object that is there; 0 = none, below 0: another topic's */
        bool accept;
        enum mill_verdict want;
        int64_t from;
    } rows[] = {
        {-1, 0, 9, "", 0, false, MILL_DONE, 0},
        {-1, 5, 9, "", 0, false, MILL_DONE, 5},
        {-1, 0, 9, "", 7, false, MILL_DONE, 7},  /* the group's offset expired */
        {-1, 0, 9, "", -7, false, MILL_DONE, 0}, /* objects of a topic that had the name before */
        {7, 0, 9, DONE(TOPIC_ID), 0, false, MILL_DONE, 7}, /* no listing needed */
        {7, 0, 9, "", 7, false, MILL_DONE, 7},             /* foreign, but right */
        {3, 0, 9, "", 7, false, MILL_STOP, 0},             /* would double rows */
        {3, 0, 9, "", 7, true, MILL_DONE, 7},              /* never back */
        {8, 0, 9, "not ours", 7, false, MILL_STOP, 0},     /* would leave rows out */
        {8, 0, 9, "not ours", 7, true, MILL_DONE, 8},
        {7, 0, 9, DONE("BBBB"), 0, false, MILL_DONE, 0},   /* another topic of that name */
        {7, 8, 9, DONE(TOPIC_ID), 0, false, MILL_STOP, 0}, /* retention was faster */
        {7, 8, 9, DONE(TOPIC_ID), 0, true, MILL_DONE, 8},
        {7, 0, 5, DONE(TOPIC_ID), 0, false, MILL_STOP, 0}, /* the log was cut */
        {-1, 9, 9, "", 7, false, MILL_STOP, 0},
        {3, 0, 9,
         "{\"mill\":1,\"topic_id\":\"" TOPIC_ID
         "\",\"policy\":\"other\",\"end\":5,\"rows\":2,\"schemas\":[1]}",
         0, false, MILL_STOP, 0}, /* planned with other options */
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_ctx *ctx;
        struct mill_err err = {0};
        enum mill_s3_put how;
        char key[256];
        int64_t from = 0;

        sink_setup(NULL);
        ctx = sink_start(rows[i].accept ? "--accept-gaps=yes" : NULL);
        fake_lake.offset = rows[i].offset;
        snprintf(fake_lake.metadata, sizeof fake_lake.metadata, "%s", rows[i].metadata);
        snprintf(key, sizeof key, "p/rejected=t/dt=2024-01-01/t+%s+0+0-%d.parquet",
                 rows[i].lake < 0 ? "BBBB" : TOPIC_ID, abs((int)rows[i].lake));
        if (rows[i].lake)
            assert_int_equal(
                mill_s3_put_large(NULL, key, MILL_STR("x"), (struct mill_map){0}, &how, &err),
                MILL_OK);
        if (sink_assign(ctx, "t", rows[i].low, rows[i].high, &from, &err) != rows[i].want)
            fail_msg("row %zu: %s: %s", i, err.where, err.text);
        if (rows[i].want == MILL_DONE)
            assert_int_equal(from, rows[i].from);
        fake_free(ctx);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, sink_setup, sink_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_whole),
        T(test_killed_beside),
        T(test_killed_anywhere),
        T(test_killed_and_forgotten),
        T(test_killed_often),
        T(test_footer),
        T(test_s3_outage),
        T(test_unknown_commit),
        T(test_slept),
        T(test_stale_owner),
        T(test_redo_is_asked_for),
        T(test_foreign_object),
        T(test_redo_never_thinner),
        T(test_redo_over_gap),
        T(test_redo_of_nothing),
        T(test_redo_ends_by_position),
        T(test_markers_expire),
        T(test_assign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
