#include "cases.h"

#include "base/clock.h"

static const struct text_row {
    const char *name;
    int64_t us;
    const char *want;
} text_rows[] = {
    {"epoch", 0, "1970-01-01T00:00:00.000000Z"},
    {"one before", -1, "1969-12-31T23:59:59.999999Z"},
    {"leap day", INT64_C(1709164799123456), "2024-02-28T23:59:59.123456Z"},
    {"leap day itself", INT64_C(1709164800000000), "2024-02-29T00:00:00.000000Z"},
    {"no leap day in 2100", INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
    {"leap day in 2000", INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
    {"year 1", INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
    {"year 9999", INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
};

static void text_case(void **state)
{
    const struct text_row *row = *state;
    char text[28];
    int64_t back = 0;

    assert_string_equal(mill_time_text(row->us, text, sizeof text), row->want);
    assert_true(mill_time_parse(mill_str(text), &back));
    assert_true(back == row->us);
}

static const struct parse_row {
    const char *name, *in;
    bool ok;
    int64_t us;
} parse_rows[] = {
    {"zulu", "2026-02-03T04:05:06Z", true, INT64_C(1770091506000000)},
    {"lower case", "2026-02-03t04:05:06z", true, INT64_C(1770091506000000)},
    {"milliseconds", "2026-02-03T04:05:06.789Z", true, INT64_C(1770091506789000)},
    {"nanoseconds are cut", "2026-02-03T04:05:06.123456789Z", true, INT64_C(1770091506123456)},
    {"east", "2026-02-03T05:35:06+01:30", true, INT64_C(1770091506000000)},
    {"west", "2026-02-02T23:05:06-05:00", true, INT64_C(1770091506000000)},
    {"seconds", "1770091506", true, INT64_C(1770091506000000)},
    {"leap second", "2016-12-31T23:59:60Z", true, INT64_C(1483228800000000)},
    {"leap second elsewhere", "2017-01-01T00:59:60+01:00", true, INT64_C(1483228800000000)},
    {"leap second at noon", "2016-12-31T12:00:60Z", false, 0},
    {"empty", "", false, 0},
    {"nine digits", "177009150", false, 0},
    {"milliseconds since 1970", "1770091506789", false, 0},
    {"no zone", "2026-02-03T04:05:06", false, 0},
    {"space for T", "2026-02-03 04:05:06Z", false, 0},
    {"no seconds", "2026-02-03T04:05Z", false, 0},
    {"month 13", "2026-13-03T04:05:06Z", false, 0},
    {"month 0", "2026-00-03T04:05:06Z", false, 0},
    {"day 0", "2026-02-00T04:05:06Z", false, 0},
    {"29 February 2026", "2026-02-29T04:05:06Z", false, 0},
    {"29 February 1900", "1900-02-29T04:05:06Z", false, 0},
    {"31 April", "2026-04-31T04:05:06Z", false, 0},
    {"hour 24", "2026-02-03T24:00:00Z", false, 0},
    {"minute 60", "2026-02-03T04:60:06Z", false, 0},
    {"second 61", "2026-02-03T04:05:61Z", false, 0},
    {"dot without digits", "2026-02-03T04:05:06.Z", false, 0},
    {"offset hour 24", "2026-02-03T04:05:06+24:00", false, 0},
    {"offset without colon", "2026-02-03T04:05:06+0100", false, 0},
    {"text behind", "2026-02-03T04:05:06Zx", false, 0},
    {"sign in a number", "2026-02-03T04:+5:06Z", false, 0},
};

static void parse_case(void **state)
{
    const struct parse_row *row = *state;
    int64_t us = 0;

    assert_int_equal(mill_time_parse(mill_str(row->in), &us), row->ok);
    if (row->ok)
        assert_true(us == row->us);
}

static void clock_runs(void **state)
{
    int64_t wall = mill_now_us(), tick = mill_tick_ms();

    (void)state;
    assert_true(wall > INT64_C(1700000000000000));
    assert_true(mill_now_us() - wall < 60000000);
    assert_true(mill_tick_ms() >= tick && mill_tick_ms() - tick < 60000);
}

int main(void)
{
    const struct CMUnitTest clock_tests[] = {cmocka_unit_test(clock_runs)};

    return TABLE(text_rows, text_case) + TABLE(parse_rows, parse_case) + TESTS(clock_tests);
}
