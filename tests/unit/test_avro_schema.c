/* What is a schema and what is not; avro-c judges too: what we take, it must take. */
#include "avro/avsc.h"

#include "cases.h"
#include <avro.h>
#include <stdio.h>

struct row {
    const char *name;
    const char *json;
    bool good;
    bool avro_c_refuses; /* right, but more than avro-c knows */
};

#define REC(n, f) "{\"type\":\"record\",\"name\":\"" n "\",\"fields\":[" f "]}"
#define FLD(n, t) "{\"name\":\"" n "\",\"type\":" t "}"

static const struct row rows[] = {
    {"primitive", "\"string\"", true, false},
    {"primitive in an object", "{\"type\":\"long\"}", true, false},
    {"object in an object", "{\"type\":{\"type\":\"long\"}}", true, true},
    {"union", "[\"null\",\"string\"]", true, false},
    {"empty record", REC("R", ""), true, false},
    {"fields", REC("R", FLD("a", "\"int\"") "," FLD("b", "\"double\"")), true, false},
    {"namespace",
     "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"fields\":[" FLD(
         "r", "[\"null\",\"R\"]") "," FLD("q", "[\"null\",\"a.b.R\"]") "]}",
     true, false},
    {"null namespace of an inner name",
     "{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[" FLD(
         "e", "{\"type\":\"enum\",\"name\":\"E\",\"namespace\":\"\",\"symbols\":[\"X\"]}") "]}",
     true, true},
    {"recursive by array", REC("R", FLD("kids", "{\"type\":\"array\",\"items\":\"R\"}")), true,
     false},
    {"reference to an earlier type", REC("R", FLD("a", REC("S", "")) "," FLD("b", "\"S\"")), true,
     false},
    {"aliases",
     "{\"type\":\"record\",\"name\":\"R\",\"aliases\":[\"Q\",\"x.P\"],\"fields\":[{\"name\":\"a\","
     "\"aliases\":[\"b\"],\"type\":\"int\"}]}",
     true, false},
    {"enum with default",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"],\"default\":\"A\"}", true, false},
    {"fixed", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":16}", true, false},
    {"unknown attributes", "{\"type\":\"string\",\"avro.java.string\":\"String\"}", true, false},
    {"unknown logical type", "{\"type\":\"string\",\"logicalType\":\"phone\"}", true, false},
    {"logical type that does not fit", "{\"type\":\"string\",\"logicalType\":\"date\"}", true,
     false},

    {"no JSON", "{", false, false},
    {"nothing", "", false, false},
    {"number", "12", false, false},
    {"unknown name", "\"strin\"", false, false},
    {"name used before it is defined", REC("R", FLD("b", "\"S\"") "," FLD("a", REC("S", ""))),
     false, false},
    {"defined twice", REC("R", FLD("a", REC("R", ""))), false, false},
    {"no name", "{\"type\":\"record\",\"fields\":[]}", false, false},
    {"bad name", REC("1R", ""), false, false},
    {"name of a primitive", REC("string", ""), false, false},
    {"hyphen in a field", REC("R", FLD("a-b", "\"int\"")), false, false},
    {"no fields", "{\"type\":\"record\",\"name\":\"R\"}", false, false},
    {"field without type", REC("R", "{\"name\":\"a\"}"), false, false},
    {"two fields of one name", REC("R", FLD("a", "\"int\"") "," FLD("a", "\"int\"")), false, false},
    {"union in a union", "[\"null\",[\"int\",\"string\"]]", false, false},
    {"two of a type in a union", "[\"int\",\"int\"]", false, false},
    {"empty union", "[]", false, false},
    {"no items", "{\"type\":\"array\"}", false, false},
    {"no symbols", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", false, false},
    {"symbol twice", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", false, false},
    {"default that is no symbol",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}", false, false},
    {"negative size", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", false, false},
    {"a record that holds itself", REC("R", FLD("r", "\"R\"")), false, false},
    {"two records that hold each other", REC("R", FLD("s", REC("S", FLD("r", "\"R\"")))), false,
     false},
    {"duplicate key", "{\"type\":\"string\",\"type\":\"int\"}", false, false},
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct mill_schema *s = NULL;
    struct mill_err err = {0};
    enum mill_code rc = mill_schema_parse(&s, mill_str(r->json), &err);

    assert_int_equal(rc, r->good ? MILL_OK : MILL_E_SCHEMA);
    assert_true(r->good == (s != NULL));
    if (!r->good)
        assert_true(err.where[0] && err.text[0]);
    mill_schema_free(s);
    if (!r->good || r->json[0] == '"') /* avro-c reads no bare names */
        return;
    avro_schema_t judge = NULL;
    int bad = avro_schema_from_json_length(r->json, strlen(r->json), &judge);
    if (!r->avro_c_refuses) {
        assert_int_equal(bad, 0);
    }
    if (!bad)
        avro_schema_decref(judge);
}

static void repeat(char *out, size_t size, const char *open, const char *mid, const char *close,
                   size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, size - at, "%s", open);
    at += (size_t)snprintf(out + at, size - at, "%s", mid);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, size - at, "%s", close);
}

static void test_limits(void **state)
{
    const size_t size = 2 << 20;
    char *text = malloc(size);
    struct mill_schema *s = NULL;
    struct mill_err err;

    (void)state;
    assert_non_null(text);
    repeat(text, size, "{\"type\":\"array\",\"items\":", "\"int\"", "}", 60);
    assert_int_equal(mill_schema_parse(&s, mill_str(text), &err), MILL_OK);
    mill_schema_free(s);
    repeat(text, size, "{\"type\":\"array\",\"items\":", "\"int\"", "}", 70);
    assert_int_equal(mill_schema_parse(&s, mill_str(text), &err), MILL_E_SCHEMA);
    repeat(text, size, "{\"type\":\"array\",\"items\":", "\"int\"", "}", 40000);
    assert_int_equal(mill_schema_parse(&s, mill_str(text), &err), MILL_E_SCHEMA);

    /* More types than anybody has: a wide union of records. */
    size_t at = (size_t)snprintf(text, size, "[\"null\"");
    for (int i = 0; i < 17000; i++)
        at += (size_t)snprintf(text + at, size - at,
                               ",{\"type\":\"fixed\",\"name\":\"F%d\",\"size\":1}", i);
    snprintf(text + at, size - at, "]");
    assert_int_equal(mill_schema_parse(&s, mill_str(text), &err), MILL_E_SCHEMA);

    memset(text, ' ', size);
    assert_int_equal(mill_schema_parse(&s, (struct mill_str){text, size}, &err), MILL_E_SCHEMA);
    free(text);
}

/* Records that hold two of the one before: least sizes double and must be capped, not overflow. */
static void test_doubling(void **state)
{
    char text[16384];
    struct mill_schema *s = NULL;
    struct mill_err err;
    size_t at = (size_t)snprintf(text, sizeof text, "[%s", REC("R0", FLD("a", "\"int\"")));

    (void)state;
    for (int i = 1; i < 60; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               ",{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\","
                               "\"type\":\"R%d\"},{\"name\":\"b\",\"type\":\"R%d\"}]}",
                               i, i - 1, i - 1);
    snprintf(text + at, sizeof text - at, "]");
    assert_int_equal(mill_schema_parse(&s, mill_str(text), &err), MILL_OK);
    const struct mill_avro_node *root = mill_schema_root(s);
    assert_int_equal(root->branches[0]->min_bytes, 1);
    assert_int_equal(root->branches[10]->min_bytes, 1024);
    assert_int_equal(root->branches[59]->min_bytes, 1 << 30);
    assert_int_equal(mill_schema_resolves(root, root, true, &err), MILL_OK);
    mill_schema_free(s);
}

static void test_tree(void **state)
{
    static const char json[] =
        "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"aliases\":[\"Q\",\"x.P\"],"
        "\"fields\":[{\"name\":\"t\",\"doc\":\"when\",\"default\":0,\"aliases\":[\"u\"],\"type\":{"
        "\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
        "{\"name\":\"d\",\"type\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\","
        "\"precision\":9,\"scale\":2}]},"
        "{\"name\":\"bad\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":"
        "2,"
        "\"scale\":3}},"
        "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"],"
        "\"default\":\"B\"}},"
        "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"E\"}}]}";
    struct mill_schema *s = NULL;
    struct mill_err err;
    bool nullable;

    (void)state;
    assert_int_equal(mill_schema_parse(&s, mill_str(json), &err), MILL_OK);
    const struct mill_avro_node *r = mill_schema_root(s), *t;
    assert_true(mill_str_is(r->name, "a.b.R"));
    assert_true(mill_str_is(mill_avro_short_name(r->name), "R"));
    assert_true(mill_str_is(r->aliases.v[0], "a.b.Q") && mill_str_is(r->aliases.v[1], "x.P"));
    assert_int_equal(r->n, 5);
    assert_int_equal(r->min_bytes, 5);
    assert_true(mill_str_is(r->fields[0].doc, "when") &&
                mill_str_is(r->fields[0].aliases.v[0], "u"));
    assert_true(json_is_integer(r->fields[0].def) && !r->fields[1].def);
    assert_int_equal(r->fields[0].type->logical, MILL_LOGICAL_TIMESTAMP_MICROS);
    t = mill_avro_nullable(r->fields[1].type, &nullable);
    assert_true(nullable && t->logical == MILL_LOGICAL_DECIMAL && t->precision == 9 &&
                t->scale == 2);
    assert_int_equal(r->fields[2].type->logical, MILL_LOGICAL_NONE);
    assert_int_equal(r->fields[3].type->default_symbol, 1);
    assert_ptr_equal(r->fields[4].type->items, r->fields[3].type);
    assert_string_equal(mill_avro_type_name(r->fields[4].type->type), "map");
    mill_schema_free(s);
}

struct pair {
    const char *name, *writer, *reader;
    bool strict, lenient; /* does it resolve? */
};

static const struct pair pairs[] = {
    {"same", "\"int\"", "\"int\"", true, true},
    {"promoted", "\"int\"", "\"double\"", true, true},
    {"not back", "\"double\"", "\"int\"", false, false},
    {"union narrowed", "[\"null\",\"int\"]", "\"int\"", false, true},
    {"union widened", "[\"null\",\"int\"]", "[\"string\",\"long\",\"null\"]", true, true},
    {"symbol unknown, no default", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", false, true},
    {"symbol unknown, default", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}", true, true},
    {"field added without default", REC("R", ""), REC("R", FLD("a", "\"int\"")), false, false},
    {"recursive", REC("R", FLD("k", "{\"type\":\"array\",\"items\":\"R\"}")),
     REC("R", FLD("k", "{\"type\":\"array\",\"items\":\"R\"}")), true, true},
    {"recursive, differs below",
     REC("R", FLD("v", "\"string\"") "," FLD("k", "{\"type\":\"array\",\"items\":\"R\"}")),
     REC("R", FLD("v", "\"int\"") "," FLD("k", "{\"type\":\"array\",\"items\":\"R\"}")), false,
     false},
    {"a type that does not fit is met twice",
     REC("R", FLD("a", "[\"null\"," REC("S", FLD("f", "\"string\"")) "]") "," FLD("b", "\"S\"")),
     REC("R", FLD("a", "[\"null\"," REC("S", FLD("f", "\"int\"")) "]") "," FLD("b", "\"S\"")),
     false, false},
    {"array to map", "{\"type\":\"array\",\"items\":\"int\"}",
     "{\"type\":\"map\",\"values\":\"int\"}", false, false},
};

static void test_pairs(void **state)
{
    struct mill_err err;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct mill_schema *w = NULL, *r = NULL;
        assert_int_equal(mill_schema_parse(&w, mill_str(pairs[i].writer), &err), MILL_OK);
        assert_int_equal(mill_schema_parse(&r, mill_str(pairs[i].reader), &err), MILL_OK);
        for (int strict = 0; strict < 2; strict++) {
            bool want = strict ? pairs[i].strict : pairs[i].lenient;
            enum mill_code rc =
                mill_schema_resolves(mill_schema_root(w), mill_schema_root(r), strict, &err);
            if (rc != (want ? MILL_OK : MILL_E_SCHEMA))
                print_message("%s, strict %d: %d\n", pairs[i].name, strict, rc);
            assert_int_equal(rc, want ? MILL_OK : MILL_E_SCHEMA);
        }
        mill_schema_free(w);
        mill_schema_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_doubling),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_pairs),
    };
    return TABLE(rows, test_row) + TESTS(fixed);
}
