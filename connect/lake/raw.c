#include "lake/raw.h"

enum {
    RAW_KEY,
    RAW_VALUE,
    RAW_HEADERS,
    RAW_TIMESTAMP,
    RAW_PARTITION,
    RAW_OFFSET,
    RAW_REASON,
};

enum mill_code mill_raw_shape(struct mill_shape **out, bool reason, struct mill_err *err)
{
    static const struct {
        const char *name;
        enum mill_col_type type;
        bool nullable;
    } columns[] = {
        [RAW_KEY] = {"key", MILL_COL_BINARY, true},
        [RAW_VALUE] = {"value", MILL_COL_BINARY, true},
        [RAW_HEADERS] = {"headers", MILL_COL_LIST, false},
        [RAW_TIMESTAMP] = {"timestamp", MILL_COL_TIMESTAMP, false},
        [RAW_PARTITION] = {"partition", MILL_COL_I32, false},
        [RAW_OFFSET] = {"offset", MILL_COL_I64, false},
        [RAW_REASON] = {"reason", MILL_COL_UTF8, false},
    };
    struct mill_shape *s = NULL;
    enum mill_code rc = mill_shape_new(&s, 0, NULL, err);
    bool ok = rc == MILL_OK;

    *out = NULL;
    for (size_t i = 0; ok && i < (reason ? RAW_REASON + 1 : RAW_REASON); i++)
        ok = mill_shape_add(s, s->root, columns[i].name, columns[i].type, columns[i].nullable);
    if (ok) {
        struct mill_col *item =
            mill_shape_add(s, s->root->kids[RAW_HEADERS], "element", MILL_COL_STRUCT, false);
        ok = item && mill_shape_add(s, item, "key", MILL_COL_UTF8, false) &&
             mill_shape_add(s, item, "value", MILL_COL_BINARY, true);
    }
    if (!ok) {
        mill_shape_free(s);
        return rc ? rc : mill_fail(err, MILL_E_NOMEM, "raw", "out of memory");
    }
    *out = s;
    return MILL_OK;
}

static bool raw_bytes(struct mill_rows *rows, const struct mill_col *c, struct mill_str v)
{
    return v.p ? mill_rows_str(rows, c, v) : mill_rows_null(rows, c);
}

/** Text that may not be UTF-8, as a column of text can hold it: other bytes become '?'. */
static bool raw_text(struct mill_rows *rows, const struct mill_col *c, struct mill_str v)
{
    char clean[256];

    if (mill_fill_utf8(v))
        return mill_rows_str(rows, c, v);
    mill_str_cut(v, clean, sizeof clean);
    for (char *p = clean; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return mill_rows_str(rows, c, mill_str(clean));
}

static bool raw_headers(struct mill_rows *rows, const struct mill_col *c, struct mill_map headers)
{
    const struct mill_col *item = c->kids[0];

    for (size_t i = 0; i < headers.n; i++)
        if (!raw_text(rows, item->kids[0], headers.v[i].key) ||
            !raw_bytes(rows, item->kids[1], headers.v[i].value) || !mill_rows_struct(rows, item))
            return false;
    return mill_rows_list(rows, c);
}

enum mill_code mill_raw_row(struct mill_rows *rows, const struct mill_row_meta *meta,
                            struct mill_str value, struct mill_map headers, struct mill_str reason,
                            struct mill_err *err)
{
    const struct mill_col *root = rows->shape->root;
    struct mill_col **c = root->kids;
    int64_t before = mill_rows_count(rows);

    if (raw_bytes(rows, c[RAW_KEY], meta->key) && raw_bytes(rows, c[RAW_VALUE], value) &&
        raw_headers(rows, c[RAW_HEADERS], headers) &&
        mill_rows_i64(rows, c[RAW_TIMESTAMP], meta->timestamp_us) &&
        mill_rows_i32(rows, c[RAW_PARTITION], meta->partition) &&
        mill_rows_i64(rows, c[RAW_OFFSET], meta->offset) &&
        (root->n <= RAW_REASON || raw_text(rows, c[RAW_REASON], reason)) &&
        mill_rows_struct(rows, root))
        return MILL_OK;
    mill_rows_truncate(rows, before);
    return mill_fail(err, MILL_E_NOMEM, "row", "out of memory");
}
