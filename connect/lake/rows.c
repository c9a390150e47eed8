#include "lake/rows.h"

#include <stdlib.h>

static struct mill_cells *rows_cells(struct mill_rows *r, const struct mill_col *c)
{
    return &r->cells[c->id];
}

/** Bytes of a value in .data; 0 where values have no fixed width there. */
static int64_t rows_width(const struct mill_col *c)
{
    switch (c->type) {
    case MILL_COL_I32:
    case MILL_COL_F32:
    case MILL_COL_DATE:
        return 4;
    case MILL_COL_I64:
    case MILL_COL_F64:
    case MILL_COL_TIMESTAMP:
        return 8;
    case MILL_COL_TIME:
        return c->unit == MILL_UNIT_MS ? 4 : 8;
    case MILL_COL_FIXED:
    case MILL_COL_DECIMAL:
        return (int64_t)c->size;
    default:
        return 0;
    }
}

static bool rows_has_offsets(const struct mill_col *c)
{
    return c->type == MILL_COL_UTF8 || c->type == MILL_COL_BINARY || c->type == MILL_COL_LIST ||
           c->type == MILL_COL_MAP;
}

enum mill_code mill_rows_init(struct mill_rows *r, struct mill_shape *shape, struct mill_err *err)
{
    r->shape = NULL;
    r->cells = calloc(shape->n_cols, sizeof *r->cells);
    if (!r->cells)
        return mill_fail(err, MILL_E_NOMEM, "rows", "out of memory");
    r->shape = mill_shape_keep(shape);
    for (uint32_t i = 0; i < shape->n_cols; i++) {
        ArrowBufferInit(&r->cells[i].data);
        ArrowBufferInit(&r->cells[i].offsets);
        ArrowBitmapInit(&r->cells[i].bits);
        ArrowBitmapInit(&r->cells[i].valid);
    }
    return MILL_OK;
}

void mill_rows_release(struct mill_rows *r)
{
    if (!r || !r->cells)
        return;
    for (uint32_t i = 0; i < r->shape->n_cols; i++) {
        ArrowBufferReset(&r->cells[i].data);
        ArrowBufferReset(&r->cells[i].offsets);
        ArrowBitmapReset(&r->cells[i].bits);
        ArrowBitmapReset(&r->cells[i].valid);
    }
    free(r->cells);
    r->cells = NULL;
    mill_shape_free(r->shape);
    r->shape = NULL;
}

int64_t mill_rows_count(const struct mill_rows *r)
{
    return r->cells[0].n;
}

size_t mill_rows_bytes(const struct mill_rows *r)
{
    int64_t n = 0;

    for (uint32_t i = 0; i < r->shape->n_cols; i++) {
        const struct mill_cells *cells = &r->cells[i];
        n += cells->data.capacity_bytes + cells->offsets.capacity_bytes +
             cells->bits.buffer.capacity_bytes + cells->valid.buffer.capacity_bytes;
    }
    return (size_t)n;
}

static int32_t rows_offset(const struct mill_cells *cells, int64_t i)
{
    int32_t v = 0;

    if (cells->offsets.size_bytes)
        memcpy(&v, cells->offsets.data + i * 4, sizeof v);
    return v;
}

static void rows_cut(struct mill_rows *r, const struct mill_col *c, int64_t n)
{
    struct mill_cells *cells = rows_cells(r, c);

    if (cells->n <= n)
        return; /* then no kid has more either: kids come before their parent counts */
    cells->n = n;
    if (cells->valid.size_bits > n)
        (void)ArrowBitmapResize(&cells->valid, n, false);
    if (c->type == MILL_COL_NULL)
        cells->nulls = n;
    else if (cells->nulls)
        cells->nulls = n - ArrowBitCountSet(cells->valid.buffer.data, 0, n);
    if (cells->bits.size_bits)
        (void)ArrowBitmapResize(&cells->bits, n, false);
    if (rows_has_offsets(c) && cells->offsets.size_bytes)
        (void)ArrowBufferResize(&cells->offsets, (n + 1) * 4, false);
    else if (rows_width(c))
        (void)ArrowBufferResize(&cells->data, n * rows_width(c), false);
}

static void rows_truncate(struct mill_rows *r, const struct mill_col *c, int64_t n)
{
    struct mill_cells *cells = rows_cells(r, c);
    bool list = c->type == MILL_COL_LIST || c->type == MILL_COL_MAP;

    rows_cut(r, c, n);
    if (c->type == MILL_COL_UTF8 || c->type == MILL_COL_BINARY)
        (void)ArrowBufferResize(&cells->data, rows_offset(cells, n), false);
    for (size_t i = 0; i < c->n; i++)
        rows_truncate(r, c->kids[i], list ? rows_offset(cells, n) : n);
}

void mill_rows_truncate(struct mill_rows *r, int64_t n)
{
    rows_truncate(r, r->shape->root, n);
}

/** Count a value; mark it in the bitmap if one was started by a null. */
static bool rows_valid(struct mill_cells *cells)
{
    if (cells->nulls && ArrowBitmapAppend(&cells->valid, 1, 1) != NANOARROW_OK)
        return false;
    cells->n++;
    return true;
}

static bool rows_mark_null(struct mill_cells *cells)
{
    /* After a truncation the bitmap may be there although no null is left. */
    if (cells->valid.size_bits < cells->n &&
        ArrowBitmapAppend(&cells->valid, 1, cells->n - cells->valid.size_bits) != NANOARROW_OK)
        return false;
    if (ArrowBitmapAppend(&cells->valid, 0, 1) != NANOARROW_OK)
        return false;
    cells->n++;
    cells->nulls++;
    return true;
}

static bool rows_put(struct mill_cells *cells, const void *v, int64_t n)
{
    return rows_valid(cells) && ArrowBufferAppend(&cells->data, v, n) == NANOARROW_OK;
}

static bool rows_put_offset(struct mill_cells *cells, int64_t end)
{
    if (end > INT32_MAX)
        return false;
    if (cells->offsets.size_bytes == 0 &&
        ArrowBufferAppendInt32(&cells->offsets, 0) != NANOARROW_OK)
        return false;
    return ArrowBufferAppendInt32(&cells->offsets, (int32_t)end) == NANOARROW_OK;
}

bool mill_rows_null(struct mill_rows *r, const struct mill_col *c)
{
    struct mill_cells *cells = rows_cells(r, c);

    if (c->type == MILL_COL_NULL) { /* has a count and nothing else */
        cells->nulls = ++cells->n;
        return true;
    }
    for (size_t i = 0; i < c->n && c->type == MILL_COL_STRUCT; i++)
        if (!mill_rows_null(r, c->kids[i]))
            return false;
    if (!(c->nullable ? rows_mark_null(cells) : rows_valid(cells)))
        return false;
    if (c->type == MILL_COL_BOOL)
        return ArrowBitmapAppend(&cells->bits, 0, 1) == NANOARROW_OK;
    if (rows_has_offsets(c))
        return rows_put_offset(cells, rows_offset(cells, cells->n - 1));
    return rows_width(c) == 0 ||
           ArrowBufferAppendFill(&cells->data, 0, rows_width(c)) == NANOARROW_OK;
}

bool mill_rows_bool(struct mill_rows *r, const struct mill_col *c, bool v)
{
    struct mill_cells *cells = rows_cells(r, c);

    return rows_valid(cells) && ArrowBitmapAppend(&cells->bits, v, 1) == NANOARROW_OK;
}

bool mill_rows_i32(struct mill_rows *r, const struct mill_col *c, int32_t v)
{
    return rows_put(rows_cells(r, c), &v, sizeof v);
}

bool mill_rows_i64(struct mill_rows *r, const struct mill_col *c, int64_t v)
{
    return rows_put(rows_cells(r, c), &v, sizeof v);
}

bool mill_rows_f32(struct mill_rows *r, const struct mill_col *c, float v)
{
    return rows_put(rows_cells(r, c), &v, sizeof v);
}

bool mill_rows_f64(struct mill_rows *r, const struct mill_col *c, double v)
{
    return rows_put(rows_cells(r, c), &v, sizeof v);
}

bool mill_rows_str(struct mill_rows *r, const struct mill_col *c, struct mill_str v)
{
    struct mill_cells *cells = rows_cells(r, c);

    return rows_put(cells, v.p, (int64_t)v.n) && rows_put_offset(cells, cells->data.size_bytes);
}

bool mill_rows_fixed(struct mill_rows *r, const struct mill_col *c, const void *v)
{
    return rows_put(rows_cells(r, c), v, (int64_t)c->size);
}

bool mill_rows_struct(struct mill_rows *r, const struct mill_col *c)
{
    return rows_valid(rows_cells(r, c));
}

bool mill_rows_list(struct mill_rows *r, const struct mill_col *c)
{
    struct mill_cells *cells = rows_cells(r, c);

    return rows_valid(cells) && rows_put_offset(cells, rows_cells(r, c->kids[0])->n);
}
