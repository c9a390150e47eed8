/* Which files become one: objects in, steps out. */
#include "lake/compact.h"

#include "cases.h"
#include <stdio.h>
#include <stdlib.h>

enum { OBJECTS_MAX = 10, STEPS_MAX = 8, MIB = 1 << 20 };
#define PREFIX "l/"

/** An object: day, range, MiB; parts: "0-5,5-10" makes it a merged one. */
struct there {
    int day;
    int64_t start, end;
    uint64_t mib;
    const char *parts;
    int64_t age_ms; /* staged, if not 0 */
    int partition;
    bool rejected, no_footer, left;
};

struct want {
    enum mill_compact_act act;
    int64_t start, end;
    size_t n;
};

#define OX(day_, start_, end_, mib_, ...)                                                          \
    {                                                                                              \
        .day = (day_), .start = (start_), .end = (end_), .mib = (mib_), __VA_ARGS__                \
    }
#define O(day_, start_, end_, mib_) OX(day_, start_, end_, mib_, .left = false)

static const struct compact_case {
    const char *name;
    struct there v[OBJECTS_MAX];
    struct want want[STEPS_MAX];
} cases[] = {
    {"neighbours",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), O(1, 20, 30, 1), O(9, 30, 40, 1)},
     {{MILL_COMPACT_MERGE, 0, 30, 3}}},
    {"one is nothing", {O(1, 0, 10, 1), O(9, 10, 20, 1)}, {{0}}},
    {"the last range stays",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), O(1, 20, 30, 1)},
     {{MILL_COMPACT_MERGE, 0, 20, 2}}},
    {"the last range stays, in all its paths",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), O(1, 20, 30, 1), OX(1, 20, 30, 1, .rejected = true),
      O(2, 20, 30, 1)},
     {{MILL_COMPACT_MERGE, 0, 20, 2}}},
    {"a partition's last range is its own",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), O(9, 20, 30, 1), OX(1, 0, 50, 1, .partition = 1)},
     {{MILL_COMPACT_MERGE, 0, 20, 2}}},
    {"paths are apart",
     {O(1, 0, 10, 1), O(2, 0, 10, 1), O(1, 10, 20, 1), O(2, 10, 20, 1), O(9, 20, 30, 1)},
     {{MILL_COMPACT_MERGE, 0, 20, 2}, {MILL_COMPACT_MERGE, 0, 20, 2}}},
    {"rows of other days lie between",
     {O(1, 0, 10, 1), O(1, 50, 60, 1), O(9, 10, 50, 1), O(9, 60, 70, 1)},
     {{MILL_COMPACT_MERGE, 0, 60, 2}}},
    {"rejected ones too",
     {OX(1, 0, 10, 1, .rejected = true), OX(1, 10, 20, 1, .rejected = true), O(9, 20, 30, 1)},
     {{MILL_COMPACT_MERGE, 0, 20, 2}}},
    {"an open day", {O(5, 0, 10, 1), O(5, 10, 20, 1), O(9, 20, 30, 1)}, {{0}}},
    {"to the target",
     {O(1, 0, 10, 30), O(1, 10, 20, 30), O(1, 20, 30, 30), O(1, 30, 40, 30), O(1, 40, 50, 30),
      O(9, 50, 60, 1)},
     {{MILL_COMPACT_MERGE, 0, 30, 3}, {MILL_COMPACT_MERGE, 30, 50, 2}}},
    {"a large one is not spanned",
     {O(1, 0, 10, 1), O(1, 10, 20, 60), O(1, 20, 30, 1), O(1, 30, 40, 1), O(9, 40, 50, 1)},
     {{MILL_COMPACT_MERGE, 20, 40, 2}}},
    {"nor one without a footer",
     {O(1, 0, 10, 1), OX(1, 10, 20, 1, .no_footer = true), O(1, 20, 30, 1), O(9, 40, 50, 1)},
     {{0}}},
    {"a partition with faults",
     {OX(1, 0, 10, 1, .left = true), OX(1, 10, 20, 1, .left = true), O(9, 20, 30, 1)},
     {{0}}},
    {"staged: it waits, and its parts are taken",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 5),
      O(9, 20, 30, 1)},
     {{MILL_COMPACT_WAIT, 0, 20, 2}}},
    {"staged: its time has come",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 100),
      O(9, 20, 30, 1)},
     {{MILL_COMPACT_SWAP, 0, 20, 2}}},
    {"killed between copy and delete",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), OX(1, 0, 20, 1, .parts = "0-10,10-20"),
      OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 100), O(9, 20, 30, 1)},
     {{MILL_COMPACT_SWEEP, 0, 20, 2}, {MILL_COMPACT_DROP, 0, 20, 0}}},
    {"killed in the middle of the deletes",
     {O(1, 10, 20, 1), OX(1, 0, 20, 1, .parts = "0-10,10-20"),
      OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 100), O(9, 20, 30, 1)},
     {{MILL_COMPACT_SWEEP, 0, 20, 1}, {MILL_COMPACT_DROP, 0, 20, 0}}},
    {"killed before the copy under merging/ went",
     {OX(1, 0, 20, 1, .parts = "0-10,10-20"), OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 100),
      O(9, 20, 30, 1)},
     {{MILL_COMPACT_DROP, 0, 20, 0}}},
    {"done: nothing more", {OX(1, 0, 20, 1, .parts = "0-10,10-20"), O(9, 20, 30, 1)}, {{0}}},
    {"a merged one is not merged again",
     {OX(1, 0, 20, 1, .parts = "0-10,10-20"), O(1, 20, 30, 1), O(1, 30, 40, 1), O(9, 40, 50, 1)},
     {{MILL_COMPACT_MERGE, 20, 40, 2}}},
    {"of two that raced the longer, then what is left",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), O(1, 20, 30, 1), O(1, 30, 40, 1),
      OX(1, 0, 30, 1, .parts = "0-10,10-20,20-30", .age_ms = 100),
      OX(1, 20, 40, 1, .parts = "20-30,30-40", .age_ms = 100), O(9, 40, 50, 1)},
     {{MILL_COMPACT_SWAP, 0, 30, 3}, {MILL_COMPACT_DROP, 20, 40, 0}}},
    {"the loser, when the winner has swept their common part",
     {OX(1, 0, 30, 1, .parts = "0-10,10-20,20-30"), O(1, 30, 40, 1),
      OX(1, 20, 40, 1, .parts = "20-30,30-40", .age_ms = 100), O(9, 40, 50, 1)},
     {{MILL_COMPACT_DROP, 20, 40, 0}}},
    {"a part is gone and nobody has its rows: kept",
     {O(1, 0, 10, 1), OX(1, 0, 20, 1, .parts = "0-10,10-20", .age_ms = 100), O(9, 20, 30, 1)},
     {{MILL_COMPACT_STUCK, 0, 20, 1}}},
    {"staged, without a footer: kept",
     {O(1, 0, 10, 1), O(1, 10, 20, 1), OX(1, 0, 20, 1, .no_footer = true, .age_ms = 100),
      O(9, 20, 30, 1)},
     {{MILL_COMPACT_STUCK, 0, 20, 0}, {MILL_COMPACT_MERGE, 0, 20, 2}}},
};

static struct mill_str name_of(const struct there *t, int64_t start, int64_t end,
                               struct mill_arena *mem)
{
    return mill_arena_printf(mem, PREFIX "%s=t/dt=1970-01-%02d/t+id+%d+%lld-%lld.parquet",
                             t->rejected ? "rejected" : "topic", t->day + 1, t->partition,
                             (long long)start, (long long)end);
}

static struct mill_str parts_of(const struct there *t, struct mill_arena *mem)
{
    struct mill_str out = MILL_STR("[");

    for (const char *p = t->parts; *p; p += strcspn(p, ","), p += *p == ',') {
        long long start = 0, end = 0;
        assert_int_equal(sscanf(p, "%lld-%lld", &start, &end), 2);
        struct mill_str name = name_of(t, start, end, mem);
        out = mill_arena_printf(mem, "%.*s%s{\"object\":\"%.*s\"}", MILL_FMT(out),
                                p == t->parts ? "" : ",", MILL_FMT(name));
    }
    return mill_arena_printf(mem, "%.*s]", MILL_FMT(out));
}

static struct mill_compact_object object_of(const struct there *t, struct mill_arena *mem)
{
    struct mill_compact_object o = {.bytes = t->mib * MIB, .left = t->left, .age_ms = t->age_ms};
    struct mill_footer *f = mill_arena_calloc(mem, 1, sizeof *f);

    o.name = o.key = name_of(t, t->start, t->end, mem);
    o.staged = t->age_ms != 0;
    if (o.staged)
        o.key = mill_arena_printf(mem, PREFIX MILL_COMPACT_STAGED "%s", o.name.p + 2);
    assert_true(mill_object_parse(o.name, MILL_STR(PREFIX), &o.o));
    f->rows = t->end - t->start;
    if (t->parts)
        f->parts = parts_of(t, mem);
    o.footer = t->no_footer ? NULL : f;
    return o;
}

static void test_case(void **state)
{
    const struct compact_case *c = *state;
    const struct mill_compact_conf conf = {
        .prefix = MILL_STR(PREFIX), .open_day = 5, .target_bytes = 100 * MIB, .grace_ms = 100};
    struct mill_compact_object v[OBJECTS_MAX];
    struct mill_compact_plan plan;
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    size_t n = 0, want = 0;

    for (; n < OBJECTS_MAX && c->v[n].end; n++)
        v[n] = object_of(&c->v[n], &mem);
    for (int turn = 0; turn < 2; turn++) { /* the order of the listing is no matter */
        for (size_t i = 0; turn && i < n / 2; i++) {
            struct mill_compact_object o = v[i];
            v[i] = v[n - 1 - i];
            v[n - 1 - i] = o;
        }
        assert_int_equal(mill_compact_plan(v, n, &conf, &mem, &plan, &err), MILL_OK);
        for (want = 0; want < STEPS_MAX && c->want[want].end; want++) {
            assert_true(want < plan.n);
            assert_string_equal(mill_compact_act_name(plan.v[want].act),
                                mill_compact_act_name(c->want[want].act));
            assert_int_equal(plan.v[want].o.start, c->want[want].start);
            assert_int_equal(plan.v[want].o.end, c->want[want].end);
            assert_int_equal(plan.v[want].n, c->want[want].n);
            for (size_t k = 0; k < plan.v[want].n; k++) {
                const struct mill_compact_object *part = &v[plan.v[want].parts[k]];
                assert_false(part->staged);
                assert_true(part->o.start >= plan.v[want].o.start &&
                            part->o.end <= plan.v[want].o.end);
                assert_int_equal(part->o.day, plan.v[want].o.day);
            }
        }
        assert_int_equal(plan.n, want);
    }
    mill_arena_release(&mem);
}

int main(void)
{
    return TABLE(cases, test_case);
}
