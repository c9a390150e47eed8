/* Avro as JSON for people: one row a type, and what is refused. */
#include "avro/codec.h"

#include "cases.h"
#include <stdio.h>

#define L(t, l) "{\"type\":\"" t "\",\"logicalType\":\"" l "\"}"
#define DEC(s)  "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":30,\"scale\":" s "}"

static const struct row {
    const char *name, *schema;
    struct mill_str body;
    const char *want; /* NULL = refused */
} rows[] = {
    {"null", "\"null\"", {"", 0}, "null"},
    {"boolean", "\"boolean\"", {"\1", 1}, "true"},
    {"int", "\"int\"", {"\3", 1}, "-2"},
    {"long", "\"long\"", {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10}, "-9223372036854775808"},
    {"float", "\"float\"", {"\0\0\xc0\x3f", 4}, "1.5"},
    {"double", "\"double\"", {"\0\0\0\0\0\0\xf8\x3f", 8}, "1.5"},
    {"not a number", "\"double\"", {"\0\0\0\0\0\0\xf8\x7f", 8}, "\"NaN\""},
    {"infinite", "\"double\"", {"\0\0\0\0\0\0\xf0\xff", 8}, "\"-Infinity\""},
    {"string", "\"string\"", {"\4\xc3\xa9", 3}, "\"é\""},
    {"string that is no UTF-8",
     "\"string\"",
     {"\4\xff"
      "a",
      3},
     "\"\xef\xbf\xbd"
     "a\""},
    {"bytes that are text", "\"bytes\"", {"\6a\nb", 4}, "\"a\\nb\""},
    {"bytes that are not", "\"bytes\"", {"\4\xff\0", 3}, "{\"base64\":\"/wA=\"}"},
    {"fixed",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     {"\0\1", 2},
     "{\"base64\":\"AAE=\"}"},
    {"enum", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", {"\2", 1}, "\"B\""},
    {"union, null", "[\"null\",\"int\"]", {"\0", 1}, "null"},
    {"union, value", "[\"null\",\"int\"]", {"\2\4", 2}, "2"},
    {"array", "{\"type\":\"array\",\"items\":\"int\"}", {"\4\2\4\0", 4}, "[1,2]"},
    {"map", "{\"type\":\"map\",\"values\":\"int\"}", {"\2\2k\6\0", 5}, "{\"k\":3}"},
    {"record",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"},"
     "{\"name\":\"a\",\"type\":\"null\"}]}",
     {"\2", 1},
     "{\"b\":1,\"a\":null}"},
    {"date", L("int", "date"), {"\2", 1}, "\"1970-01-02\""},
    {"time in millis", L("int", "time-millis"), {"\x02", 1}, "\"00:00:00.001\""},
    {"time in micros",
     L("long", "time-micros"),
     {"\xfe\xff\xba\xdd\x83\x05", 6},
     "\"23:59:59.999999\""},
    {"time over a day", L("int", "time-millis"), {"\x80\xf0\xb2\x52", 4}, "86400000"},
    {"timestamp in millis",
     L("long", "timestamp-millis"),
     {"\x02", 1},
     "\"1970-01-01T00:00:00.001000Z\""},
    {"timestamp in micros, before 1970",
     L("long", "timestamp-micros"),
     {"\x01", 1},
     "\"1969-12-31T23:59:59.999999Z\""},
    {"timestamp in nanos",
     L("long", "timestamp-nanos"),
     {"\x01", 1},
     "\"1969-12-31T23:59:59.999999999Z\""},
    {"local timestamp",
     L("long", "local-timestamp-micros"),
     {"\x02", 1},
     "\"1970-01-01T00:00:00.000001\""},
    {"timestamp beyond the calendar",
     L("long", "timestamp-millis"),
     {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10},
     "-9223372036854775808"},
    {"decimal", DEC("2"), {"\4\x04\xd2", 3}, "\"12.34\""},
    {"decimal below one", DEC("3"), {"\2\x05", 2}, "\"0.005\""},
    {"negative decimal", DEC("2"), {"\2\xff", 2}, "\"-0.01\""},
    {"decimal without a point", DEC("0"), {"\6\x01\0\0", 4}, "\"65536\""},
    {"most negative byte", DEC("0"), {"\2\x80", 2}, "\"-128\""},
    {"zero", DEC("1"), {"\2\0", 2}, "\"0.0\""},
    {"decimal of no bytes", DEC("1"), {"\0", 1}, "\"\""},

    {"nothing", "\"int\"", {"", 0}, NULL},
    {"left over", "\"int\"", {"\2\2", 2}, NULL},
    {"index out of range", "[\"null\"]", {"\2", 1}, NULL},
    {"endless nulls",
     "{\"type\":\"array\",\"items\":\"null\"}",
     {"\xfe\xff\xff\xff\xff\xff\1\0", 8},
     NULL},
    {"endless nesting",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"r\",\"type\":[\"null\",\"R\"]}]}",
     {"\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2"
      "\2\2"
      "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\0",
      73},
     NULL},
    {"no schema", "{}", {"", 0}, NULL},
};

static void test_row(void **state)
{
    const struct row *r = *state;
    struct mill_err err = {0};
    json_t *v = NULL;
    enum mill_code rc = mill_avro_json(mill_str(r->schema), r->body, &v, &err);

    if (!r->want) {
        assert_true(rc == MILL_E_DATA || rc == MILL_E_SCHEMA);
        assert_true(!v && err.where[0] && err.text[0]);
        return;
    }
    assert_int_equal(rc, MILL_OK);
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, r->want);
    free(text);
    json_decref(v);
}

int main(void)
{
    return TABLE(rows, test_row);
}
