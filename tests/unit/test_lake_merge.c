/* Files with lists, maps, records and unions, of several schema versions, become one: it has the
 * bytes of the file that would have been written had all rows come at once. */
#include "lake/merge.h"

#include "cases.h"
#include "lake/fill.h"

#include <errno.h>
#include <stdio.h>

#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define REC(name, f)  "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" f "]}"
#define ARRAY(t)      "{\"type\":\"array\",\"items\":" t "}"
#define MAP(t)        "{\"type\":\"map\",\"values\":" t "}"
#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

enum { PARTS = 2, ROWS_MAX = 3 };

/** Two producers' versions of one field, and what each of them wrote into a file of its own. */
static const struct merge_case {
    const char *name;
    const char *type[PARTS];
    struct mill_str rows[PARTS][ROWS_MAX]; /* bodies; n = 0 ends them */
} cases[] = {
    {"a list, its items widened and nullable",
     {ARRAY("\"int\""), ARRAY("[\"null\",\"long\"]")},
     {{BYTES("\4\2\4\0"), BYTES("\0"), BYTES("\2\6\0")},
      {BYTES("\4\0\2\xfe\xff\xff\xff\x7f\0"), BYTES("\0")}}},
    {"records in a list, one with a new field",
     {ARRAY(REC("S", F("x", "\"int\""))),
      ARRAY(REC("S", F("y", "\"string\"") "," F("x", "\"int\"")))},
     {{BYTES("\4\2\4\0"), BYTES("\2\6\0")},
      {BYTES("\2\2q\6\0"), BYTES("\0"), BYTES("\4\2q\6\0\10\0")}}},
    {"lists in lists",
     {ARRAY(ARRAY("\"float\"")), ARRAY(ARRAY("\"double\""))},
     {{BYTES("\4\2\0\0\x80\x3f\0\0\0"), BYTES("\0")}, {BYTES("\2\2\0\0\0\0\0\0\xf0\x3f\0\0")}}},
    {"a map, its values widened",
     {MAP("\"int\""), MAP("\"long\"")},
     {{BYTES("\2\2k\2\0"), BYTES("\0")}, {BYTES("\4\2k\2\2j\xfe\xff\xff\xff\x7f\0")}}},
    {"records in a map, one with a new field",
     {MAP(REC("S", F("x", "\"int\""))),
      MAP("[\"null\"," REC("S", F("x", "\"long\"") "," F("l", ARRAY("\"string\""))) "]")},
     {{BYTES("\2\2k\2\0"), BYTES("\0")}, {BYTES("\4\2k\0\2j\2\2\2\2q\0\0")}}},
    {"a record within a record, or null",
     {REC("O", F("in", REC("I", F("x", "\"int\"")))),
      "[\"null\"," REC("O",
                       F("in", REC("I", F("x", "\"int\"") "," F("m", MAP("\"string\""))))) "]"},
     {{BYTES("\2"), BYTES("\4")}, {BYTES("\0"), BYTES("\2\2\2\2k\2v\0")}}},
    {"a union with a new branch",
     {"[\"null\",\"int\",\"string\"]", "[\"null\",\"int\",\"string\"," ARRAY("\"int\"") "]"},
     {{BYTES("\2\2"), BYTES("\0"), BYTES("\4\2q")}, {BYTES("\6\2\2\0"), BYTES("\2\4")}}},
    {"null becomes a list",
     {"\"null\"", ARRAY("\"int\"")},
     {{BYTES(""), BYTES("")}, {BYTES("\2\2\0")}}},
};

struct world {
    struct mill_lake_conf conf;
    struct mill_schema *schema[PARTS];
    struct mill_shape *base, *shape[PARTS + 1]; /* the last one holds both */
};

static void grow(struct mill_shape *from, const struct mill_schema *schema, struct mill_shape **to)
{
    struct mill_err err = {0};

    if (mill_shape_grow(from, mill_schema_root(schema), to, &err))
        fail_msg("%s: %s", err.where, err.text);
}

static void world_open(struct world *w, const struct merge_case *c)
{
    struct mill_err err = {0};

    assert_int_equal(mill_parquet_load(NULL, &w->conf.lib, &err), MILL_OK);
    assert_int_equal(mill_shape_new(&w->base, 1u << MILL_META_OFFSET, NULL, &err), MILL_OK);
    for (size_t i = 0; i < PARTS; i++) {
        char json[2048];

        snprintf(json, sizeof json,
                 REC("R", F("id", "\"string\"") "," F("a", "%s") "," F("last", "\"int\"")),
                 c->type[i]);
        if (mill_schema_parse(&w->schema[i], mill_str(json), &err))
            fail_msg("%s: %s", err.where, err.text);
        grow(w->base, w->schema[i], &w->shape[i]);
    }
    grow(w->shape[0], w->schema[1], &w->shape[PARTS]);
}

static void world_close(struct world *w)
{
    for (size_t i = 0; i <= PARTS; i++)
        mill_shape_free(w->shape[i]);
    for (size_t i = 0; i < PARTS; i++)
        mill_schema_free(w->schema[i]);
    mill_shape_free(w->base);
}

/** A part's rows into a file. @param offset of the first; raised */
static void add(struct world *w, const struct merge_case *c, size_t part, struct mill_shape *shape,
                struct mill_lake_file *f, int64_t *offset)
{
    struct mill_fill *fill = NULL;
    struct mill_err err = {0};

    assert_int_equal(mill_fill_new(&fill, shape, mill_schema_root(w->schema[part]), &err), MILL_OK);
    for (size_t i = 0; i < ROWS_MAX && c->rows[part][i].p; i++) {
        struct mill_row_meta meta = {.topic = MILL_STR("t"), .offset = (*offset)++};
        struct mill_buf body;

        mill_buf_init(&body, 256);
        mill_buf_printf(&body, "%cid%lld", 6, (long long)meta.offset % 10); /* "id0" … */
        mill_buf_str_add(&body, c->rows[part][i]);
        mill_buf_putc(&body, (char)(2 * (i + 1)));
        if (mill_fill_row(fill, mill_buf_view(&body), &meta, mill_lake_file_rows(f), &err))
            fail_msg("part %zu, row %zu: %s: %s", part, i, err.where, err.text);
        assert_int_equal(mill_lake_file_added(f, body.n, &err), MILL_OK);
        mill_buf_release(&body);
    }
    mill_fill_free(fill);
}

/** @own bytes borrowed from the file */
static struct mill_str finish(struct mill_lake_file *f)
{
    struct mill_str bytes = {NULL, 0};
    struct mill_err err = {0};

    assert_int_equal(mill_lake_file_finish(f, NULL, 0, &bytes, &err), MILL_OK);
    return bytes;
}

static int read_at(void *arg, uint64_t from, void *out, size_t n)
{
    const struct mill_str *bytes = arg;

    if (from + n > bytes->n)
        return EIO;
    memcpy(out, bytes->p + from, n);
    return 0;
}

static int keep(void *arg, const void *data, size_t n)
{
    return mill_buf_add(arg, data, n) ? 0 : ENOMEM;
}

static void merge(struct world *w, struct mill_str *parts, struct mill_buf *out)
{
    static const struct mill_object range = {
        .topic = {"t", 1}, .topic_id = {"i", 1}, .end = 9, .hour = -1};
    struct mill_pq_source source[PARTS];
    struct mill_footer footer[PARTS];
    struct mill_arena mem = {0};
    struct mill_merge *m = NULL;
    struct mill_err err = {0};
    int64_t rows = 0;

    assert_int_equal(mill_merge_new(&m, &w->conf, &err), MILL_OK);
    for (size_t i = 0; i < PARTS; i++) {
        source[i] = (struct mill_pq_source){read_at, &parts[i], parts[i].n};
        assert_int_equal(mill_footer_parse(w->conf.lib, parts[i], &mem, &footer[i], &err), MILL_OK);
        if (mill_merge_fits(m, &source[i], &err))
            fail_msg("%s: %s", err.where, err.text);
        rows += footer[i].rows;
    }
    assert_int_equal(mill_merge_open(m, rows, keep, out, &err), MILL_OK);
    for (size_t i = 0; i < PARTS; i++)
        if (mill_merge_add(m, MILL_STR("part"), &footer[i], &source[i], &err))
            fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(mill_merge_finish(m, &range, &err), MILL_OK);
    mill_merge_free(m);
    mill_arena_release(&mem);
}

/** What a file is made of but its footer, which says what it is. */
static struct mill_str body_of(struct mill_str file)
{
    uint64_t footer = mill_footer_size(file);

    assert_in_range(footer, 9, file.n);
    return (struct mill_str){file.p, file.n - footer};
}

/** The columns, as the footer has them. */
static struct mill_str columns_of(const struct world *w, struct mill_str file,
                                  struct mill_arena *mem)
{
    struct mill_footer f;
    struct mill_err err = {0};

    assert_int_equal(mill_footer_parse(w->conf.lib, file, mem, &f, &err), MILL_OK);
    return f.columns;
}

static void test_merge(void **state)
{
    const struct merge_case *c = *state;
    struct mill_lake_file *part[PARTS] = {NULL}, *all = NULL;
    struct mill_str bytes[PARTS], want, got;
    struct mill_arena mem = {0};
    struct world w = {.base = NULL};
    struct mill_err err = {0};
    struct mill_buf out;
    int64_t offset = 0;

    world_open(&w, c);
    mill_buf_init(&out, 1 << 20);
    assert_int_equal(mill_lake_file_new(&all, &w.conf, w.shape[PARTS], &err), MILL_OK);
    for (size_t i = 0; i < PARTS; i++) {
        int64_t again = offset;
        assert_int_equal(mill_lake_file_new(&part[i], &w.conf, w.shape[i], &err), MILL_OK);
        add(&w, c, i, w.shape[i], part[i], &offset);
        add(&w, c, i, w.shape[PARTS], all, &again);
        bytes[i] = finish(part[i]);
    }
    merge(&w, bytes, &out);
    want = finish(all);
    got = mill_buf_view(&out);
    assert_true(mill_str_eq(columns_of(&w, got, &mem), columns_of(&w, want, &mem)));
    want = body_of(want);
    got = body_of(got);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    mill_arena_release(&mem);
    mill_buf_release(&out);
    for (size_t i = 0; i < PARTS; i++)
        mill_lake_file_free(part[i]);
    mill_lake_file_free(all);
    world_close(&w);
}

int main(void)
{
    return TABLE(cases, test_merge);
}
