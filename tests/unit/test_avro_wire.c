/* A schema's default (JSON) as Avro's bytes, for every type; the same bytes passed over by the
 * schema, whole and cut at each byte. */
#include "avro/resolve.h"
#include "avro/wire.h"

#include "base/json.h"
#include "cases.h"
#include <stdio.h>

#define REC(n, f)    "{\"type\":\"record\",\"name\":\"" n "\",\"fields\":[" f "]}"
#define FLD(n, t)    "{\"name\":\"" n "\",\"type\":" t "}"
#define DEF(n, t, d) "{\"name\":\"" n "\",\"type\":" t ",\"default\":" d "}"
#define ENUM         "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}"
#define FIXED        "{\"type\":\"fixed\",\"name\":\"X\",\"size\":2}"
#define ARRAY(t)     "{\"type\":\"array\",\"items\":" t "}"
#define MAP(t)       "{\"type\":\"map\",\"values\":" t "}"

static const struct row {
    const char *name, *type, *json;
    const char *want; /* hexadecimal; NULL = refused */
} rows[] = {
    {"null", "\"null\"", "null", ""},
    {"null, a value", "\"null\"", "0", NULL},
    {"true", "\"boolean\"", "true", "01"},
    {"boolean, a number", "\"boolean\"", "1", NULL},
    {"int", "\"int\"", "-3", "05"},
    {"int, the least", "\"int\"", "-2147483648", "ffffffff0f"},
    {"int, too small", "\"int\"", "-2147483649", NULL},
    {"int, too large", "\"int\"", "2147483648", NULL},
    {"int, a text", "\"int\"", "\"1\"", NULL},
    {"int, a fraction", "\"int\"", "1.0", NULL},
    {"long, the largest", "\"long\"", "9223372036854775807", "feffffffffffffffff01"},
    {"float", "\"float\"", "1.5", "0000c03f"},
    {"float, a text", "\"float\"", "\"NaN\"", NULL},
    {"double of a whole number", "\"double\"", "2", "0000000000000040"},
    {"string", "\"string\"", "\"h\\u00e9\"", "0668c3a9"},
    {"string, a number", "\"string\"", "7", NULL},
    {"bytes", "\"bytes\"", "\"\\u0000\\u0080\\u00ff\"", "060080ff"},
    {"bytes, a character over U+00FF", "\"bytes\"", "\"\\u0100\"", NULL},
    {"fixed", FIXED, "\"a\\u00ff\"", "61ff"},
    {"fixed, too long", FIXED, "\"abc\"", NULL},
    {"fixed, a list", FIXED, "[]", NULL},
    {"enum", ENUM, "\"B\"", "02"},
    {"enum, no such symbol", ENUM, "\"C\"", NULL},
    {"enum, a number", ENUM, "1", NULL},
    {"array", ARRAY("\"int\""), "[1,2]", "04020400"},
    {"array, empty", ARRAY("\"int\""), "[]", "00"},
    {"array, an object", ARRAY("\"int\""), "{}", NULL},
    {"array, a bad item", ARRAY("\"int\""), "[1,null]", NULL},
    {"map", MAP("\"boolean\""), "{\"k\":true}", "02026b0100"},
    {"map, a list", MAP("\"boolean\""), "[]", NULL},
    {"map, a bad value", MAP("\"boolean\""), "{\"k\":0}", NULL},
    {"union: its first branch", "[\"int\",\"string\"]", "5", "000a"},
    {"union, its second branch", "[\"int\",\"string\"]", "\"x\"", NULL},
    {"record", REC("R", FLD("a", "\"int\"") "," DEF("b", "\"string\"", "\"q\"")), "{\"a\":1}",
     "020271"},
    {"record, a field without a value", REC("R", FLD("a", "\"int\"")), "{}", NULL},
    {"record, a bad field", REC("R", FLD("a", "\"int\"")), "{\"a\":\"x\"}", NULL},
    {"record, a list", REC("R", FLD("a", "\"int\"")), "[]", NULL},
    {"a default that leads back to itself", REC("R", DEF("kids", ARRAY("\"R\""), "[{}]")), "{}",
     NULL},
    {"all of them, nested",
     REC("R",
         FLD("b", "\"boolean\"") "," FLD("e", ENUM) "," FLD("x", FIXED) "," FLD(
             "f",
             "\"float\"") "," FLD("d",
                                  "\"double\"") "," FLD("l",
                                                        ARRAY(MAP(
                                                            "[\"long\",\"null\"]"))) "," FLD("y",
                                                                                             "\"byt"
                                                                                             "es"
                                                                                             "\"")),
     "{\"b\":true,\"e\":\"B\",\"x\":\"hi\",\"f\":0,\"d\":0,\"l\":[{\"k\":1},{}],\"y\":\"z\"}",
     "01026869"
     "00000000"
     "0000000000000000"
     "04"
     "02026b0002"
     "00"
     "00"
     "00"
     "027a"},
};

static void hex(struct mill_str s, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < s.n && n + 3 < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%02x", (unsigned char)s.p[i]);
}

static void wire_row(void **state)
{
    const struct row *row = *state;
    struct mill_schema *schema = NULL;
    struct mill_wire_out o;
    struct mill_err err = {0};
    struct mill_buf b;
    json_t *v = json_loads(row->json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    char got[256];
    enum mill_code rc;

    assert_non_null(v);
    assert_int_equal(mill_schema_parse(&schema, mill_str(row->type), &err), MILL_OK);
    mill_buf_init(&b, 4096);
    mill_wire_begin(&o, &b);
    rc = mill_wire_put_json(&o, mill_schema_root(schema), v, &err);
    assert_true(mill_wire_end(&o));
    assert_int_equal(rc, row->want ? MILL_OK : MILL_E_SCHEMA);
    if (row->want) {
        hex(mill_buf_view(&b), got, sizeof got);
        assert_string_equal(got, row->want);
    } else {
        assert_string_equal(err.where, "default");
    }
    for (size_t n = 0; row->want && n <= b.n; n++) {
        struct mill_wire w = mill_wire_of((struct mill_str){b.p, n});
        assert_int_equal(mill_wire_skip(&w, mill_schema_root(schema)), n == b.n);
        if (n == b.n)
            assert_int_equal(mill_wire_left(&w), 0);
    }
    mill_buf_release(&b);
    json_decref(v);
    mill_schema_free(schema);
}

/* Over the buffer's cap a default is refused, not cut. */
static void test_over_the_cap(void **state)
{
    struct mill_schema *schema = NULL;
    struct mill_wire_out o;
    struct mill_err err = {0};
    struct mill_buf b;
    json_t *v = json_pack("[s,s]", "0123456789", "x");

    (void)state;
    assert_int_equal(mill_schema_parse(&schema, MILL_STR(ARRAY("\"string\"")), &err), MILL_OK);
    mill_buf_init(&b, 8);
    mill_wire_begin(&o, &b);
    assert_int_equal(mill_wire_put_json(&o, mill_schema_root(schema), v, &err), MILL_E_SCHEMA);
    assert_false(mill_wire_end(&o));
    assert_true(o.over);
    mill_buf_release(&b);
    json_decref(v);
    mill_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_over_the_cap)};

    return TABLE(rows, wire_row) + TESTS(tests);
}
