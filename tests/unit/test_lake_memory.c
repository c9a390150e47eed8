/* Memory that runs out while a file is set up is MILL_E_NOMEM, and leaves nothing behind; a file
 * that lost rows is never finished. (Adding rows is left out: nanoarrow 0.9.0 forgets a buffer that
 * cannot grow, so then the rows are lost and the sink ends.) */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "lake/file.h"
#include "lake/fill.h"
#include "lake/raw.h"

static const char json[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
                           "{\"name\":\"message_id\",\"type\":\"string\"},"
                           "{\"name\":\"o\",\"type\":[\"null\",\"int\"]},"
                           "{\"name\":\"u\",\"type\":[\"int\",\"string\",\"null\"]},"
                           "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":\"boolean\"}},"
                           "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"bytes\"}}]}";

struct all {
    struct mill_schema *schema;
    struct mill_shape *empty, *shape, *raw;
    struct mill_fill *fill;
    struct mill_lake_file *file, *raw_file;
};

static enum mill_code make(struct all *a, struct mill_lake_conf *conf, struct mill_err *err)
{
    enum mill_code rc = mill_schema_parse(&a->schema, mill_str(json), err);

    if (!rc)
        rc = mill_shape_new(&a->empty, 31, NULL, err);
    if (!rc)
        rc = mill_shape_grow(a->empty, mill_schema_root(a->schema), &a->shape, err);
    if (!rc)
        rc = mill_fill_new(&a->fill, a->shape, mill_schema_root(a->schema), err);
    if (!rc)
        rc = mill_raw_shape(&a->raw, true, err);
    if (!rc)
        rc = mill_lake_file_new(&a->file, conf, a->shape, err);
    return rc ? rc : mill_lake_file_new(&a->raw_file, conf, a->raw, err);
}

static void release(struct all *a)
{
    mill_lake_file_free(a->file);
    mill_lake_file_free(a->raw_file);
    mill_fill_free(a->fill);
    mill_shape_free(a->raw);
    mill_shape_free(a->shape);
    mill_shape_free(a->empty);
    mill_schema_free(a->schema);
}

static void test_every_allocation(void **state)
{
    struct mill_lake_conf conf = {0};
    struct mill_err err = {0};
    enum mill_code rc = MILL_E_NOMEM;
    long n = 0;
    (void)state;

    assert_int_equal(mill_parquet_load(NULL, &conf.lib, &err), MILL_OK);
    while (rc) {
        struct all a = {0};
        alloc_fail_in = ++n;
        rc = make(&a, &conf, &err);
        alloc_fail_in = 0;
        release(&a);
        if (rc && rc != MILL_E_NOMEM)
            fail_msg("allocation %ld: %s: %s: %s", n, mill_code_name(rc), err.where, err.text);
    }
    assert_true(n > 10);
}

static int refuse(struct mill_pq *w, struct ArrowArray *batches, size_t n, int whole, char *err,
                  size_t size)
{
    (void)w;
    (void)whole;
    (void)err;
    (void)size;
    for (size_t i = 0; i < n; i++)
        batches[i].release(&batches[i]);
    return EINVAL;
}

/** The writer refuses a batch: its rows are gone, so the file must not become an object. */
static void test_lost_rows(void **state)
{
    const struct mill_parquet *real = NULL;
    struct mill_parquet lib;
    struct mill_lake_conf conf = {.lib = &lib, .batch_bytes = 1, .spill_bytes = 1};
    struct mill_row_meta meta = {0};
    struct mill_str bytes = {0};
    struct mill_err err = {0};
    struct all a = {0};
    (void)state;

    assert_int_equal(mill_parquet_load(NULL, &real, &err), MILL_OK);
    lib = *real;
    lib.write = refuse;
    assert_int_equal(make(&a, &conf, &err), MILL_OK);
    assert_int_equal(mill_raw_row(mill_lake_file_rows(a.raw_file), &meta, MILL_STR("v"),
                                  (struct mill_map){0}, MILL_STR("why"), &err),
                     MILL_OK);
    assert_int_equal(mill_lake_file_added(a.raw_file, 1, &err), MILL_E_STATE);
    lib.write = real->write;
    assert_int_equal(mill_lake_file_finish(a.raw_file, NULL, 0, &bytes, &err), MILL_E_STATE);
    assert_null(bytes.p);
    release(&a);
}

static int opened;

static int count_open(struct mill_pq **out, struct ArrowSchema *schema,
                      const struct mill_pq_options *o, mill_pq_sink_fn sink, void *arg, char *err,
                      size_t size)
{
    const struct mill_parquet *real = NULL;

    opened++;
    assert_int_equal(mill_parquet_load(NULL, &real, NULL), MILL_OK);
    return real->open(out, schema, o, sink, arg, err, size);
}

static void add_raw(struct mill_lake_file *f, size_t bytes)
{
    static char value[1 << 16];
    struct mill_row_meta meta = {0};
    struct mill_err err = {0};

    assert_int_equal(mill_raw_row(mill_lake_file_rows(f), &meta, (struct mill_str){value, bytes},
                                  (struct mill_map){0}, MILL_STR("why"), &err),
                     MILL_OK);
    assert_int_equal(mill_lake_file_added(f, bytes, &err), MILL_OK);
}

/** A thousand open files take what their rows take: none has a writer before there is a spill of
 *  rows in it, and what is held counts all that is kept. */
static void test_many_files(void **state)
{
    enum { FILES = 1000, SPILL = 2 << 20, ROW = 1 << 16 };
    static struct mill_lake_file *files[FILES];
    const struct mill_parquet *real = NULL;
    struct mill_parquet lib;
    struct mill_lake_conf conf = {.lib = &lib, .spill_bytes = SPILL};
    struct mill_shape *raw = NULL;
    struct mill_str bytes = {0};
    size_t held = 0, rows = 0;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_parquet_load(NULL, &real, &err), MILL_OK);
    lib = *real;
    lib.open = count_open;
    assert_int_equal(mill_raw_shape(&raw, true, &err), MILL_OK);
    for (size_t i = 0; i < FILES; i++) {
        assert_int_equal(mill_lake_file_new(&files[i], &conf, raw, &err), MILL_OK);
        add_raw(files[i], 100);
        held += mill_lake_file_held(files[i]);
    }
    assert_int_equal(opened, 0);
    assert_in_range(held, FILES * 100, FILES * 4096);
    while (!opened) {
        held = mill_lake_file_held(files[0]);
        assert_in_range(held, rows, 2 * rows + (1 << 17)); /* buffers grow by doubling */
        add_raw(files[0], ROW);
        rows += ROW;
    }
    assert_in_range(rows, SPILL / 2, SPILL + (1 << 20));
    assert_int_equal(mill_lake_file_finish(files[0], NULL, 0, &bytes, &err), MILL_OK);
    assert_true(bytes.n > 0);
    for (size_t i = 0; i < FILES; i++)
        mill_lake_file_free(files[i]);
    mill_shape_free(raw);
}

/** What readers of the lake count on, where nobody asked for something else. */
static void test_settings(void **state)
{
    const struct mill_lake_conf conf = {0};
    struct mill_pq_options o;
    (void)state;

    mill_lake_writer(&conf, 0, &o);
    assert_int_equal(o.zstd_level, 3);
    assert_int_equal(o.row_group_rows, 1 << 20);
    assert_in_range(o.row_group_bytes, 1 << 20, 128 << 20);
    assert_int_equal(o.page_bytes, 1 << 20);
    assert_int_equal(o.page_rows, 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_lost_rows), cmocka_unit_test(test_many_files)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
