#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "lake/fill.h"
#include "lake/raw.h"

/** A shape as text: name:type, ? = nullable. */
static void show(struct mill_buf *out, const struct mill_col *c)
{
    static const char *const types[] = {"unset", "null", "bool", "i32",  "i64",  "f32",
                                        "f64",   "utf8", "bin",  "fix",  "date", "time",
                                        "ts",    "dec",  "",     "list", "map"};

    mill_buf_printf(out, "%.*s:%s", MILL_FMT(c->name), types[c->type]);
    if (c->type == MILL_COL_TIMESTAMP || c->type == MILL_COL_TIME)
        mill_buf_printf(out, "%d%s", (int)c->unit, c->utc ? "z" : "");
    if (c->type == MILL_COL_DECIMAL)
        mill_buf_printf(out, "%d,%d", (int)c->precision, (int)c->scale);
    if (c->size)
        mill_buf_printf(out, "/%zu", c->size);
    if (c->n) {
        mill_buf_putc(out, '{');
        for (size_t i = 0; i < c->n; i++) {
            mill_buf_puts(out, i ? " " : "");
            show(out, c->kids[i]);
        }
        mill_buf_putc(out, '}');
    }
    mill_buf_puts(out, c->nullable ? "?" : "");
}

static enum mill_code grow(struct mill_shape **shape, const char *fields, struct mill_err *err)
{
    struct mill_schema *schema = NULL;
    struct mill_shape *grown = NULL;
    struct mill_buf json;
    enum mill_code rc;

    mill_buf_init(&json, 1 << 16);
    mill_buf_printf(&json, "{\"type\":\"record\",\"name\":\"R\",\"fields\":[%s]}", fields);
    rc = mill_schema_parse(&schema, mill_buf_view(&json), err);
    if (!rc)
        rc = mill_shape_grow(*shape, mill_schema_root(schema), &grown, err);
    if (!rc) {
        mill_shape_free(*shape);
        *shape = grown;
    }
    mill_schema_free(schema);
    mill_buf_release(&json);
    return rc;
}

#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define REC(name, f)  "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" f "]}"
#define FIXED(n, l)                                                                                \
    "{\"type\":\"fixed\",\"name\":\"F" n "\",\"size\":" n ",\"logicalType\":\"" l "\""
#define LOG(type, l) "{\"type\":\"" type "\",\"logicalType\":\"" l "\"}"

static const struct {
    const char *first, *second; /**< fields; second NULL = one schema only */
    const char *want;           /**< columns; NULL = the last schema is refused */
    const char *where;          /**< of the refusal */
} rows[] = {
    {F("a", "\"int\""), NULL, "a:i32", NULL},
    {F("a", "\"int\""), F("a", "\"int\""), "a:i32", NULL},
    {F("a", "\"int\""), F("a", "\"long\""), "a:i64", NULL},
    {F("a", "\"long\""), F("a", "\"int\""), "a:i64", NULL},
    {F("a", "\"int\""), F("a", "\"double\""), "a:f64", NULL},
    {F("a", "\"float\""), F("a", "\"double\""), "a:f64", NULL},
    {F("a", "\"long\""), F("a", "\"double\""), NULL, "a"}, /* would lose digits */
    {F("a", "\"string\""), F("a", "\"bytes\""), NULL, "a"},
    {F("a", "\"string\""), F("a", "[\"null\",\"string\"]"), "a:utf8?", NULL},
    {F("a", "[\"null\",\"string\"]"), F("a", "\"string\""), "a:utf8?", NULL},
    {F("a", "\"null\""), F("a", "\"string\""), "a:utf8?", NULL},
    {F("a", "\"null\""), F("a", "[\"null\",\"int\",\"string\"]"), "a:{int:i32? string:utf8?}?",
     NULL},
    {F("a", "\"string\""), F("b", "\"int\""), "a:utf8? b:i32?", NULL},
    {F("a", "[\"int\",\"string\"]"), NULL, "a:{int:i32? string:utf8?}", NULL},
    {F("a", "[\"int\",\"string\"]"), F("a", "[\"long\",\"string\",\"null\"]"),
     "a:{int:i32? string:utf8? long:i64?}?", NULL},
    {F("a", "[\"int\",\"string\"]"), F("a", "\"int\""), NULL, "a"},
    {F("a", REC("S", F("x", "\"int\""))), F("a", "[" REC("S", F("x", "\"int\"")) ",\"int\"]"), NULL,
     "a"},
    {F("a", REC("S", F("x", "\"int\""))), F("a", REC("S", F("y", "\"int\""))), "a:{x:i32? y:i32?}",
     NULL},
    {F("a", "{\"type\":\"array\",\"items\":\"int\"}"),
     F("a", "{\"type\":\"array\",\"items\":[\"null\",\"long\"]}"), "a:list{element:i64?}", NULL},
    {F("a", "{\"type\":\"map\",\"values\":\"int\"}"), NULL, "a:map{key_value:{key:utf8 value:i32}}",
     NULL},
    {F("a", "{\"type\":\"map\",\"values\":\"int\"}"),
     F("a", "{\"type\":\"array\",\"items\":\"int\"}"), NULL, "a"},
    {F("a", REC("E", "")), NULL, "a:bool", NULL},
    {F("a", LOG("long", "timestamp-micros")), F("a", LOG("long", "timestamp-millis")), NULL, "a"},
    {F("a", LOG("long", "timestamp-micros")), F("a", "\"long\""), NULL, "a"},
    {F("a", LOG("long", "timestamp-micros")), F("a", LOG("long", "timestamp-micros")), "a:ts2z",
     NULL},
    {F("a", LOG("int", "date")) "," F("b", LOG("long", "local-timestamp-nanos")), NULL,
     "a:date b:ts3", NULL},
    {F("a", LOG("int", "time-millis")) "," F("b", LOG("long", "time-micros")), NULL,
     "a:time1 b:time2", NULL},
    {F("a", LOG("long", "timestamp-millis")) "," F("b", LOG("long", "timestamp-nanos")), NULL,
     "a:ts1z b:ts3z", NULL},
    {F("a", LOG("long", "local-timestamp-millis")) "," F("b",
                                                         LOG("long", "local-timestamp-micros")),
     NULL, "a:ts1 b:ts2", NULL},
    {F("a", LOG("string", "uuid")) "," F("b", FIXED("16", "uuid") "}"), NULL, "a:utf8 b:utf8",
     NULL},
    {F("a", FIXED("12", "duration") "}") "," F(
         "b", FIXED("9", "decimal") ",\"precision\":20,\"scale\":2}"),
     NULL, "a:fix/12 b:dec20,2/16", NULL},
    /* A default is the reader's: rows of who did not write the field are null there. */
    {F("a", "\"int\""), F("a", "\"int\",\"default\":3") "," F("b", "\"int\",\"default\":7"),
     "a:i32 b:i32?", NULL},
    {F("a", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":77}"), NULL, "a:bin",
     NULL}, /* wider than Arrow's widest */
    {F("a", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":39,\"scale\":1}"), NULL,
     "a:dec39,1/32", NULL},
    {F("drop", "\"int\"") "," F("a", REC("S", F("in", "\"int\"") "," F("x", "\"int\""))), NULL,
     "a:{x:i32}", NULL},
    {F("a", REC("S", F("next", "[\"null\",\"S\"]"))), NULL, NULL, "a.next"},
    {F("a", "{\"type\":\"array\",\"items\":\"R\"}"), NULL, NULL, "a"},
    {F("_offset", "\"long\""), NULL, NULL, "_offset"}, /* would be there twice */
    {F("drop", "\"int\""), NULL, "", NULL},
};

static void test_grow(void **state)
{
    static const struct mill_policy_rule drop[] = {{{"drop", 4}, MILL_DROP},
                                                   {{"a.in", 4}, MILL_DROP}};
    const struct mill_policy policy = {.v = drop, .n = 2};
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_shape *shape = NULL;
        struct mill_err err = {0};
        struct mill_buf text;
        enum mill_code rc;

        assert_int_equal(mill_shape_new(&shape, 1u << MILL_META_OFFSET, &policy, &err), MILL_OK);
        rc = grow(&shape, rows[i].first, &err);
        if (rows[i].second) {
            assert_int_equal(rc, MILL_OK);
            rc = grow(&shape, rows[i].second, &err);
        }
        if (rows[i].want) {
            if (rc)
                print_error("row %zu: %s: %s\n", i, err.where, err.text);
            assert_int_equal(rc, MILL_OK);
            mill_buf_init(&text, 4096);
            for (size_t k = 1; k < shape->root->n; k++) {
                mill_buf_puts(&text, k > 1 ? " " : "");
                show(&text, shape->root->kids[k]);
            }
            assert_string_equal(text.n ? text.p : "", rows[i].want);
            assert_string_equal(shape->root->kids[0]->name.p, "_offset");
            assert_false(shape->root->kids[0]->nullable);
            mill_buf_release(&text);
        } else {
            assert_int_equal(rc, MILL_E_SCHEMA);
            assert_string_equal(err.where, rows[i].where);
        }
        mill_shape_free(shape);
    }
}

static void test_same_is_same(void **state)
{
    struct mill_shape *shape = NULL, *before;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_shape_new(&shape, 0, NULL, &err), MILL_OK);
    assert_int_equal(grow(&shape, F("a", "\"int\"") "," F("b", "[\"null\",\"long\"]"), &err), 0);
    before = shape;
    assert_int_equal(grow(&shape, F("b", "\"int\"") "," F("a", "\"int\""), &err), MILL_OK);
    assert_ptr_equal(shape, before); /* all that the second writes fits: no new version */
    assert_int_equal(grow(&shape, F("c", "\"int\""), &err), MILL_OK);
    assert_ptr_not_equal(shape, before);
    mill_shape_free(shape);
}

/** A shape that has not grown cannot be filled by a schema that it does not hold. */
static void test_fill_needs_growth(void **state)
{
    static const char old[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" F("a", "\"int\"") "]}";
    static const char new[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" F("b", "\"int\"") "]}";
    struct mill_schema *one = NULL, *two = NULL;
    struct mill_shape *empty = NULL, *shape = NULL;
    struct mill_fill *fill = NULL;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_schema_parse(&one, mill_str(old), &err), MILL_OK);
    assert_int_equal(mill_schema_parse(&two, mill_str(new), &err), MILL_OK);
    assert_int_equal(mill_shape_new(&empty, 0, NULL, &err), MILL_OK);
    assert_int_equal(mill_shape_grow(empty, mill_schema_root(one), &shape, &err), MILL_OK);
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(two), &err), MILL_E_STATE);
    assert_null(fill);
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(one), &err), MILL_OK);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_shape_free(empty);
    mill_schema_free(one);
    mill_schema_free(two);
}

/** Every cut of a good record is refused, and leaves every column as it was. */
static void test_cut_records(void **state)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" F("s", "\"string\"") "," F(
            "o",
            "[\"null\",\"string\"]") "," F("l",
                                           "{\"type\":\"array\",\"items\":" REC(
                                               "I",
                                               F("x",
                                                 "[\"null\",\"boolean\"]")) "}") "," F("m",
                                                                                       "{\"type\":"
                                                                                       "\"map\","
                                                                                       "\"values\":"
                                                                                       "[\"string\""
                                                                                       ",\"long\"]"
                                                                                       "}") "]}";
    static const char body[] = "\x06"
                               "abc"
                               "\x02\x02"
                               "x"
                               "\x04\x02\x01\x00\x00"
                               "\x02\x02k\x02\x54\x00";
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    struct mill_schema *schema = NULL;
    struct mill_shape *empty = NULL, *shape = NULL;
    struct mill_fill *fill = NULL;
    struct mill_rows r;
    struct mill_err err = {0};
    struct ArrowArray batch;
    (void)state;

    assert_int_equal(mill_schema_parse(&schema, mill_str(json), &err), MILL_OK);
    assert_int_equal(mill_shape_new(&empty, 31, NULL, &err), MILL_OK);
    assert_int_equal(mill_shape_grow(empty, mill_schema_root(schema), &shape, &err), MILL_OK);
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(schema), &err), MILL_OK);
    assert_int_equal(mill_rows_init(&r, shape, &err), MILL_OK);
    for (size_t n = 0; n < sizeof body; n++) {
        bool whole = n == sizeof body - 1;
        struct mill_str cut = {body, n};
        assert_int_equal(mill_fill_row(fill, cut, &meta, &r, &err), whole ? MILL_OK : MILL_E_DATA);
        assert_int_equal(
            mill_fill_row(fill, (struct mill_str){body, sizeof body - 1}, &meta, &r, &err),
            MILL_OK);
        assert_int_equal(mill_rows_count(&r), (int64_t)n + 1 + whole);
    }
    assert_int_equal(mill_rows_batch(&r, &batch, &err), MILL_OK);
    assert_int_equal(batch.length, (int64_t)sizeof body + 1);
    assert_int_equal(mill_rows_count(&r), 0);
    for (int64_t i = 0; i < batch.n_children; i++)
        assert_int_equal(batch.children[i]->length, batch.length);
    assert_int_equal(batch.children[4]->null_count, batch.length); /* _key */
    assert_int_equal(batch.children[7]->children[0]->length, batch.length * 2);
    assert_int_equal(batch.children[7]->children[0]->children[0]->null_count, batch.length);
    batch.release(&batch);
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_shape_free(empty);
    mill_schema_free(schema);
}

static void test_raw(void **state)
{
    static const struct mill_pair headers[] = {{{"a\xff", 2}, {"1", 1}}, {{"b", 1}, {NULL, 0}}};
    struct mill_row_meta meta = {.partition = 1, .offset = 2, .timestamp_us = 3};
    struct mill_shape *shape = NULL;
    struct mill_rows r;
    struct ArrowArray batch;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_raw_shape(&shape, true, &err), MILL_OK);
    assert_int_equal(mill_rows_init(&r, shape, &err), MILL_OK);
    assert_int_equal(mill_raw_row(&r, &meta, MILL_STR("v"), (struct mill_map){headers, 2},
                                  MILL_STR("why"), &err),
                     MILL_OK);
    assert_int_equal(mill_raw_row(&r, &meta, (struct mill_str){0}, (struct mill_map){0},
                                  MILL_STR("no value"), &err),
                     MILL_OK);
    assert_int_equal(mill_rows_batch(&r, &batch, &err), MILL_OK);
    assert_int_equal(batch.length, 2);
    assert_int_equal(batch.n_children, 7);
    assert_int_equal(batch.children[0]->null_count, 2);
    assert_int_equal(batch.children[1]->null_count, 1);
    assert_int_equal(batch.children[2]->children[0]->length, 2);
    /* a header's name that is no text must not make the file unreadable */
    assert_memory_equal(batch.children[2]->children[0]->children[0]->buffers[2], "a?b", 3);
    batch.release(&batch);
    mill_rows_release(&r);
    mill_shape_free(shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_same_is_same),
        cmocka_unit_test(test_fill_needs_growth),
        cmocka_unit_test(test_cut_records),
        cmocka_unit_test(test_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
