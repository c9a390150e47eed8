#include "lake/shape.h"

#include <stdlib.h>

enum { GROW_DEPTH_MAX = 64, GROW_PATH_MAX = 512, GROW_DIGITS_MAX = 76 };

/** One growth: what it works on, and where in the record it is. */
struct grow {
    struct mill_shape *s;
    struct mill_err *err;
    char path[GROW_PATH_MAX]; /**< dotted */
    size_t n;
    const struct mill_avro_node *open[GROW_DEPTH_MAX]; /**< types that we are within */
    size_t depth;
    enum mill_guard guard; /**< of the field that we are within */
    bool changed;
};

/** Same columns, same ids, in the new shape's arena. */
static struct mill_col *grow_copy(struct mill_shape *to, const struct mill_col *from)
{
    struct mill_col *c = mill_arena_calloc(&to->arena, 1, sizeof *c);

    if (!c)
        return NULL;
    *c = *from;
    c->name = mill_arena_dup(&to->arena, from->name);
    c->kids = mill_arena_calloc(&to->arena, from->n + 1, sizeof *c->kids);
    if (!c->name.p || !c->kids)
        return NULL;
    for (size_t i = 0; i < from->n; i++) {
        c->kids[i] = grow_copy(to, from->kids[i]);
        if (!c->kids[i])
            return NULL;
    }
    return c;
}

static enum mill_code grow_merge(struct grow *g, struct mill_col *c,
                                 const struct mill_avro_node *t);

static enum mill_code grow_nomem(struct grow *g)
{
    return g->s->n_cols >= MILL_SHAPE_COLS_MAX
               ? mill_fail(g->err, MILL_E_SCHEMA, "columns", "more than %d", MILL_SHAPE_COLS_MAX)
               : mill_fail(g->err, MILL_E_NOMEM, "columns", "out of memory");
}

/** Text, records (each of their fields is asked for itself), or null, lists and maps of these. */
static bool grow_guardable(const struct mill_avro_node *t)
{
    if (t->type == MILL_AVRO_ARRAY || t->type == MILL_AVRO_MAP)
        return grow_guardable(t->items);
    for (size_t i = 0; t->type == MILL_AVRO_UNION && i < t->n; i++)
        if (t->branches[i]->type != MILL_AVRO_NULL && !grow_guardable(t->branches[i]))
            return false;
    return t->type == MILL_AVRO_UNION || t->type == MILL_AVRO_STRING || t->type == MILL_AVRO_ENUM ||
           t->type == MILL_AVRO_RECORD;
}

/** What becomes of the field that the path leads to. What cannot be guarded does not enter. */
static enum mill_guard grow_guard(const struct grow *g, const struct mill_avro_node *t)
{
    enum mill_guard guard =
        mill_policy_of(g->s->policy, (struct mill_str){g->path, g->n}, g->guard);

    return guard == MILL_KEEP || grow_guardable(t) ? guard : MILL_DROP;
}

/** Add a name to the path; the caller takes g->n back. false = too long (then nothing drops it). */
static bool grow_push(struct grow *g, struct mill_str name)
{
    if (g->n + name.n + 2 > sizeof g->path)
        return false;
    if (g->n)
        g->path[g->n++] = '.';
    memcpy(g->path + g->n, name.p, name.n);
    g->n += name.n;
    g->path[g->n] = '\0';
    return true;
}

static void grow_nullable(struct grow *g, struct mill_col *c)
{
    if (!c->nullable) {
        c->nullable = true;
        g->changed = true;
    }
}

/** Merge type t into the child of this name, which is made if it is not there. */
static enum mill_code grow_child(struct grow *g, struct mill_col *parent, struct mill_str name,
                                 bool nullable, const struct mill_avro_node *t)
{
    struct mill_col *kid = mill_col_find(parent, name);

    if (!kid) {
        kid = mill_shape_col(g->s, parent, name);
        if (!kid)
            return grow_nomem(g);
        g->changed = true;
    }
    if (nullable)
        grow_nullable(g, kid);
    return grow_merge(g, kid, t);
}

static bool grow_has(const struct mill_avro_node *t, struct mill_str name)
{
    for (size_t i = 0; i < t->n; i++)
        if (mill_str_eq(t->fields[i].name, name))
            return true;
    return false;
}

static bool grow_is_meta(const struct mill_shape *s, const struct mill_col *c)
{
    for (size_t i = 0; i < MILL_META_COUNT; i++)
        if (s->meta[i] == c)
            return true;
    return false;
}

static enum mill_code grow_field(struct grow *g, struct mill_col *c,
                                 const struct mill_avro_field *f, bool old)
{
    const struct mill_col *known = mill_col_find(c, f->name);

    if (known && grow_is_meta(g->s, known))
        return mill_fail(g->err, MILL_E_SCHEMA, g->path, "is a field and a metadata column");
    return grow_child(g, c, f->name, old && !known, f->type);
}

/** Fields of a record. @param old the struct holds rows of another schema: what one of the two
 *  does not have is null there */
static enum mill_code grow_fields(struct grow *g, struct mill_col *c,
                                  const struct mill_avro_node *t, bool old)
{
    enum mill_guard within = g->guard, guard;
    size_t before = g->n;
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; old && i < c->n; i++)
        if (!grow_has(t, c->kids[i]->name) && !grow_is_meta(g->s, c->kids[i]))
            grow_nullable(g, c->kids[i]);
    for (size_t i = 0; i < t->n && !rc; i++) {
        if (!grow_push(g, t->fields[i].name))
            return mill_fail(g->err, MILL_E_SCHEMA, "schema", "a field's path is too long");
        guard = grow_guard(g, t->fields[i].type);
        if (guard != MILL_DROP) {
            g->guard = guard;
            rc = grow_field(g, c, &t->fields[i], old);
            g->guard = within;
        }
        g->n = before;
        g->path[before] = '\0';
    }
    return rc;
}

static enum mill_code grow_clash(struct grow *g, const struct mill_avro_node *t)
{
    struct mill_str label = mill_shape_label(t);

    return mill_fail(g->err, MILL_E_SCHEMA, g->n ? g->path : "record",
                     "type %.*s does not merge with the column's", MILL_FMT(label));
}

/** Nothing of the record is kept, or it has no field. */
static bool grow_empty(struct grow *g, const struct mill_avro_node *t)
{
    size_t before = g->n;
    bool all = true;

    for (size_t i = 0; i < t->n && all; i++) {
        all = grow_push(g, t->fields[i].name) && grow_guard(g, t->fields[i].type) == MILL_DROP;
        g->n = before;
        g->path[before] = '\0';
    }
    return all;
}

static enum mill_code grow_record(struct grow *g, struct mill_col *c,
                                  const struct mill_avro_node *t)
{
    bool root = c == g->s->root, old = root ? g->s->schemas > 0 : c->type != MILL_COL_UNSET;

    for (size_t i = 0; i + 1 < g->depth; i++)
        if (g->open[i] == t)
            return mill_fail(g->err, MILL_E_SCHEMA, g->n ? g->path : "schema",
                             "%.*s is recursive: a type within itself cannot be a column",
                             MILL_FMT(t->name));
    if (!root && grow_empty(g, t)) {
        if (c->type != MILL_COL_UNSET && c->type != MILL_COL_BOOL)
            return grow_clash(g, t);
        c->type = MILL_COL_BOOL; /* there, but empty */
        return MILL_OK;
    }
    if ((c->type != MILL_COL_UNSET && c->type != MILL_COL_STRUCT) || c->is_union)
        return grow_clash(g, t);
    c->type = MILL_COL_STRUCT;
    return grow_fields(g, c, t, old);
}

static enum mill_code grow_list(struct grow *g, struct mill_col *c, const struct mill_avro_node *t)
{
    bool map = t->type == MILL_AVRO_MAP, fresh = c->type == MILL_COL_UNSET;
    struct mill_col *entry = c, *key;

    if (!fresh && c->type != (map ? MILL_COL_MAP : MILL_COL_LIST))
        return grow_clash(g, t);
    c->type = map ? MILL_COL_MAP : MILL_COL_LIST;
    if (map && fresh) {
        entry = mill_shape_add(g->s, c, "key_value", MILL_COL_STRUCT, false);
        key = entry ? mill_shape_add(g->s, entry, "key", MILL_COL_UTF8, false) : NULL;
        if (!key)
            return grow_nomem(g);
    } else if (map) {
        entry = c->kids[0];
    }
    return grow_child(g, entry, map ? MILL_STR("value") : MILL_STR("element"), false, t->items);
}

static enum mill_code grow_union(struct grow *g, struct mill_col *c, const struct mill_avro_node *t)
{
    const struct mill_avro_node *only = NULL;
    enum mill_code rc = MILL_OK;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->branches[i]->type == MILL_AVRO_NULL) {
            grow_nullable(g, c);
        } else {
            only = t->branches[i];
            n++;
        }
    }
    if (n == 0)
        return grow_merge(g, c, t->branches[0]);
    if (n == 1)
        return grow_merge(g, c, only);
    if (c->type == MILL_COL_NULL)
        c->type = MILL_COL_UNSET;
    if (c->type != MILL_COL_UNSET && !c->is_union)
        return grow_clash(g, t);
    c->type = MILL_COL_STRUCT;
    c->is_union = true;
    for (size_t i = 0; i < t->n && !rc; i++) {
        char buf[128];
        if (t->branches[i]->type != MILL_AVRO_NULL)
            rc = grow_child(g, c, mill_shape_branch(t, i, buf, sizeof buf), true, t->branches[i]);
    }
    return rc;
}

/** The column that a type without parts becomes. */
static struct mill_col grow_leaf(const struct mill_avro_node *t)
{
    static const enum mill_col_type plain[] = {
        [MILL_AVRO_NULL] = MILL_COL_NULL,    [MILL_AVRO_BOOLEAN] = MILL_COL_BOOL,
        [MILL_AVRO_INT] = MILL_COL_I32,      [MILL_AVRO_LONG] = MILL_COL_I64,
        [MILL_AVRO_FLOAT] = MILL_COL_F32,    [MILL_AVRO_DOUBLE] = MILL_COL_F64,
        [MILL_AVRO_BYTES] = MILL_COL_BINARY, [MILL_AVRO_STRING] = MILL_COL_UTF8,
        [MILL_AVRO_FIXED] = MILL_COL_FIXED,  [MILL_AVRO_ENUM] = MILL_COL_UTF8};
    static const struct {
        enum mill_col_type type;
        enum mill_unit unit;
        bool utc;
    } logical[] = {
        [MILL_LOGICAL_DATE] = {MILL_COL_DATE, 0, false},
        [MILL_LOGICAL_TIME_MILLIS] = {MILL_COL_TIME, MILL_UNIT_MS, false},
        [MILL_LOGICAL_TIME_MICROS] = {MILL_COL_TIME, MILL_UNIT_US, false},
        [MILL_LOGICAL_TIMESTAMP_MILLIS] = {MILL_COL_TIMESTAMP, MILL_UNIT_MS, true},
        [MILL_LOGICAL_TIMESTAMP_MICROS] = {MILL_COL_TIMESTAMP, MILL_UNIT_US, true},
        [MILL_LOGICAL_TIMESTAMP_NANOS] = {MILL_COL_TIMESTAMP, MILL_UNIT_NS, true},
        [MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS] = {MILL_COL_TIMESTAMP, MILL_UNIT_MS, false},
        [MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS] = {MILL_COL_TIMESTAMP, MILL_UNIT_US, false},
        [MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS] = {MILL_COL_TIMESTAMP, MILL_UNIT_NS, false},
        [MILL_LOGICAL_DECIMAL] = {MILL_COL_DECIMAL, 0, false},
        [MILL_LOGICAL_UUID] = {MILL_COL_UTF8, 0, false},
    };
    struct mill_col c = {.type = plain[t->type], .size = t->size};

    if (t->logical == MILL_LOGICAL_DURATION ||
        (t->logical == MILL_LOGICAL_DECIMAL && t->precision > GROW_DIGITS_MAX))
        return c;
    if (t->logical != MILL_LOGICAL_NONE) {
        c.type = logical[t->logical].type;
        c.unit = logical[t->logical].unit;
        c.utc = logical[t->logical].utc;
        c.size = 0;
    }
    if (c.type == MILL_COL_DECIMAL) {
        c.precision = (int32_t)t->precision;
        c.scale = (int32_t)t->scale;
        c.size = t->precision <= 38 ? 16 : 32;
    }
    return c;
}

/** int → long, int and float → double; not long → double, which loses digits. */
static bool grow_widens(enum mill_col_type from, enum mill_col_type to)
{
    return (from == MILL_COL_I32 && (to == MILL_COL_I64 || to == MILL_COL_F64)) ||
           (from == MILL_COL_F32 && to == MILL_COL_F64);
}

static enum mill_code grow_merge_leaf(struct grow *g, struct mill_col *c,
                                      const struct mill_avro_node *t)
{
    struct mill_col leaf = grow_leaf(t);

    if (leaf.type == MILL_COL_NULL) {
        grow_nullable(g, c);
        if (c->type == MILL_COL_UNSET)
            c->type = MILL_COL_NULL;
        return MILL_OK;
    }
    if (c->type == MILL_COL_UNSET || grow_widens(c->type, leaf.type)) {
        g->changed = true;
        c->type = leaf.type;
        c->guard = g->guard;
        c->unit = leaf.unit;
        c->utc = leaf.utc;
        c->precision = leaf.precision;
        c->scale = leaf.scale;
        c->size = leaf.size;
        return MILL_OK;
    }
    if (grow_widens(leaf.type, c->type))
        return MILL_OK;
    if (c->type != leaf.type || c->unit != leaf.unit || c->utc != leaf.utc ||
        c->precision != leaf.precision || c->scale != leaf.scale || c->size != leaf.size)
        return grow_clash(g, t);
    return MILL_OK;
}

static enum mill_code grow_merge(struct grow *g, struct mill_col *c, const struct mill_avro_node *t)
{
    enum mill_code rc;

    if (g->depth >= GROW_DEPTH_MAX)
        return mill_fail(g->err, MILL_E_SCHEMA, "schema", "nested deeper than %d",
                         (int)GROW_DEPTH_MAX);
    if (c->type == MILL_COL_NULL && t->type != MILL_AVRO_NULL && t->type != MILL_AVRO_UNION) {
        c->type = MILL_COL_UNSET; /* rows so far are null */
        g->changed = true;
    }
    g->open[g->depth++] = t;
    if (t->type == MILL_AVRO_RECORD)
        rc = grow_record(g, c, t);
    else if (t->type == MILL_AVRO_ARRAY || t->type == MILL_AVRO_MAP)
        rc = grow_list(g, c, t);
    else if (t->type == MILL_AVRO_UNION)
        rc = grow_union(g, c, t);
    else
        rc = grow_merge_leaf(g, c, t);
    g->depth--;
    return rc;
}

/** A new version, still the same as the old one. */
static struct mill_shape *grow_clone(const struct mill_shape *old)
{
    struct mill_shape *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->refs = 1;
    s->n_cols = old->n_cols;
    s->policy = old->policy;
    s->schemas = old->schemas;
    s->root = grow_copy(s, old->root);
    if (!s->root) {
        mill_shape_free(s);
        return NULL;
    }
    for (size_t i = 0; i < MILL_META_COUNT; i++)
        s->meta[i] = old->meta[i] ? mill_col_find(s->root, old->meta[i]->name) : NULL;
    return s;
}

enum mill_code mill_shape_grow(struct mill_shape *old, const struct mill_avro_node *schema,
                               struct mill_shape **out, struct mill_err *err)
{
    struct grow g = {.err = err};
    enum mill_code rc;

    *out = NULL;
    if (schema->type != MILL_AVRO_RECORD)
        return mill_fail(err, MILL_E_SCHEMA, "schema", "the value is no record");
    g.s = grow_clone(old);
    if (!g.s)
        return mill_fail(err, MILL_E_NOMEM, "shape", "out of memory");
    rc = grow_merge(&g, g.s->root, schema);
    if (!rc && g.s->root->n == 0)
        rc = mill_fail(err, MILL_E_SCHEMA, "schema", "no field is kept: Parquet has no empty row");
    g.s->schemas++;
    if (rc || (!g.changed && old->schemas)) {
        mill_shape_free(g.s);
        *out = rc ? NULL : mill_shape_keep(old);
        return rc;
    }
    *out = g.s;
    return MILL_OK;
}
