#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* See sink_case.h. */
#include "lake/object.h"
#include "sink_case.h"
#include "sink_parquet/range.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const struct mill_stage mill_stage_sink_parquet;

const struct mill_stage *const sink_spec = &mill_stage_sink_parquet;
#define FIELD(n, t) "{\"name\":\"" n "\",\"type\":" t "}"
#define SCHEMA(f)   "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" f "]}"

bool sink_all_beside;

int sink_setup(void **state)
{
    (void)state;
    sink_all_beside = false;
    fake_lake_reset();
    fake_lake.schemas[V1 - 1] = SCHEMA(FIELD("id", "\"string\""));
    fake_lake.schemas[V2 - 1] =
        SCHEMA(FIELD("id", "\"string\"") "," FIELD("n", "[\"null\",\"long\"]"));
    fake_lake.schemas[CLASH - 1] = SCHEMA(FIELD("id", "\"long\""));
    fake_lake.schemas[RECURSIVE - 1] = SCHEMA(FIELD("next", "[\"null\",\"R\"]"));
    return 0;
}

int sink_teardown(void **state)
{
    (void)state;
    fake_lake_reset();
    return 0;
}

static bool is_null(int64_t offset)
{
    return offset % 11 == 5;
}

struct mill_record record_at(const char *topic, int64_t offset)
{
    static const struct mill_pair headers[] = {{{"h", 1}, {"v", 1}}};
    static const char v1[] = "\0\0\0\0\1\4ab", v2[] = "\0\0\0\0\2\4ab\2\124";
    static const char cut[] = "\0\0\0\0\1\100ab";
    struct mill_record in = {.topic = topic,
                             .offset = offset,
                             .timestamp_us = INT64_C(86400000000) * (offset % 3 == 0),
                             .key = MILL_STR("key"),
                             .headers = {headers, 1}};

    if (is_null(offset))
        return in;
    in.raw = offset % 7 == 3 ? (struct mill_str){cut, sizeof cut - 1}
             : offset % 2    ? (struct mill_str){v1, sizeof v1 - 1}
                             : (struct mill_str){v2, sizeof v2 - 1};
    return in;
}

static bool is_bad(int64_t offset)
{
    return is_null(offset) || offset % 7 == 3;
}

struct mill_ctx *sink_start(const char *more)
{
    return fake_new(sink_spec, "--s3-bucket=lake", "--s3-prefix=p/", "--roll-rows=7", "--flush=1h",
                    more ? more : "--s3-region=eu", NULL);
}

enum mill_verdict sink_assign(struct mill_ctx *ctx, const char *topic, int64_t low, int64_t high,
                              int64_t *from, struct mill_err *err)
{
    struct mill_position at = {.topic = topic,
                               .offset = fake_lake.offset,
                               .metadata = mill_str(fake_lake.metadata),
                               .topic_id = TOPIC_ID,
                               .low = low,
                               .high = high};

    *from = at.offset >= 0 ? at.offset : low;
    return sink_spec->sink->on_assign(ctx, &at, from, err);
}

void sink_feed(struct mill_ctx *ctx, const char *topic, int64_t from, int64_t to)
{
    struct mill_err err = {0};

    for (int64_t i = from; i < to && !fake_lake.dead;) {
        struct mill_record in = record_at(topic, i);
        enum mill_verdict v = sink_spec->on_record(ctx, &in, &err);
        if (v == MILL_STOP)
            fail_msg("stop at %lld: %s: %s", (long long)i, err.where, err.text);
        i += v == MILL_DONE;
        if (v == MILL_LATER && !fake_lake.dead)
            assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    }
}

void sink_beside(struct mill_ctx *ctx)
{
    struct sink *s = mill_state(ctx);

    s->beside_bytes = 0;
}

void sink_rest(struct mill_ctx *ctx)
{
    struct mill_err err = {0};

    do {
        assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
        usleep(1000);
    } while (((const struct sink *)mill_state(ctx))->n_uploads);
}

void sink_live(const char *topic, int64_t to)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from = 0;

    if (sink_all_beside)
        sink_beside(ctx);
    assert_int_equal(sink_assign(ctx, topic, 0, to, &from, &err), MILL_DONE);
    sink_feed(ctx, topic, from, to);
    if (!fake_lake.dead) {
        fake_drain(ctx, true);
        sink_spec->sink->on_revoke(ctx, topic, 0, false);
    }
    fake_free(ctx);
}

/** Rows and rejected records of the ranges that follow each other from 0 to `to`. */
static void case_ranges(const char *topic, int64_t to, int64_t *rows, int64_t *rejected)
{
    int64_t at = 0;

    *rows = *rejected = 0;
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
                *rows += atoll(fake_footer(f, "sendmill.rows"));
            else
                *rejected += atoll(fake_footer(f, "sendmill.rows"));
        }
        if (end <= at)
            fail_msg("no object holds offset %lld", (long long)at);
        at = end;
    }
    assert_int_equal(at, to);
    for (size_t i = 0; i < fake_lake.n; i++) /* and no range overlaps another */
        for (size_t k = 0; k < i; k++) {
            struct mill_object a, b;
            assert_true(mill_object_parse(mill_str(fake_lake.objects[i].key), MILL_STR("p/"), &a));
            assert_true(mill_object_parse(mill_str(fake_lake.objects[k].key), MILL_STR("p/"), &b));
            assert_true(a.start == b.start || a.start >= b.end || a.end <= b.start);
        }
}

void sink_check_ranges(const char *topic, int64_t to)
{
    int64_t rows, rejected;

    case_ranges(topic, to, &rows, &rejected);
    assert_int_equal(rows + rejected, to);
}

void sink_check_whole(const char *topic, int64_t to)
{
    int64_t rows, rejected, bad = 0, nulls = 0;

    case_ranges(topic, to, &rows, &rejected);
    for (int64_t i = 0; i < to; i++) {
        bad += is_bad(i);
        nulls += is_null(i);
    }
    assert_int_equal(rejected, bad);
    assert_int_equal(rows, to - bad);
    assert_int_equal(fake_lake.n_failures, bad - nulls); /* each once, in order */
    for (size_t i = 1; i < fake_lake.n_failures; i++)
        assert_true(fake_lake.failures[i].offset > fake_lake.failures[i - 1].offset);
}

void sink_wait_backoff(struct mill_ctx *ctx)
{
    struct sink *s = mill_state(ctx);

    s->retry_ms = 0;
}
