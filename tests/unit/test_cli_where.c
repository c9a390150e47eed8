/* Places in a topic, as people write them. */
#include "cases.h"
#include "where.h"

#define NOW INT64_C(1771034400000)

struct row {
    const char *text;
    int kind; /**< -1 = refused */
    int64_t n;
};

static const struct row rows[] = {
    {"start", WHERE_START, 0},
    {"end", WHERE_END, 0},
    {"0", WHERE_OFFSET, 0},
    {"47", WHERE_OFFSET, 47},
    {"9223372036854775807", WHERE_OFFSET, INT64_MAX},
    {"-3", WHERE_BACK, 3},
    {"@2026-02-14T02:00:00Z", WHERE_TIME, INT64_C(1771034400000)},
    {"@2026-02-14T03:00:00+01:00", WHERE_TIME, INT64_C(1771034400000)},
    {"@1771034400", WHERE_TIME, INT64_C(1771034400000)},
    {"@1771034400123", WHERE_TIME, INT64_C(1771034400123)},
    {"@-1h", WHERE_TIME, NOW - 3600000},
    {"@-90s", WHERE_TIME, NOW - 90000},
    {"@-5m", WHERE_TIME, NOW - 300000},
    {"@-2d", WHERE_TIME, NOW - INT64_C(172800000)},
    {"@-1000000d", WHERE_TIME, 0},
    {"@1969-12-31T23:59:59.999Z", WHERE_TIME, 0},
    {"", -1, 0},
    {"@", -1, 0},
    {"@-", -1, 0},
    {"@-h", -1, 0},
    {"@-1w", -1, 0},
    {"@-1000001d", -1, 0},
    {"@--1h", -1, 0},
    {"@tomorrow", -1, 0},
    {"@2026-02-30T00:00:00Z", -1, 0},
    {"@-771034400123", -1, 0},
    {"Start", -1, 0},
    {"end ", -1, 0},
    {"4 7", -1, 0},
    {"4.5", -1, 0},
    {"9223372036854775808", -1, 0},
    {"-9223372036854775808", -1, 0},
};

static void a_place_is_read(void **state)
{
    const struct row *row = *state;
    struct where w = {0};
    struct mill_err err = {0};
    enum mill_code code = where_parse(mill_str(row->text), NOW, &w, &err);

    if (row->kind < 0) {
        assert_int_equal(code, MILL_E_DATA);
        assert_string_equal(err.where, "place");
        return;
    }
    assert_int_equal(code, MILL_OK);
    assert_int_equal(w.kind, row->kind);
    assert_true(w.n == row->n);
}

int main(void)
{
    return TABLE(rows, a_place_is_read);
}
