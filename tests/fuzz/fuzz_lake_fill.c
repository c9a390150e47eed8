/* Avro bytes of anybody into columns. First byte: which schemas; then bodies, each with a length
 * byte. Whatever they are, every column must have as many values as there are rows. */
#include "lake/fill.h"

#include <stdlib.h>

#define F(n, t) "{\"name\":\"" n "\",\"type\":" t "}"
static const char *const fuzz_schemas[] = {
    "{\"type\":\"record\",\"name\":\"A\",\"fields\":[" F("s", "\"string\"") "," F(
        "o", "[\"null\",\"long\"]") "," F("l", "{\"type\":\"array\",\"items\":[\"null\","
                                               "\"string\"]}") "," F("b", "\"boolean\"") "]}",
    "{\"type\":\"record\",\"name\":\"A\",\"fields\":[" F(
        "m", "{\"type\":\"map\",\"values\":{"
             "\"type\":\"array\",\"items\":"
             "\"bytes\"}}") "," F("u", "[\"int\",\"null\",\"string\",{\"type\":\"record\",\"name\":"
                                       "\"B\",\"fields\":[" F("x", "\"double\"") "," F(
                                           "e", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":["
                                                "\"P\",\"Q\"]}") "]}]") "]}",
    "{\"type\":\"record\",\"name\":\"A\",\"fields\":[" F(
        "d", "{\"type\":\"bytes\",\"logicalType\":"
             "\"decimal\",\"precision\":40,"
             "\"scale\":2}") "," F("id", "{\"type"
                                         "\":"
                                         "\"fixed"
                                         "\","
                                         "\"name\""
                                         ":\"U\","
                                         "\"size\""
                                         ":16,"
                                         "\"logica"
                                         "lType\":"
                                         "\"uuid\""
                                         "}") "," F("n", "{\"type\":\"array\",\"items\":"
                                                         "\"null\"}") "," F("f", "\"float\"") "]}",
};
enum { SCHEMAS = sizeof fuzz_schemas / sizeof *fuzz_schemas };

static void fuzz_check(const struct ArrowArray *a, int64_t rows)
{
    if (a->length != rows || a->null_count > rows)
        abort();
}

static void fuzz_rows(struct mill_fill *fill, struct mill_shape *shape, const uint8_t *data,
                      size_t size)
{
    struct mill_row_meta meta = {.topic = MILL_STR("t"), .key = MILL_STR("k")};
    struct mill_rows rows;
    struct ArrowArray batch;

    if (mill_rows_init(&rows, shape, NULL))
        return;
    while (size > 1) {
        size_t n = data[0] < size - 1 ? data[0] : size - 1;
        int64_t before = mill_rows_count(&rows);
        bool ok =
            !mill_fill_row(fill, (struct mill_str){(const char *)data + 1, n}, &meta, &rows, NULL);
        if (mill_rows_count(&rows) != before + ok)
            abort();
        data += n + 1;
        size -= n + 1;
    }
    int64_t n = mill_rows_count(&rows);
    if (!mill_rows_batch(&rows, &batch, NULL)) {
        fuzz_check(&batch, n);
        for (int64_t i = 0; i < batch.n_children; i++)
            fuzz_check(batch.children[i], n);
        batch.release(&batch);
    }
    mill_rows_release(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_schema *schema = NULL;
    struct mill_shape *empty = NULL, *shape = NULL;
    struct mill_fill *fill = NULL;

    if (size < 2 || mill_schema_parse(&schema, mill_str(fuzz_schemas[data[0] % SCHEMAS]), NULL))
        return 0;
    if (!mill_shape_new(&empty, 31, NULL, NULL) &&
        !mill_shape_grow(empty, mill_schema_root(schema), &shape, NULL) &&
        !mill_fill_new(&fill, shape, mill_schema_root(schema), NULL))
        fuzz_rows(fill, shape, data + 1, size - 1);
    mill_fill_free(fill);
    mill_shape_free(shape);
    mill_shape_free(empty);
    mill_schema_free(schema);
    return 0;
}
