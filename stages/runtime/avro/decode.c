/* Runs a plan over a record's bytes. Every loop here is bounded by the bytes left. */
#include "avro/plan.h"

/* Items of no bytes, and lists of all kinds together, that one record may ask memory for. */
enum { DECODE_MAX_EMPTY = 1024, DECODE_MAX_LISTS = 64 << 20 };

struct decoder {
    struct mill_wire in;
    struct mill_arena *arena;
    size_t lists; /* bytes given to lists so far */
    unsigned depth;
    const char *at;  /* field at fault */
    const char *why; /* static; NULL = the bytes ended or made no sense */
    bool nomem;
};

static bool decode_value(struct decoder *d, const struct mill_decode_value *v, void *out);

static bool decode_fail(struct decoder *d, const char *why)
{
    d->why = why;
    return false;
}

static void *decode_alloc(struct decoder *d, size_t n)
{
    void *p = NULL;

    if (n > DECODE_MAX_LISTS - d->lists) {
        d->why = "too many items for one record";
        return NULL;
    }
    d->lists += n;
    p = mill_arena_alloc(d->arena, n);
    if (!p)
        d->nomem = true;
    return p;
}

static bool decode_record(struct decoder *d, const struct mill_decode_record *rec, void *out)
{
    if (!rec->ready || d->depth >= MILL_WIRE_MAX_DEPTH)
        return decode_fail(d, "records are nested too deep");
    d->depth++;
    memcpy(out, rec->proto, rec->desc->size);
    for (size_t i = 0; i < rec->n; i++) {
        const struct mill_decode_field *f = &rec->fields[i];
        if (!decode_value(d, &f->value, (char *)out + f->off)) {
            if (!d->at)
                d->at = f->name;
            return false;
        }
    }
    d->depth--;
    return true;
}

/* Room for `more` items behind `n`; the items may move. */
static bool decode_room(struct decoder *d, size_t stride, char **items, size_t n, size_t *size,
                        size_t more)
{
    if (more <= *size - n)
        return true;
    size_t want = *size * 2;
    if (more > DECODE_MAX_LISTS || n + more > want)
        want = n + more;
    if (want > DECODE_MAX_LISTS / stride)
        return decode_fail(d, "too many items for one record");
    char *p = decode_alloc(d, want * stride);
    if (!p)
        return false;
    if (n)
        memcpy(p, *items, n * stride);
    memset(p + n * stride, 0, (want - n) * stride);
    *items = p;
    *size = want;
    return true;
}

static bool decode_item(struct decoder *d, const struct mill_decode_value *v, char *item)
{
    if (v->op == MILL_DECODE_MAP) {
        struct mill_pair *pair = (struct mill_pair *)(void *)item;
        return mill_wire_bytes(&d->in, &pair->key) && mill_str_utf8(pair->key) &&
               decode_value(d, v->item, &pair->value);
    }
    return decode_value(d, v->item, item);
}

static bool decode_list(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    char *items = NULL;
    size_t n = 0, size = 0, block;

    for (;;) {
        if (!mill_wire_block(&d->in, v->item_min, &block))
            return false;
        if (!block)
            break;
        if (!v->item_min && (block > DECODE_MAX_EMPTY || n + block > DECODE_MAX_EMPTY))
            return decode_fail(d, "too many items for one record");
        if (!decode_room(d, v->stride, &items, n, &size, block))
            return false;
        for (; block; block--, n++)
            if (!decode_item(d, v, items + n * v->stride))
                return false;
    }
    const struct mill_list list = {items, n};
    memcpy(out, &list, sizeof list); /* all lists lie like this one */
    return true;
}

static bool decode_opt_record(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    void *rec = decode_alloc(d, v->sub->desc->size);
    if (!rec || !decode_record(d, v->sub, rec))
        return false;
    memcpy(out, &rec, sizeof rec);
    return true;
}

static bool decode_integer(struct decoder *d, const struct mill_decode_value *v, void *to)
{
    int64_t *out = to;

    if (v->op == MILL_DECODE_LONG)
        return mill_wire_long(&d->in, out);
    if (v->writer->type == MILL_AVRO_INT ? !mill_wire_int(&d->in, out)
                                         : !mill_wire_long(&d->in, out))
        return false;
    if (v->op != MILL_DECODE_SCALED)
        return true;
    if (*out > INT64_MAX / v->mul || *out < INT64_MIN / v->mul)
        return decode_fail(d, "the time does not fit");
    int64_t whole = *out * v->mul / v->div;
    *out = whole - (*out * v->mul % v->div < 0); /* down, also before 1970 */
    return true;
}

static bool decode_text(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    struct mill_str *s = out;

    (void)v;
    if (!mill_wire_bytes(&d->in, s))
        return false;
    return mill_str_utf8(*s) || decode_fail(d, "a string is no UTF-8");
}

static bool decode_enum(struct decoder *d, const struct mill_decode_value *v, void *to)
{
    int *out = to;
    size_t i;

    if (!mill_wire_index(&d->in, v->writer->symbols.n, &i))
        return false;
    *out = v->symbols[i];
    return *out >= 0 || decode_fail(d, "the reader does not know this symbol");
}

static bool decode_union(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    size_t i;
    return mill_wire_index(&d->in, v->writer->n, &i) && decode_value(d, &v->branches[i], out);
}

static bool decode_float(struct decoder *d, const struct mill_decode_value *v, void *to)
{
    double *out = to;
    float f = 0;
    int64_t i = 0;

    if (v->op == MILL_DECODE_DOUBLE_F64)
        return mill_wire_double(&d->in, out);
    if (v->op == MILL_DECODE_FLOAT_F64) {
        bool good = mill_wire_float(&d->in, &f);
        *out = (double)f;
        return good;
    }
    bool good =
        v->writer->type == MILL_AVRO_INT ? mill_wire_int(&d->in, &i) : mill_wire_long(&d->in, &i);
    *out = (double)i;
    return good;
}

static bool decode_opt_bool(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    struct mill_opt_bool *b = out;

    (void)v;
    b->has = true;
    return mill_wire_bool(&d->in, &b->v);
}

static bool decode_opt_i64(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    struct mill_opt_i64 *i = out;
    i->has = true;
    return decode_integer(d, v->item, &i->v);
}

static bool decode_no(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    (void)v, (void)out;
    return decode_fail(d, "this branch of the writer's union has no reader");
}

static bool decode_skip(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    (void)out;
    return mill_wire_skip(&d->in, v->writer);
}

static bool decode_null(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    (void)d, (void)v, (void)out;
    return true;
}

static bool decode_bytes(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    (void)v;
    return mill_wire_bytes(&d->in, out);
}

static bool decode_fixed(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    return mill_wire_raw(&d->in, v->writer->size, out);
}

static bool decode_bool(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    (void)v;
    return mill_wire_bool(&d->in, out);
}

static bool decode_sub(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    return decode_record(d, v->sub, out);
}

static bool decode_value(struct decoder *d, const struct mill_decode_value *v, void *out)
{
    static bool (*const by_op[])(struct decoder *, const struct mill_decode_value *, void *) = {
        [MILL_DECODE_FAIL] = decode_no,          [MILL_DECODE_SKIP] = decode_skip,
        [MILL_DECODE_NULL] = decode_null,        [MILL_DECODE_TEXT] = decode_text,
        [MILL_DECODE_BYTES] = decode_bytes,      [MILL_DECODE_FIXED] = decode_fixed,
        [MILL_DECODE_INT] = decode_integer,      [MILL_DECODE_LONG] = decode_integer,
        [MILL_DECODE_SCALED] = decode_integer,   [MILL_DECODE_OPT_I64] = decode_opt_i64,
        [MILL_DECODE_BOOL] = decode_bool,        [MILL_DECODE_OPT_BOOL] = decode_opt_bool,
        [MILL_DECODE_LONG_F64] = decode_float,   [MILL_DECODE_FLOAT_F64] = decode_float,
        [MILL_DECODE_DOUBLE_F64] = decode_float, [MILL_DECODE_ENUM] = decode_enum,
        [MILL_DECODE_LIST] = decode_list,        [MILL_DECODE_MAP] = decode_list,
        [MILL_DECODE_RECORD] = decode_sub,       [MILL_DECODE_OPT_RECORD] = decode_opt_record,
        [MILL_DECODE_UNION] = decode_union,
    };
    return by_op[v->op](d, v, out);
}

enum mill_code mill_decode_run(const struct mill_decode_value *plan, struct mill_wire *in,
                               struct mill_arena *arena, void *out, struct mill_err *err)
{
    struct decoder d = {.in = *in, .arena = arena};

    if (decode_value(&d, plan, out)) {
        *in = d.in;
        return MILL_OK;
    }
    if (d.nomem)
        return mill_fail(err, MILL_E_NOMEM, d.at ? d.at : "record", "out of memory");
    return mill_fail(err, MILL_E_DATA, d.at ? d.at : "record", "%s",
                     d.why ? d.why : "the bytes end too early or are no such value");
}
