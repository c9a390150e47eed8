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

static int refuse(struct mill_pq *w, struct ArrowArray *batch, char *err, size_t size)
{
    (void)w;
    (void)err;
    (void)size;
    batch->release(batch);
    return EINVAL;
}

/** The writer refuses a batch: its rows are gone, so the file must not become an object. */
static void test_lost_rows(void **state)
{
    const struct mill_parquet *real = NULL;
    struct mill_parquet lib;
    struct mill_lake_conf conf = {.lib = &lib, .batch_bytes = 1};
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation),
                                       cmocka_unit_test(test_lost_rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
