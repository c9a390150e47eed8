/* From shapes and rows to the structs of the Arrow C data interface. */
#include "lake/rows.h"

static enum ArrowTimeUnit arrow_unit(enum mill_unit u)
{
    return u == MILL_UNIT_MS   ? NANOARROW_TIME_UNIT_MILLI
           : u == MILL_UNIT_US ? NANOARROW_TIME_UNIT_MICRO
                               : NANOARROW_TIME_UNIT_NANO;
}

static enum ArrowType arrow_type(const struct mill_col *c)
{
    static const enum ArrowType types[] = {
        [MILL_COL_UNSET] = NANOARROW_TYPE_NA,
        [MILL_COL_NULL] = NANOARROW_TYPE_NA,
        [MILL_COL_BOOL] = NANOARROW_TYPE_BOOL,
        [MILL_COL_I32] = NANOARROW_TYPE_INT32,
        [MILL_COL_I64] = NANOARROW_TYPE_INT64,
        [MILL_COL_F32] = NANOARROW_TYPE_FLOAT,
        [MILL_COL_F64] = NANOARROW_TYPE_DOUBLE,
        [MILL_COL_UTF8] = NANOARROW_TYPE_STRING,
        [MILL_COL_BINARY] = NANOARROW_TYPE_BINARY,
        [MILL_COL_FIXED] = NANOARROW_TYPE_FIXED_SIZE_BINARY,
        [MILL_COL_DATE] = NANOARROW_TYPE_DATE32,
        [MILL_COL_TIMESTAMP] = NANOARROW_TYPE_TIMESTAMP,
        [MILL_COL_STRUCT] = NANOARROW_TYPE_STRUCT,
        [MILL_COL_LIST] = NANOARROW_TYPE_LIST,
        [MILL_COL_MAP] = NANOARROW_TYPE_MAP,
    };

    if (c->type == MILL_COL_TIME)
        return c->unit == MILL_UNIT_MS ? NANOARROW_TYPE_TIME32 : NANOARROW_TYPE_TIME64;
    if (c->type == MILL_COL_DECIMAL)
        return c->size == 16 ? NANOARROW_TYPE_DECIMAL128 : NANOARROW_TYPE_DECIMAL256;
    return types[c->type];
}

static ArrowErrorCode arrow_field(const struct mill_col *c, struct ArrowSchema *out);

/** Sets the format of a type with parameters or kids. */
static ArrowErrorCode arrow_format(const struct mill_col *c, struct ArrowSchema *out)
{
    switch (c->type) {
    case MILL_COL_STRUCT:
        return ArrowSchemaSetTypeStruct(out, (int64_t)c->n);
    case MILL_COL_LIST:
    case MILL_COL_MAP:
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(out, c->type == MILL_COL_LIST ? "+l" : "+m"));
        return ArrowSchemaAllocateChildren(out, 1);
    case MILL_COL_FIXED:
        return ArrowSchemaSetTypeFixedSize(out, arrow_type(c), (int32_t)c->size);
    case MILL_COL_DECIMAL:
        return ArrowSchemaSetTypeDecimal(out, arrow_type(c), c->precision, c->scale);
    case MILL_COL_TIME:
        return ArrowSchemaSetTypeDateTime(out, arrow_type(c), arrow_unit(c->unit), NULL);
    case MILL_COL_TIMESTAMP:
        return ArrowSchemaSetTypeDateTime(out, arrow_type(c), arrow_unit(c->unit),
                                          c->utc ? "UTC" : NULL);
    default:
        return ArrowSchemaSetType(out, arrow_type(c));
    }
}

static ArrowErrorCode arrow_field(const struct mill_col *c, struct ArrowSchema *out)
{
    ArrowSchemaInit(out);
    NANOARROW_RETURN_NOT_OK(arrow_format(c, out));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(out, c->name.p));
    for (size_t i = 0; i < c->n; i++)
        NANOARROW_RETURN_NOT_OK(arrow_field(c->kids[i], out->children[i]));
    out->flags = c->nullable || c->type == MILL_COL_NULL ? ARROW_FLAG_NULLABLE : 0;
    return NANOARROW_OK;
}

enum mill_code mill_shape_arrow(const struct mill_shape *s, struct ArrowSchema *out,
                                struct mill_err *err)
{
    if (arrow_field(s->root, out) == NANOARROW_OK)
        return MILL_OK;
    if (out->release)
        out->release(out);
    return mill_fail(err, MILL_E_NOMEM, "columns", "no Arrow schema");
}

/** Move a column's buffers into an array that was just made. */
static ArrowErrorCode arrow_buffers(const struct mill_col *c, struct mill_cells *cells,
                                    struct ArrowArray *out)
{
    int64_t at = 1;

    if (c->type == MILL_COL_NULL)
        return NANOARROW_OK;
    if (cells->nulls)
        ArrowArraySetValidityBitmap(out, &cells->valid);
    else
        ArrowBitmapReset(&cells->valid);
    if (c->type == MILL_COL_STRUCT)
        return NANOARROW_OK;
    if (c->type == MILL_COL_BOOL) {
        cells->bits.size_bits = 0;
        return ArrowArraySetBuffer(out, at, &cells->bits.buffer);
    }
    if (c->type == MILL_COL_UTF8 || c->type == MILL_COL_BINARY || c->n) {
        if (cells->offsets.size_bytes == 0)
            NANOARROW_RETURN_NOT_OK(ArrowBufferAppendInt32(&cells->offsets, 0));
        NANOARROW_RETURN_NOT_OK(ArrowArraySetBuffer(out, at++, &cells->offsets));
    }
    return c->n ? NANOARROW_OK : ArrowArraySetBuffer(out, at, &cells->data);
}

static ArrowErrorCode arrow_array(struct mill_rows *r, const struct mill_col *c,
                                  struct ArrowArray *out)
{
    struct mill_cells *cells = &r->cells[c->id];

    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromType(out, arrow_type(c)));
    if (c->n)
        NANOARROW_RETURN_NOT_OK(ArrowArrayAllocateChildren(out, (int64_t)c->n));
    for (size_t i = 0; i < c->n; i++)
        NANOARROW_RETURN_NOT_OK(arrow_array(r, c->kids[i], out->children[i]));
    NANOARROW_RETURN_NOT_OK(arrow_buffers(c, cells, out));
    out->length = cells->n;
    out->null_count = cells->nulls;
    cells->n = 0;
    cells->nulls = 0;
    return NANOARROW_OK;
}

enum mill_code mill_rows_batch(struct mill_rows *r, struct ArrowArray *out, struct mill_err *err)
{
    struct ArrowError why = {""};
    ArrowErrorCode rc;

    memset(out, 0, sizeof *out);
    rc = arrow_array(r, r->shape->root, out);
    if (rc == NANOARROW_OK)
        rc = ArrowArrayFinishBuilding(out, NANOARROW_VALIDATION_LEVEL_NONE, &why);
    if (rc == NANOARROW_OK)
        return MILL_OK;
    if (out->release)
        out->release(out);
    return mill_fail(err, MILL_E_NOMEM, "rows", "no Arrow batch: %s", why.message);
}
