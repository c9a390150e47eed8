/**
 * @file rows.h
 * @brief Rows being gathered, column by column, until they leave as one Arrow batch.
 *
 * Model: one struct mill_cells per column of the shape, found by the column's id; the root's count
 * is the number of whole rows. A row is added value by value; if it fails half way,
 * mill_rows_truncate takes every column back to the rows before. Adders return false only when out
 * of memory or over Arrow's 2 GiB a column; then the rows are lost (nanoarrow forgets a buffer that
 * cannot grow). One thread.
 */
#ifndef MILL_LAKE_ROWS_H
#define MILL_LAKE_ROWS_H

#include "lake/shape.h"
#include <nanoarrow/nanoarrow.h>

struct mill_cells {
    struct ArrowBuffer data;    /**< values; bits for booleans are in .bits */
    struct ArrowBuffer offsets; /**< int32; utf8, binary, list, map */
    struct ArrowBitmap bits;
    struct ArrowBitmap valid; /**< empty as long as nulls == 0 */
    int64_t n, nulls;
};

struct mill_rows {
    struct mill_shape *shape; /**< kept */
    struct mill_cells *cells; /**< shape->n_cols of them, by id */
};

enum mill_code mill_rows_init(struct mill_rows *r, struct mill_shape *shape,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe, idempotent. */
void mill_rows_release(struct mill_rows *r);
/** @brief Whole rows. */
int64_t mill_rows_count(const struct mill_rows *r);
/** @brief Memory of all their buffers, bytes. */
size_t mill_rows_bytes(const struct mill_rows *r);
/** @brief Take a failed row back: keep n rows of every column. */
void mill_rows_truncate(struct mill_rows *r, int64_t n);
/** @brief Move all rows into an Arrow batch; the rows are empty afterwards.
 *  @own *out new, release()d by its owner (or consumed by the writer) */
enum mill_code mill_rows_batch(struct mill_rows *r, struct ArrowArray *out,
                               struct mill_err *err) MILL_NODISCARD;

/* Adders of one value to a column. The caller picks the one that fits the column's type. */
/** @brief A null; in a column that cannot hold null (below a null struct) any value. */
bool mill_rows_null(struct mill_rows *r, const struct mill_col *c) MILL_NODISCARD;
bool mill_rows_bool(struct mill_rows *r, const struct mill_col *c, bool v) MILL_NODISCARD;
bool mill_rows_i32(struct mill_rows *r, const struct mill_col *c, int32_t v) MILL_NODISCARD;
bool mill_rows_i64(struct mill_rows *r, const struct mill_col *c, int64_t v) MILL_NODISCARD;
bool mill_rows_f32(struct mill_rows *r, const struct mill_col *c, float v) MILL_NODISCARD;
bool mill_rows_f64(struct mill_rows *r, const struct mill_col *c, double v) MILL_NODISCARD;
/** @brief Text or bytes (utf8, binary). The caller has checked that text is UTF-8. */
bool mill_rows_str(struct mill_rows *r, const struct mill_col *c, struct mill_str v) MILL_NODISCARD;
/** @brief c->size bytes (fixed, decimal in native order). */
bool mill_rows_fixed(struct mill_rows *r, const struct mill_col *c, const void *v) MILL_NODISCARD;
/** @brief A struct whose members were added. */
bool mill_rows_struct(struct mill_rows *r, const struct mill_col *c) MILL_NODISCARD;
/** @brief A list or map whose items were added to its kid since the last one. */
bool mill_rows_list(struct mill_rows *r, const struct mill_col *c) MILL_NODISCARD;

#endif
