/* What the audit finds in lakes of a few objects, whole and broken. */
#include "lake/audit.h"

#include "cases.h"
#include <stdio.h>
#include <stdlib.h>

enum { OBJECTS_MAX = 8, FINDINGS_MAX = 8 };

/** An object as it lies there, and what its footer says; 0 stands for "as the name has it". */
struct there {
    int64_t start, end, rows;
    int day;
    int64_t plan_rows;    /* 0: rows */
    const char *siblings; /* NULL: itself alone */
    const char *parts;
    int64_t said_start; /* 0: start */
    bool rejected, no_footer;
};

struct found {
    enum mill_audit_fault fault;
    int64_t start, end;
};

#define KEY(day, range) "lake/topic=t/dt=1970-01-0" day "/t+id+0+" range ".parquet"

static const struct audit_case {
    const char *name;
    struct there v[OBJECTS_MAX];
    struct found want[FINDINGS_MAX];
    int64_t rows, holes, merged;
} cases[] = {
    {"whole", {{.end = 10, .rows = 10}, {.start = 10, .end = 15, .rows = 5}}, {{0}}, 15, 0, 0},
    {"holes are legal", {{.start = 3, .end = 13, .rows = 7}}, {{0}}, 7, 3, 0},
    {"gap",
     {{.end = 10, .rows = 10}, {.start = 12, .end = 15, .rows = 3}},
     {{MILL_AUDIT_GAP, 10, 12}},
     13,
     0,
     0},
    {"overlap",
     {{.end = 10, .rows = 10}, {.start = 8, .end = 15, .rows = 7}},
     {{MILL_AUDIT_OVERLAP, 8, 10}},
     17,
     0,
     0},
    {"range inside another",
     {{.end = 20, .rows = 20},
      {.start = 5, .end = 6, .rows = 1},
      {.start = 20, .end = 21, .rows = 1}},
     {{MILL_AUDIT_OVERLAP, 5, 6}},
     22,
     0,
     0},
    {"two days of one range",
     {{.end = 4, .rows = 3, .plan_rows = 4, .siblings = "2"},
      {.end = 4, .rows = 1, .day = 1, .plan_rows = 4, .siblings = "2"}},
     {{0}},
     4,
     0,
     0},
    {"one of them is not there",
     {{.end = 4, .rows = 3, .plan_rows = 4, .siblings = "2"}},
     {{MILL_AUDIT_MISSING, 0, 4}},
     3,
     0,
     0},
    {"one too many",
     {{.end = 4, .rows = 4}, {.end = 4, .rows = 4, .day = 1}},
     {{MILL_AUDIT_STRAY, 0, 4}},
     8,
     0,
     0},
    {"copied under another range",
     {{.end = 4, .rows = 4}, {.start = 4, .end = 8, .rows = 4, .said_start = 100}},
     {{MILL_AUDIT_NAME, 4, 8}},
     8,
     0,
     0},
    {"rows that the plan did not count",
     {{.end = 4, .rows = 3, .plan_rows = 4}},
     {{MILL_AUDIT_ROWS, 0, 4}},
     3,
     1,
     0},
    {"no footer", {{.end = 4, .no_footer = true}}, {{MILL_AUDIT_UNREADABLE, 0, 4}}, 0, 0, 0},
    {"merged, its parts are gone",
     {{.end = 10, .rows = 8, .parts = "2"}, {.start = 10, .end = 11, .rows = 1}},
     {{0}},
     9,
     2,
     0},
    {"merged, a part is still there",
     {{.end = 10, .rows = 8, .parts = "2"}, {.start = 5, .end = 10, .rows = 3}},
     {{0}},
     8,
     2,
     1},
    {"merged, it lists nothing, and its parts are still there",
     {{.end = 10, .rows = 8, .parts = "[]"},
      {.end = 5, .rows = 5},
      {.start = 5, .end = 10, .rows = 3}},
     {{MILL_AUDIT_NAME, 0, 10}, {MILL_AUDIT_ROWS, 0, 10}},
     8,
     2,
     0},
    {"merged, its parts do not reach its end",
     {{.end = 12, .rows = 8, .parts = "2"}, {.start = 12, .end = 13, .rows = 1}},
     {{MILL_AUDIT_NAME, 0, 12}, {MILL_AUDIT_GAP, 10, 12}},
     9,
     2,
     0},
    {"merged, its parts are of another path",
     {{.end = 10, .rows = 8, .day = 1, .parts = "2"}},
     {{MILL_AUDIT_NAME, 0, 10}},
     0,
     0,
     0},
    {"merged, with fewer rows than its parts",
     {{.end = 10, .rows = 7, .parts = "2"}},
     {{MILL_AUDIT_ROWS, 0, 10}},
     8,
     2,
     0},
};

/* Parts of the merged file of those cases: [0,5) with 5 rows, [5,10) with 3. */
static const char PARTS[] = "[{\"object\":\"" KEY(
    "1",
    "0-5") "\",\"rows\":5,\"plan\":\"{\\\"mill\\\":1,\\\"topic_id\\\":"
           "\\\"id\\\",\\\"policy\\\":\\\"p\\\",\\\"end\\\":5,\\\"rows\\\":5,\\\"schemas\\\":[]}\","
           "\"siblings\":[{\"object\":\"" KEY(
               "1", "0-5") "\",\"rows\":5}]},"
                           "{\"object\":\"" KEY(
                               "1",
                               "5-10") "\",\"rows\":3,\"plan\":\"{\\\"mill\\\":1,\\\"topic_id\\\":"
                                       "\\\"id\\\",\\\"policy\\\":\\\"p\\\",\\\"end\\\":10,"
                                       "\\\"rows\\\":3,\\\"schemas\\\":[]}\","
                                       "\"siblings\":[{\"object\":\"" KEY(
                                           "1", "5-10") "\",\"rows\":3}]}]";

struct seen {
    struct found v[FINDINGS_MAX];
    size_t n;
    struct mill_audit_partition sum;
};

static void on_finding(void *arg, const struct mill_audit_finding *f)
{
    struct seen *seen = arg;

    assert_true(seen->n < FINDINGS_MAX);
    assert_true(f->detail.n > 0);
    assert_true(f->fault == MILL_AUDIT_GAP || f->object.n > 0);
    seen->v[seen->n++] = (struct found){f->fault, f->start, f->end};
}

static void on_partition(void *arg, const struct mill_audit_partition *p)
{
    ((struct seen *)arg)->sum = *p;
}

static struct mill_str key_of(const struct there *t, struct mill_arena *mem)
{
    const struct mill_object o = {.kind = t->rejected ? MILL_OBJECT_REJECTED : MILL_OBJECT_ROWS,
                                  .topic = MILL_STR("t"),
                                  .topic_id = MILL_STR("id"),
                                  .start = t->start,
                                  .end = t->end,
                                  .day = t->day,
                                  .hour = -1};
    struct mill_buf name;
    struct mill_str key;

    mill_buf_init(&name, 4096);
    assert_int_equal(mill_object_name(&o, MILL_STR("lake/"), &name, NULL), MILL_OK);
    key = mill_arena_dup(mem, mill_buf_view(&name));
    mill_buf_release(&name);
    return key;
}

static void give(struct mill_audit *a, const struct there *t, struct mill_arena *mem)
{
    struct mill_footer *f = mill_arena_calloc(mem, 1, sizeof *f);
    struct mill_str key = key_of(t, mem);
    int64_t plan_rows = t->plan_rows ? t->plan_rows : t->rows;

    *f = (struct mill_footer){.rows = t->rows,
                              .said_rows = t->rows,
                              .topic = MILL_STR("t"),
                              .topic_id = MILL_STR("id"),
                              .start = t->said_start ? t->said_start : t->start,
                              .end = t->end};
    f->plan = mill_arena_printf(mem,
                                "{\"mill\":1,\"topic_id\":\"id\",\"policy\":\"p\",\"end\":%lld,"
                                "\"rows\":%lld,\"schemas\":[1]}",
                                (long long)t->end, (long long)plan_rows);
    f->siblings = mill_arena_printf(mem, "[{\"object\":\"%.*s\",\"rows\":%lld}]", MILL_FMT(key),
                                    (long long)t->rows);
    if (t->siblings)
        f->siblings = MILL_STR(
            "[{\"object\":\"" KEY("1", "0-4") "\",\"rows\":3},"
                                              "{\"object\":\"" KEY("2", "0-4") "\",\"rows\":1}]");
    if (t->parts)
        f->parts = mill_str(t->parts[0] == '[' ? t->parts : PARTS);
    assert_true(mill_audit_add(a, key, 100, t->no_footer ? NULL : f, MILL_STR("cannot be read")));
}

static void test_case(void **state)
{
    static const char *const others[] = {
        "lake/README", "other/topic=t",
        "lake/topic=t/dt=1970-01-01/swept+mail.dlq+id+0+1970-01-02+0-100000.parquet"};
    const struct audit_case *c = *state;
    struct seen seen = {.n = 0};
    const struct mill_audit_report report = {on_finding, on_partition, &seen};
    struct mill_audit *a = mill_audit_new("lake/");
    struct mill_arena mem = {0};
    size_t want = 0;

    assert_non_null(a);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) /* are no ranges */
        assert_true(mill_audit_add(a, mill_str(others[i]), 1, NULL, MILL_STR("has none")));
    for (size_t n = 0; n < OBJECTS_MAX && c->v[n].end; n++)
        give(a, &c->v[n], &mem);
    assert_int_equal(mill_audit_run(a, &report, NULL), MILL_OK);
    for (; want < FINDINGS_MAX && c->want[want].end; want++) {
        assert_true(want < seen.n);
        assert_string_equal(mill_audit_fault_name(seen.v[want].fault),
                            mill_audit_fault_name(c->want[want].fault));
        assert_int_equal(seen.v[want].start, c->want[want].start);
        assert_int_equal(seen.v[want].end, c->want[want].end);
    }
    assert_int_equal(seen.n, want);
    assert_int_equal(seen.sum.faults, want);
    assert_int_equal(seen.sum.rows, c->rows);
    assert_int_equal(seen.sum.holes, c->holes);
    assert_int_equal(seen.sum.merged, c->merged);
    mill_audit_free(a);
    mill_arena_release(&mem);
}

/* What the group has committed must be there: the last range, and a partition's only one. */
static void test_claims(void **state)
{
    const struct there v[] = {{.end = 10, .rows = 10}};
    const struct {
        int32_t partition;
        int64_t low, end, gap; /* gap: where it starts; -1 = none */
    } claims[] = {{0, 0, 10, -1}, {0, 0, 9, -1}, {0, 0, 15, 10}, {1, 3, 3, -1}, {1, 3, 8, 3}};
    (void)state;

    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct seen seen = {.n = 0};
        const struct mill_audit_report report = {on_finding, on_partition, &seen};
        struct mill_audit *a = mill_audit_new("lake/");
        struct mill_arena mem = {0};

        give(a, &v[0], &mem);
        assert_true(mill_audit_claim(a, MILL_STR("t"), MILL_STR("id"), claims[i].partition,
                                     claims[i].low, claims[i].end));
        assert_int_equal(mill_audit_run(a, &report, NULL), MILL_OK);
        assert_int_equal(seen.n, claims[i].gap >= 0);
        if (seen.n) {
            assert_int_equal(seen.v[0].fault, MILL_AUDIT_GAP);
            assert_int_equal(seen.v[0].start, claims[i].gap);
            assert_int_equal(seen.v[0].end, claims[i].end);
        }
        mill_audit_free(a);
        mill_arena_release(&mem);
    }
}

static void test_footer_of_no_file(void **state)
{
    static const struct mill_str tails[] = {
        {NULL, 0},
        {"PAR1", 4},
        {"\0\0\0\0PAR1", 8}, /* no metadata at all */
        {"\377\377\377\377PAR1", 8},
        {"\10\0\0\0PAR2", 8},
    };
    (void)state;

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        assert_int_equal(mill_footer_size(tails[i]), 0);
    assert_int_equal(mill_footer_size((struct mill_str){"\10\1\0\0PAR1", 8}), 264 + 8);
}

int main(void)
{
    struct CMUnitTest tests[sizeof cases / sizeof *cases + 2];
    size_t n = 0;

    for (; n < sizeof cases / sizeof *cases; n++)
        tests[n] =
            (struct CMUnitTest){cases[n].name, test_case, NULL, NULL, (void *)(uintptr_t)&cases[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_claims);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_footer_of_no_file);
    return _cmocka_run_group_tests("lake_audit", tests, n, NULL, NULL);
}
