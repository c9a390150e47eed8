/* The sink's real objects with a bucket, a group and a registry in memory: where records end, and
 * what is left when the process dies at any step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_ctx.h"
#include "fake_lake.h"
#include "lake/object.h"
#include "lake/plan.h"
#include "sink.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const struct mill_stage mill_stage_sink_parquet;

static const struct mill_stage *const spec = &mill_stage_sink_parquet;
#define TOPIC_ID    "AAAAAAAAAAAAAAAAAAAAAA"
#define FIELD(n, t) "{\"name\":\"" n "\",\"type\":" t "}"
#define SCHEMA(f)   "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" f "]}"

enum { V1 = 1, V2, CLASH, RECURSIVE, UNKNOWN };

static int setup(void **state)
{
    (void)state;
    fake_lake_reset();
    fake_lake.schemas[V1 - 1] = SCHEMA(FIELD("id", "\"string\""));
    fake_lake.schemas[V2 - 1] =
        SCHEMA(FIELD("id", "\"string\"") "," FIELD("n", "[\"null\",\"long\"]"));
    fake_lake.schemas[CLASH - 1] = SCHEMA(FIELD("id", "\"long\""));
    fake_lake.schemas[RECURSIVE - 1] = SCHEMA(FIELD("next", "[\"null\",\"R\"]"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_lake_reset();
    return 0;
}

/** The log: what stands at an offset is a function of the offset. 1 of 7 is damaged, 1 of 11 has no
 *  value, versions alternate, and two days are mixed. */
static struct mill_record record_at(const char *topic, int64_t offset)
{
    static const struct mill_pair headers[] = {{{"h", 1}, {"v", 1}}};
    static const char v1[] = "\0\0\0\0\1\4ab", v2[] = "\0\0\0\0\2\4ab\2\124";
    static const char cut[] = "\0\0\0\0\1\100ab";
    struct mill_record in = {.topic = topic,
                             .offset = offset,
                             .timestamp_us = INT64_C(86400000000) * (offset % 3 == 0),
                             .key = MILL_STR("key"),
                             .headers = {headers, 1}};

    if (offset % 11 == 5)
        return in;
    in.raw = offset % 7 == 3 ? (struct mill_str){cut, sizeof cut - 1}
             : offset % 2    ? (struct mill_str){v1, sizeof v1 - 1}
                             : (struct mill_str){v2, sizeof v2 - 1};
    return in;
}

static bool is_bad(int64_t offset)
{
    return offset % 11 == 5 || offset % 7 == 3;
}

static struct mill_ctx *start(const char *more)
{
    return fake_new(spec, "--s3-bucket=lake", "--s3-prefix=p/", "--roll-rows=7", "--flush=1h",
                    more ? more : "--s3-region=eu", NULL);
}

static enum mill_verdict assign(struct mill_ctx *ctx, const char *topic, int64_t low, int64_t high,
                                int64_t *from, struct mill_err *err)
{
    struct mill_position at = {.topic = topic,
                               .offset = fake_lake.offset,
                               .metadata = mill_str(fake_lake.metadata),
                               .topic_id = TOPIC_ID,
                               .low = low,
                               .high = high};

    *from = at.offset >= 0 ? at.offset : low;
    return spec->sink->on_assign(ctx, &at, from, err);
}

/** Feed the log from `from`, until the end or until the process is dead. */
static void feed(struct mill_ctx *ctx, const char *topic, int64_t from, int64_t to)
{
    struct mill_err err = {0};

    for (int64_t i = from; i < to && !fake_lake.dead;) {
        struct mill_record in = record_at(topic, i);
        enum mill_verdict v = spec->on_record(ctx, &in, &err);
        if (v == MILL_STOP)
            fail_msg("stop at %lld: %s: %s", (long long)i, err.where, err.text);
        i += v == MILL_DONE;
        if (v == MILL_LATER && !fake_lake.dead)
            assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    }
}

/** One life: from the committed offset to `to`, rolled out at the end if it lives. */
static void live(const char *topic, int64_t to)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    int64_t from = 0;

    assert_int_equal(assign(ctx, topic, 0, to, &from, &err), MILL_DONE);
    feed(ctx, topic, from, to);
    if (!fake_lake.dead) {
        fake_drain(ctx, true);
        spec->sink->on_revoke(ctx, topic, 0, false);
    }
    fake_free(ctx);
}

/** Every offset of [0, to) is in exactly one range, and the ranges' footers count every record. */
static void check_whole(const char *topic, int64_t to)
{
    int64_t at = 0, rows = 0, rejected = 0, bad = 0;

    while (at < to) {
        int64_t end = -1;
        for (size_t i = 0; i < fake_lake.n; i++) {
            const struct fake_object *f = &fake_lake.objects[i];
            struct mill_object o;
            assert_true(mill_object_parse(mill_str(f->key), MILL_STR("p/"), &o));
            assert_true(mill_str_is(o.topic, topic));
            if (o.start != at)
                continue;
            assert_true(end < 0 || end == o.end); /* a second way to cut it: doubled rows */
            end = o.end;
            if (o.kind == MILL_OBJECT_ROWS)
                rows += atoll(fake_footer(f, "sendmill.rows"));
            else
                rejected += atoll(fake_footer(f, "sendmill.rows"));
        }
        if (end <= at)
            fail_msg("no object holds offset %lld", (long long)at);
        at = end;
    }
    assert_int_equal(at, to);
    for (int64_t i = 0; i < to; i++)
        bad += is_bad(i);
    assert_int_equal(rejected, bad);
    assert_int_equal(rows, to - bad);
    for (size_t i = 0; i < fake_lake.n; i++) /* and no range overlaps another */
        for (size_t k = 0; k < i; k++) {
            struct mill_object a, b;
            assert_true(mill_object_parse(mill_str(fake_lake.objects[i].key), MILL_STR("p/"), &a));
            assert_true(mill_object_parse(mill_str(fake_lake.objects[k].key), MILL_STR("p/"), &b));
            assert_true(a.start == b.start || a.start >= b.end || a.end <= b.start);
        }
}

static void test_whole(void **state)
{
    (void)state;
    live("t", 100);
    check_whole("t", 100);
    assert_int_equal(fake_lake.offset, 100);
}

/** Dies at its n-th act, for every n, before or after the act has its effect. */
static void test_killed_anywhere(void **state)
{
    enum { TO = 40 };
    (void)state;

    for (int after = 0; after < 2; after++) {
        bool lived = false;
        for (int n = 1; !lived; n++) {
            setup(NULL);
            fake_lake.die_at = n;
            fake_lake.die_after = after;
            live("t", TO);
            lived = !fake_lake.dead;
            fake_lake.dead = false;
            fake_lake.die_at = 0;
            live("t", TO);
            check_whole("t", TO);
            assert_true(n < 200);
        }
    }
}

/** Dies again and again, at every third act. */
static void test_killed_often(void **state)
{
    (void)state;
    for (int n = 0; n < 100 && fake_lake.offset < 60; n++) {
        fake_lake.die_at = fake_lake.acts + 3;
        fake_lake.die_after = n % 2;
        live("t", 60);
        fake_lake.dead = false;
    }
    fake_lake.die_at = 0;
    live("t", 60);
    check_whole("t", 60);
}

static void test_footer(void **state)
{
    (void)state;
    live("t", 6); /* 3 is damaged, 5 has no value: 0 on day 1; 1, 2, 4 on day 0 */
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

/** Old and new schema in turns: after the first growth no more ranges are cut for it. */
static void test_versions_share_a_file(void **state)
{
    struct mill_ctx *ctx = fake_new(spec, "--s3-bucket=lake", "--flush=1h", NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 1, 1000, &from, &err), MILL_DONE);
    assert_int_equal(from, 1); /* an old one */
    feed(ctx, "t", from, 1000);
    assert_int_equal(fake_metric(ctx, 3, 4), 1); /* rolls for a schema */
    assert_int_equal(fake_lake.n, 1);
    fake_free(ctx);
}

static void test_clash_starts_a_file(void **state)
{
    static const char body[] = "\0\0\0\0\3\2";
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 9, &from, &err), MILL_DONE);
    feed(ctx, "t", 0, 1);
    struct mill_record in = record_at("t", 1);
    in.raw = (struct mill_str){body, sizeof body - 1};
    assert_int_equal(spec->on_record(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 1); /* [0,1) is out */
    feed(ctx, "t", 2, 3);
    assert_int_equal(fake_lake.n, 2); /* and the long one */
    fake_free(ctx);
}

static void test_unreadable_schemas(void **state)
{
    static const char bodies[2][6] = {"\0\0\0\0\4\0", "\0\0\0\0\5\0"};
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 9, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 4; i++) {
        struct mill_record in = record_at("t", i);
        in.raw = (struct mill_str){bodies[i % 2], 6};
        assert_int_equal(spec->on_record(ctx, &in, &err), MILL_DONE);
    }
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_REJECTED), 4);
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_ROWS), 0);
    fake_drain(ctx, true);
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2); /* rejected, on two days */
    fake_free(ctx);
}

static void test_raw_topic(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "mail.retry.send", 0, 14, &from, &err), MILL_DONE);
    feed(ctx, "mail.retry.send", 0, 14);
    assert_int_equal(fake_lake.n, 4); /* two ranges, two days; nothing is rejected */
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(fake_footer(&fake_lake.objects[i], "sendmill.rejected"), "[]");
    fake_free(ctx);
}

static void wait_backoff(void)
{
    usleep(600000);
}

static void test_s3_outage(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 7);
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.s3_down = true;
    feed(ctx, "t", 0, 7);
    for (int i = 0; i < 5; i++) { /* it waits, and keeps what it has */
        assert_int_equal(spec->on_record(ctx, &in, &err), MILL_LATER);
        assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    }
    assert_non_null(fake_unready(ctx));
    assert_true(fake_wait_until(ctx) > mill_now_us() / 1000);
    assert_int_equal(fake_lake.n, 0);
    assert_int_equal(fake_lake.offset, 0); /* the plan, nothing more */
    fake_lake.s3_down = false;
    wait_backoff();
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_null(fake_unready(ctx));
    feed(ctx, "t", 7, 14);
    fake_free(ctx);
    check_whole("t", 14);
}

static void test_registry_outage(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 0);
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.registry_down = true;
    assert_int_equal(spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_non_null(fake_unready(ctx));
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_REJECTED), 0);
    fake_lake.registry_down = false;
    wait_backoff();
    feed(ctx, "t", 0, 7);
    assert_null(fake_unready(ctx));
    fake_free(ctx);
    check_whole("t", 7);
}

/** It is not known whether the plan was taken: the same plan again, never another end. */
static void test_unknown_commit(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 7);
    char first[4096];
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.commit_unknown = true;
    feed(ctx, "t", 0, 7);
    snprintf(first, sizeof first, "%s", fake_lake.metadata);
    assert_int_equal(spec->on_record(ctx, &in, &err), MILL_LATER);
    wait_backoff();
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_string_equal(fake_lake.metadata, first);
    assert_int_equal(fake_lake.n, 0);
    fake_lake.commit_unknown = false;
    usleep(1100000);
    feed(ctx, "t", 7, 14);
    fake_free(ctx);
    check_whole("t", 14);
}

static void test_stale_owner(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 7);
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.stale = true;
    feed(ctx, "t", 0, 7);
    assert_int_equal(spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_int_equal(fake_lake.n, 0);
    spec->sink->on_revoke(ctx, "t", 0, true);
    assert_int_equal(spec->on_record(ctx, &in, &err), MILL_STOP); /* not ours any more */
    fake_free(ctx);
}

static void test_foreign_object(void **state)
{
    struct mill_ctx *ctx = start(NULL);
    struct mill_err err = {0};
    enum mill_s3_put how;
    int64_t from;
    enum mill_verdict v = MILL_DONE;
    (void)state;

    assert_int_equal(mill_s3_put_new(NULL, "p/topic=t/dt=1970-01-02/t+" TOPIC_ID "+0+0-7.parquet",
                                     MILL_STR("x"), (struct mill_map){0}, &how, &err),
                     MILL_OK);
    fake_lake.offset = 0;
    snprintf(fake_lake.metadata, sizeof fake_lake.metadata,
             "{\"mill\":1,\"topic_id\":\"%s\",\"policy\":\"x\",\"done\":true}", TOPIC_ID);
    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 7 && v == MILL_DONE; i++) {
        struct mill_record in = record_at("t", i);
        v = spec->on_record(ctx, &in, &err);
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
    live("t", 20);
    fake_lake.dead = false;
    fake_lake.die_at = 0;
    ctx = start(NULL);
    assert_int_equal(assign(ctx, "t", 0, 20, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 20 && v == MILL_DONE; i++) {
        struct mill_record in = record_at("t", i);
        if (i != 2) /* compacted away */
            v = spec->on_record(ctx, &in, &err);
    }
    assert_int_equal(v, MILL_STOP);
    assert_int_equal(fake_lake.n, 0);
    fake_free(ctx);
}

static void test_flush_by_clock(void **state)
{
    struct mill_ctx *ctx = fake_new(spec, "--s3-bucket=lake", "--flush=200ms", NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    feed(ctx, "t", 0, 2);
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 0);
    usleep(250000);
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2);
    assert_int_equal(fake_lake.offset, 2);
    usleep(250000); /* nothing new: nothing more */
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2);
    fake_free(ctx);
}

static void test_memory(void **state)
{
    struct mill_ctx *ctx =
        fake_new(spec, "--s3-bucket=lake", "--memory=100KiB", "--flush=1h", NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 5000);
    int64_t from;
    (void)state;

    assert_int_equal(assign(ctx, "t", 0, 9000, &from, &err), MILL_DONE);
    feed(ctx, "t", 0, 5000);
    assert_true(fake_metric(ctx, 3, 3) >= 2);
    assert_int_equal(spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_true(fake_metric(ctx, 5, 0) <= 100 * 1024 + 5000);
    fake_lake.s3_down = true; /* then whoever adds has to wait */
    for (int64_t i = 5000; i < 9000; i++) {
        in = record_at("t", i);
        if (spec->on_record(ctx, &in, &err) == MILL_LATER)
            break;
    }
    assert_true(in.offset < 8999);
    fake_free(ctx);
}

#define DONE(id) "{\"mill\":1,\"topic_id\":\"" id "\",\"policy\":\"p\",\"done\":true}"

static void test_assign(void **state)
{
    static const struct {
        int64_t offset, low, high;
        const char *metadata;
        int64_t lake; /**< end of an object that is there; 0 = none */
        bool accept;
        enum mill_verdict want;
        int64_t from;
    } rows[] = {
        {-1, 0, 9, "", 0, false, MILL_DONE, 0},
        {-1, 5, 9, "", 0, false, MILL_DONE, 5},
        {-1, 0, 9, "", 7, false, MILL_DONE, 7},            /* the group's offset expired */
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

        setup(NULL);
        ctx = start(rows[i].accept ? "--accept-gaps=yes" : NULL);
        fake_lake.offset = rows[i].offset;
        snprintf(fake_lake.metadata, sizeof fake_lake.metadata, "%s", rows[i].metadata);
        snprintf(key, sizeof key, "p/rejected=t/dt=2024-01-01/t+%s+0+0-%d.parquet", TOPIC_ID,
                 (int)rows[i].lake);
        if (rows[i].lake)
            assert_int_equal(
                mill_s3_put_new(NULL, key, MILL_STR("x"), (struct mill_map){0}, &how, &err),
                MILL_OK);
        if (assign(ctx, "t", rows[i].low, rows[i].high, &from, &err) != rows[i].want)
            fail_msg("row %zu: %s: %s", i, err.where, err.text);
        if (rows[i].want == MILL_DONE)
            assert_int_equal(from, rows[i].from);
        fake_free(ctx);
    }
}

static void test_bad_options(void **state)
{
    static const char *const options[] = {"--drop=mail.requests", "--meta-columns=_time",
                                          "--s3-prefix=lake", "--parquet-lib=no/such/lib.so"};
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        struct mill_ctx *ctx = fake_new_closed(spec, "--s3-bucket=b", options[i], NULL);
        struct mill_err err = {0};

        if (i == 3) /* loaded already: that the path is wrong cannot show any more */
            assert_int_equal(spec->open(ctx, &err), MILL_OK);
        else
            assert_int_equal(spec->open(ctx, &err), MILL_E_CONFIG);
        fake_free(ctx);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_whole),
        T(test_killed_anywhere),
        T(test_killed_often),
        T(test_footer),
        T(test_versions_share_a_file),
        T(test_clash_starts_a_file),
        T(test_unreadable_schemas),
        T(test_raw_topic),
        T(test_s3_outage),
        T(test_registry_outage),
        T(test_unknown_commit),
        T(test_stale_owner),
        T(test_foreign_object),
        T(test_redo_never_thinner),
        T(test_flush_by_clock),
        T(test_memory),
        T(test_assign),
        T(test_bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
