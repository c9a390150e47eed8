/* What is done to fields on their way into the lake, and by which time a row is laid out. */
#include "lake/fill.h"

#include "cases.h"
#include <stdio.h>

static const struct read_case {
    const char *name, *text, *topic;
    enum mill_code rc;
    const char *want; /* PATH=number of the rule, … */
} reads[] = {
    {"nothing", "", "t", MILL_OK, ""},
    {"one", "t:a=drop", "t", MILL_OK, "a=1 "},
    {"several", " t : a = drop , b.c = hash ;t:d=mask;", "t", MILL_OK, "a=1 b.c=2 d=3 "},
    {"another topic", "u:a=drop;t:b=drop", "t", MILL_OK, "b=1 "},
    {"pattern", "mail.*:a=drop;*:b=mask", "mail.x", MILL_OK, "a=1 b=3 "},
    {"taken back", "mail.*:a=drop;mail.x:a=keep", "mail.x", MILL_OK, "a=1 a=0 "},
    {"no rule", "t:a", "t", MILL_E_CONFIG, NULL},
    {"no such rule", "t:a=burn", "t", MILL_E_CONFIG, NULL},
    {"no field", "t:=drop", "t", MILL_E_CONFIG, NULL},
    {"no topic", ":a=drop", "t", MILL_E_CONFIG, NULL},
    {"no fields", "t:", "t", MILL_E_CONFIG, NULL},
    {"another topic's fault", "u:a=burn", "t", MILL_E_CONFIG, NULL},
};

static void test_read(void **state)
{
    const struct read_case *c = *state;
    struct mill_policy_rule rules[8];
    char got[256] = "";
    size_t n = 0, count = 0;

    assert_int_equal(mill_policy_read(mill_str(c->text), mill_str(c->topic), NULL, &count, NULL),
                     c->rc);
    if (c->rc)
        return;
    assert_true(count <= 8);
    assert_int_equal(mill_policy_read(mill_str(c->text), mill_str(c->topic), rules, &n, NULL),
                     MILL_OK);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s=%d ", MILL_FMT(rules[i].path),
                 (int)rules[i].guard);
    assert_string_equal(got, c->want);
}

static void test_apply(void **state)
{
    static const struct mill_policy policy = {.key = {"Jefe", 4}};
    static const struct {
        enum mill_guard guard;
        const char *in, *out;
    } rows[] = {
        {MILL_MASK, "ann@example.org", "***@example.org"},
        {MILL_MASK, "\"a@b\"@x.example", "***@x.example"},
        {MILL_MASK, "Ann", "***"},
        {MILL_MASK, "", "***"},
        /* RFC 4231, test case 2 */
        {MILL_HASH, "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    };
    struct mill_buf out;
    (void)state;

    mill_buf_init(&out, 256);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(mill_policy_apply(&policy, rows[i].guard, mill_str(rows[i].in), &out));
        assert_int_equal(out.n, strlen(rows[i].out));
        assert_memory_equal(out.p, rows[i].out, out.n);
    }
    mill_buf_release(&out);
}

static struct mill_fill *fill_of(const char *json, const struct mill_policy *policy,
                                 struct mill_schema **schema, struct mill_shape **shape)
{
    struct mill_shape *base = NULL;
    struct mill_fill *fill = NULL;

    assert_int_equal(mill_schema_parse(schema, mill_str(json), NULL), MILL_OK);
    assert_int_equal(mill_shape_new(&base, 0, policy, NULL), MILL_OK);
    assert_int_equal(mill_shape_grow(base, mill_schema_root(*schema), shape, NULL), MILL_OK);
    assert_int_equal(mill_fill_new(&fill, *shape, mill_schema_root(*schema), NULL), MILL_OK);
    mill_shape_free(base);
    return fill;
}

/* Text below a guarded path is changed, wherever it lies; what is no text does not enter. */
static void test_row(void **state)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"string\"},"
        "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"string\"]}},"
        "{\"name\":\"r\",\"type\":{\"type\":\"record\",\"name\":\"S\",\"fields\":["
        "{\"name\":\"x\",\"type\":\"string\"},{\"name\":\"n\",\"type\":\"int\"},"
        "{\"name\":\"open\",\"type\":\"string\"}]}},"
        "{\"name\":\"n\",\"type\":\"long\"}]}";
    static const struct mill_policy_rule rules[] = {{{"l", 1}, MILL_MASK},
                                                    {{"r", 1}, MILL_MASK},
                                                    {{"r.open", 6}, MILL_KEEP},
                                                    {{"n", 1}, MILL_HASH}};
    static const struct mill_policy policy = {.v = rules, .n = 4, .key = {"k", 1}};
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    struct mill_schema *schema = NULL;
    struct mill_shape *shape = NULL;
    struct mill_fill *fill = fill_of(json, &policy, &schema, &shape);
    struct mill_rows r;
    const struct mill_col *root = shape->root;
    (void)state;

    assert_int_equal(root->n, 3); /* a, l, r: n is no text */
    assert_int_equal(root->kids[2]->n, 2);
    assert_int_equal(mill_rows_init(&r, shape, NULL), MILL_OK);
    assert_int_equal(
        mill_fill_row(fill, MILL_STR("\x02q\x02\x02\x06y@z\0\x04vw\x0e\x02o\x10"), &meta, &r, NULL),
        MILL_OK);
    assert_memory_equal(r.cells[root->kids[0]->id].data.data, "q", 1);
    assert_int_equal(r.cells[root->kids[1]->kids[0]->id].data.size_bytes, 5);
    assert_memory_equal(r.cells[root->kids[1]->kids[0]->id].data.data, "***@z", 5);
    assert_memory_equal(r.cells[root->kids[2]->kids[0]->id].data.data, "***", 3);
    assert_memory_equal(r.cells[root->kids[2]->kids[1]->id].data.data, "o", 1);
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_schema_free(schema);
}

#define FIELD(n, t) "{\"name\":\"" n "\",\"type\":" t "}"
#define REC(n, f)   "{\"type\":\"record\",\"name\":\"" n "\",\"fields\":[" f "]}"
#define ARRAY(t)    "{\"type\":\"array\",\"items\":" t "}"
#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define MAP(t) "{\"type\":\"map\",\"values\":" t "}"
#define PERSON REC("P", FIELD("email", "\"string\"") "," FIELD("age", "\"int\""))

/** Names of the columns, depth first; the last text column in *text. */
static void names_of(const struct mill_col *c, struct mill_buf *out, const struct mill_col **text)
{
    mill_buf_printf(out, "%s%.*s", out->n ? " " : "", MILL_FMT(c->name));
    if (c->type == MILL_COL_UTF8)
        *text = c;
    for (size_t i = 0; i < c->n; i++)
        names_of(c->kids[i], out, text);
}

/* A rule reaches what is below its path, through lists, maps, unions and records; the path itself
 * goes through them by the names of fields alone. */
static const struct nested_case {
    const char *name, *rule, *type;
    struct mill_str body; /* of the field, then 1 for "last" */
    const char *want;     /* the columns; "": the field does not enter */
    const char *text;     /* in the last of them that holds text */
} nested[] = {
    {"records in a list", "a=mask", ARRAY(PERSON), BYTES("\2\6x@y\2\0\2"), "a element email",
     "***@y"},
    {"a field of them", "a.email=mask", ARRAY(PERSON), BYTES("\2\6x@y\2\0\2"),
     "a element email age", "***@y"},
    {"a record or null", "a=mask", "[\"null\"," PERSON "]", BYTES("\2\6x@y\2\2"), "a email",
     "***@y"},
    {"records in a map", "a=mask", MAP(PERSON), BYTES("\2\2k\6x@y\2\0\2"),
     "a key_value key value email", "***@y"},
    {"text in a map; its keys are names", "a=mask", MAP("\"string\""), BYTES("\2\2k\6x@y\0\2"),
     "a key_value key value", "***@y"},
    {"lists in a map", "a.email=drop", MAP(ARRAY(PERSON)), BYTES("\2\2k\2\6x@y\2\0\0\2"),
     "a key_value key value element age", "k"},
    {"a record in a record", "a=mask", REC("O", FIELD("in", PERSON)), BYTES("\6x@y\2\2"),
     "a in email", "***@y"},
    {"taken back within", "a.in=mask,a.in.email=keep", REC("O", FIELD("in", PERSON)),
     BYTES("\6x@y\2\2"), "a in email", "x@y"},
    {"a union", "a=mask", "[\"string\"," PERSON "]", BYTES("\2\6x@y\2\2"), "a string P email",
     "***@y"},
    {"a union with what is no text", "a=hash", "[\"null\",\"int\",\"string\"]", BYTES("\4\6x@y\2"),
     "", NULL},
    {"a list of what is no text", "a=mask", ARRAY("\"bytes\""), BYTES("\2\2q\0\2"), "", NULL},
    {"uuid in 16 bytes", "a=mask",
     "{\"type\":\"fixed\",\"name\":\"U\",\"size\":16,"
     "\"logicalType\":\"uuid\"}",
     BYTES("0123456789abcdef\2"), "", NULL},
};

static void test_nested(void **state)
{
    const struct nested_case *c = *state;
    struct mill_policy_rule rules[4];
    struct mill_policy policy = {.v = rules, .key = {"k", 1}};
    struct mill_row_meta meta = {.topic = MILL_STR("t")};
    const struct mill_col *text = NULL;
    struct mill_schema *schema = NULL;
    struct mill_shape *shape = NULL;
    struct mill_fill *fill;
    struct mill_buf json, rule, names;
    struct mill_rows r;

    mill_buf_init(&json, 4096);
    mill_buf_init(&rule, 4096);
    mill_buf_init(&names, 4096);
    mill_buf_printf(&json, REC("R", FIELD("a", "%s") "," FIELD("last", "\"int\"")), c->type);
    mill_buf_printf(&rule, "t:%s", c->rule);
    assert_int_equal(mill_policy_read(mill_buf_view(&rule), MILL_STR("t"), rules, &policy.n, NULL),
                     MILL_OK);
    fill = fill_of(json.p, &policy, &schema, &shape);
    assert_int_equal(mill_rows_init(&r, shape, NULL), MILL_OK);
    assert_int_equal(mill_fill_row(fill, c->body, &meta, &r, NULL), MILL_OK);
    for (size_t i = 0; i + 1 < shape->root->n; i++)
        names_of(shape->root->kids[i], &names, &text);
    assert_string_equal(names.n ? names.p : "", c->want);
    assert_true(mill_str_is(shape->root->kids[shape->root->n - 1]->name, "last"));
    if (c->text) {
        const struct ArrowBuffer *got = &r.cells[text->id].data;
        assert_int_equal(got->size_bytes, strlen(c->text));
        assert_memory_equal(got->data, c->text, strlen(c->text));
    }
    mill_rows_release(&r);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_schema_free(schema);
    mill_buf_release(&names);
    mill_buf_release(&rule);
    mill_buf_release(&json);
}

/* The record's own time where it has one that can be, else the broker's. */
static void test_time(void **state)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"string\"},"
        "{\"name\":\"at\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":"
        "\"timestamp-millis\"}]}]}";
    static const struct mill_policy policies[] = {{.time = {"at", 2}}, {.time = {"a", 1}}, {0}};
    enum { DAY = 86400000 /* ms */ };
    static const int64_t broker = INT64_C(1700000000000);
    static const struct {
        int64_t at; /* ms; 0: null */
        bool own;
    } rows[] = {{broker, true},
                {broker - 300LL * DAY, true},
                {broker - 500LL * DAY, false},
                {broker + DAY / 2, true},
                {broker + 2LL * DAY, false},
                {INT64_MAX, false},
                {INT64_MIN, false},
                {0, false}};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct mill_schema *schema = NULL;
        struct mill_shape *shape = NULL;
        struct mill_fill *fill = fill_of(json, &policies[k], &schema, &shape);

        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char body[16] = "\x02q\x02";
            size_t n = 3;
            uint64_t z = (uint64_t)rows[i].at << 1 ^ (uint64_t)(rows[i].at < 0 ? -1 : 0);
            int64_t got;

            body[2] = rows[i].at ? 2 : 0;
            for (; rows[i].at && n == 3; n++) {
                for (; z > 127; z >>= 7)
                    body[n++] = (char)(z | 128);
                body[n] = (char)z;
            }
            got = mill_fill_time(fill, (struct mill_str){body, n}, broker * 1000);
            assert_int_equal(got, k == 0 && rows[i].own ? rows[i].at * 1000 : broker * 1000);
        }
        assert_int_equal(mill_fill_time(fill, MILL_STR("\x08q"), broker), broker);
        mill_fill_free(fill);
        mill_shape_free(shape);
        mill_schema_free(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_time),
    };

    return TABLE(reads, test_read) + TABLE(nested, test_nested) + TESTS(tests);
}
