/* Schemas of anybody, two in turn (a NUL between them): the shape that holds both must give an
 * Arrow schema, and a program for each. */
#include "lake/fill.h"

#include <stdlib.h>

static struct mill_shape *fuzz_grow(struct mill_shape *old, struct mill_str json,
                                    struct mill_schema **schema)
{
    struct mill_shape *grown = NULL;

    if (!mill_schema_parse(schema, json, NULL) &&
        !mill_shape_grow(old, mill_schema_root(*schema), &grown, NULL)) {
        mill_shape_free(old);
        return grown;
    }
    mill_schema_free(*schema);
    *schema = NULL;
    return old;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mill_policy_rule rules[] = {
        {{"a", 1}, MILL_DROP}, {{"b.c", 3}, MILL_HASH}, {{"d", 1}, MILL_MASK}};
    static const struct mill_policy policy = {rules, 3, {"k", 1}, {"t", 1}};
    const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
    struct mill_str one = {(const char *)data, cut ? (size_t)(cut - data) : size};
    struct mill_str two = {cut ? (const char *)cut + 1 : "", cut ? size - one.n - 1 : 0};
    struct mill_schema *schemas[2] = {NULL, NULL};
    struct mill_shape *shape = NULL;
    struct ArrowSchema arrow;

    if (mill_shape_new(&shape, 1, &policy, NULL))
        return 0;
    shape = fuzz_grow(shape, one, &schemas[0]);
    shape = fuzz_grow(shape, two, &schemas[1]);
    if (!mill_shape_arrow(shape, &arrow, NULL)) {
        if (arrow.n_children != (int64_t)shape->root->n)
            abort();
        arrow.release(&arrow);
    }
    for (int i = 0; i < 2; i++) {
        struct mill_fill *fill = NULL;
        if (schemas[i] && mill_fill_new(&fill, shape, mill_schema_root(schemas[i]), NULL))
            abort();
        mill_fill_free(fill);
        mill_schema_free(schemas[i]);
    }
    mill_shape_free(shape);
    return 0;
}
