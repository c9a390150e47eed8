#include "lake/fill_priv.h"

#include <stdlib.h>

enum { FILL_GUARDED_MAX = 64 << 20 };

struct plan {
    const struct mill_shape *shape;
    struct mill_arena *arena;
    struct mill_err *err;
};

static enum mill_code plan_step(struct plan *p, const struct mill_avro_node *t,
                                const struct mill_col *c, struct mill_step *out);

static enum mill_code plan_nomem(struct plan *p)
{
    return mill_fail(p->err, MILL_E_NOMEM, "fill", "out of memory");
}

static enum mill_code plan_grow_first(struct plan *p, const struct mill_avro_node *t)
{
    struct mill_str label = mill_shape_label(t);

    return mill_fail(p->err, MILL_E_STATE, "fill", "the shape does not hold this %.*s",
                     MILL_FMT(label));
}

static bool plan_kids(struct plan *p, struct mill_step *s, size_t n)
{
    s->kids = mill_arena_calloc(p->arena, n + 1, sizeof *s->kids);
    s->n = n;
    return s->kids != NULL;
}

static bool plan_is_meta(const struct mill_shape *s, const struct mill_col *c)
{
    for (size_t i = 0; i < MILL_META_COUNT; i++)
        if (s->meta[i] == c)
            return true;
    return false;
}

/** Columns of c that none of the steps fills. */
static enum mill_code plan_absent(struct plan *p, const struct mill_col *c, struct mill_step *s)
{
    s->absent = mill_arena_calloc(p->arena, c->n + 1, sizeof *s->absent);
    if (!s->absent)
        return plan_nomem(p);
    for (size_t i = 0; i < c->n; i++) {
        bool filled = plan_is_meta(p->shape, c->kids[i]);
        for (size_t k = 0; k < s->n; k++)
            filled = filled || s->kids[k].col == c->kids[i];
        if (filled)
            continue;
        if (!c->kids[i]->nullable)
            return plan_grow_first(p, s->type);
        s->absent[s->n_absent++] = c->kids[i];
    }
    return MILL_OK;
}

static enum mill_code plan_record(struct plan *p, const struct mill_avro_node *t,
                                  const struct mill_col *c, struct mill_step *s)
{
    enum mill_code rc = MILL_OK;

    if (c->type == MILL_COL_BOOL) {
        s->op = MILL_STEP_EMPTY;
        return MILL_OK;
    }
    if (c->type != MILL_COL_STRUCT || c->is_union)
        return plan_grow_first(p, t);
    s->op = MILL_STEP_RECORD;
    if (!plan_kids(p, s, t->n))
        return plan_nomem(p);
    for (size_t i = 0; i < t->n && !rc; i++)
        rc = plan_step(p, t->fields[i].type, mill_col_find(c, t->fields[i].name), &s->kids[i]);
    return rc ? rc : plan_absent(p, c, s);
}

static enum mill_code plan_list(struct plan *p, const struct mill_avro_node *t,
                                const struct mill_col *c, struct mill_step *s)
{
    bool map = t->type == MILL_AVRO_MAP;

    if (c->type != (map ? MILL_COL_MAP : MILL_COL_LIST))
        return plan_grow_first(p, t);
    s->op = map ? MILL_STEP_MAP : MILL_STEP_ARRAY;
    if (!plan_kids(p, s, 1))
        return plan_nomem(p);
    return plan_step(p, t->items, map ? c->kids[0]->kids[1] : c->kids[0], &s->kids[0]);
}

static enum mill_code plan_union(struct plan *p, const struct mill_avro_node *t,
                                 const struct mill_col *c, struct mill_step *s)
{
    enum mill_code rc = MILL_OK;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->branches[i]->type != MILL_AVRO_NULL;
    if (n > 1 && !c->is_union)
        return plan_grow_first(p, t);
    s->op = n > 1 ? MILL_STEP_UNION : MILL_STEP_OPTION;
    if (!plan_kids(p, s, t->n))
        return plan_nomem(p);
    for (size_t i = 0; i < t->n && !rc; i++) {
        const struct mill_col *to = c;
        char buf[128];

        if (t->branches[i]->type == MILL_AVRO_NULL) {
            if (!c->nullable)
                return plan_grow_first(p, t);
            s->kids[i] = (struct mill_step){.op = MILL_STEP_NULL, .type = t->branches[i], .col = c};
            continue;
        }
        if (n > 1)
            to = mill_col_find(c, mill_shape_branch(t, i, buf, sizeof buf));
        rc = to ? plan_step(p, t->branches[i], to, &s->kids[i]) : plan_grow_first(p, t);
    }
    return rc;
}

/** 10^digits as 32 big-endian bytes. */
static void plan_limit(int32_t digits, unsigned char out[32])
{
    memset(out, 0, 32);
    out[31] = 1;
    for (int32_t d = 0; d < digits; d++) {
        unsigned carry = 0;
        for (int i = 31; i >= 0; i--) {
            carry += (unsigned)out[i] * 10;
            out[i] = (unsigned char)(carry & 0xff);
            carry >>= 8;
        }
    }
}

/** What reads a type without parts into a column; SKIP where the two do not go together. */
static enum mill_step_op plan_leaf(const struct mill_avro_node *t, const struct mill_col *c)
{
    switch (t->type) {
    case MILL_AVRO_NULL:
        return MILL_STEP_NULL;
    case MILL_AVRO_BOOLEAN:
        return c->type == MILL_COL_BOOL ? MILL_STEP_BOOL : MILL_STEP_SKIP;
    case MILL_AVRO_INT:
        return c->type == MILL_COL_I64   ? MILL_STEP_INT_LONG
               : c->type == MILL_COL_F64 ? MILL_STEP_INT_DOUBLE
                                         : MILL_STEP_INT;
    case MILL_AVRO_LONG:
        return c->type == MILL_COL_I64 || c->unit ? MILL_STEP_LONG : MILL_STEP_SKIP;
    case MILL_AVRO_FLOAT:
        return c->type == MILL_COL_F64 ? MILL_STEP_FLOAT_DOUBLE : MILL_STEP_FLOAT;
    case MILL_AVRO_DOUBLE:
        return c->type == MILL_COL_F64 ? MILL_STEP_DOUBLE : MILL_STEP_SKIP;
    case MILL_AVRO_BYTES:
    case MILL_AVRO_FIXED:
        if (c->type == MILL_COL_DECIMAL)
            return MILL_STEP_DECIMAL;
        if (c->type == MILL_COL_UTF8)
            return MILL_STEP_UUID;
        return t->type == MILL_AVRO_BYTES ? MILL_STEP_BYTES : MILL_STEP_FIXED;
    case MILL_AVRO_STRING:
        return c->type == MILL_COL_UTF8 ? MILL_STEP_STRING : MILL_STEP_SKIP;
    case MILL_AVRO_ENUM:
        return c->type == MILL_COL_UTF8 ? MILL_STEP_ENUM : MILL_STEP_SKIP;
    default:
        return MILL_STEP_SKIP;
    }
}

static enum mill_code plan_step(struct plan *p, const struct mill_avro_node *t,
                                const struct mill_col *c, struct mill_step *out)
{
    *out = (struct mill_step){.op = MILL_STEP_SKIP, .type = t, .col = c};
    if (!c)
        return MILL_OK;
    if (t->type == MILL_AVRO_RECORD)
        return plan_record(p, t, c, out);
    if (t->type == MILL_AVRO_ARRAY || t->type == MILL_AVRO_MAP)
        return plan_list(p, t, c, out);
    if (t->type == MILL_AVRO_UNION)
        return plan_union(p, t, c, out);
    out->op = plan_leaf(t, c);
    if (out->op == MILL_STEP_SKIP)
        return plan_grow_first(p, t);
    if (out->op == MILL_STEP_DECIMAL)
        plan_limit(c->precision, out->limit);
    return MILL_OK;
}

/** The type that holds a time: itself, or what a union has beside null. */
static const struct mill_avro_node *plan_time_type(const struct mill_avro_node *t)
{
    for (size_t i = 0; t->type == MILL_AVRO_UNION && t->n == 2 && i < 2; i++)
        if (t->branches[i]->type == MILL_AVRO_NULL)
            t = t->branches[1 - i];
    return t;
}

/** Where the policy's time stands in this writer's record. */
static size_t plan_time(const struct mill_shape *shape, const struct mill_avro_node *schema)
{
    for (size_t i = 0; shape->policy && shape->policy->time.n && i < schema->n; i++)
        if (mill_str_eq(schema->fields[i].name, shape->policy->time) &&
            mill_fill_unit(plan_time_type(schema->fields[i].type)))
            return i;
    return SIZE_MAX;
}

enum mill_code mill_fill_new(struct mill_fill **out, struct mill_shape *shape,
                             const struct mill_avro_node *schema, struct mill_err *err)
{
    struct mill_fill *f = NULL;
    struct mill_shape *same = NULL;
    struct plan p = {.shape = shape, .err = err};
    enum mill_code rc;

    *out = NULL;
    rc = mill_shape_grow(shape, schema, &same, err);
    if (rc)
        return rc;
    if (same != shape)
        rc = mill_fail(err, MILL_E_STATE, "fill", "the shape must grow first");
    mill_shape_free(same);
    f = rc ? NULL : calloc(1, sizeof *f);
    if (!rc && !f)
        rc = mill_fail(err, MILL_E_NOMEM, "fill", "out of memory");
    if (rc)
        return rc;
    f->shape = mill_shape_keep(shape);
    f->time_at = plan_time(shape, schema);
    mill_buf_init(&f->guarded, FILL_GUARDED_MAX);
    p.arena = &f->arena;
    rc = plan_step(&p, schema, shape->root, &f->root);
    if (rc)
        mill_fill_free(f);
    else
        *out = f;
    return rc;
}

void mill_fill_free(struct mill_fill *f)
{
    if (!f)
        return;
    mill_buf_release(&f->guarded);
    mill_arena_release(&f->arena);
    mill_shape_free(f->shape);
    free(f);
}
