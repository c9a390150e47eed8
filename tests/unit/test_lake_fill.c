/* From an Avro body to the bytes of a column: each row is a schema (with the wider one that another
 * producer writes), a body, and what Arrow gets. What is no value of its type is refused. */
#include "base/buf.h"
#include "lake/fill.h"

#include "cases.h"
#include <stdio.h>

#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define REC(name, f)  "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" f "]}"
#define DEC(p, s)                                                                                  \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":" s "}"
#define FIX(n, more) "{\"type\":\"fixed\",\"name\":\"X\",\"size\":" n more "}"
#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define ENUM       "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"ON\",\"OFF\"]}"
#define UUID_TEXT  "00010203-0405-0607-0809-0a0b0c0d0e0f"
#define UUID_BYTES "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
#define LIMITS_32  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
/* 16 zero bytes */
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct row {
    const char *name;
    const char *type;  /* of the only field, as this producer writes it */
    const char *wider; /* as another one does; NULL = nobody else */
    struct mill_str body;
    struct mill_str want; /* the column's bytes; absent = refused */
} rows[] = {
    {"int", "\"int\"", NULL, BYTES("\x03"), BYTES("\xfe\xff\xff\xff")},
    {"int, over its range", "\"int\"", NULL, BYTES("\x80\x80\x80\x80\x10"), {0}},
    {"int in a column of long", "\"int\"", "\"long\"", BYTES("\x03"),
     BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff")},
    {"int in a column of double", "\"int\"", "\"double\"", BYTES("\x03"),
     BYTES("\0\0\0\0\0\0\0\xc0")},
    {"long", "\"long\"", NULL, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     BYTES("\0\0\0\0\0\0\0\x80")},
    {"long, eleven bytes",
     "\"long\"",
     NULL,
     BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
     {0}},
    {"float", "\"float\"", NULL, BYTES("\0\0\xc0\x3f"), BYTES("\0\0\xc0\x3f")},
    {"float in a column of double", "\"float\"", "\"double\"", BYTES("\0\0\xc0\x3f"),
     BYTES("\0\0\0\0\0\0\xf8\x3f")},
    {"double", "\"double\"", NULL, BYTES("\0\0\0\0\0\0\xf8\x3f"), BYTES("\0\0\0\0\0\0\xf8\x3f")},
    {"double, cut", "\"double\"", NULL, BYTES("\0\0\0\0\0\0\xf8"), {0}},
    {"boolean", "\"boolean\"", NULL, BYTES("\1"), BYTES("\1")},
    {"boolean, neither", "\"boolean\"", NULL, BYTES("\2"), {0}},
    {"enum as its symbol", ENUM, NULL, BYTES("\2"), BYTES("OFF")},
    {"enum, no such symbol", ENUM, NULL, BYTES("\4"), {0}},
    {"enum, negative", ENUM, NULL, BYTES("\1"), {0}},
    {"string, shorter than its length", "\"string\"", NULL, BYTES("\x1ahello w\xc3\xb6rld"), {0}},
    {"string, not ASCII, late", "\"string\"", NULL, BYTES("\x18hello w\xc3\xb6rld"),
     BYTES("hello w\xc3\xb6rld")},
    {"string, not ASCII, early", "\"string\"", NULL,
     BYTES("\x14\xc3\xa4"
           "23456789"),
     BYTES("\xc3\xa4"
           "23456789")},
    {"string that is no UTF-8, early",
     "\"string\"",
     NULL,
     BYTES("\x10"
           "\xff"
           "2345678"),
     {0}},
    {"string that is no UTF-8, late",
     "\"string\"",
     NULL,
     BYTES("\x12"
           "12345678"
           "\xff"),
     {0}},
    {"bytes may be anything", "\"bytes\"", NULL, BYTES("\x04\xff\xfe"), BYTES("\xff\xfe")},
    {"fixed", FIX("3", ""), NULL, BYTES("abc"), BYTES("abc")},
    {"fixed, cut", FIX("3", ""), NULL, BYTES("ab"), {0}},
    {"uuid of 16 bytes", FIX("16", ",\"logicalType\":\"uuid\""), NULL, BYTES(UUID_BYTES),
     BYTES(UUID_TEXT)},
    {"uuid, cut", FIX("16", ",\"logicalType\":\"uuid\""), NULL, BYTES("\1\2"), {0}},
    {"decimal", DEC("4", "2"), NULL, BYTES("\x04\x27\x0f"),
     BYTES("\x0f\x27"
           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"decimal, one digit too many", DEC("4", "2"), NULL, BYTES("\x04\x27\x10"), {0}},
    {"decimal, negative", DEC("4", "2"), NULL, BYTES("\x04\xd8\xf1"),
     BYTES("\xf1\xd8"
           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"decimal, negative, one too many", DEC("4", "2"), NULL, BYTES("\x04\xd8\xf0"), {0}},
    {"decimal without bytes", DEC("4", "2"), NULL, BYTES("\x00"), {0}},
    {"decimal, small in 34 bytes", DEC("4", "2"), NULL, BYTES("\x44" ZEROS ZEROS "\0\x07"),
     BYTES("\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"decimal, large in 34 bytes", DEC("4", "2"), NULL, BYTES("\x44\1" ZEROS ZEROS "\0"), {0}},
    {"decimal, 33 bytes whose sign is lost in 32",
     DEC("4", "2"),
     NULL,
     BYTES("\x42\0" LIMITS_32 LIMITS_32),
     {0}},
    {"decimal in a fixed", FIX("2", ",\"logicalType\":\"decimal\",\"precision\":4"), NULL,
     BYTES("\x00\x07"), BYTES("\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"a record without fields", REC("Z", ""), NULL, BYTES(""), BYTES("\1")},
    {"date", "{\"type\":\"int\",\"logicalType\":\"date\"}", NULL, BYTES("\x02"), BYTES("\1\0\0\0")},
    {"time of day, milliseconds", "{\"type\":\"int\",\"logicalType\":\"time-millis\"}", NULL,
     BYTES("\x02"), BYTES("\1\0\0\0")},
    {"time of day, microseconds", "{\"type\":\"long\",\"logicalType\":\"time-micros\"}", NULL,
     BYTES("\x02"), BYTES("\1\0\0\0\0\0\0\0")},
    {"timestamp", "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", NULL, BYTES("\x02"),
     BYTES("\1\0\0\0\0\0\0\0")},
    {"timestamp, nanoseconds", "{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\"}", NULL,
     BYTES("\x02"), BYTES("\1\0\0\0\0\0\0\0")},
    {"local timestamp", "{\"type\":\"long\",\"logicalType\":\"local-timestamp-millis\"}", NULL,
     BYTES("\x01"), BYTES("\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"uuid as text", "{\"type\":\"string\",\"logicalType\":\"uuid\"}", NULL,
     BYTES("\x48" UUID_TEXT), BYTES(UUID_TEXT)},
    {"duration", FIX("12", ",\"logicalType\":\"duration\""), NULL, BYTES("abcdefghijkl"),
     BYTES("abcdefghijkl")},
    {"trailing bytes", "\"int\"", NULL, BYTES("\x03\x00"), {0}},
    {"nothing", "\"int\"", NULL, BYTES(""), {0}},
};

static void grow(struct mill_shape **shape, const char *type, struct mill_schema **schema)
{
    struct mill_shape *grown = NULL;
    struct mill_err err = {0};
    struct mill_buf json;

    mill_buf_init(&json, 1 << 12);
    assert_true(mill_buf_printf(&json, REC("R", F("a", "%s")), type));
    if (mill_schema_parse(schema, mill_buf_view(&json), &err) ||
        mill_shape_grow(*shape, mill_schema_root(*schema), &grown, &err))
        fail_msg("%s: %s: %s", type, err.where, err.text);
    mill_shape_free(*shape);
    *shape = grown;
    mill_buf_release(&json);
}

/** The only value's bytes: of a text or bytes column those behind the offsets. */
static struct mill_str value(const struct ArrowArray *a, size_t n)
{
    const int32_t *ends = a->buffers[1];

    if (a->n_buffers == 3)
        return (struct mill_str){a->buffers[2], (size_t)(ends[1] - ends[0])};
    return (struct mill_str){a->buffers[1], n};
}

static void fill_row(void **state)
{
    const struct row *row = *state;
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    struct mill_schema *own = NULL, *other = NULL;
    struct mill_shape *shape = NULL;
    struct mill_fill *fill = NULL;
    struct mill_rows r;
    struct mill_err err = {0};
    struct ArrowArray batch;
    struct mill_str got;

    assert_int_equal(mill_shape_new(&shape, 0, NULL, &err), MILL_OK);
    grow(&shape, row->type, &own);
    if (row->wider)
        grow(&shape, row->wider, &other);
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(own), &err), MILL_OK);
    assert_int_equal(mill_rows_init(&r, shape, &err), MILL_OK);
    assert_int_equal(mill_fill_row(fill, row->body, &meta, &r, &err),
                     row->want.p ? MILL_OK : MILL_E_DATA);
    assert_int_equal(mill_rows_count(&r), row->want.p ? 1 : 0);
    if (row->want.p) {
        assert_int_equal(mill_rows_batch(&r, &batch, &err), MILL_OK);
        got = value(batch.children[0], row->want.n);
        assert_int_equal(got.n, row->want.n);
        assert_memory_equal(got.p, row->want.p, row->want.n);
        batch.release(&batch);
    } else if (row->body.n) {
        assert_true(err.where[0] && err.text[0]);
    }
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_schema_free(own);
    mill_schema_free(other);
}

/* Array items that take no byte cost memory all the same: a few bytes may not ask for much. */
static void test_empty_items(void **state)
{
    static const char type[] = "{\"type\":\"array\",\"items\":\"null\"}";
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    struct mill_schema *schema = NULL;
    struct mill_shape *shape = NULL;
    struct mill_fill *fill = NULL;
    struct mill_rows r;
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_shape_new(&shape, 0, NULL, &err), MILL_OK);
    grow(&shape, type, &schema);
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(schema), &err), MILL_OK);
    assert_int_equal(mill_rows_init(&r, shape, &err), MILL_OK);
    assert_int_equal(mill_fill_row(fill, MILL_STR("\x06\0"), &meta, &r, &err), MILL_OK);
    assert_int_equal(mill_fill_row(fill, MILL_STR("\x80\x80\x80\x80\x20\0"), &meta, &r, &err),
                     MILL_E_DATA);
    assert_int_equal(mill_rows_count(&r), 1);
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_schema_free(schema);
}

/* A field that is dropped is read over, whatever it is; a null goes where the other producer has
 * a value; what only the other one writes is null. */
static void test_dropped_and_absent(void **state)
{
    static const struct mill_policy_rule drop[] = {{{"drop", 4}, MILL_DROP}};
    const struct mill_policy policy = {.v = drop, .n = 1};
    static const char own[] =
        F("drop", "[\"null\"," REC("D", F("x", "\"string\"") "," F("y", ENUM)) "]") "," F(
            "n", "\"null\"") "," F("a", "\"int\"");
    static const char other[] =
        F("a", "\"int\"") "," F("n", "\"string\"") "," F("b", REC("B", F("z", "\"long\"")));
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    struct mill_schema *schema[2] = {NULL, NULL};
    struct mill_shape *shape = NULL, *grown = NULL;
    struct mill_fill *fill = NULL;
    struct mill_rows r;
    struct mill_err err = {0};
    struct ArrowArray batch;
    char json[1024];

    (void)state;
    assert_int_equal(mill_shape_new(&shape, 0, &policy, &err), MILL_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(json, sizeof json, REC("R", "%s"), i ? other : own);
        assert_int_equal(mill_schema_parse(&schema[i], mill_str(json), &err), MILL_OK);
        assert_int_equal(mill_shape_grow(shape, mill_schema_root(schema[i]), &grown, &err),
                         MILL_OK);
        mill_shape_free(shape);
        shape = grown;
    }
    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(schema[0]), &err), MILL_OK);
    assert_int_equal(mill_rows_init(&r, shape, &err), MILL_OK);
    assert_int_equal(mill_fill_row(fill, MILL_STR("\x02\x02q\x02\x0e"), &meta, &r, &err), MILL_OK);
    assert_int_equal(mill_fill_row(fill, MILL_STR("\x02\x02q\x04\x0e"), &meta, &r, &err),
                     MILL_E_DATA); /* what is read over must be good as well */
    assert_int_equal(mill_fill_row(fill, MILL_STR("\0\x10"), &meta, &r, &err), MILL_OK);
    assert_int_equal(mill_rows_batch(&r, &batch, &err), MILL_OK);
    assert_int_equal(batch.n_children, 3); /* n, a, b */
    assert_int_equal(batch.children[0]->null_count, 2);
    assert_memory_equal(batch.children[1]->buffers[1], "\7\0\0\0\x08\0\0\0", 8);
    assert_int_equal(batch.children[2]->null_count, 2);
    assert_int_equal(batch.children[2]->children[0]->length, 2);
    batch.release(&batch);
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_schema_free(schema[0]);
    mill_schema_free(schema[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_items),
        cmocka_unit_test(test_dropped_and_absent),
    };

    return TABLE(rows, fill_row) + TESTS(tests);
}
