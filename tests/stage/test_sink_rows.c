/* What the sink makes of records: schemas that change, clash, come late or never; raw topics; when
 * a range ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lake/object.h"
#include "sink_case.h"
#include "sink_parquet/range.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/** Old and new schema in turns: after the first growth no more ranges are cut for it. */
static void test_versions_share_a_file(void **state)
{
    struct mill_ctx *ctx = fake_new(sink_spec, "--s3-bucket=lake", "--flush=1h", NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 1, 1000, &from, &err), MILL_DONE);
    assert_int_equal(from, 1); /* an old one */
    sink_feed(ctx, "t", from, 1000);
    assert_int_equal(fake_metric(ctx, 3, 4), 1); /* rolls for a schema */
    assert_int_equal(fake_lake.n, 1);
    fake_free(ctx);
}

static void test_clash_starts_a_file(void **state)
{
    static const char body[] = "\0\0\0\0\3\2";
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 9, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 1);
    struct mill_record in = record_at("t", 1);
    in.raw = (struct mill_str){body, sizeof body - 1};
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 1); /* [0,1) is out */
    sink_feed(ctx, "t", 2, 3);
    assert_int_equal(fake_lake.n, 2); /* and the long one */
    fake_free(ctx);
}

static void test_unreadable_schemas(void **state)
{
    static const char bodies[2][6] = {"\0\0\0\0\4\0", "\0\0\0\0\5\0"};
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 9, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 4; i++) {
        struct mill_record in = record_at("t", i);
        in.raw = (struct mill_str){bodies[i % 2], 6};
        enum mill_verdict v = sink_spec->on_record(ctx, &in, &err);
        if (i == 1) /* unknown: the registry is asked for a while before that is believed */
            assert_int_equal(v, MILL_LATER);
        for (int n = 0; n < 60 && v == MILL_LATER; n++) {
            usleep(100000);
            v = sink_spec->on_record(ctx, &in, &err);
        }
        assert_int_equal(v, MILL_DONE);
    }
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_REJECTED), 4);
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_ROWS), 0);
    fake_drain(ctx, true);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2); /* rejected, on two days */
    fake_free(ctx);
}

/** A topic whose newest schema can never be columns is said at the start, before any record. */
static void test_refused_at_start(void **state)
{
    static const struct {
        const char *option;
        int32_t newest;
        bool down;
        enum mill_verdict want;
    } rows[] = {
        {"--s3-region=eu", RECURSIVE, false, MILL_STOP},
        {"--s3-region=eu", V2, false, MILL_DONE},
        {"--s3-region=eu", 0, false, MILL_DONE},
        {"--s3-region=eu", RECURSIVE, true, MILL_DONE}, /* its records will tell */
        {"--raw-topics=t", RECURSIVE, false, MILL_DONE},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_ctx *ctx = sink_start(rows[i].option);
        struct mill_err err = {0};
        int64_t from;

        fake_lake.newest = rows[i].newest;
        fake_lake.registry_down = rows[i].down;
        if (sink_assign(ctx, "t", 0, 9, &from, &err) != rows[i].want)
            fail_msg("row %zu: %s", i, err.text);
        if (rows[i].want == MILL_STOP) {
            assert_int_equal(err.code, MILL_E_CONFIG);
            assert_non_null(strstr(err.text, "recursive"));
        }
        fake_free(ctx);
    }
}

/** A schema that the registry only learns of later is no reason to reject. */
static void test_late_schema(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 1);
    const char *v1 = fake_lake.schemas[V1 - 1];
    int64_t from;
    (void)state;

    fake_lake.schemas[V1 - 1] = NULL;
    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    fake_lake.schemas[V1 - 1] = v1;
    usleep(300000);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_REJECTED), 0);
    fake_free(ctx);
}

/** What a range rejected for want of a schema must stay rejected in a redo, whose plan names all
 * the range's schemas: a schema that is new to a range with rejected records starts the next one.
 */
static void test_schema_after_reject(void **state)
{
    static const char same[] = "\0\0\0\0\5\4ab"; /* of schema UNKNOWN */
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 0);
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    in.raw = (struct mill_str){0};
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    in = record_at("t", 1);
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 1);
    assert_string_equal(fake_footer(&fake_lake.objects[0], "sendmill.end"), "1");
    assert_string_equal(fake_footer(&fake_lake.objects[0], "sendmill.rejected"), "[0]");
    assert_int_equal(fake_lake.offset, 1);
    /* Also one whose columns the shape has already. */
    fake_lake.schemas[UNKNOWN - 1] = fake_lake.schemas[V1 - 1];
    in = record_at("t", 5); /* has no value */
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    in = record_at("t", 6);
    in.raw = (struct mill_str){same, sizeof same - 1};
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_lake.offset, 6);
    fake_free(ctx);
}

/** What a plan's author could not read stays unread in its redo, although it could be read now: the
 *  plan names the schemas that it had. */
static void test_redo_reads_no_more(void **state)
{
    struct mill_ctx *ctx = NULL;
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    for (int redo = 0; redo < 2; redo++) {
        ctx = fake_new(sink_spec, "--s3-bucket=lake", "--roll-rows=2", "--flush=1h", NULL);
        assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
        fake_lake.s3_down = !redo;
        for (int64_t i = 0; i < 2; i++) {
            struct mill_record in = record_at("t", i);
            in.raw = record_at("t", redo && i ? 2 : 1).raw; /* the newer schema: offset 2 */
            assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
        }
        if (!redo)
            assert_non_null(strstr(fake_lake.metadata, "\"schemas\":[1]"));
        fake_free(ctx);
    }
    assert_int_equal(fake_lake.offset, 2);
    assert_int_equal(fake_lake.n, 2);
    assert_non_null(strstr(fake_lake.objects[1].key, "rejected=t/"));
    assert_string_equal(fake_footer(&fake_lake.objects[1], "sendmill.rejected"), "[1]");
}

/** What cannot be decoded goes out as it came, with the commit that ends its range, not before; a
 *  tombstone, which has nothing to decode, does not. */
static void test_failure_records(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 6); /* 3 is damaged, 5 has no value */
    assert_int_equal(fake_lake.n_failures, 0);
    sink_feed(ctx, "t", 6, 7);
    assert_int_equal(fake_lake.offset, 7);
    assert_int_equal(fake_lake.n_failures, 1);
    assert_int_equal(fake_lake.failures[0].offset, 3);
    assert_int_equal(fake_lake.failures[0].raw_n, record_at("t", 3).raw.n);
    assert_memory_equal(fake_lake.failures[0].raw, record_at("t", 3).raw.p,
                        record_at("t", 3).raw.n);
    assert_string_equal(fake_lake.failures[0].key, "key");
    assert_string_equal(fake_lake.failures[0].header, "v");
    assert_true(strlen(fake_lake.failures[0].why) > 4);
    sink_feed(ctx, "t", 7, 50); /* none goes out twice */
    fake_drain(ctx, true);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    fake_free(ctx);
    sink_check_whole("t", 50);
}

static void test_raw_topic(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "mail.retry.send", 0, 14, &from, &err), MILL_DONE);
    sink_feed(ctx, "mail.retry.send", 0, 14);
    assert_int_equal(fake_lake.n, 4); /* two ranges, two days; nothing is rejected */
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(fake_footer(&fake_lake.objects[i], "sendmill.rejected"), "[]");
    fake_free(ctx);
}

static void test_registry_outage(void **state)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 0);
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    fake_lake.registry_down = true;
    assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_LATER);
    assert_non_null(fake_unready(ctx));
    assert_int_equal(fake_metric(ctx, 0, MILL_OBJECT_REJECTED), 0);
    fake_lake.registry_down = false;
    sink_wait_backoff(ctx);
    sink_feed(ctx, "t", 0, 7);
    assert_null(fake_unready(ctx));
    fake_free(ctx);
    sink_check_whole("t", 7);
}

static void test_flush_by_clock(void **state)
{
    struct mill_ctx *ctx = fake_new(sink_spec, "--s3-bucket=lake", "--flush=1h", NULL);
    const struct sink *s = mill_state(ctx);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 50, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 2);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 0);
    s->parts[0]->opened_ms -= 3600000;
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2);
    assert_int_equal(fake_lake.offset, 2);
    s->parts[0]->opened_ms -= 3600000; /* nothing new: nothing more */
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_int_equal(fake_lake.n, 2);
    fake_free(ctx);
}

static void test_memory(void **state)
{
    struct mill_ctx *ctx =
        fake_new(sink_spec, "--s3-bucket=lake", "--memory=115KiB", "--flush=1h", NULL);
    struct mill_err err = {0};
    struct mill_record in = record_at("t", 5000);
    int64_t from;
    (void)state;

    assert_int_equal(sink_assign(ctx, "t", 0, 9000, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 5000);
    assert_true(fake_metric(ctx, 3, 3) >= 2);
    assert_int_equal(sink_spec->on_poll(ctx, 0, &err), MILL_DONE);
    assert_true(fake_metric(ctx, 5, 0) <= 100 * 1024 + 5000);
    fake_lake.s3_down = true; /* then whoever adds has to wait */
    for (int64_t i = 5000; i < 9000; i++) {
        in = record_at("t", i);
        if (sink_spec->on_record(ctx, &in, &err) == MILL_LATER)
            break;
    }
    assert_true(in.offset < 8999);
    fake_free(ctx);
}

/** An outage freezes the range that was to make room, and cuts no other short. */
static void test_memory_in_outage(void **state)
{
    static const char *const topics[] = {"t", "u", "v"};
    struct mill_ctx *ctx =
        fake_new(sink_spec, "--s3-bucket=lake", "--memory=50KiB", "--flush=1h", NULL);
    struct mill_err err = {0};
    int64_t from, waiting = 0;
    (void)state;

    for (size_t k = 0; k < 3; k++)
        assert_int_equal(sink_assign(ctx, topics[k], 0, 9000, &from, &err), MILL_DONE);
    fake_lake.s3_down = true;
    for (int64_t i = 0; i < 9000 && waiting < 30; i++)
        for (size_t k = 0; k < 3; k++) {
            struct mill_record in = record_at(topics[k], i);
            waiting += sink_spec->on_record(ctx, &in, &err) == MILL_LATER;
        }
    assert_true(waiting >= 30);
    assert_int_equal(fake_metric(ctx, 3, 3), 1);
    fake_free(ctx);
}

/** A topic's rows by the hour, and by a time of their own; another topic's as ever. */
static void test_layout(void **state)
{
    static const struct {
        const char *option, *topic, *want;
    } rows[] = {
        {"--hours=u*,t", "t", "topic=t/dt=1970-01-02/hour=03/"},
        {"--hours=u*", "u.1", "topic=u.1/dt=1970-01-02/hour=03/"},
        {"--hours=u*", "t", "topic=t/dt=1970-01-02/t+"},
        {"--event-time=t:at", "t", "topic=t/dt=1970-01-03/t+"},
        {"--event-time=u:at", "t", "topic=t/dt=1970-01-02/t+"},
        {"--event-time=t:id", "t", "topic=t/dt=1970-01-02/t+"}, /* that is no time */
    };
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},"
        "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}";
    static const char body[] = "\0\0\0\0\1\2a\200\232\235\250\1"; /* 3rd January, 01:00 */
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_ctx *ctx =
            fake_new(sink_spec, "--s3-bucket=lake", "--roll-rows=1", rows[i].option, NULL);
        struct mill_err err = {0};
        struct mill_record in = record_at(rows[i].topic, 0);
        int64_t from;

        fake_lake_reset();
        fake_lake.schemas[V1 - 1] = schema;
        in.timestamp_us = INT64_C(1000000) * (86400 + 3 * 3600 + 59);
        in.raw = (struct mill_str){body, sizeof body - 1};
        assert_int_equal(sink_assign(ctx, rows[i].topic, 0, 100, &from, &err), MILL_DONE);
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
        assert_int_equal(fake_lake.n, 1);
        assert_memory_equal(fake_lake.objects[0].key, rows[i].want, strlen(rows[i].want));
        fake_free(ctx);
    }
}

/** Rows of two days in one range: each in its own day's object, under the range's one name. */
static void test_late_rows(void **state)
{
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},"
        "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}";
    static const struct mill_str bodies[] = {{"\0\0\0\0\1\2a\200\232\235\250\1", 12},
                                             {"\0\0\0\0\1\2a\2", 8}}; /* 3rd January; the 1st */
    struct mill_ctx *ctx =
        fake_new(sink_spec, "--s3-bucket=lake", "--roll-rows=3", "--event-time=t:at", NULL);
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    fake_lake.schemas[V1 - 1] = schema;
    assert_int_equal(sink_assign(ctx, "t", 0, 100, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < 3; i++) {
        struct mill_record in = record_at("t", i);
        in.timestamp_us = INT64_C(1000000) * 86400 * 2;
        in.raw = bodies[i % 2];
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    }
    assert_int_equal(fake_lake.n, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct fake_object *o = &fake_lake.objects[i];
        bool late = strstr(o->key, "dt=1970-01-01/t+" TOPIC_ID "+0+0-3.parquet") != NULL;
        assert_true(late || strstr(o->key, "dt=1970-01-03/t+" TOPIC_ID "+0+0-3.parquet"));
        assert_string_equal(fake_footer(o, "sendmill.rows"), late ? "1" : "2");
    }
    fake_free(ctx);
}

/** A range ends at so many bytes of rows, and at 4 MiB of records to be said as failures, which
 *  have to fit into one transaction. */
static void test_rolls_by_bytes(void **state)
{
    enum { ROLL_BYTES = 2, DAMAGED = 100 << 10 };
    char *damaged = calloc(1, DAMAGED);
    struct mill_err err = {0};
    struct mill_ctx *ctx;
    int64_t from, n = 0;
    (void)state;

    ctx = fake_new(sink_spec, "--s3-bucket=lake", "--roll-bytes=4KiB", "--flush=1h", NULL);
    assert_int_equal(sink_assign(ctx, "t", 0, 300, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", 0, 300);
    assert_true(fake_metric(ctx, 3, ROLL_BYTES) >= 2);
    fake_free(ctx);
    sink_setup(NULL);
    ctx = fake_new(sink_spec, "--s3-bucket=lake", "--flush=1h", NULL);
    assert_non_null(damaged);
    assert_int_equal(sink_assign(ctx, "t", 0, 300, &from, &err), MILL_DONE);
    for (; n < 60 && fake_metric(ctx, 3, ROLL_BYTES) < 1; n++) {
        struct mill_record in = record_at("t", n);
        in.raw = (struct mill_str){damaged, DAMAGED};
        damaged[0] = 1; /* no frame */
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    }
    assert_in_range(n * DAMAGED, 4 << 20, (4 << 20) + DAMAGED);
    sink_rest(ctx);
    assert_int_equal(fake_lake.n_failures, n);
    fake_free(ctx);
    free(damaged);
}

/** A range of many paths ends before the names of its files, which each of its footers has, are too
 *  long to be written: a plan that cannot be carried out would stop every owner. */
static void test_many_paths(void **state)
{
    enum { ROWS = 100, ROLL_FILES = 7 };
    struct mill_ctx *ctx =
        fake_new(sink_spec, "--s3-bucket=lake", "--raw-topics=t", "--hours=t", "--flush=1h", NULL);
    struct mill_err err = {0};
    int64_t from, rows = 0;
    (void)state;

    ((struct sink *)mill_state(ctx))->names_max = 4096;
    assert_int_equal(sink_assign(ctx, "t", 0, ROWS, &from, &err), MILL_DONE);
    for (int64_t i = 0; i < ROWS; i++) {
        struct mill_record in = record_at("t", i);
        in.timestamp_us = i * 3600000000;
        assert_int_equal(sink_spec->on_record(ctx, &in, &err), MILL_DONE);
    }
    assert_in_range(fake_metric(ctx, 3, ROLL_FILES), 3, 5);
    fake_drain(ctx, true);
    sink_spec->sink->on_revoke(ctx, "t", 0, false);
    for (size_t i = 0; i < fake_lake.n; i++)
        rows += atoll(fake_footer(&fake_lake.objects[i], "sendmill.rows"));
    assert_int_equal(rows, ROWS);
    fake_free(ctx);
}

/** At the memory's limit the largest range ends, not the one that happens to get a record. */
static void test_largest_first(void **state)
{
    struct mill_ctx *ctx =
        fake_new(sink_spec, "--s3-bucket=lake", "--memory=160KiB", "--flush=1h", NULL);
    struct mill_err err = {0};
    int64_t from, n = 400;
    (void)state;

    for (size_t k = 0; k < 3; k++)
        assert_int_equal(sink_assign(ctx, (const char *[]){"t", "u", "v"}[k], 0, 9000, &from, &err),
                         MILL_DONE);
    sink_feed(ctx, "t", 0, 50);
    sink_feed(ctx, "u", 0, n);
    assert_int_equal(fake_metric(ctx, 3, 3), 0);
    for (int64_t i = 0; i < 2 * n && fake_metric(ctx, 3, 3) < 1; i++) {
        sink_feed(ctx, "t", 50 + i / 4, 50 + i / 4 + 1);
        sink_feed(ctx, "v", i / 4, i / 4 + 1);
    }
    assert_int_equal(fake_metric(ctx, 3, 3), 1);
    for (size_t i = 0; i < fake_lake.n; i++)
        assert_non_null(strstr(fake_lake.objects[i].key, "=u/"));
    fake_free(ctx);
}

static void test_bad_options(void **state)
{
    static const char *const options[] = {"--columns=mail.requests:a=burn", "--meta-columns=_time",
                                          "--event-time=mail.events", "--s3-prefix=lake"};
    (void)state;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct mill_ctx *ctx = fake_new_closed(sink_spec, "--s3-bucket=b", options[i], NULL);
        struct mill_err err = {0};

        assert_int_equal(sink_spec->open(ctx, &err), MILL_E_CONFIG);
        fake_free(ctx);
    }
}

/** The process of test_bad_library. @return its exit status */
static int bad_library(void)
{
    struct mill_ctx *ctx =
        fake_new_closed(sink_spec, "--s3-bucket=b", "--parquet-lib=no/such/lib.so", NULL);
    struct mill_err err = {0};
    enum mill_code code = sink_spec->open(ctx, &err);

    fake_free(ctx);
    return code == MILL_E_CONFIG && !strcmp(err.where, "parquet-lib") ? 0 : 1;
}

/** In a process of its own: in this one the library is loaded, and its path is of no account. */
static void test_bad_library(void **state)
{
    int status = -1;
    pid_t pid = fork();
    (void)state;

    if (pid == 0) {
        execl("/proc/self/exe", "sink_rows", "bad-library", (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, sink_setup, sink_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(test_versions_share_a_file),
        T(test_clash_starts_a_file),
        T(test_unreadable_schemas),
        T(test_refused_at_start),
        T(test_failure_records),
        T(test_late_schema),
        T(test_schema_after_reject),
        T(test_redo_reads_no_more),
        T(test_raw_topic),
        T(test_registry_outage),
        T(test_flush_by_clock),
        T(test_memory),
        T(test_memory_in_outage),
        T(test_bad_options),
        T(test_bad_library),
        T(test_layout),
        T(test_late_rows),
        T(test_rolls_by_bytes),
        T(test_many_paths),
        T(test_largest_first),
    };
    (void)argv;
    if (argc > 1)
        return bad_library();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
