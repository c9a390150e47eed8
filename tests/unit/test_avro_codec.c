/* Schema resolution and the codec: each row is a writer's schema, a value, and what the reader's
 * struct must hold. The value is JSON written by the writer's schema (a union takes its first
 * branch), or bytes in hexadecimal where JSON cannot say it. */
#include "avro/codec.h"
#include "avro/wire.h"

#include "cases.h"
#include <stdio.h>

struct sub {
    int64_t x;
    struct mill_str y;
};
struct subs {
    const struct sub *v;
    size_t n;
};
struct all {
    struct mill_str s, b, fx, os;
    int64_t i, l, ts;
    bool flag;
    double f, d;
    int e, strict;
    struct mill_opt_i64 ol, oi;
    struct mill_opt_bool ob;
    struct mill_strs strs;
    struct mill_map map;
    struct sub rec;
    const struct sub *orec;
    struct subs recs;
};

static const char all_avsc[] =
    "{\"type\":\"record\",\"name\":\"All\",\"namespace\":\"t\",\"aliases\":[\"OldAll\"],\"fields\":"
    "["
    "{\"name\":\"s\",\"type\":\"string\",\"default\":\"def\",\"aliases\":[\"olds\",\"i\"]},"
    "{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"\\u0000\\u00ff\"},"
    "{\"name\":\"fx\",\"type\":{\"type\":\"fixed\",\"name\":\"Four\",\"size\":4},\"default\":"
    "\"abcd\"},"
    "{\"name\":\"os\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"i\",\"type\":\"int\",\"default\":-3},"
    "{\"name\":\"l\",\"type\":\"long\",\"default\":7},"
    "{\"name\":\"ts\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"},"
    "\"default\":0},"
    "{\"name\":\"flag\",\"type\":\"boolean\",\"default\":true},"
    "{\"name\":\"f\",\"type\":\"float\",\"default\":1.5},"
    "{\"name\":\"d\",\"type\":\"double\",\"default\":2.5},"
    "{\"name\":\"unused\",\"type\":[\"null\",{\"type\":\"map\",\"values\":\"long\"}],\"default\":"
    "null},"
    "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\",\"C\"],"
    "\"default\":\"A\"},\"default\":\"B\"},"
    "{\"name\":\"strict\",\"type\":{\"type\":\"enum\",\"name\":\"Strict\",\"symbols\":["
    "\"X\",\"Y\"]},\"default\":\"X\"},"
    "{\"name\":\"ol\",\"type\":[\"null\",\"long\"],\"default\":null},"
    "{\"name\":\"oi\",\"type\":[\"int\",\"null\"],\"default\":9},"
    "{\"name\":\"ob\",\"type\":[\"null\",\"boolean\"],\"default\":null},"
    "{\"name\":\"strs\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[\"p\","
    "\"q\"]},"
    "{\"name\":\"map\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"default\":{\"k\":\"v\"}}"
    ","
    "{\"name\":\"rec\",\"type\":{\"type\":\"record\",\"name\":\"Sub\",\"fields\":["
    "{\"name\":\"x\",\"type\":\"int\",\"default\":5},"
    "{\"name\":\"y\",\"type\":\"string\",\"default\":\"why\"}]},\"default\":{\"x\":6}},"
    "{\"name\":\"orec\",\"type\":[\"null\",\"Sub\"],\"default\":null},"
    "{\"name\":\"recs\",\"type\":{\"type\":\"array\",\"items\":\"Sub\"},\"default\":[{\"y\":\"z\"}]"
    "}]}";

#define ROW(m, k)                                                                                  \
    {                                                                                              \
        .name = #m, .kind = (k), .off = offsetof(struct all, m)                                    \
    }
static const struct mill_field sub_fields[] = {
    {.name = "x", .kind = MILL_I64, .off = offsetof(struct sub, x)},
    {.name = "y", .kind = MILL_STRING, .off = offsetof(struct sub, y)},
    {0},
};
static const struct mill_desc sub_desc = {
    .name = "Sub", .size = sizeof(struct sub), .fields = sub_fields};
/* C order differs from the schema's. */
static const char *const e_names[] = {"A", "C", "B", NULL};
static const char *const strict_names[] = {"X", "Y", NULL};
static const struct mill_field all_fields[] = {
    ROW(s, MILL_STRING),
    ROW(b, MILL_STRING),
    ROW(fx, MILL_STRING),
    ROW(os, MILL_STRING),
    ROW(i, MILL_I64),
    ROW(l, MILL_I64),
    ROW(ts, MILL_I64),
    ROW(flag, MILL_BOOL),
    ROW(f, MILL_F64),
    ROW(d, MILL_F64),
    {.name = "e", .kind = MILL_ENUM, .off = offsetof(struct all, e), .names = e_names},
    {.name = "strict",
     .kind = MILL_ENUM,
     .off = offsetof(struct all, strict),
     .names = strict_names},
    ROW(ol, MILL_OPT_I64),
    ROW(oi, MILL_OPT_I64),
    ROW(ob, MILL_OPT_BOOLEAN),
    ROW(strs, MILL_STRINGS),
    ROW(map, MILL_STRING_MAP),
    {.name = "rec", .kind = MILL_RECORD, .off = offsetof(struct all, rec), .sub = &sub_desc},
    {.name = "orec", .kind = MILL_OPT_RECORD, .off = offsetof(struct all, orec), .sub = &sub_desc},
    {.name = "recs", .kind = MILL_RECORDS, .off = offsetof(struct all, recs), .sub = &sub_desc},
    {0},
};
static const struct mill_desc all_desc = {
    .name = "All", .avsc = all_avsc, .size = sizeof(struct all), .fields = all_fields};

static void text_of(struct mill_buf *b, const char *name, struct mill_str s)
{
    mill_buf_printf(b, " %s=", name);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        mill_buf_printf(b, c >= 0x20 && c < 0x7f ? "%c" : "\\%02x", c);
    }
    if (!s.p)
        mill_buf_puts(b, "(absent)");
}

static void render(struct mill_buf *b, const struct all *a)
{
    text_of(b, "s", a->s);
    text_of(b, "b", a->b);
    text_of(b, "fx", a->fx);
    text_of(b, "os", a->os);
    mill_buf_printf(b, " i=%lld l=%lld ts=%lld flag=%d f=%g d=%g e=%d", (long long)a->i,
                    (long long)a->l, (long long)a->ts, a->flag, a->f, a->d, a->e);
    mill_buf_printf(b, " ol=%d/%lld oi=%d/%lld ob=%d/%d", a->ol.has, (long long)a->ol.v, a->oi.has,
                    (long long)a->oi.v, a->ob.has, a->ob.v);
    mill_buf_printf(b, " strs[%zu]", a->strs.n);
    for (size_t i = 0; i < a->strs.n; i++)
        text_of(b, "", a->strs.v[i]);
    mill_buf_printf(b, " map[%zu]", a->map.n);
    for (size_t i = 0; i < a->map.n; i++) {
        text_of(b, "", a->map.v[i].key);
        text_of(b, "", a->map.v[i].value);
    }
    mill_buf_printf(b, " rec=%lld", (long long)a->rec.x);
    text_of(b, "", a->rec.y);
    mill_buf_printf(b, " orec=%lld", a->orec ? (long long)a->orec->x : -1);
    mill_buf_printf(b, " recs[%zu]", a->recs.n);
    for (size_t i = 0; i < a->recs.n; i++) {
        mill_buf_printf(b, " %lld", (long long)a->recs.v[i].x);
        text_of(b, "", a->recs.v[i].y);
    }
    mill_buf_putc(b, ' ');
}

#define DEFAULTS                                                                                   \
    " s=def b=\\00\\ff fx=abcd os=(absent) i=-3 l=7 ts=0 flag=1 f=1.5 d=2.5 e=2 ol=0/0 oi=1/9 "    \
    "ob=0/0 strs[2] =p =q map[1] =k =v rec=6 =why orec=-1 recs[1] 5 =z "

struct row {
    const char *name;
    const char *writer; /* field list of record t.All; starts with '{': the whole schema */
    const char *value;  /* JSON; or "hex:…" */
    const char *want;   /* a part of the rendered struct; NULL = refused */
    enum mill_code code;
};

#define F(n, t) "{\"name\":\"" n "\",\"type\":" t "}"
#define T(n, l) "{\"type\":\"" n "\",\"logicalType\":\"" l "\"}"
#define ARR(t)  "{\"type\":\"array\",\"items\":" t "}"
#define MAP(t)  "{\"type\":\"map\",\"values\":" t "}"
#define SUBW    "{\"type\":\"record\",\"name\":\"Sub\",\"fields\":["

static const struct row rows[] = {
    {"nothing written: all defaults", "", "{}", DEFAULTS, 0},
    {"extra field is skipped", F("new", "\"string\"") "," F("l", "\"long\""),
     "{\"new\":\"xx\",\"l\":12}", " l=12 ", 0},
    {"extra nested field is skipped",
     F("new", MAP(ARR("[\"double\",\"null\"]"))) "," F("l", "\"long\""),
     "{\"new\":{\"a\":[1.0,2.0],\"b\":[]},\"l\":12}", " l=12 ", 0},
    {"reordered", F("l", "\"long\"") "," F("s", "\"string\""), "{\"l\":3,\"s\":\"t\"}",
     " s=t b=\\00\\ff fx=abcd os=(absent) i=-3 l=3 ", 0},
    {"renamed, by alias", F("olds", "\"string\""), "{\"olds\":\"was\"}", " s=was ", 0},
    {"a name wins over an alias", F("olds", "\"string\"") "," F("s", "\"string\""),
     "{\"olds\":\"old\",\"s\":\"new\"}", " s=new ", 0},
    {"an alias that is a field's own name is that field", F("i", "\"int\""), "{\"i\":4}",
     " s=def b=\\00\\ff fx=abcd os=(absent) i=4 ", 0},
    {"record renamed, by alias",
     "{\"type\":\"record\",\"name\":\"OldAll\",\"namespace\":\"t\",\"fields\":[" F("l",
                                                                                   "\"long\"") "]}",
     "{\"l\":8}", " l=8 ", 0},
    {"another namespace",
     "{\"type\":\"record\",\"name\":\"x.y.All\",\"fields\":[" F("l", "\"long\"") "]}", "{\"l\":8}",
     " l=8 ", 0},
    {"another record", "{\"type\":\"record\",\"name\":\"Other\",\"fields\":[]}", "{}", NULL,
     MILL_E_SCHEMA},
    {"no record", "\"string\"", "\"x\"", NULL, MILL_E_SCHEMA},
    {"int to long", F("l", "\"int\""), "{\"l\":-5}", " l=-5 ", 0},
    {"int to float and double", F("f", "\"int\"") "," F("d", "\"int\""), "{\"f\":2,\"d\":-3}",
     " f=2 d=-3 ", 0},
    {"long to float and double", F("f", "\"long\"") "," F("d", "\"long\""), "{\"f\":2,\"d\":4}",
     " f=2 d=4 ", 0},
    {"float to double", F("d", "\"float\""), "{\"d\":0.5}", " d=0.5 ", 0},
    {"double as it is", F("d", "\"double\""), "{\"d\":-0.25}", " d=-0.25 ", 0},
    {"long to int is refused", F("i", "\"long\""), "{\"i\":1}", NULL, MILL_E_SCHEMA},
    {"double to float is refused", F("f", "\"double\""), "{\"f\":1}", NULL, MILL_E_SCHEMA},
    {"string to long is refused", F("l", "\"string\""), "{\"l\":\"1\"}", NULL, MILL_E_SCHEMA},
    {"boolean", F("flag", "\"boolean\""), "{\"flag\":false}", " flag=0 ", 0},
    {"bytes to string", F("s", "\"bytes\""), "{\"s\":\"raw\"}", " s=raw ", 0},
    {"bytes to string that is no UTF-8", F("s", "\"bytes\""), "{\"s\":\"\\u00ff\"}", NULL,
     MILL_E_DATA},
    {"string to bytes", F("b", "\"string\""), "{\"b\":\"txt\"}", " b=txt ", 0},
    {"bytes of any value", F("b", "\"bytes\""), "{\"b\":\"\\u0000\\u0080\\u00ff\"}",
     " b=\\00\\80\\ff ", 0},
    {"fixed", F("fx", "{\"type\":\"fixed\",\"name\":\"Four\",\"size\":4}"), "{\"fx\":\"wxyz\"}",
     " fx=wxyz ", 0},
    {"fixed of another size", F("fx", "{\"type\":\"fixed\",\"name\":\"Four\",\"size\":3}"),
     "{\"fx\":\"wxy\"}", NULL, MILL_E_SCHEMA},
    {"fixed of another name", F("fx", "{\"type\":\"fixed\",\"name\":\"Vier\",\"size\":4}"),
     "{\"fx\":\"wxyz\"}", NULL, MILL_E_SCHEMA},
    {"millis to micros", F("ts", T("long", "timestamp-millis")), "{\"ts\":1700000000123}",
     " ts=1700000000123000 ", 0},
    {"nanos to micros, before 1970", F("ts", T("long", "timestamp-nanos")), "{\"ts\":-1}",
     " ts=-1 ", 0},
    {"millis too far off", F("ts", T("long", "timestamp-millis")), "{\"ts\":9223372036854775807}",
     NULL, MILL_E_DATA},
    {"plain long to micros", F("ts", "\"long\""), "{\"ts\":5}", " ts=5 ", 0},
    {"writer non-null, reader nullable", F("os", "\"string\"") "," F("ol", "\"int\""),
     "{\"os\":\"o\",\"ol\":4}", " os=o i=-3 l=7 ts=0 flag=1 f=1.5 d=2.5 e=2 ol=1/4 ", 0},
    {"writer null alone, reader nullable", F("os", "\"null\"") "," F("oi", "\"null\""),
     "{\"os\":null,\"oi\":null}", " oi=0/0 ", 0},
    {"writer nullable, reader not", F("s", "[\"string\",\"null\"]"), "{\"s\":\"u\"}", " s=u ", 0},
    {"writer nullable and null, reader not", F("s", "[\"null\",\"string\"]"), "{\"s\":null}", NULL,
     MILL_E_DATA},
    {"union, other order", F("os", "[\"string\",\"null\"]"), "{\"os\":\"z\"}", " os=z ", 0},
    {"union widened by the writer", F("ol", "[\"int\",\"string\",\"null\",\"long\"]"),
     "{\"ol\":77}", " ol=1/77 ", 0},
    {"union widened, a branch that we have not", F("ol", "[\"string\",\"null\",\"long\"]"),
     "{\"ol\":\"x\"}", NULL, MILL_E_DATA},
    {"union of nothing that we know", F("ol", "[\"string\",\"bytes\"]"), "{\"ol\":\"x\"}", NULL,
     MILL_E_SCHEMA},
    {"union narrowed", F("ob", "[\"boolean\"]"), "{\"ob\":true}", " ob=1/1 ", 0},
    {"union index out of range", F("os", "[\"null\",\"string\"]"), "hex:04", NULL, MILL_E_DATA},
    {"union index negative", F("os", "[\"null\",\"string\"]"), "hex:01", NULL, MILL_E_DATA},
    {"enum by symbol, not by index",
     F("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"C\",\"B\"]}"), "{\"e\":\"C\"}",
     " e=1 ", 0},
    {"enum, unknown symbol takes the default",
     F("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"Z\",\"A\"]}"), "{\"e\":\"Z\"}",
     " e=0 ", 0},
    {"enum, unknown symbol and no default",
     F("strict", "{\"type\":\"enum\",\"name\":\"Strict\",\"symbols\":[\"Z\",\"Y\"]}"),
     "{\"strict\":\"Z\"}", NULL, MILL_E_DATA},
    {"enum index out of range",
     F("e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}"), "hex:04", NULL,
     MILL_E_DATA},
    {"enum from string is refused", F("e", "\"string\""), "{\"e\":\"A\"}", NULL, MILL_E_SCHEMA},
    {"array", F("strs", ARR("\"string\"")), "{\"strs\":[\"a\",\"\",\"c\"]}", " strs[3] =a = =c ",
     0},
    {"array of bytes", F("strs", ARR("\"bytes\"")), "{\"strs\":[\"a\"]}", " strs[1] =a ", 0},
    {"array of nullable", F("strs", ARR("[\"string\",\"null\"]")), "{\"strs\":[\"a\",\"b\"]}",
     " strs[2] =a =b ", 0},
    {"array in blocks, one with its length", F("strs", ARR("\"string\"")),
     "hex:0202610308026202630202 6400", " strs[4] =a =b =c =d ", 0},
    {"map", F("map", MAP("\"string\"")), "{\"map\":{\"a\":\"1\"}}", " map[1] =a =1 ", 0},
    {"map in blocks", F("map", MAP("\"string\"")), "hex:0202610231 010802620232 00",
     " map[2] =a =1 =b =2 ", 0},
    {"map of longs is refused", F("map", MAP("\"long\"")), "{\"map\":{}}", NULL, MILL_E_SCHEMA},
    {"nested record, field missing", F("rec", SUBW F("y", "\"string\"") "]}"),
     "{\"rec\":{\"y\":\"n\"}}", " rec=5 =n ", 0},
    {"nested record, field added", F("rec", SUBW F("q", "\"double\"") "," F("x", "\"int\"") "]}"),
     "{\"rec\":{\"q\":1.0,\"x\":44}}", " rec=44 =why ", 0},
    {"optional record", F("orec", SUBW F("x", "\"int\"") "]}"), "{\"orec\":{\"x\":3}}", " orec=3 ",
     0},
    {"optional record in a union", F("orec", "[" SUBW F("x", "\"int\"") "]},\"null\"]"),
     "{\"orec\":{\"x\":31}}", " orec=31 ", 0},
    {"records", F("recs", ARR(SUBW F("x", "\"int\"") "]}")), "{\"recs\":[{\"x\":1},{\"x\":2}]}",
     " recs[2] 1 =why 2 =why ", 0},
    {"records of no bytes", F("recs", ARR(SUBW "]}")), "hex:0600", " recs[3] 5 =why 5 =why 5 =why ",
     0},
    {"endless records of no bytes", F("recs", ARR(SUBW "]}")), "hex:feffffffffffffffff0100", NULL,
     MILL_E_DATA},
    {"endless skipped nulls", F("n", ARR("\"null\"")), "hex:feffffffffffffffff0100", DEFAULTS, 0},
    {"array longer than its bytes", F("strs", ARR("\"string\"")), "hex:feffffff0f00", NULL,
     MILL_E_DATA},
    {"skipped array longer than its bytes", F("n", ARR("\"long\"")), "hex:feffffff0f00", NULL,
     MILL_E_DATA},
    {"block count of INT64_MIN", F("strs", ARR("\"string\"")), "hex:ffffffffffffffffff010000", NULL,
     MILL_E_DATA},
    {"string of negative length", F("s", "\"string\""), "hex:01", NULL, MILL_E_DATA},
    {"string longer than the record", F("s", "\"string\""), "hex:0861", NULL, MILL_E_DATA},
    {"a string with a broken character", F("s", "\"string\""), "hex:02c3", NULL, MILL_E_DATA},
    {"a map key with a broken character", F("map", MAP("\"string\"")), "hex:0202c3000000", NULL,
     MILL_E_DATA},
    {"varint of eleven bytes", F("l", "\"long\""), "hex:8080808080808080808000", NULL, MILL_E_DATA},
    {"varint over 64 bits", F("l", "\"long\""), "hex:ffffffffffffffffff02", NULL, MILL_E_DATA},
    {"smallest long", F("l", "\"long\""), "hex:ffffffffffffffffff01", " l=-9223372036854775808 ",
     0},
    {"int over 32 bits", F("i", "\"int\""), "hex:8080808010", NULL, MILL_E_DATA},
    {"boolean of 2", F("flag", "\"boolean\""), "hex:02", NULL, MILL_E_DATA},
    {"bytes left over", F("l", "\"long\""), "hex:0200", NULL, MILL_E_DATA},
    {"recursion in what is skipped ends",
     F("tree", "{\"type\":\"record\",\"name\":\"N\",\"fields\":["
               "{\"name\":\"kids\",\"type\":{\"type\":\"array\",\"items\":\"N\"}}]}"),
     "{\"tree\":{\"kids\":[{\"kids\":[]},{\"kids\":[{\"kids\":[]}]}]}}", DEFAULTS, 0},
};

static void unhex(struct mill_buf *b, const char *hex)
{
    for (; *hex; hex++) {
        unsigned v;
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        mill_buf_putc(b, (char)v);
        hex++;
    }
}

static struct mill_str row_schema(const struct row *r, struct mill_buf *b)
{
    if (r->writer[0] == '{' && strstr(r->writer, "\"fields\":[") && strstr(r->writer, "All\""))
        mill_buf_puts(b, r->writer);
    else if (!strncmp(r->writer, "{\"type\":\"record\",\"name\":\"Other", 30) ||
             r->writer[0] == '"')
        mill_buf_puts(b, r->writer);
    else
        mill_buf_printf(
            b, "{\"type\":\"record\",\"name\":\"All\",\"namespace\":\"t\",\"fields\":[%s]}",
            r->writer);
    return mill_buf_view(b);
}

static void write_value(const struct row *r, struct mill_str schema, struct mill_buf *out)
{
    struct mill_schema *s = NULL;
    struct mill_wire_out o;
    struct mill_err err;

    if (!strncmp(r->value, "hex:", 4)) {
        unhex(out, r->value + 4);
        return;
    }
    json_t *v = json_loads(r->value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(v);
    assert_int_equal(mill_schema_parse(&s, schema, &err), MILL_OK);
    mill_wire_begin(&o, out);
    assert_int_equal(mill_wire_put_json(&o, mill_schema_root(s), v, &err), MILL_OK);
    assert_true(mill_wire_end(&o));
    json_decref(v);
    mill_schema_free(s);
}

/* Every beginning of a good record must be refused, and must touch nothing behind its end. */
static void check_truncations(struct mill_codec *c, struct mill_str body)
{
    struct mill_arena arena = {0};
    struct mill_err err;
    struct all a;

    for (size_t n = 0; n < body.n; n++) {
        char *copy = malloc(n + 1); /* of just this size, so that the sanitizer sees */
        assert_non_null(copy);
        char *exact = realloc(copy, n ? n : 1);
        memcpy(exact, body.p, n);
        assert_int_equal(mill_codec_decode(c, 1, (struct mill_str){exact, n}, &arena, &a, &err),
                         MILL_E_DATA);
        free(exact);
    }
    mill_arena_release(&arena);
}

/* What was decoded, written by our own schema, must read back the same. */
static void check_again(struct mill_codec *c, const struct all *a, const char *want)
{
    struct mill_arena arena = {0};
    struct mill_err err;
    struct mill_buf body, text;
    struct all b;

    mill_buf_init(&body, 1 << 20);
    mill_buf_init(&text, 1 << 20);
    assert_int_equal(mill_codec_learn(c, 2, mill_str(all_avsc), &err), MILL_OK);
    assert_int_equal(mill_codec_encode(c, a, &body, &err), MILL_OK);
    assert_int_equal(mill_codec_decode(c, 2, mill_buf_view(&body), &arena, &b, &err), MILL_OK);
    render(&text, &b);
    assert_string_equal(text.p, want);
    mill_buf_release(&body);
    mill_buf_release(&text);
    mill_arena_release(&arena);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_err err = {0};
    struct mill_buf schema, body, text;
    struct all a;
    enum mill_code rc;

    mill_buf_init(&schema, 1 << 16);
    mill_buf_init(&body, 1 << 16);
    mill_buf_init(&text, 1 << 20);
    assert_int_equal(mill_codec_new(&c, &all_desc, &err), MILL_OK);
    rc = mill_codec_learn(c, 1, row_schema(r, &schema), &err);
    if (!rc) {
        write_value(r, mill_buf_view(&schema), &body);
        rc = mill_codec_decode(c, 1, mill_buf_view(&body), &arena, &a, &err);
    }
    if (rc != r->code)
        print_message("%s: code %d (%s: %s), not %d\n", r->name, rc, err.where, err.text, r->code);
    assert_int_equal(rc, r->code);
    if (r->want) {
        render(&text, &a);
        if (!strstr(text.p, r->want))
            print_message("got  %s\nwant %s\n", text.p, r->want);
        assert_non_null(strstr(text.p, r->want));
        check_again(c, &a, text.p);
        check_truncations(c, mill_buf_view(&body));
    } else {
        assert_true(err.where[0] && err.text[0]);
    }
    mill_buf_release(&schema);
    mill_buf_release(&body);
    mill_buf_release(&text);
    mill_arena_release(&arena);
    mill_codec_free(c);
}

/* A million strings of one byte: memory in proportion, and refused above the limit. */
static void test_large_list(void **state)
{
    static const char writer[] = "{\"type\":\"record\",\"name\":\"All\",\"fields\":[" F(
        "recs", ARR(SUBW F("y", "\"string\"") "]}")) "]}";
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_err err = {0};
    struct mill_buf body;
    struct mill_wire_out o;
    struct all a;
    const int64_t many = 4000000; /* × 24 bytes in C is over the limit of 64 MiB */

    (void)state;
    mill_buf_init(&body, 16 << 20);
    mill_wire_begin(&o, &body);
    mill_wire_put_long(&o, many);
    for (int64_t i = 0; i < many; i++)
        mill_wire_put_long(&o, 0);
    mill_wire_put_long(&o, 0);
    assert_true(mill_wire_end(&o));
    assert_int_equal(mill_codec_new(&c, &all_desc, &err), MILL_OK);
    assert_int_equal(mill_codec_learn(c, 1, mill_str(writer), &err), MILL_OK);
    assert_int_equal(mill_codec_decode(c, 1, mill_buf_view(&body), &arena, &a, &err), MILL_E_DATA);
    assert_string_equal(err.where, "recs");
    mill_arena_release(&arena);
    mill_buf_release(&body);
    mill_codec_free(c);
}

static void test_encode_refuses(void **state)
{
    struct mill_codec *c = NULL;
    struct mill_err err = {0};
    struct mill_buf out;
    struct all good = {.s = MILL_STR("x"), .fx = MILL_STR("abcd")}, a;

    (void)state;
    mill_buf_init(&out, 64);
    assert_int_equal(mill_codec_new(&c, &all_desc, &err), MILL_OK);
    mill_buf_puts(&out, "kept");
    a = good;
    a.i = INT64_C(1) << 31;
    assert_int_equal(mill_codec_encode(c, &a, &out, &err), MILL_E_DATA);
    assert_string_equal(err.where, "i");
    a = good;
    a.e = 3;
    assert_int_equal(mill_codec_encode(c, &a, &out, &err), MILL_E_DATA);
    assert_string_equal(err.where, "e");
    a = good;
    a.fx = MILL_STR("abc");
    assert_int_equal(mill_codec_encode(c, &a, &out, &err), MILL_E_DATA);
    assert_string_equal(err.where, "fx");
    assert_string_equal(out.p, "kept"); /* nothing half written */
    char big[100] = {0};
    a = good;
    a.b = (struct mill_str){big, sizeof big};
    assert_int_equal(mill_codec_encode(c, &a, &out, &err), MILL_E_DATA);
    assert_true(out.failed);
    mill_buf_release(&out);
    mill_codec_free(c);
}

static void test_encode_repairs_text(void **state)
{
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_err err = {0};
    struct mill_buf out;
    struct all a = {.s = MILL_STR("caf\xe9 \xc3\xa9"), .fx = MILL_STR("abcd")}, b;

    (void)state;
    mill_buf_init(&out, 1000);
    assert_int_equal(mill_codec_new(&c, &all_desc, &err), MILL_OK);
    assert_int_equal(mill_codec_learn(c, 1, mill_str(all_avsc), &err), MILL_OK);
    assert_int_equal(mill_codec_encode(c, &a, &out, &err), MILL_OK);
    assert_int_equal(mill_codec_decode(c, 1, mill_buf_view(&out), &arena, &b, &err), MILL_OK);
    assert_true(mill_str_is(b.s, "caf\xef\xbf\xbd \xc3\xa9"));
    assert_true(b.b.p && b.b.n == 0); /* absent in a field that cannot be null */
    mill_buf_release(&out);
    mill_arena_release(&arena);
    mill_codec_free(c);
}

static void test_unknown_id(void **state)
{
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_err err = {0};
    struct all a;

    (void)state;
    assert_int_equal(mill_codec_new(&c, &all_desc, &err), MILL_OK);
    assert_ptr_equal(mill_codec_desc(c), &all_desc);
    assert_false(mill_codec_knows(c, 5));
    assert_int_equal(mill_codec_decode(c, 5, MILL_STR(""), &arena, &a, &err), MILL_E_STATE);
    assert_int_equal(mill_codec_learn(c, 5, mill_str(all_avsc), &err), MILL_OK);
    assert_int_equal(mill_codec_learn(c, 5, mill_str("no schema"), &err), MILL_OK); /* known */
    assert_true(mill_codec_knows(c, 5));
    mill_codec_free(c);
    mill_codec_free(NULL);
}

/* A table that does not fit its schema is a programmer's fault found at start. */
static void test_tables_that_do_not_fit(void **state)
{
    static const struct mill_field no_such[] = {{.name = "gone", .kind = MILL_I64}, {0}};
    static const struct mill_field kind[] = {{.name = "s", .kind = MILL_I64}, {0}};
    static const struct mill_field opt[] = {{.name = "l", .kind = MILL_OPT_I64}, {0}};
    static const struct mill_field null[] = {{.name = "ol", .kind = MILL_I64}, {0}};
    static const char *const wrong[] = {"A", "D", NULL};
    static const struct mill_field symbol[] = {{.name = "e", .kind = MILL_ENUM, .names = wrong},
                                               {0}};
    static const struct mill_field no_sub[] = {{.name = "rec", .kind = MILL_RECORD}, {0}};
    static const struct mill_field *const tables[] = {no_such, kind, opt, null, symbol, no_sub};
    struct mill_err err;

    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct mill_desc d = {
            .name = "All", .avsc = all_avsc, .size = sizeof(struct all), .fields = tables[i]};
        struct mill_codec *c = NULL;
        assert_int_equal(mill_codec_new(&c, &d, &err), MILL_E_SCHEMA);
        assert_string_equal(err.where, tables[i][0].name);
        assert_null(c);
    }
    static const struct mill_field nothing[] = {{0}};
    struct mill_desc needs = {
        .name = "R",
        .avsc = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" F("must", "\"int\"") "]}",
        .size = 1,
        .fields = nothing,
    };
    struct mill_codec *c = NULL;
    assert_int_equal(mill_codec_new(&c, &needs, &err), MILL_E_SCHEMA); /* cannot be written */
    assert_string_equal(err.where, "must");
}

int main(void)
{
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_large_list),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_encode_repairs_text),
        cmocka_unit_test(test_unknown_id),
        cmocka_unit_test(test_tables_that_do_not_fit),
    };

    return TABLE(rows, test_row) + TESTS(fixed);
}
