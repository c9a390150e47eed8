#include "lake/shape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const shape_meta[MILL_META_COUNT] = {"_topic", "_partition", "_offset",
                                                        "_timestamp", "_key"};

bool mill_meta_parse(struct mill_str name, enum mill_meta *out)
{
    for (int i = 0; i < MILL_META_COUNT; i++)
        if (mill_str_is(name, shape_meta[i])) {
            *out = (enum mill_meta)i;
            return true;
        }
    return false;
}

enum mill_code mill_meta_list(struct mill_str list, unsigned *mask, struct mill_err *err)
{
    enum mill_meta m;

    *mask = 0;
    while (list.n) {
        struct mill_str one = mill_str_trim(mill_str_take(&list, ','));
        if (!one.n)
            continue;
        if (!mill_meta_parse(one, &m))
            return mill_fail(err, MILL_E_CONFIG, "meta-columns", "%.*s is no metadata column",
                             MILL_FMT(one));
        *mask |= 1u << m;
    }
    return MILL_OK;
}

struct mill_shape *mill_shape_keep(struct mill_shape *s)
{
    s->refs++;
    return s;
}

void mill_shape_free(struct mill_shape *s)
{
    if (!s || --s->refs > 0)
        return;
    mill_arena_release(&s->arena);
    free(s);
}

struct mill_col *mill_col_find(const struct mill_col *parent, struct mill_str name)
{
    for (size_t i = 0; i < parent->n; i++)
        if (mill_str_eq(parent->kids[i]->name, name))
            return parent->kids[i];
    return NULL;
}

struct mill_str mill_shape_label(const struct mill_avro_node *t)
{
    return t->name.p ? mill_avro_short_name(t->name) : mill_str(mill_avro_type_name(t->type));
}

struct mill_str mill_shape_branch(const struct mill_avro_node *u, size_t branch, char *buf,
                                  size_t size)
{
    struct mill_str label = mill_shape_label(u->branches[branch]);
    bool twice = false;

    for (size_t i = 0; i < branch; i++)
        twice = twice || mill_str_eq(mill_shape_label(u->branches[i]), label);
    if (!twice)
        return label;
    snprintf(buf, size, "%.*s_%zu", MILL_FMT(label), branch);
    return mill_str(buf);
}

struct mill_col *mill_shape_col(struct mill_shape *s, struct mill_col *parent, struct mill_str name)
{
    struct mill_col *c = mill_arena_calloc(&s->arena, 1, sizeof *c);
    struct mill_col **kids;

    if (!c || s->n_cols >= MILL_SHAPE_COLS_MAX)
        return NULL;
    c->name = mill_arena_dup(&s->arena, name);
    c->id = s->n_cols;
    if (!c->name.p)
        return NULL;
    if (parent) {
        kids = mill_arena_calloc(&s->arena, parent->n + 1, sizeof *kids);
        if (!kids)
            return NULL;
        if (parent->n)
            memcpy(kids, parent->kids, parent->n * sizeof *kids);
        kids[parent->n++] = c;
        parent->kids = kids;
    }
    s->n_cols++;
    return c;
}

struct mill_col *mill_shape_add(struct mill_shape *s, struct mill_col *parent, const char *name,
                                enum mill_col_type type, bool nullable)
{
    struct mill_col *c = mill_shape_col(s, parent, mill_str(name));

    if (!c)
        return NULL;
    c->type = type;
    c->nullable = nullable;
    if (type == MILL_COL_TIMESTAMP) {
        c->unit = MILL_UNIT_US;
        c->utc = true;
    }
    return c;
}

static enum mill_code shape_add_meta(struct mill_shape *s, unsigned mask, struct mill_err *err)
{
    static const enum mill_col_type types[MILL_META_COUNT] = {
        MILL_COL_UTF8, MILL_COL_I32, MILL_COL_I64, MILL_COL_TIMESTAMP, MILL_COL_BINARY};

    for (unsigned i = 0; i < MILL_META_COUNT; i++) {
        if (!(mask & 1u << i))
            continue;
        s->meta[i] = mill_shape_add(s, s->root, shape_meta[i], types[i], i == MILL_META_KEY);
        if (!s->meta[i])
            return mill_fail(err, MILL_E_NOMEM, shape_meta[i], "out of memory");
    }
    return MILL_OK;
}

enum mill_code mill_shape_new(struct mill_shape **out, unsigned meta_mask,
                              const struct mill_policy *policy, struct mill_err *err)
{
    struct mill_shape *s = calloc(1, sizeof *s);
    enum mill_code rc;

    *out = NULL;
    if (!s)
        return mill_fail(err, MILL_E_NOMEM, "shape", "out of memory");
    s->refs = 1;
    s->policy = policy;
    s->root = mill_shape_add(s, NULL, "", MILL_COL_STRUCT, false);
    rc = s->root ? shape_add_meta(s, meta_mask, err)
                 : mill_fail(err, MILL_E_NOMEM, "shape", "out of memory");
    if (rc) {
        mill_shape_free(s);
        return rc;
    }
    *out = s;
    return MILL_OK;
}
