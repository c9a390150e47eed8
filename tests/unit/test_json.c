#include "cases.h"

#include "base/json.h"

static const struct parse_row {
    const char *name;
    struct mill_str in;
    enum mill_code code;
    const char *where; /* of a failure; NULL = any */
} parse_rows[] = {
    {"object", MILL_STR_INIT("{\"a\":[1,2.5,null,true]}"), MILL_OK, NULL},
    {"a lone string", MILL_STR_INIT("\"x\""), MILL_OK, NULL},
    {"escaped quote and braces in a string", MILL_STR_INIT("[\"\\\"[[[{{{\"]"), MILL_OK, NULL},
    {"empty", MILL_STR_INIT(""), MILL_E_DATA, NULL},
    {"absent", {NULL, 0}, MILL_E_DATA, NULL},
    {"trailing text", MILL_STR_INIT("{} x"), MILL_E_DATA, "1:4"},
    {"second line", MILL_STR_INIT("{\n\"a\": }"), MILL_E_DATA, "2:6"},
    {"duplicate", MILL_STR_INIT("{\"a\":1,\"a\":2}"), MILL_E_DATA, NULL},
    {"nul in a string", MILL_STR_INIT("\"a\\u0000b\""), MILL_E_DATA, NULL},
    {"nul byte", MILL_STR_INIT("{}\0"), MILL_E_DATA, NULL},
    {"latin-1", MILL_STR_INIT("\"caf\xE9\""), MILL_E_DATA, NULL},
    {"lone surrogate", MILL_STR_INIT("\"\\ud800\""), MILL_E_DATA, NULL},
    {"number too large", MILL_STR_INIT("99999999999999999999"), MILL_E_DATA, NULL},
    {"comment", MILL_STR_INIT("{} // x"), MILL_E_DATA, NULL},
    {"NaN", MILL_STR_INIT("[NaN]"), MILL_E_DATA, NULL},
};

static void parse_case(void **state)
{
    const struct parse_row *row = *state;
    struct mill_err err = {0};
    json_t *v;

    assert_int_equal(mill_json_parse(row->in, &v, &err), row->code);
    assert_int_equal(v == NULL, row->code != MILL_OK);
    assert_int_equal(err.code, row->code);
    if (row->where)
        assert_string_equal(err.where, row->where);
    json_decref(v);
}

static void json_depth(void **state)
{
    char text[2 * 65 + 1];
    struct mill_err err = {0};
    json_t *v;

    (void)state;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(mill_json_parse((struct mill_str){text + 1, 128}, &v, &err), MILL_OK);
    json_decref(v);
    assert_int_equal(mill_json_parse((struct mill_str){text, 130}, &v, &err), MILL_E_DATA);
    assert_non_null(strstr(err.text, "64"));
}

static void json_quotes_no_input(void **state)
{
    struct mill_err err = {0};
    json_t *v;

    (void)state;
    assert_int_equal(mill_json_parse(MILL_STR("{\"a\": hunter2}"), &v, &err), MILL_E_DATA);
    assert_null(strstr(err.text, "hunter2"));
}

static void json_members(void **state)
{
    json_t *v;

    (void)state;
    assert_int_equal(mill_json_parse(MILL_STR("{\"b\":\"x\",\"a\":1}"), &v, NULL), MILL_OK);
    assert_true(mill_str_is(mill_json_str(v, "b"), "x"));
    assert_null(mill_json_str(v, "a").p);
    assert_null(mill_json_str(v, "none").p);
    assert_null(mill_json_str(NULL, "b").p);
    assert_null(mill_json_text(v).p);
    json_decref(v);
}

static void json_canonical(void **state)
{
    json_t *v;
    char *text;

    (void)state;
    assert_int_equal(
        mill_json_parse(MILL_STR("{ \"b\" : {\"d\":1, \"c\":[ ]}, \"a\":\"\\u00e9\" }"), &v, NULL),
        MILL_OK);
    text = mill_json_canonical(v);
    assert_string_equal(text, "{\"a\":\"\xC3\xA9\",\"b\":{\"c\":[],\"d\":1}}");
    free(text);
    json_decref(v);
}

static const struct new_row {
    const char *name;
    struct mill_str in, want;
} new_rows[] = {
    {"plain", MILL_STR_INIT("abc"), MILL_STR_INIT("abc")},
    {"empty", MILL_STR_INIT(""), MILL_STR_INIT("")},
    {"absent", {NULL, 0}, MILL_STR_INIT("")},
    {"nul", MILL_STR_INIT("a\0b"), MILL_STR_INIT("a\0b")},
    {"bad bytes", MILL_STR_INIT("\xFFz\xC3"), MILL_STR_INIT("\xEF\xBF\xBDz\xEF\xBF\xBD")},
    {"good around bad", MILL_STR_INIT("\xC3\xA9\x80"), MILL_STR_INIT("\xC3\xA9\xEF\xBF\xBD")},
};

static void new_case(void **state)
{
    const struct new_row *row = *state;
    json_t *v = mill_json_new(row->in);

    assert_true(mill_str_eq(mill_json_text(v), row->want));
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest json_tests[] = {
        cmocka_unit_test(json_depth),
        cmocka_unit_test(json_quotes_no_input),
        cmocka_unit_test(json_members),
        cmocka_unit_test(json_canonical),
    };

    return TABLE(parse_rows, parse_case) + TABLE(new_rows, new_case) + TESTS(json_tests);
}
