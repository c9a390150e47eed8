/* Parts of a topic, as people write them. */
#include "cases.h"
#include "range.h"

#define NOW   INT64_C(1771034400000) /* 2026-02-14T02:00:00Z */
#define DAY   INT64_C(86400000)
#define FEB14 (NOW - 7200000)

struct row {
    const char *from, *to;
    int from_kind; /**< -1 = refused, and `to` names the option at fault */
    int64_t from_n;
    int to_kind;
    int64_t to_n;
};

#define ONE(text, kind, n)                                                                         \
    {                                                                                              \
        text, NULL, kind, n, PLACE_NONE, 0                                                         \
    }
#define NO(text)                                                                                   \
    {                                                                                              \
        text, NULL, -1, 0, 0, 0                                                                    \
    }

static const struct row rows[] = {
    ONE("start", PLACE_START, 0),
    ONE("end", PLACE_END, 0),
    ONE("0", PLACE_OFFSET, 0),
    ONE("47", PLACE_OFFSET, 47),
    ONE("9223372036854775807", PLACE_OFFSET, INT64_MAX),
    ONE("+3", PLACE_AFTER, 3),
    ONE("-3", PLACE_BEFORE, 3),
    ONE("@2026-02-14", PLACE_TIME, FEB14),
    ONE("@2026-02-14T02:00:00Z", PLACE_TIME, NOW),
    ONE("@2026-02-14T03:00:00+01:00", PLACE_TIME, NOW),
    ONE("@1771034400", PLACE_TIME, NOW),
    ONE("@1771034400123", PLACE_TIME, NOW + 123),
    ONE("@-1h", PLACE_TIME, NOW - 3600000),
    ONE("@-90s", PLACE_TIME, NOW - 90000),
    ONE("@-5m", PLACE_TIME, NOW - 300000),
    ONE("@-2d", PLACE_TIME, NOW - 2 * DAY),
    ONE("@-1000000d", PLACE_TIME, 0),
    ONE("@1969-12-31T23:59:59.999Z", PLACE_TIME, 0),
    /* both ends at once */
    {"12:47", NULL, PLACE_OFFSET, 12, PLACE_OFFSET, 47},
    {"12:", NULL, PLACE_OFFSET, 12, PLACE_END, 0},
    {":47", NULL, PLACE_START, 0, PLACE_OFFSET, 47},
    {"start:end", NULL, PLACE_START, 0, PLACE_END, 0},
    {"-9:-3", NULL, PLACE_BEFORE, 9, PLACE_BEFORE, 3},
    {"+3:+9", NULL, PLACE_AFTER, 3, PLACE_AFTER, 9},
    {"@-48h:-24h", NULL, PLACE_TIME, NOW - 2 * DAY, PLACE_TIME, NOW - DAY},
    {"@-48h:@-24h", NULL, PLACE_TIME, NOW - 2 * DAY, PLACE_TIME, NOW - DAY},
    {"@-1m:end", NULL, PLACE_TIME, NOW - 60000, PLACE_END, 0},
    {"@:-1h", NULL, PLACE_START, 0, PLACE_TIME, NOW - 3600000},
    {"@2026-02-13:2026-02-14", NULL, PLACE_TIME, FEB14 - DAY, PLACE_TIME, FEB14},
    {"@2026-02-14:1h", NULL, PLACE_TIME, FEB14, PLACE_TIME, FEB14 + 3600000},
    {"@2026-02-14T02:00:00Z:1h", NULL, PLACE_TIME, NOW, PLACE_TIME, NOW + 3600000},
    {"@2026-02-14T01:00:00Z:2026-02-14T02:00:00Z", NULL, PLACE_TIME, NOW - 3600000, PLACE_TIME,
     NOW},
    {"@1771034400:30m", NULL, PLACE_TIME, NOW, PLACE_TIME, NOW + 1800000},
    /* two options */
    {"@2026-02-13", "@2026-02-14", PLACE_TIME, FEB14 - DAY, PLACE_TIME, FEB14},
    {"3", "end", PLACE_OFFSET, 3, PLACE_END, 0},
    {NULL, "@-1h", PLACE_START, 0, PLACE_TIME, NOW - 3600000},
    /* refused */
    {"1:2", "3", -1, 0, 0, 0},
    {"@2026-02-14", "@2026-02-13", -1, 0, 0, 0},
    {"-3", "-9", -1, 0, 0, 0},
    {"@2026-02-14:-1h", NULL, -1, 0, 0, 0},
    {"9:3", NULL, -1, 0, 0, 0},
    {"start", "later", -1, 0, 0, 0},
    NO(""),
    NO(":"),
    NO("@"),
    NO("@:"),
    NO("@-"),
    NO("@-h"),
    NO("@-1w"),
    NO("@-1000001d"),
    NO("@--1h"),
    NO("@tomorrow"),
    NO("@2026-02-30"),
    NO("@2026-02-30T00:00:00Z"),
    NO("@-771034400123"),
    NO("Start"),
    NO("end "),
    NO("4 7"),
    NO("4.5"),
    NO("+"),
    NO("+-3"),
    NO("--3"),
    NO("1:2:3"),
    NO("12:x"),
    NO("-1h"),
    NO("9223372036854775808"),
    NO("-9223372036854775808"),
};

static void a_range_is_read(void **state)
{
    const struct row *row = *state;
    struct range r = {{PLACE_START, 0}, {PLACE_NONE, 0}};
    struct mill_err err = {0};
    enum mill_code code = range_parse(mill_str(row->from), mill_str(row->to), NOW, &r, &err);

    if (row->from_kind < 0) {
        assert_int_equal(code, MILL_E_DATA);
        assert_true(!strcmp(err.where, "from") || !strcmp(err.where, "to"));
        return;
    }
    assert_int_equal(code, MILL_OK);
    assert_int_equal(r.from.kind, row->from_kind);
    assert_true(r.from.n == row->from_n);
    assert_int_equal(r.to.kind, row->to_kind);
    assert_true(r.to.n == row->to_n);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof *rows];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].from ? rows[i].from : rows[i].to,
            .test_func = a_range_is_read,
            .initial_state = (void *)(uintptr_t)&rows[i],
        };
    return TESTS(tests);
}
