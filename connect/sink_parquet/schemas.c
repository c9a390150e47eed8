/* Writers' schemas by registry id, and the programs that read them into a range's shape. */
#include "sink_parquet/range.h"

#include <stdlib.h>

/** What is known of an id. @return MILL_OK; MILL_E_IO, MILL_E_AUTH (the registry is away);
 *  MILL_E_NOMEM. An id that the registry does not know is not remembered: it may come. */
static enum mill_code schema_find(struct mill_ctx *ctx, int32_t id, struct sink_schema **out,
                                  struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct mill_str json = {NULL, 0};
    struct sink_schema *more, *e;
    enum mill_code rc;

    for (size_t i = 0; i < s->n_schemas; i++)
        if (s->schemas[i].id == id) {
            *out = &s->schemas[i];
            return MILL_OK;
        }
    rc = mill_sink_schema(ctx, id, &json, err);
    if (rc)
        return rc;
    more = realloc(s->schemas, (s->n_schemas + 1) * sizeof *more);
    if (!more)
        return mill_fail(err, MILL_E_NOMEM, "schema", "out of memory");
    s->schemas = more;
    e = &more[s->n_schemas];
    *e = (struct sink_schema){.id = id};
    rc = mill_schema_parse(&e->schema, json, err);
    if (rc && rc != MILL_E_SCHEMA)
        return rc;
    if (rc) {
        e->schema = NULL;
        mill_str_cut(mill_str(err->text), e->why, sizeof e->why);
        mill_log_err(MILL_ERROR, "schema_unusable", err);
    }
    s->n_schemas++;
    *out = e;
    return MILL_OK;
}

void sink_fills_clear(struct sink_part *p)
{
    for (size_t i = 0; i < p->n_fills; i++)
        mill_fill_free(p->fills[i]);
    p->n_fills = 0;
}

/** A schema that never becomes columns: said once, loudly; its records go to rejected=. */
static enum sink_fit schema_unusable(struct sink_schema *e, struct sink_part *p,
                                     struct mill_err *err)
{
    if (e->schema) {
        mill_str_cut(mill_str(err->text), e->why, sizeof e->why);
        mill_schema_free(e->schema);
        e->schema = NULL;
        mill_log(MILL_ERROR, "schema_unusable",
                 MILL_KV(MILL_KS("topic", p->topic->name), MILL_KI("schema_id", e->id)), "%s: %s",
                 err->where, e->why);
    }
    mill_fail(err, MILL_E_SCHEMA, "schema", "schema %d: %s", (int)e->id, e->why);
    return SINK_REFUSED;
}

/** Let the range, which is empty, go on with this shape (stolen). */
static void schema_adopt(struct sink_part *p, struct mill_shape *shape)
{
    sink_fills_clear(p);
    mill_shape_free(p->shape);
    p->shape = shape;
}

/** The topic's shape, grown; a new one where the schema does not merge with it. */
static enum mill_code schema_grow_topic(struct sink_topic *t, const struct mill_avro_node *root,
                                        struct mill_err *err)
{
    struct mill_shape *grown = NULL;
    enum mill_code rc = mill_shape_grow(t->shape, root, &grown, err);

    if (rc == MILL_E_SCHEMA)
        rc = mill_shape_grow(t->base, root, &grown, err);
    if (rc)
        return rc;
    mill_shape_free(t->shape);
    t->shape = grown;
    return MILL_OK;
}

/** See to it that the range's shape holds this schema. A redo's grows by its plan's schemas alone,
 *  in the plan's order, so that nothing learnt since can come between them. */
static enum sink_fit schema_shape(struct sink_part *p, const struct mill_avro_node *root,
                                  struct mill_err *err)
{
    struct mill_shape *grown = NULL;
    enum mill_code rc = mill_shape_grow(p->shape, root, &grown, err);

    if (rc == MILL_OK && grown == p->shape) {
        mill_shape_free(grown);
        return SINK_FITS;
    }
    if (p->redo && rc == MILL_OK && p->rows == 0) {
        schema_adopt(p, grown);
        return SINK_FITS;
    }
    mill_shape_free(grown);
    if (p->redo)
        return rc == MILL_E_SCHEMA ? SINK_REFUSED : SINK_BROKEN;
    if (rc == MILL_OK || rc == MILL_E_SCHEMA)
        rc = schema_grow_topic(p->topic, root, err);
    if (rc)
        return rc == MILL_E_SCHEMA ? SINK_REFUSED : SINK_BROKEN;
    if (p->rows)
        return SINK_ROLL_FIRST;
    schema_adopt(p, mill_shape_keep(p->topic->shape));
    return SINK_FITS;
}

static bool schema_in_plan(const struct sink_part *p, int32_t id)
{
    for (size_t i = 0; i < p->plan.n; i++)
        if (p->plan.schemas[i] == id)
            return true;
    return false;
}

static enum sink_fit schema_learn(struct sink_part *p, struct sink_schema *e,
                                  struct mill_fill **out, struct mill_err *err)
{
    const struct mill_avro_node *root = mill_schema_root(e->schema);
    enum sink_fit fit = schema_shape(p, root, err);

    if (fit == SINK_REFUSED)
        return schema_unusable(e, p, err);
    if (fit != SINK_FITS)
        return fit;
    if (mill_fill_new(&p->fills[p->n_fills], p->shape, root, err))
        return SINK_BROKEN;
    p->fill_ids[p->n_fills] = e->id;
    *out = p->fills[p->n_fills++];
    return SINK_FITS;
}

enum sink_fit sink_fill(struct mill_ctx *ctx, struct sink_part *p, int32_t id,
                        struct mill_fill **out, struct mill_err *err)
{
    struct sink_schema *e = NULL;
    enum mill_code rc;

    for (size_t i = 0; i < p->n_fills; i++)
        if (p->fill_ids[i] == id) {
            *out = p->fills[i];
            return SINK_FITS;
        }
    /* What the plan's author could not read stays unread: same rows under the same names. */
    if (p->redo && !schema_in_plan(p, id)) {
        mill_fail(err, MILL_E_SCHEMA, "schema", "schema %d was not readable", (int)id);
        return SINK_REFUSED;
    }
    rc = schema_find(ctx, id, &e, err);
    if (rc == MILL_E_NOENT)
        return p->redo ? SINK_AWAY : SINK_REFUSED;
    if (rc)
        return rc == MILL_E_NOMEM ? SINK_BROKEN : SINK_AWAY;
    if (!e->schema)
        return schema_unusable(e, p, err);
    if (p->n_fills == MILL_PLAN_SCHEMAS) {
        if (p->rows)
            return SINK_ROLL_FIRST;
        sink_fills_clear(p);
    }
    return schema_learn(p, e, out, err);
}
