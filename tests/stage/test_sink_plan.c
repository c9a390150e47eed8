/* A plan that is found by a sink whose options are others: it is carried out as it was planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sink_case.h"
#include <stdio.h>
#include <stdlib.h>

enum { TO = 20, ACTS = 2 /**< the plan is committed, its first object is lost */ };

/** One life under an option; dies at its n-th act (0 = never). */
static void life(const char *option, int die_at)
{
    struct mill_ctx *ctx = sink_start(option);
    struct mill_err err = {0};
    int64_t from = 0;

    fake_lake.die_at = die_at ? fake_lake.acts + die_at : 0;
    assert_int_equal(sink_assign(ctx, "t", 0, TO, &from, &err), MILL_DONE);
    sink_feed(ctx, "t", from, TO);
    if (!fake_lake.dead) {
        fake_drain(ctx, true);
        sink_spec->sink->on_revoke(ctx, "t", 0, false);
    }
    fake_free(ctx);
    fake_lake.dead = false;
    fake_lake.die_at = 0;
}

struct kept {
    char key[256];
    char *bytes;
    size_t n;
};

/** The objects of the first range. @own bytes new */
static size_t first_range(struct kept *out, size_t most)
{
    size_t n = 0;

    for (size_t i = 0; i < fake_lake.n; i++) {
        const struct fake_object *o = &fake_lake.objects[i];
        if (strcmp(fake_footer(o, "sendmill.start"), "0") != 0)
            continue;
        assert_true(n < most);
        snprintf(out[n].key, sizeof out[n].key, "%s", o->key);
        out[n].bytes = malloc(o->n);
        assert_non_null(out[n].bytes);
        memcpy(out[n].bytes, o->bytes, o->n);
        out[n++].n = o->n;
    }
    return n;
}

/** Whatever changes between a plan and its redo: same names, same bytes; the next range is by the
 *  options of now. */
static void test_options_change_before_redo(void **state)
{
    static const struct {
        const char *before, *now, *next; /**< what the next range's names hold */
    } rows[] = {
        {"--s3-region=eu", "--hours=t", "/hour=00/"},
        {"--hours=t", "--s3-region=eu", "/dt=1970-01-01/t+"},
        {"--columns=t:id=mask", "--columns=t:id=drop", "/dt=1970-01-01/t+"},
        {"--meta-columns=_offset,_key", "--meta-columns=_topic", "/dt=1970-01-01/t+"},
        {"--raw-topics=t", "--raw-topics=u", "/dt=1970-01-01/t+"},
        {"--event-time=t:n", "--hours=*", "/hour=00/"},
        {"--columns=t:id=keep,n=drop,other.path=hash", "--columns=u:id=keep", "/dt=1970-01-01/t+"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kept want[8], got[8];
        size_t n;

        sink_setup(NULL);
        setenv("MILL_SINK_PARQUET_HASH_KEY", "k", 1);
        life(rows[i].before, 0);
        n = first_range(want, 8);
        assert_true(n >= 2);
        sink_teardown(NULL);
        sink_setup(NULL);
        life(rows[i].before, ACTS);
        assert_int_equal(fake_lake.n, 0);
        life(rows[i].now, 0);
        sink_check_ranges("t", TO);
        if (first_range(got, 8) != n)
            fail_msg("row %zu: %zu objects were planned", i, n);
        for (size_t k = 0; k < n; k++) {
            assert_string_equal(got[k].key, want[k].key);
            assert_int_equal(got[k].n, want[k].n);
            assert_memory_equal(got[k].bytes, want[k].bytes, want[k].n);
            free(got[k].bytes);
            free(want[k].bytes);
        }
        if (!strstr(fake_lake.objects[fake_lake.n - 1].key, rows[i].next))
            fail_msg("row %zu: %s", i, fake_lake.objects[fake_lake.n - 1].key);
        sink_teardown(NULL);
    }
    unsetenv("MILL_SINK_PARQUET_HASH_KEY");
}

/** The one thing that a plan does not tell is the key of its hashes: without it the sink stops and
 *  says so, and goes on once it is run with it. */
static void test_hash_key_changes(void **state)
{
    struct mill_ctx *ctx;
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    setenv("MILL_SINK_PARQUET_HASH_KEY", "old", 1);
    life("--columns=t:id=hash", ACTS);
    setenv("MILL_SINK_PARQUET_HASH_KEY", "new", 1);
    ctx = sink_start("--columns=t:id=hash");
    assert_int_equal(sink_assign(ctx, "t", 0, TO, &from, &err), MILL_STOP);
    assert_non_null(strstr(err.text, "hash-key"));
    assert_int_equal(fake_lake.n, 0);
    fake_free(ctx);
    setenv("MILL_SINK_PARQUET_HASH_KEY", "old", 1);
    life("--columns=t:id=hash", 0);
    sink_check_whole("t", TO);
    unsetenv("MILL_SINK_PARQUET_HASH_KEY");
}

/** A plan of a sink that did not record its layout yet: carried out where the options are the same,
 *  told by their hash. */
static void test_older_plan(void **state)
{
    char *layout, *end;
    struct mill_ctx *ctx;
    struct mill_err err = {0};
    int64_t from;
    (void)state;

    life("--hours=t", ACTS);
    layout = strstr(fake_lake.metadata, ",\"layout\":");
    assert_non_null(layout);
    end = strchr(layout, '}');
    assert_non_null(end);
    memmove(layout, end + 1, strlen(end));
    ctx = sink_start(NULL);
    assert_int_equal(sink_assign(ctx, "t", 0, TO, &from, &err), MILL_STOP);
    assert_non_null(strstr(err.text, "run once with the options of before"));
    fake_free(ctx);
    life("--hours=t", 0);
    sink_check_whole("t", TO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, sink_setup, sink_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_options_change_before_redo),
        T(test_hash_key_changes),
        T(test_older_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
