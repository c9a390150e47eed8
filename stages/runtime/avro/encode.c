#include "avro/encode.h"

#include "avro/plan.h"

enum encode_op {
    ENCODE_CONST, /* a field without a row: its default */
    ENCODE_TEXT,
    ENCODE_BYTES,
    ENCODE_FIXED,
    ENCODE_INT,
    ENCODE_LONG,
    ENCODE_BOOL,
    ENCODE_FLOAT,
    ENCODE_DOUBLE,
    ENCODE_ENUM,
    ENCODE_OPT_INT,
    ENCODE_OPT_LONG,
    ENCODE_OPT_BOOL,
    ENCODE_LIST,
    ENCODE_MAP,
    ENCODE_RECORD,
    ENCODE_OPT_RECORD,
};

struct encode_value {
    enum encode_op op;
    bool nullable;
    int64_t null_branch, branch;          /* of a nullable union */
    struct mill_str bytes;                /* CONST */
    size_t n;                             /* FIXED: bytes; ENUM: names in the table */
    const int *symbols;                   /* ENUM: C value to schema index */
    const struct encode_value *item;      /* LIST, MAP */
    size_t stride;                        /* LIST: bytes of an item */
    const struct mill_encode_record *sub; /* RECORD, OPT_RECORD */
};

struct encode_field {
    struct encode_value value;
    size_t off;
    const char *name;
};

struct mill_encode_record {
    const struct mill_desc *desc;
    const struct mill_avro_node *schema;
    struct encode_field *fields;
    size_t n;
    struct mill_encode_record *next;
};

struct builder {
    struct mill_arena *arena;
    struct mill_encode_record *records;
    struct mill_err *err;
};

static enum mill_code encode_record(struct builder *b, const struct mill_desc *desc,
                                    const struct mill_avro_node *t,
                                    const struct mill_encode_record **out);

static enum mill_code encode_nomem(struct builder *b)
{
    return mill_fail(b->err, MILL_E_NOMEM, "encode", "out of memory");
}

static enum mill_code encode_const(struct builder *b, const struct mill_avro_field *f,
                                   struct encode_value *out)
{
    struct mill_buf buf;
    struct mill_wire_out o;
    enum mill_code rc;

    out->op = ENCODE_CONST;
    if (!f->def)
        return mill_fail(b->err, MILL_E_SCHEMA, f->name.p,
                         "a field without a default must be in the table");
    mill_buf_init(&buf, MILL_SCHEMA_MAX_BYTES);
    mill_wire_begin(&o, &buf);
    rc = mill_wire_put_json(&o, f->type, f->def, b->err);
    if (!mill_wire_end(&o) && !rc)
        rc = encode_nomem(b);
    if (!rc) {
        out->bytes = mill_arena_dup(b->arena, mill_buf_view(&buf));
        rc = out->bytes.p ? MILL_OK : encode_nomem(b);
    }
    mill_buf_release(&buf);
    return rc;
}

static enum mill_code encode_enum(struct builder *b, const struct mill_field *row,
                                  const struct mill_avro_node *t, struct encode_value *out)
{
    size_t n = 0;
    while (row->names[n])
        n++;
    int *map = mill_arena_calloc(b->arena, n, sizeof *map);
    if (!map)
        return encode_nomem(b);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < t->symbols.n; k++)
            if (mill_str_is(t->symbols.v[k], row->names[i]))
                map[i] = (int)k;
    out->op = ENCODE_ENUM;
    out->symbols = map;
    out->n = n;
    return MILL_OK;
}

static enum encode_op encode_text_op(const struct mill_avro_node *t)
{
    return t->type == MILL_AVRO_STRING  ? ENCODE_TEXT
           : t->type == MILL_AVRO_BYTES ? ENCODE_BYTES
                                        : ENCODE_FIXED;
}

static enum mill_code encode_list(struct builder *b, const struct mill_field *row,
                                  const struct mill_avro_node *t, struct encode_value *out)
{
    struct encode_value *item = mill_arena_calloc(b->arena, 1, sizeof *item);

    if (!item)
        return encode_nomem(b);
    out->item = item;
    out->op = row->kind == MILL_STRING_MAP ? ENCODE_MAP : ENCODE_LIST;
    out->stride = sizeof(struct mill_str);
    item->op = encode_text_op(t->items);
    if (row->kind != MILL_RECORDS)
        return MILL_OK;
    out->stride = row->sub->size;
    item->op = ENCODE_RECORD;
    return encode_record(b, row->sub, t->items, &item->sub);
}

/* The kinds that need no more than an op. */
static enum encode_op encode_plain_op(enum mill_kind kind, const struct mill_avro_node *t)
{
    bool is_int = t->type == MILL_AVRO_INT;

    switch (kind) {
    case MILL_I64:
        return is_int ? ENCODE_INT : ENCODE_LONG;
    case MILL_OPT_I64:
        return is_int ? ENCODE_OPT_INT : ENCODE_OPT_LONG;
    case MILL_BOOL:
        return ENCODE_BOOL;
    case MILL_OPT_BOOLEAN:
        return ENCODE_OPT_BOOL;
    case MILL_F64:
        return t->type == MILL_AVRO_FLOAT ? ENCODE_FLOAT : ENCODE_DOUBLE;
    default:
        return encode_text_op(t);
    }
}

static enum mill_code encode_value_of(struct builder *b, const struct mill_field *row,
                                      const struct mill_avro_node *t, struct encode_value *out)
{
    const struct mill_avro_node *u = t;

    t = mill_avro_nullable(t, &out->nullable);
    if (out->nullable) {
        out->null_branch = u->branches[0]->type == MILL_AVRO_NULL ? 0 : 1;
        out->branch = 1 - out->null_branch;
    }
    switch (row->kind) {
    case MILL_ENUM:
        return encode_enum(b, row, t, out);
    case MILL_STRINGS:
    case MILL_STRING_MAP:
    case MILL_RECORDS:
        return encode_list(b, row, t, out);
    case MILL_RECORD:
    case MILL_OPT_RECORD:
        out->op = row->kind == MILL_RECORD ? ENCODE_RECORD : ENCODE_OPT_RECORD;
        return encode_record(b, row->sub, t, &out->sub);
    default:
        out->op = encode_plain_op(row->kind, t);
        out->n = t->size;
        return MILL_OK;
    }
}

static enum mill_code encode_record(struct builder *b, const struct mill_desc *desc,
                                    const struct mill_avro_node *t,
                                    const struct mill_encode_record **out)
{
    enum mill_code rc = MILL_OK;

    for (*out = b->records; *out; *out = (*out)->next)
        if ((*out)->desc == desc && (*out)->schema == t)
            return MILL_OK;
    struct mill_encode_record *rec = mill_arena_calloc(b->arena, 1, sizeof *rec);
    if (!rec)
        return encode_nomem(b);
    *rec = (struct mill_encode_record){.desc = desc, .schema = t, .n = t->n, .next = b->records};
    b->records = rec;
    *out = rec;
    rec->fields = mill_arena_calloc(b->arena, t->n ? t->n : 1, sizeof *rec->fields);
    if (!rec->fields)
        return encode_nomem(b);
    for (size_t i = 0; i < t->n && !rc; i++) {
        const struct mill_field *row = mill_decode_row(desc, t->fields[i].name);
        struct encode_field *f = &rec->fields[i];
        f->name = t->fields[i].name.p;
        f->off = row ? row->off : 0;
        rc = row ? encode_value_of(b, row, t->fields[i].type, &f->value)
                 : encode_const(b, &t->fields[i], &f->value);
    }
    return rc;
}

enum mill_code mill_encode_build(const struct mill_desc *desc, const struct mill_avro_node *schema,
                                 struct mill_arena *arena, const struct mill_encode_record **out,
                                 struct mill_err *err)
{
    struct builder b = {.arena = arena, .err = err};
    return encode_record(&b, desc, schema, out);
}

/* --- running it --- */

struct encoder {
    struct mill_wire_out o;
    unsigned depth;
    const char *at; /* field at fault */
};

/* Is the value absent, so that null is to be written? */
static bool encode_absent(const struct encode_value *v, const void *in)
{
    switch (v->op) {
    case ENCODE_TEXT:
    case ENCODE_BYTES:
    case ENCODE_FIXED:
        return !((const struct mill_str *)in)->p;
    case ENCODE_OPT_INT:
    case ENCODE_OPT_LONG:
        return !((const struct mill_opt_i64 *)in)->has;
    case ENCODE_OPT_BOOL:
        return !((const struct mill_opt_bool *)in)->has;
    case ENCODE_OPT_RECORD:
        return !*(const void *const *)in;
    default:
        return false;
    }
}

static bool encode_one(struct encoder *e, const struct encode_value *v, const void *in);

static bool encode_const_run(struct encoder *e, const struct encode_value *v, const void *in)
{
    (void)in;
    mill_wire_put_raw(&e->o, v->bytes);
    return true;
}

static bool encode_text(struct encoder *e, const struct encode_value *v, const void *in)
{
    const struct mill_str *s = in;

    if (v->op == ENCODE_TEXT)
        mill_wire_put_text(&e->o, *s);
    else if (v->op == ENCODE_BYTES)
        mill_wire_put_bytes(&e->o, *s);
    else
        mill_wire_put_raw(&e->o, *s);
    return v->op != ENCODE_FIXED || s->n == v->n;
}

static bool encode_integer(struct encoder *e, const struct encode_value *v, const void *in)
{
    bool optional = v->op == ENCODE_OPT_INT || v->op == ENCODE_OPT_LONG;
    int64_t i = optional ? ((const struct mill_opt_i64 *)in)->v : *(const int64_t *)in;

    mill_wire_put_long(&e->o, i);
    return v->op == ENCODE_LONG || v->op == ENCODE_OPT_LONG || (i >= INT32_MIN && i <= INT32_MAX);
}

static bool encode_bool(struct encoder *e, const struct encode_value *v, const void *in)
{
    bool b = v->op == ENCODE_BOOL ? *(const bool *)in : ((const struct mill_opt_bool *)in)->v;
    mill_wire_put_bool(&e->o, b);
    return true;
}

static bool encode_float(struct encoder *e, const struct encode_value *v, const void *in)
{
    double d = *(const double *)in;

    if (v->op == ENCODE_DOUBLE)
        mill_wire_put_double(&e->o, d);
    else
        mill_wire_put_float(&e->o, (float)d);
    return true;
}

static bool encode_symbol(struct encoder *e, const struct encode_value *v, const void *in)
{
    int c = *(const int *)in;

    if (c < 0 || (size_t)c >= v->n)
        return false;
    mill_wire_put_long(&e->o, v->symbols[c]);
    return true;
}

static bool encode_items(struct encoder *e, const struct encode_value *v, const void *in)
{
    struct mill_list list;

    memcpy(&list, in, sizeof list); /* all lists lie like this one */
    if (list.n)
        mill_wire_put_long(&e->o, (int64_t)list.n);
    for (size_t i = 0; i < list.n; i++)
        if (!encode_one(e, v->item, (const char *)list.v + i * v->stride))
            return false;
    mill_wire_put_long(&e->o, 0);
    return true;
}

static bool encode_pairs(struct encoder *e, const struct encode_value *v, const void *in)
{
    const struct mill_map *map = in;

    if (map->n)
        mill_wire_put_long(&e->o, (int64_t)map->n);
    for (size_t i = 0; i < map->n; i++) {
        mill_wire_put_text(&e->o, map->v[i].key);
        if (!encode_one(e, v->item, &map->v[i].value))
            return false;
    }
    mill_wire_put_long(&e->o, 0);
    return true;
}

static bool encode_struct(struct encoder *e, const struct mill_encode_record *rec, const void *in)
{
    if (e->depth >= MILL_WIRE_MAX_DEPTH)
        return false;
    e->depth++;
    for (size_t i = 0; i < rec->n; i++) {
        const struct encode_field *f = &rec->fields[i];
        if (!encode_one(e, &f->value, (const char *)in + f->off)) {
            if (!e->at)
                e->at = f->name;
            return false;
        }
    }
    e->depth--;
    return true;
}

static bool encode_sub(struct encoder *e, const struct encode_value *v, const void *in)
{
    if (v->op == ENCODE_OPT_RECORD)
        memcpy(&in, in, sizeof in); /* a pointer to the struct */
    return encode_struct(e, v->sub, in);
}

static bool encode_one(struct encoder *e, const struct encode_value *v, const void *in)
{
    static bool (*const by_op[])(struct encoder *, const struct encode_value *, const void *) = {
        [ENCODE_CONST] = encode_const_run, [ENCODE_TEXT] = encode_text,
        [ENCODE_BYTES] = encode_text,      [ENCODE_FIXED] = encode_text,
        [ENCODE_INT] = encode_integer,     [ENCODE_LONG] = encode_integer,
        [ENCODE_BOOL] = encode_bool,       [ENCODE_FLOAT] = encode_float,
        [ENCODE_DOUBLE] = encode_float,    [ENCODE_ENUM] = encode_symbol,
        [ENCODE_OPT_INT] = encode_integer, [ENCODE_OPT_LONG] = encode_integer,
        [ENCODE_OPT_BOOL] = encode_bool,   [ENCODE_LIST] = encode_items,
        [ENCODE_MAP] = encode_pairs,       [ENCODE_RECORD] = encode_sub,
        [ENCODE_OPT_RECORD] = encode_sub,
    };
    if (v->nullable) {
        bool absent = encode_absent(v, in);
        mill_wire_put_long(&e->o, absent ? v->null_branch : v->branch);
        if (absent)
            return true;
    }
    return by_op[v->op](e, v, in);
}

enum mill_code mill_encode_run(const struct mill_encode_record *rec, const void *in,
                               struct mill_buf *out, struct mill_err *err)
{
    struct encoder e = {0};
    size_t start = out->n;

    mill_wire_begin(&e.o, out);
    bool good = encode_struct(&e, rec, in);
    if (!mill_wire_end(&e.o)) {
        if (!e.o.over)
            return mill_fail(err, MILL_E_NOMEM, rec->desc->name, "out of memory");
        return mill_fail(err, MILL_E_DATA, rec->desc->name, "the record is larger than %zu bytes",
                         out->cap);
    }
    if (good)
        return MILL_OK;
    if (out->p) /* nothing of it stays */
        out->p[start] = '\0';
    out->n = start;
    return mill_fail(err, MILL_E_DATA, e.at ? e.at : rec->desc->name,
                     "the value does not fit the schema's type");
}
