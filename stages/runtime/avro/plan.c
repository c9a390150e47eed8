#include "avro/plan.h"
#include "avro/resolve.h"

struct builder {
    struct mill_arena *arena;
    struct mill_decode_record *records;
    struct mill_err *err;
};

static enum mill_code plan_value(struct builder *b, const struct mill_avro_node *w,
                                 const struct mill_avro_node *r, const struct mill_field *row,
                                 struct mill_decode_value *out);

const struct mill_field *mill_decode_row(const struct mill_desc *desc, struct mill_str name)
{
    for (const struct mill_field *f = desc->fields; f->name; f++)
        if (mill_str_is(name, f->name))
            return f;
    return NULL;
}

static bool plan_is_text(enum mill_avro_type t)
{
    return t == MILL_AVRO_STRING || t == MILL_AVRO_BYTES;
}

static bool plan_is_integer(enum mill_avro_type t)
{
    return t == MILL_AVRO_INT || t == MILL_AVRO_LONG;
}

/* What a row of each kind wants of the reader's field. */
static bool plan_kind_fits(enum mill_kind kind, const struct mill_avro_node *t, bool nullable)
{
    switch (kind) {
    case MILL_STRING:
        return plan_is_text(t->type) || t->type == MILL_AVRO_FIXED;
    case MILL_I64:
        return !nullable && plan_is_integer(t->type);
    case MILL_BOOL:
        return !nullable && t->type == MILL_AVRO_BOOLEAN;
    case MILL_F64:
        return !nullable && (t->type == MILL_AVRO_FLOAT || t->type == MILL_AVRO_DOUBLE);
    case MILL_ENUM:
        return !nullable && t->type == MILL_AVRO_ENUM;
    case MILL_OPT_I64:
        return nullable && plan_is_integer(t->type);
    case MILL_OPT_BOOLEAN:
        return nullable && t->type == MILL_AVRO_BOOLEAN;
    case MILL_STRINGS:
        return !nullable && t->type == MILL_AVRO_ARRAY && plan_is_text(t->items->type);
    case MILL_STRING_MAP:
        return !nullable && t->type == MILL_AVRO_MAP && plan_is_text(t->items->type);
    case MILL_RECORD:
        return !nullable && t->type == MILL_AVRO_RECORD;
    case MILL_OPT_RECORD:
        return nullable && t->type == MILL_AVRO_RECORD;
    case MILL_RECORDS:
        return !nullable && t->type == MILL_AVRO_ARRAY && t->items->type == MILL_AVRO_RECORD;
    }
    return false;
}

static bool plan_names_known(const struct mill_field *row, const struct mill_avro_node *t)
{
    if (!row->names || !row->names[0])
        return false;
    for (const char *const *name = row->names; *name; name++) {
        bool found = false;
        for (size_t i = 0; i < t->symbols.n && !found; i++)
            found = mill_str_is(t->symbols.v[i], *name);
        if (!found)
            return false;
    }
    return true;
}

static enum mill_code plan_check(const struct mill_desc *desc, const struct mill_avro_node *reader,
                                 unsigned depth, struct mill_err *err)
{
    if (reader->type != MILL_AVRO_RECORD ||
        !mill_str_is(mill_avro_short_name(reader->name), desc->name))
        return mill_fail(err, MILL_E_SCHEMA, desc->name, "the schema is no record of this name");
    if (depth > MILL_WIRE_MAX_DEPTH) /* a descriptor that holds itself, in a list or by pointer */
        return MILL_OK;
    for (const struct mill_field *row = desc->fields; row->name; row++) {
        const struct mill_avro_field *f = mill_avro_field_find(reader, mill_str(row->name));
        bool nullable;
        if (!f)
            return mill_fail(err, MILL_E_SCHEMA, row->name, "the schema has no such field");
        const struct mill_avro_node *t = mill_avro_nullable(f->type, &nullable);
        if (!t || !plan_kind_fits(row->kind, t, nullable))
            return mill_fail(err, MILL_E_SCHEMA, row->name,
                             "the table's kind does not fit the schema's type");
        if (row->kind == MILL_ENUM && !plan_names_known(row, t))
            return mill_fail(err, MILL_E_SCHEMA, row->name,
                             "the table has a symbol that the schema has not");
        if (row->kind == MILL_RECORDS)
            t = t->items;
        if (t->type != MILL_AVRO_RECORD)
            continue;
        enum mill_code rc = row->sub ? plan_check(row->sub, t, depth + 1, err)
                                     : mill_fail(err, MILL_E_SCHEMA, row->name, "no .sub table");
        if (rc)
            return rc;
    }
    return MILL_OK;
}

enum mill_code mill_decode_check(const struct mill_desc *desc, const struct mill_avro_node *reader,
                                 struct mill_err *err)
{
    return plan_check(desc, reader, 0, err);
}

static enum mill_code plan_nomem(struct builder *b)
{
    return mill_fail(b->err, MILL_E_NOMEM, "plan", "out of memory");
}

static enum mill_code plan_default(struct builder *b, const struct mill_avro_field *f,
                                   const struct mill_field *row, void *proto)
{
    struct mill_buf buf;
    struct mill_wire_out o;
    struct mill_decode_value value = {0};
    struct mill_str bytes = {0};
    enum mill_code rc;

    mill_buf_init(&buf, MILL_SCHEMA_MAX_BYTES);
    mill_wire_begin(&o, &buf);
    rc = mill_wire_put_json(&o, f->type, f->def, b->err);
    if (!mill_wire_end(&o) && !rc)
        rc = plan_nomem(b);
    if (!rc) {
        bytes = mill_arena_dup(b->arena, mill_buf_view(&buf));
        rc = bytes.p ? plan_value(b, f->type, f->type, row, &value) : plan_nomem(b);
    }
    if (!rc) {
        struct mill_wire in = mill_wire_of(bytes);
        rc = mill_decode_run(&value, &in, b->arena, (char *)proto + row->off, b->err);
        if (rc == MILL_E_DATA)
            rc = mill_fail(b->err, MILL_E_SCHEMA, row->name, "the default cannot be used");
    }
    mill_buf_release(&buf);
    return rc;
}

/* The reader's field that takes the writer's field; NULL = nobody wants it. */
static const struct mill_avro_field *plan_taker(const struct mill_avro_node *w,
                                                const struct mill_avro_node *r,
                                                const struct mill_avro_field *from)
{
    for (size_t i = 0; i < r->n; i++)
        if (mill_resolve_field(w, r, &r->fields[i]) == from)
            return &r->fields[i];
    return NULL;
}

static enum mill_code plan_fields(struct builder *b, struct mill_decode_record *rec, void *proto)
{
    const struct mill_avro_node *w = rec->writer, *r = rec->reader;
    struct mill_decode_field *fields = mill_arena_calloc(b->arena, w->n ? w->n : 1, sizeof *fields);
    enum mill_code rc = MILL_OK;

    if (!fields)
        return plan_nomem(b);
    for (size_t i = 0; i < r->n && !rc; i++) {
        const struct mill_field *row = mill_decode_row(rec->desc, r->fields[i].name);
        if (row && !mill_resolve_field(w, r, &r->fields[i]))
            rc = plan_default(b, &r->fields[i], row, proto);
    }
    for (size_t i = 0; i < w->n && !rc; i++) {
        const struct mill_avro_field *to = plan_taker(w, r, &w->fields[i]);
        const struct mill_field *row = to ? mill_decode_row(rec->desc, to->name) : NULL;
        fields[i].name = w->fields[i].name.p;
        fields[i].value = (struct mill_decode_value){MILL_DECODE_SKIP, .writer = w->fields[i].type};
        if (!row)
            continue;
        fields[i].off = row->off;
        rc = plan_value(b, w->fields[i].type, to->type, row, &fields[i].value);
    }
    rec->fields = fields;
    rec->n = w->n;
    return rc;
}

static enum mill_code plan_record(struct builder *b, const struct mill_avro_node *w,
                                  const struct mill_avro_node *r, const struct mill_desc *desc,
                                  const struct mill_decode_record **out)
{
    for (*out = b->records; *out; *out = (*out)->next)
        if ((*out)->writer == w && (*out)->reader == r && (*out)->desc == desc)
            return MILL_OK;
    struct mill_decode_record *rec = mill_arena_calloc(b->arena, 1, sizeof *rec);
    void *proto = mill_arena_calloc(b->arena, 1, desc->size);
    if (!rec || !proto)
        return plan_nomem(b);
    *rec = (struct mill_decode_record){
        .writer = w, .reader = r, .desc = desc, .proto = proto, .next = b->records};
    b->records = rec;
    *out = rec;
    enum mill_code rc = plan_fields(b, rec, proto);
    rec->ready = !rc;
    return rc;
}

static int64_t plan_per_second(enum mill_logical l)
{
    switch (l) {
    case MILL_LOGICAL_TIME_MILLIS:
    case MILL_LOGICAL_TIMESTAMP_MILLIS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS:
        return 1000;
    case MILL_LOGICAL_TIME_MICROS:
    case MILL_LOGICAL_TIMESTAMP_MICROS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS:
        return 1000000;
    case MILL_LOGICAL_TIMESTAMP_NANOS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return 1000000000;
    default:
        return 0;
    }
}

/* A time in another unit is a time: a producer with timestamp-millis is understood. */
static void plan_integer(const struct mill_avro_node *w, const struct mill_avro_node *r,
                         struct mill_decode_value *out)
{
    int64_t from = plan_per_second(w->logical), to = plan_per_second(r->logical);

    out->op = w->type == MILL_AVRO_INT ? MILL_DECODE_INT : MILL_DECODE_LONG;
    if (from && to && from != to) {
        out->op = MILL_DECODE_SCALED;
        out->mul = to > from ? to / from : 1;
        out->div = from > to ? from / to : 1;
    }
}

static enum mill_code plan_enum(struct builder *b, const struct mill_avro_node *w,
                                const struct mill_avro_node *r, const struct mill_field *row,
                                struct mill_decode_value *out)
{
    int *map = mill_arena_calloc(b->arena, w->symbols.n, sizeof *map);
    if (!map)
        return plan_nomem(b);
    for (size_t i = 0; i < w->symbols.n; i++) {
        int32_t k = mill_resolve_symbol(w->symbols.v[i], r);
        map[i] = k < 0 ? -1 : 0;
        for (int c = 0; k >= 0 && row->names[c]; c++)
            if (mill_str_is(r->symbols.v[k], row->names[c]))
                map[i] = c;
    }
    out->op = MILL_DECODE_ENUM;
    out->symbols = map;
    return MILL_OK;
}

static enum mill_code plan_list(struct builder *b, const struct mill_avro_node *w,
                                const struct mill_avro_node *r, const struct mill_field *row,
                                struct mill_decode_value *out)
{
    struct mill_field item = {.name = row->name, .kind = MILL_STRING};
    struct mill_decode_value *v = mill_arena_calloc(b->arena, 1, sizeof *v);

    if (!v)
        return plan_nomem(b);
    out->op = w->type == MILL_AVRO_MAP ? MILL_DECODE_MAP : MILL_DECODE_LIST;
    out->stride = w->type == MILL_AVRO_MAP ? sizeof(struct mill_pair) : sizeof(struct mill_str);
    if (row->kind == MILL_RECORDS) {
        item.kind = MILL_RECORD;
        item.sub = row->sub;
        out->stride = row->sub->size;
    }
    out->item = v;
    out->item_min = mill_wire_item_min(w);
    return plan_value(b, w->items, r->items, &item, v);
}

static enum mill_code plan_union(struct builder *b, const struct mill_avro_node *w,
                                 const struct mill_avro_node *r, const struct mill_field *row,
                                 struct mill_decode_value *out)
{
    struct mill_decode_value *v = mill_arena_calloc(b->arena, w->n, sizeof *v);
    enum mill_code rc = MILL_OK;

    if (!v)
        return plan_nomem(b);
    for (size_t i = 0; i < w->n && !rc; i++) {
        v[i].op = MILL_DECODE_FAIL;
        rc = mill_schema_resolves(w->branches[i], r, false, NULL);
        if (rc == MILL_OK)
            rc = plan_value(b, w->branches[i], r, row, &v[i]);
        else if (rc == MILL_E_SCHEMA)
            rc = MILL_OK;
    }
    out->op = MILL_DECODE_UNION;
    out->branches = v;
    return rc;
}

static enum mill_code plan_number(struct builder *b, const struct mill_avro_node *w,
                                  const struct mill_avro_node *r, const struct mill_field *row,
                                  struct mill_decode_value *out)
{
    if (row->kind == MILL_F64) {
        out->op = w->type == MILL_AVRO_DOUBLE  ? MILL_DECODE_DOUBLE_F64
                  : w->type == MILL_AVRO_FLOAT ? MILL_DECODE_FLOAT_F64
                                               : MILL_DECODE_LONG_F64;
        return MILL_OK;
    }
    if (row->kind == MILL_I64) {
        plan_integer(w, r, out);
        return MILL_OK;
    }
    struct mill_decode_value *v = mill_arena_calloc(b->arena, 1, sizeof *v);
    if (!v)
        return plan_nomem(b);
    v->writer = w;
    plan_integer(w, r, v);
    out->op = MILL_DECODE_OPT_I64;
    out->item = v;
    return MILL_OK;
}

static enum mill_decode_op plan_plain_op(enum mill_kind kind, const struct mill_avro_node *w,
                                         const struct mill_avro_node *r)
{
    if (kind == MILL_BOOL)
        return MILL_DECODE_BOOL;
    if (kind == MILL_OPT_BOOLEAN)
        return MILL_DECODE_OPT_BOOL;
    if (w->type == MILL_AVRO_FIXED)
        return MILL_DECODE_FIXED;
    return r->type == MILL_AVRO_STRING ? MILL_DECODE_TEXT : MILL_DECODE_BYTES;
}

static enum mill_code plan_value(struct builder *b, const struct mill_avro_node *w,
                                 const struct mill_avro_node *r, const struct mill_field *row,
                                 struct mill_decode_value *out)
{
    out->writer = w;
    if (w->type == MILL_AVRO_UNION)
        return plan_union(b, w, r, row, out);
    if (w->type == MILL_AVRO_NULL) {
        out->op = MILL_DECODE_NULL;
        return MILL_OK;
    }
    r = mill_avro_nullable(r, NULL); /* mill_decode_check has seen that it is not NULL */
    switch (row->kind) {
    case MILL_I64:
    case MILL_OPT_I64:
    case MILL_F64:
        return plan_number(b, w, r, row, out);
    case MILL_ENUM:
        return plan_enum(b, w, r, row, out);
    case MILL_STRINGS:
    case MILL_STRING_MAP:
    case MILL_RECORDS:
        return plan_list(b, w, r, row, out);
    case MILL_RECORD:
    case MILL_OPT_RECORD:
        out->op = row->kind == MILL_RECORD ? MILL_DECODE_RECORD : MILL_DECODE_OPT_RECORD;
        return plan_record(b, w, r, row->sub, &out->sub);
    default:
        out->op = plan_plain_op(row->kind, w, r);
        return MILL_OK;
    }
}

enum mill_code mill_decode_build(const struct mill_desc *desc, const struct mill_avro_node *writer,
                                 const struct mill_avro_node *reader, struct mill_arena *arena,
                                 struct mill_decode_value *out, struct mill_err *err)
{
    struct builder b = {.arena = arena, .err = err};
    const struct mill_field row = {.name = desc->name, .kind = MILL_RECORD, .sub = desc};

    *out = (struct mill_decode_value){0};
    return plan_value(&b, writer, reader, &row, out);
}
