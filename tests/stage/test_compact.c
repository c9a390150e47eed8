/* Compaction of what the sink has written, in a bucket in memory: killed at each act, done twice,
 * raced by another, and what readers see at every moment. */
#include "cases.h"
#include "compact/job.h"
#include "sink_case.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECORDS = 36, HOUR_MS = 3600000, RUNS_MAX = 8 };
#define TOPIC "ev"
static const struct mill_s3_opts s3 = {.bucket = "lake", .prefix = "p/"};

/** What a reader's list of files holds. */
struct view {
    int64_t rows, files;
};

static struct {
    int64_t rows;         /**< of the lake */
    int64_t plain_twice;  /**< most rows that a plain reader has seen too many */
    int64_t plain_missed; /**< or too few */
    int acts;
} seen;

static int64_t rows_of(const struct fake_object *o)
{
    return strtoll(fake_footer(o, "sendmill.rows"), NULL, 10);
}

static bool parse(const struct fake_object *o, struct mill_object *out)
{
    return mill_object_parse(mill_str(o->key), MILL_STR("p/"), out);
}

/** Does another file of the same path and partition have this one's range? */
static bool covered(size_t i, const struct mill_object *o)
{
    for (size_t k = 0; k < fake_lake.n; k++) {
        struct mill_object m;
        if (k != i && parse(&fake_lake.objects[k], &m) && m.kind == o->kind && m.day == o->day &&
            m.partition == o->partition && m.start <= o->start && m.end >= o->end)
            return true;
    }
    return false;
}

/** @param exact leaves out the files whose range another one has: README's rule */
static struct view view(bool exact)
{
    struct view v = {0};

    for (size_t i = 0; i < fake_lake.n; i++) {
        struct mill_object o;
        if (!parse(&fake_lake.objects[i], &o) || (exact && covered(i, &o)))
            continue;
        v.rows += rows_of(&fake_lake.objects[i]);
        v.files++;
    }
    return v;
}

static void on_act(void)
{
    int64_t plain = view(false).rows - seen.rows;

    seen.acts++;
    assert_int_equal(view(true).rows, seen.rows);
    seen.plain_twice = plain > seen.plain_twice ? plain : seen.plain_twice;
    seen.plain_missed = -plain > seen.plain_missed ? -plain : seen.plain_missed;
}

static void on_step(void *arg, const struct mill_compact_step *s, struct mill_str name,
                    enum mill_compact_said said)
{
    (void)arg;
    (void)s;
    (void)said;
    assert_true(name.n > 0);
}

static void on_finding(void *arg, const struct mill_audit_finding *f)
{
    bool *found = arg;

    if (!found)
        fail_msg("%s [%lld,%lld) %.*s: %.*s", mill_audit_fault_name(f->fault), (long long)f->start,
                 (long long)f->end, MILL_FMT(f->object), MILL_FMT(f->detail));
    *found = true;
}

static struct mill_compact_job job_new(void)
{
    struct mill_compact_job job = {.s3 = &s3,
                                   .grace_ms = 2 * HOUR_MS,
                                   .older_than_ms = 24 * HOUR_MS,
                                   .target_bytes = 128 << 20,
                                   .step = on_step,
                                   .finding = on_finding};
    struct mill_err err = {0};

    assert_int_equal(mill_parquet_load(NULL, &job.lib, &err), MILL_OK);
    return job;
}

static void run(struct mill_compact_job *job)
{
    struct mill_err err = {0};

    if (mill_compact_run(job, TOPIC, &err))
        fail_msg("%s: %s", err.where, err.text);
}

/** The lake as the sink leaves it. */
static void fill(void)
{
    sink_setup(NULL);
    sink_live(TOPIC, RECORDS);
    fake_lake.now_ms = HOUR_MS;
    seen.rows = view(false).rows;
    seen.plain_twice = seen.plain_missed = seen.acts = 0;
    assert_int_equal(seen.rows, RECORDS);
    assert_true(fake_lake.n > 10);
    fake_lake.on_act = on_act;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/** All names and plans of the bucket, as one text. */
static char *names(void)
{
    enum { NAMES_BYTES = 1 << 20 };
    char **v = calloc(fake_lake.n + 1, sizeof *v), *out = calloc(1, NAMES_BYTES);
    size_t at = 0;

    assert_true(v && out);
    for (size_t i = 0; i < fake_lake.n; i++)
        v[i] = fake_lake.objects[i].key;
    qsort(v, fake_lake.n, sizeof *v, by_text);
    for (size_t i = 0; i < fake_lake.n && at < NAMES_BYTES; i++)
        at += (size_t)snprintf(out + at, NAMES_BYTES - at, "%s\n", v[i]);
    assert_true(at < NAMES_BYTES);
    free(v);
    return out;
}

static size_t staged(void)
{
    size_t n = 0;

    for (size_t i = 0; i < fake_lake.n; i++)
        n += strncmp(fake_lake.objects[i].key, "p/merging/", 10) == 0;
    return n;
}

/** Runs, with the grace passing between them, until nothing changes. */
static void settle(void)
{
    char *before = names();

    for (int i = 0;; i++) {
        struct mill_compact_job job = job_new();
        char *after;
        assert_true(i < RUNS_MAX);
        fake_lake.now_ms += 3 * HOUR_MS;
        run(&job);
        assert_int_equal(job.faults, 0);
        after = names();
        if (!strcmp(before, after) && !staged()) {
            free(after);
            break;
        }
        free(before);
        before = after;
    }
    free(before);
}

/** A group that has lost its offsets still begins where the lake ends. */
static void check_sink_goes_on(void)
{
    struct mill_ctx *ctx = sink_start(NULL);
    struct mill_err err = {0};
    int64_t from = 0;

    fake_lake.on_act = NULL;
    fake_lake.offset = -1;
    assert_int_equal(sink_assign(ctx, TOPIC, 0, RECORDS, &from, &err), MILL_DONE);
    assert_int_equal(from, RECORDS);
    fake_free(ctx);
}

static void test_whole(void **state)
{
    struct mill_compact_job job = job_new(), next = job_new(), last = job_new();
    struct view before, after;
    char *then;

    (void)state;
    fill();
    before = view(false);
    run(&job);
    assert_true(job.sum[MILL_COMPACT_MERGE].steps >= 3); /* two days, and the rejected ones' */
    assert_int_equal(staged(), job.sum[MILL_COMPACT_MERGE].steps);
    after = view(false);
    assert_int_equal(after.files, before.files); /* nobody sees them yet */
    run(&next);                                  /* too early */
    assert_int_equal(next.sum[MILL_COMPACT_WAIT].steps, job.sum[MILL_COMPACT_MERGE].steps);
    assert_int_equal(next.sum[MILL_COMPACT_SWAP].steps + next.sum[MILL_COMPACT_MERGE].steps, 0);
    fake_lake.now_ms += 3 * HOUR_MS;
    run(&last);
    assert_int_equal(last.sum[MILL_COMPACT_SWAP].steps, job.sum[MILL_COMPACT_MERGE].steps);
    assert_int_equal(last.sum[MILL_COMPACT_SWAP].rows, job.sum[MILL_COMPACT_MERGE].rows);
    after = view(false);
    assert_int_equal(after.rows, seen.rows);
    assert_true(after.files < before.files / 2);
    assert_int_equal(staged(), 0);
    assert_int_equal(seen.plain_missed, 0); /* never not at all */
    then = names();
    settle();
    char *now = names();
    assert_string_equal(now, then); /* a second time is nothing */
    free(now);
    free(then);
    check_sink_goes_on();
}

/** Lives until one dies at the act, or until nothing is left to be done. */
static void live(int die_at, bool after)
{
    const int base = fake_lake.acts;

    fake_lake.die_at = base + die_at;
    fake_lake.die_after = after;
    for (int i = 0; i < RUNS_MAX && !fake_lake.dead; i++) {
        struct mill_compact_job job = job_new();
        struct mill_err err = {0};
        (void)!mill_compact_run(&job, TOPIC, &err);
        fake_lake.now_ms += 3 * HOUR_MS;
    }
    assert_true(fake_lake.dead);
    fake_lake.dead = false;
    fake_lake.die_at = 0;
}

/** Killed at each act, before and after its effect: whoever comes next finishes it. */
static void test_killed(void **state)
{
    char *want;
    int acts;

    (void)state;
    fill();
    acts = fake_lake.acts;
    settle();
    acts = fake_lake.acts - acts;
    want = names();
    assert_true(acts > 12);
    for (int at = 1; at <= acts; at++)
        for (int after = 0; after < 2; after++) {
            char *got;
            fill();
            live(at, after);
            settle();
            got = names();
            assert_string_equal(got, want);
            free(got);
        }
    free(want);
}

/** Each read fails once, footers' and parts': nothing is put by half, and the next run does it. */
static void test_unreadable(void **state)
{
    struct mill_err err = {0};
    enum mill_code rc = MILL_E_IO;
    char *want;

    (void)state;
    fill();
    settle();
    want = names();
    for (int at = 1; rc; at++) {
        struct mill_compact_job job = job_new();
        char *got;
        fill();
        atomic_store(&fake_lake.gets, 0);
        fake_lake.fail_get = at;
        rc = mill_compact_run(&job, TOPIC, &err);
        assert_true(rc == MILL_E_IO || (!rc && at > atomic_load(&fake_lake.gets)));
        fake_lake.fail_get = 0;
        settle();
        got = names();
        assert_string_equal(got, want);
        free(got);
    }
    free(want);
}

static bool sleeps(void)
{
    usleep(30000);
    return false;
}

static void sleep_over_it(struct mill_compact_job job)
{
    struct mill_err err = {0};
    char *before = names(), *after;

    job.grace_ms = 40;
    job.stopped = sleeps;
    assert_int_equal(mill_compact_run(&job, TOPIC, &err), MILL_E_STATE);
    after = names();
    assert_string_equal(before, after);
    free(after);
    free(before);
}

/** Whoever slept longer than a quarter of the grace puts nothing and deletes nothing. */
static void test_slept(void **state)
{
    struct mill_compact_job job = job_new();

    (void)state;
    fill();
    sleep_over_it(job);
    job = job_new();
    run(&job); /* merged: */
    fake_lake.now_ms += 3 * HOUR_MS;
    sleep_over_it(job);
    settle();
}

static void rival(void)
{
    struct mill_compact_job job = job_new();

    fake_lake.on_act = on_act;
    job.target_bytes = 3000; /* pairs of those of topic= */
    run(&job);
}

/** Another run merges the same files in another way in the middle of this one. */
static void test_race(void **state)
{
    struct mill_compact_job job = job_new();

    (void)state;
    fill();
    fake_lake.on_act = rival; /* after the first file is put */
    run(&job);
    assert_true(staged() > (size_t)job.sum[MILL_COMPACT_MERGE].steps);
    settle();
    assert_int_equal(view(false).rows, seen.rows);
}

/** The merged file is lost in the moment in which its parts go. */
static void vandal(void)
{
    size_t at = 0;
    int64_t most = 0;

    for (size_t i = 0; i < fake_lake.n; i++) {
        struct mill_object o;
        if (parse(&fake_lake.objects[i], &o) && o.end - o.start > most) {
            most = o.end - o.start;
            at = i;
        }
    }
    fake_lake.on_act = NULL;
    fake_lake.objects[at].key[0] = '-'; /* is no name of the lake's any more */
}

static void copied(void)
{
    fake_lake.on_act = vandal; /* with the next act, the first part's end */
}

/** What is left after the parts have gone is audited again. */
static void test_audit_after(void **state)
{
    struct mill_compact_job job = job_new(), next = job_new();
    bool found = false;

    (void)state;
    fill();
    run(&job);
    fake_lake.now_ms += 3 * HOUR_MS;
    fake_lake.on_act = copied;
    next.arg = &found;
    run(&next);
    assert_true(next.sum[MILL_COMPACT_SWAP].steps > 0);
    assert_true(found && next.faults > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_whole, sink_teardown),
        cmocka_unit_test_teardown(test_killed, sink_teardown),
        cmocka_unit_test_teardown(test_unreadable, sink_teardown),
        cmocka_unit_test_teardown(test_slept, sink_teardown),
        cmocka_unit_test_teardown(test_race, sink_teardown),
        cmocka_unit_test_teardown(test_audit_after, sink_teardown),
    };

    return cmocka_run_group_tests_name("compact", tests, NULL, NULL);
}
