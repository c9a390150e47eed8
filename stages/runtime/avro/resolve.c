/* Does a reader's schema take what a writer's schema wrote: the "schema resolution" chapter of the
 * Avro specification, with the reader's aliases. */
#include "avro/resolve.h"

#include <stdlib.h>

enum { RESOLVE_MAX_PAIRS = 1024 };

/* Pairs of named types already looked at; a pair in progress counts as good, so recursion ends. */
struct pair {
    const struct mill_avro_node *w, *r;
    bool good;
};

struct resolver {
    struct pair *pairs;
    size_t n, size;
    bool strict;
    enum mill_code rc; /* MILL_E_SCHEMA or MILL_E_NOMEM once it has failed */
    struct mill_err *err;
};

static bool resolve_node(struct resolver *rs, const struct mill_avro_node *w,
                         const struct mill_avro_node *r, const char *at);

static bool resolve_fail(struct resolver *rs, const char *at, const struct mill_avro_node *w,
                         const struct mill_avro_node *r)
{
    rs->rc = mill_fail(rs->err, MILL_E_SCHEMA, at, "a writer's %s cannot be read as %s",
                       mill_avro_type_name(w->type), mill_avro_type_name(r->type));
    return false;
}

bool mill_resolve_names(const struct mill_avro_node *w, const struct mill_avro_node *r)
{
    struct mill_str name = mill_avro_short_name(w->name);

    if (mill_str_eq(name, mill_avro_short_name(r->name)))
        return true;
    for (size_t i = 0; i < r->aliases.n; i++)
        if (mill_str_eq(r->aliases.v[i], w->name) ||
            mill_str_eq(mill_avro_short_name(r->aliases.v[i]), name))
            return true;
    return false;
}

const struct mill_avro_field *mill_avro_field_find(const struct mill_avro_node *record,
                                                   struct mill_str name)
{
    for (size_t i = 0; i < record->n; i++)
        if (mill_str_eq(record->fields[i].name, name))
            return &record->fields[i];
    return NULL;
}

const struct mill_avro_field *mill_resolve_field(const struct mill_avro_node *writer,
                                                 const struct mill_avro_node *reader,
                                                 const struct mill_avro_field *field)
{
    const struct mill_avro_field *from = mill_avro_field_find(writer, field->name);

    for (size_t k = 0; !from && k < field->aliases.n; k++)
        if (!mill_avro_field_find(reader, field->aliases.v[k]))
            from = mill_avro_field_find(writer, field->aliases.v[k]);
    return from;
}

int32_t mill_resolve_symbol(struct mill_str symbol, const struct mill_avro_node *r)
{
    for (size_t i = 0; i < r->symbols.n; i++)
        if (mill_str_eq(r->symbols.v[i], symbol))
            return (int32_t)i;
    return r->default_symbol;
}

bool mill_resolve_promotes(enum mill_avro_type w, enum mill_avro_type r)
{
    switch (r) {
    case MILL_AVRO_LONG:
        return w == MILL_AVRO_INT;
    case MILL_AVRO_FLOAT:
        return w == MILL_AVRO_INT || w == MILL_AVRO_LONG;
    case MILL_AVRO_DOUBLE:
        return w == MILL_AVRO_INT || w == MILL_AVRO_LONG || w == MILL_AVRO_FLOAT;
    case MILL_AVRO_STRING:
        return w == MILL_AVRO_BYTES;
    case MILL_AVRO_BYTES:
        return w == MILL_AVRO_STRING;
    default:
        return false;
    }
}

static bool resolve_record(struct resolver *rs, const struct mill_avro_node *w,
                           const struct mill_avro_node *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct mill_avro_field *f = &r->fields[i], *from = mill_resolve_field(w, r, f);
        if (from && !resolve_node(rs, from->type, f->type, f->name.p))
            return false;
        if (!from && !f->def) {
            rs->rc = mill_fail(rs->err, MILL_E_SCHEMA, f->name.p,
                               "the writer has no such field and there is no default");
            return false;
        }
    }
    return true;
}

static bool resolve_enum(struct resolver *rs, const struct mill_avro_node *w,
                         const struct mill_avro_node *r, const char *at)
{
    for (size_t i = 0; rs->strict && i < w->symbols.n; i++) {
        if (mill_resolve_symbol(w->symbols.v[i], r) < 0) {
            rs->rc = mill_fail(rs->err, MILL_E_SCHEMA, at, "unknown symbol %.*s and no default",
                               MILL_FMT(w->symbols.v[i]));
            return false;
        }
    }
    return true;
}

static bool resolve_named(struct resolver *rs, const struct mill_avro_node *w,
                          const struct mill_avro_node *r, const char *at)
{
    if (!mill_resolve_names(w, r))
        return resolve_fail(rs, at, w, r);
    for (size_t i = 0; i < rs->n; i++)
        if (rs->pairs[i].w == w && rs->pairs[i].r == r)
            return rs->pairs[i].good ? true : resolve_fail(rs, at, w, r);
    if (rs->n == RESOLVE_MAX_PAIRS) {
        rs->rc = mill_fail(rs->err, MILL_E_SCHEMA, at, "the schemas are too large to compare");
        return false;
    }
    if (rs->n == rs->size) {
        size_t size = rs->size ? rs->size * 2 : 16;
        struct pair *p = realloc(rs->pairs, size * sizeof *p);
        if (!p) {
            rs->rc = mill_fail(rs->err, MILL_E_NOMEM, at, "out of memory");
            return false;
        }
        rs->pairs = p;
        rs->size = size;
    }
    size_t mine = rs->n++;
    rs->pairs[mine] = (struct pair){w, r, true};
    bool good = w->type == MILL_AVRO_RECORD ? resolve_record(rs, w, r)
                : w->type == MILL_AVRO_ENUM ? resolve_enum(rs, w, r, at)
                : w->size == r->size        ? true
                                            : resolve_fail(rs, at, w, r);
    rs->pairs[mine].good = good;
    return good;
}

/* Some (strict: every) branch of the writer's union must fit. */
static bool resolve_writer_union(struct resolver *rs, const struct mill_avro_node *w,
                                 const struct mill_avro_node *r, const char *at)
{
    bool any = false;
    for (size_t i = 0; i < w->n; i++) {
        bool good = resolve_node(rs, w->branches[i], r, at);
        if (rs->rc == MILL_E_NOMEM || (!good && rs->strict))
            return false;
        any = any || good;
    }
    return any;
}

static bool resolve_reader_union(struct resolver *rs, const struct mill_avro_node *w,
                                 const struct mill_avro_node *r, const char *at)
{
    for (size_t i = 0; i < r->n; i++) {
        if (resolve_node(rs, w, r->branches[i], at))
            return true;
        if (rs->rc == MILL_E_NOMEM)
            return false;
    }
    return resolve_fail(rs, at, w, r);
}

static bool resolve_node(struct resolver *rs, const struct mill_avro_node *w,
                         const struct mill_avro_node *r, const char *at)
{
    if (w->type == MILL_AVRO_UNION)
        return resolve_writer_union(rs, w, r, at);
    if (r->type == MILL_AVRO_UNION)
        return resolve_reader_union(rs, w, r, at);
    if (w->type != r->type)
        return mill_resolve_promotes(w->type, r->type) ? true : resolve_fail(rs, at, w, r);
    if (w->items)
        return resolve_node(rs, w->items, r->items, at);
    if (w->name.p)
        return resolve_named(rs, w, r, at);
    return true;
}

enum mill_code mill_schema_resolves(const struct mill_avro_node *writer,
                                    const struct mill_avro_node *reader, bool strict,
                                    struct mill_err *err)
{
    struct resolver rs = {.strict = strict, .err = err};
    bool good = resolve_node(&rs, writer, reader, reader->name.p ? reader->name.p : "schema");

    free(rs.pairs);
    return good ? MILL_OK : rs.rc;
}
