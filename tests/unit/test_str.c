#include "cases.h"

#include "base/str.h"

static const struct utf8_row {
    const char *name;
    struct mill_str in;
    bool ok;
} utf8_rows[] = {
    {"empty", MILL_STR_INIT(""), true},
    {"ascii", MILL_STR_INIT("plain"), true},
    {"nul byte", MILL_STR_INIT("a\0b"), true},
    {"two, three, four bytes", MILL_STR_INIT("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x93\xA7"), true},
    {"highest", MILL_STR_INIT("\xF4\x8F\xBF\xBF"), true},
    {"above U+10FFFF", MILL_STR_INIT("\xF4\x90\x80\x80"), false},
    {"overlong slash", MILL_STR_INIT("\xC0\xAF"), false},
    {"overlong in three", MILL_STR_INIT("\xE0\x80\xAF"), false},
    {"overlong in four", MILL_STR_INIT("\xF0\x80\x80\xAF"), false},
    {"surrogate", MILL_STR_INIT("\xED\xA0\x80"), false},
    {"below the surrogates", MILL_STR_INIT("\xED\x9F\xBF"), true},
    {"cut after the first", MILL_STR_INIT("\xE2\x82"), false},
    {"lone continuation", MILL_STR_INIT("\x80"), false},
    {"latin-1", MILL_STR_INIT("caf\xE9!"), false},
    {"bad third byte", MILL_STR_INIT("\xE2\x82\x28"), false},
    {"0xFF", MILL_STR_INIT("\xFF"), false},
};

static void utf8_case(void **state)
{
    const struct utf8_row *row = *state;
    assert_int_equal(mill_str_utf8(row->in), row->ok);
}

static const struct i64_row {
    const char *name;
    struct mill_str in;
    bool ok;
    int64_t want;
} i64_rows[] = {
    {"zero", MILL_STR_INIT("0"), true, 0},
    {"minus zero", MILL_STR_INIT("-0"), true, 0},
    {"leading zeros", MILL_STR_INIT("007"), true, 7},
    {"largest", MILL_STR_INIT("9223372036854775807"), true, INT64_MAX},
    {"one more", MILL_STR_INIT("9223372036854775808"), false, 0},
    {"smallest", MILL_STR_INIT("-9223372036854775808"), true, INT64_MIN},
    {"one less", MILL_STR_INIT("-9223372036854775809"), false, 0},
    {"ten times too large", MILL_STR_INIT("92233720368547758070"), false, 0},
    {"empty", MILL_STR_INIT(""), false, 0},
    {"absent", {NULL, 0}, false, 0},
    {"sign only", MILL_STR_INIT("-"), false, 0},
    {"plus", MILL_STR_INIT("+1"), false, 0},
    {"space", MILL_STR_INIT(" 1"), false, 0},
    {"text behind", MILL_STR_INIT("1x"), false, 0},
    {"fraction", MILL_STR_INIT("1.0"), false, 0},
};

static void i64_case(void **state)
{
    const struct i64_row *row = *state;
    int64_t v = 0;

    assert_int_equal(mill_str_i64(row->in, &v), row->ok);
    if (row->ok)
        assert_true(v == row->want);
}

static const struct cut_row {
    const char *name;
    struct mill_str in;
    size_t size;
    const char *want;
} cut_rows[] = {
    {"fits", MILL_STR_INIT("abc"), 4, "abc"},
    {"cut", MILL_STR_INIT("abcd"), 4, "abc"},
    {"only the NUL fits", MILL_STR_INIT("abc"), 1, ""},
    {"absent", {NULL, 0}, 4, ""},
    {"not through a character", MILL_STR_INIT("ab\xE2\x82\xAC"), 5, "ab"},
    {"character just fits", MILL_STR_INIT("ab\xE2\x82\xAC"), 6, "ab\xE2\x82\xAC"},
};

static void cut_case(void **state)
{
    const struct cut_row *row = *state;
    char out[16];

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = '#';
    mill_str_cut(row->in, out, row->size);
    assert_string_equal(out, row->want);
    for (size_t i = row->size; i < sizeof out; i++)
        assert_int_equal(out[i], '#');
}

static void str_compare(void **state)
{
    const struct mill_str absent = {0}, empty = MILL_STR("");

    (void)state;
    assert_true(mill_str_eq(absent, absent));
    assert_false(mill_str_eq(absent, empty));
    assert_true(mill_str_eq(empty, mill_str("")));
    assert_true(mill_str_is(MILL_STR("ab"), "ab"));
    assert_false(mill_str_is(MILL_STR("ab"), "abc"));
    assert_true(mill_str_ieq(MILL_STR("Content-TYPE"), MILL_STR("content-type")));
    assert_false(mill_str_ieq(MILL_STR("a@"), MILL_STR("a`"))); /* differ by 0x20, are no letters */
    assert_false(mill_str_ieq(absent, empty));
    assert_true(mill_str_starts(MILL_STR("mail.retry.send"), "mail.retry."));
    assert_false(mill_str_starts(MILL_STR("mail"), "mail.retry."));
    assert_true(mill_str_starts(absent, ""));
    assert_false(mill_str_starts(absent, "x"));
}

static void str_map(void **state)
{
    const struct mill_pair pairs[] = {
        {MILL_STR("a"), MILL_STR("1")}, {MILL_STR("b"), {0}}, {MILL_STR("a"), MILL_STR("2")}};
    const struct mill_map map = {pairs, 3};

    (void)state;
    assert_true(mill_str_is(mill_map_get(map, "a"), "1"));
    assert_null(mill_map_get(map, "b").p);
    assert_null(mill_map_get(map, "c").p);
    assert_null(mill_map_get((struct mill_map){0}, "a").p);
}

static void str_trim(void **state)
{
    (void)state;
    assert_true(mill_str_is(mill_str_trim(MILL_STR(" \t a b\r\n")), "a b"));
    assert_true(mill_str_is(mill_str_trim(MILL_STR(" \n")), ""));
    assert_null(mill_str_trim((struct mill_str){0}).p);
}

static void str_take(void **state)
{
    struct mill_str rest = MILL_STR("a,,b"), absent = {0};

    (void)state;
    assert_true(mill_str_is(mill_str_take(&rest, ','), "a"));
    assert_true(mill_str_is(mill_str_take(&rest, ','), ""));
    assert_true(mill_str_is(mill_str_take(&rest, ','), "b"));
    assert_int_equal(rest.n, 0);
    assert_int_equal(mill_str_take(&rest, ',').n, 0);
    assert_null(mill_str_take(&absent, ',').p);
}

static void str_listed(void **state)
{
    (void)state;
    assert_true(mill_str_listed(MILL_STR("b c"), "a, b c ,d"));
    assert_true(mill_str_listed(MILL_STR("d"), "a, b c ,d"));
    assert_false(mill_str_listed(MILL_STR("b"), "a, b c ,d"));
    assert_false(mill_str_listed(MILL_STR(""), "a,,d"));
    assert_false(mill_str_listed((struct mill_str){0}, "a"));
    assert_false(mill_str_listed(MILL_STR("a"), ""));
    assert_false(mill_str_listed(MILL_STR("a"), NULL));
}

int main(void)
{
    const struct CMUnitTest str_tests[] = {cmocka_unit_test(str_compare), cmocka_unit_test(str_map),
                                           cmocka_unit_test(str_trim), cmocka_unit_test(str_take),
                                           cmocka_unit_test(str_listed)};

    return TABLE(utf8_rows, utf8_case) + TABLE(i64_rows, i64_case) + TABLE(cut_rows, cut_case) +
           TESTS(str_tests);
}
