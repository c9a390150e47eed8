#include "lake/fill_priv.h"

enum { FILL_EMPTY_ITEMS_MAX = 1 << 20 /**< array items that take no byte, in one row */ };

/** One row on its way. */
struct fill {
    struct mill_fill *program;
    struct mill_wire in;
    struct mill_rows *rows;
    size_t items;
    bool oom;
    /** Innermost field at fault, for the message. */
    struct mill_str field;
};

/* A producer that is wrong about its time must not make a file for each day there is. */
static const int64_t FILL_OLDEST_US = INT64_C(400) * 86400 * 1000000;
static const int64_t FILL_NEWEST_US = INT64_C(86400) * 1000000;

static bool fill_step(struct fill *f, const struct mill_step *s);

/** A failed add can only be memory. */
static bool fill_added(struct fill *f, bool ok)
{
    f->oom = f->oom || !ok;
    return ok;
}

bool mill_fill_utf8(struct mill_str s)
{
    size_t i = 0;
    uint64_t eight;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&eight, s.p + i, 8);
        if (eight & UINT64_C(0x8080808080808080))
            return mill_str_utf8(s);
    }
    for (; i < s.n; i++)
        if ((unsigned char)s.p[i] & 0x80)
            return mill_str_utf8(s);
    return true;
}

static bool fill_number(struct fill *f, const struct mill_step *s)
{
    int64_t v;
    float f32;
    double f64;

    switch (s->op) {
    case MILL_STEP_INT:
        return mill_wire_int(&f->in, &v) &&
               fill_added(f, mill_rows_i32(f->rows, s->col, (int32_t)v));
    case MILL_STEP_INT_LONG:
        return mill_wire_int(&f->in, &v) && fill_added(f, mill_rows_i64(f->rows, s->col, v));
    case MILL_STEP_INT_DOUBLE:
        return mill_wire_int(&f->in, &v) &&
               fill_added(f, mill_rows_f64(f->rows, s->col, (double)v));
    case MILL_STEP_LONG:
        return mill_wire_long(&f->in, &v) && fill_added(f, mill_rows_i64(f->rows, s->col, v));
    case MILL_STEP_FLOAT:
        return mill_wire_float(&f->in, &f32) && fill_added(f, mill_rows_f32(f->rows, s->col, f32));
    case MILL_STEP_FLOAT_DOUBLE:
        return mill_wire_float(&f->in, &f32) &&
               fill_added(f, mill_rows_f64(f->rows, s->col, (double)f32));
    default:
        return mill_wire_double(&f->in, &f64) && fill_added(f, mill_rows_f64(f->rows, s->col, f64));
    }
}

static bool fill_uuid(struct fill *f, const struct mill_step *s)
{
    static const char hex[] = "0123456789abcdef";
    struct mill_str v;
    char text[36];
    size_t at = 0;

    if (!mill_wire_raw(&f->in, 16, &v))
        return false;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = hex[(unsigned char)v.p[i] >> 4];
        text[at++] = hex[(unsigned char)v.p[i] & 15];
    }
    return fill_added(f, mill_rows_str(f->rows, s->col, (struct mill_str){text, sizeof text}));
}

/** Two's complement, big-endian, any length → 32 bytes, sign extended. @return false when wider */
static bool fill_widen(struct mill_str v, unsigned char out[32])
{
    unsigned char fill = v.n && (unsigned char)v.p[0] & 0x80 ? 0xff : 0;

    while (v.n > 32) {
        if ((unsigned char)v.p[0] != fill)
            return false;
        v.p++;
        v.n--;
    }
    if (v.n == 32 && ((unsigned char)v.p[0] & 0x80) != (fill & 0x80))
        return false;
    memset(out, fill, 32);
    if (v.n)
        memcpy(out + 32 - v.n, v.p, v.n);
    return true;
}

/** |v| < limit, both 32 big-endian bytes. */
static bool fill_digits_fit(const unsigned char v[32], const unsigned char limit[32])
{
    unsigned char abs[32];
    bool negative = v[0] & 0x80;
    unsigned carry = negative ? 1 : 0;

    for (int i = 31; i >= 0; i--) {
        carry += negative ? (unsigned char)~v[i] : v[i];
        abs[i] = (unsigned char)(carry & 0xff);
        carry >>= 8;
    }
    return memcmp(abs, limit, 32) < 0;
}

static bool fill_decimal(struct fill *f, const struct mill_step *s)
{
    unsigned char wide[32], native[32];
    struct mill_str v;
    bool got = s->type->type == MILL_AVRO_FIXED ? mill_wire_raw(&f->in, s->type->size, &v)
                                                : mill_wire_bytes(&f->in, &v);

    if (!got || v.n == 0 || !fill_widen(v, wide) || !fill_digits_fit(wide, s->limit))
        return false;
    for (size_t i = 0; i < s->col->size; i++)
        native[i] = wide[31 - i]; /* Arrow's decimals lie in the machine's order; ours is little */
    return fill_added(f, mill_rows_fixed(f->rows, s->col, native));
}

/** Add a text, or what the policy makes of it. */
static bool fill_str(struct fill *f, const struct mill_step *s, struct mill_str v)
{
    struct mill_buf *guarded = &f->program->guarded;

    if (s->col->guard != MILL_KEEP) {
        if (!mill_policy_apply(f->program->shape->policy, s->col->guard, v, guarded))
            return fill_added(f, false);
        v = mill_buf_view(guarded);
    }
    return fill_added(f, mill_rows_str(f->rows, s->col, v));
}

static bool fill_text(struct fill *f, const struct mill_step *s)
{
    struct mill_str v;
    size_t i;

    switch (s->op) {
    case MILL_STEP_FIXED:
        return mill_wire_raw(&f->in, s->type->size, &v) &&
               fill_added(f, mill_rows_fixed(f->rows, s->col, v.p));
    case MILL_STEP_ENUM:
        return mill_wire_index(&f->in, s->type->symbols.n, &i) &&
               fill_str(f, s, s->type->symbols.v[i]);
    case MILL_STEP_UUID:
        return fill_uuid(f, s);
    case MILL_STEP_DECIMAL:
        return fill_decimal(f, s);
    default:
        return mill_wire_bytes(&f->in, &v) && (s->op == MILL_STEP_BYTES || mill_fill_utf8(v)) &&
               fill_str(f, s, v);
    }
}

static bool fill_record(struct fill *f, const struct mill_step *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!fill_step(f, &s->kids[i])) {
            if (!f->field.p)
                f->field = s->type->fields[i].name;
            return false;
        }
    for (size_t i = 0; i < s->n_absent; i++)
        if (!fill_added(f, mill_rows_null(f->rows, s->absent[i])))
            return false;
    return fill_added(f, mill_rows_struct(f->rows, s->col));
}

static bool fill_item(struct fill *f, const struct mill_step *s)
{
    const struct mill_col *entry;
    struct mill_str key;

    if (s->op == MILL_STEP_ARRAY)
        return fill_step(f, &s->kids[0]);
    entry = s->col->kids[0];
    return mill_wire_bytes(&f->in, &key) && mill_fill_utf8(key) &&
           fill_added(f, mill_rows_str(f->rows, entry->kids[0], key)) &&
           fill_step(f, &s->kids[0]) && fill_added(f, mill_rows_struct(f->rows, entry));
}

static bool fill_list(struct fill *f, const struct mill_step *s)
{
    size_t min = mill_wire_item_min(s->type), count;

    do {
        if (!mill_wire_block(&f->in, min, &count))
            return false;
        if (min == 0 && count > FILL_EMPTY_ITEMS_MAX - f->items)
            return false;
        f->items += min ? 0 : count;
        for (size_t i = 0; i < count; i++)
            if (!fill_item(f, s))
                return false;
    } while (count);
    return fill_added(f, mill_rows_list(f->rows, s->col));
}

static bool fill_union(struct fill *f, const struct mill_step *s)
{
    const struct mill_step *chosen;
    size_t branch;

    if (!mill_wire_index(&f->in, s->n, &branch))
        return false;
    chosen = &s->kids[branch];
    if (s->op == MILL_STEP_OPTION || chosen->op == MILL_STEP_NULL)
        return fill_step(f, chosen);
    if (!fill_step(f, chosen))
        return false;
    for (size_t i = 0; i < s->col->n; i++)
        if (s->col->kids[i] != chosen->col &&
            !fill_added(f, mill_rows_null(f->rows, s->col->kids[i])))
            return false;
    return fill_added(f, mill_rows_struct(f->rows, s->col));
}

static bool fill_step(struct fill *f, const struct mill_step *s)
{
    bool b;

    switch (s->op) {
    case MILL_STEP_SKIP:
        return mill_wire_skip(&f->in, s->type);
    case MILL_STEP_NULL:
        return fill_added(f, mill_rows_null(f->rows, s->col));
    case MILL_STEP_BOOL:
        return mill_wire_bool(&f->in, &b) && fill_added(f, mill_rows_bool(f->rows, s->col, b));
    case MILL_STEP_EMPTY:
        return mill_wire_skip(&f->in, s->type) &&
               fill_added(f, mill_rows_bool(f->rows, s->col, true));
    case MILL_STEP_RECORD:
        return fill_record(f, s);
    case MILL_STEP_ARRAY:
    case MILL_STEP_MAP:
        return fill_list(f, s);
    case MILL_STEP_OPTION:
    case MILL_STEP_UNION:
        return fill_union(f, s);
    case MILL_STEP_BYTES:
    case MILL_STEP_STRING:
    case MILL_STEP_FIXED:
    case MILL_STEP_ENUM:
    case MILL_STEP_DECIMAL:
    case MILL_STEP_UUID:
        return fill_text(f, s);
    default:
        return fill_number(f, s);
    }
}

static bool fill_meta_column(struct mill_rows *rows, const struct mill_row_meta *meta,
                             enum mill_meta which)
{
    const struct mill_col *c = rows->shape->meta[which];

    if (!c)
        return true;
    switch (which) {
    case MILL_META_TOPIC:
        return mill_rows_str(rows, c, meta->topic);
    case MILL_META_PARTITION:
        return mill_rows_i32(rows, c, meta->partition);
    case MILL_META_OFFSET:
        return mill_rows_i64(rows, c, meta->offset);
    case MILL_META_TIMESTAMP:
        return mill_rows_i64(rows, c, meta->timestamp_us);
    default:
        return meta->key.p ? mill_rows_str(rows, c, meta->key) : mill_rows_null(rows, c);
    }
}

bool mill_fill_meta(struct mill_rows *rows, const struct mill_row_meta *meta)
{
    for (int i = 0; i < MILL_META_COUNT; i++)
        if (!fill_meta_column(rows, meta, (enum mill_meta)i))
            return false;
    return true;
}

enum mill_code mill_fill_row(struct mill_fill *fill, struct mill_str body,
                             const struct mill_row_meta *meta, struct mill_rows *rows,
                             struct mill_err *err)
{
    struct fill f = {.program = fill, .in = mill_wire_of(body), .rows = rows};
    int64_t before = mill_rows_count(rows);
    char where[64] = "record";

    if (fill_added(&f, mill_fill_meta(rows, meta)) && fill_step(&f, &fill->root) &&
        mill_wire_left(&f.in) == 0)
        return MILL_OK;
    mill_rows_truncate(rows, before);
    if (f.oom)
        return mill_fail(err, MILL_E_NOMEM, "row", "out of memory");
    if (f.field.p)
        mill_str_cut(f.field, where, sizeof where);
    return mill_fail(err, MILL_E_DATA, where, "%s",
                     f.field.p ? "truncated, or no value of its type" : "bytes left over");
}

int64_t mill_fill_unit(const struct mill_avro_node *t)
{
    switch (t->type == MILL_AVRO_LONG ? t->logical : MILL_LOGICAL_NONE) {
    case MILL_LOGICAL_TIMESTAMP_MILLIS:
        return 1000000;
    case MILL_LOGICAL_TIMESTAMP_MICROS:
        return 1000;
    case MILL_LOGICAL_TIMESTAMP_NANOS:
        return 1;
    default:
        return 0;
    }
}

int64_t mill_fill_time(const struct mill_fill *fill, struct mill_str body, int64_t broker_us)
{
    const struct mill_avro_node *root = fill->root.type, *t;
    struct mill_wire in = mill_wire_of(body);
    int64_t v, unit;
    size_t branch;

    if (fill->time_at == SIZE_MAX)
        return broker_us;
    for (size_t i = 0; i < fill->time_at; i++)
        if (!mill_wire_skip(&in, root->fields[i].type))
            return broker_us;
    t = root->fields[fill->time_at].type;
    if (t->type == MILL_AVRO_UNION) {
        if (!mill_wire_index(&in, t->n, &branch))
            return broker_us;
        t = t->branches[branch];
    }
    unit = mill_fill_unit(t);
    if (!unit || !mill_wire_long(&in, &v) || v > INT64_MAX / unit || v < INT64_MIN / unit)
        return broker_us;
    v = v * unit / 1000;
    return v >= broker_us - FILL_OLDEST_US && v <= broker_us + FILL_NEWEST_US ? v : broker_us;
}
