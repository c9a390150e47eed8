/* Writers' schemas by registry id, and the programs that read them into a range's shape. */
#include "sink_parquet/range.h"

#include <stdlib.h>

/* A registry that has just started may not know what it holds; asked again for this long. */
enum { SCHEMA_MISSING_MS = 5000, SCHEMA_ASK_MS = 250 };

static struct sink_schema *schema_entry(struct sink *s, int32_t id)
{
    struct sink_schema *more;

    for (size_t i = 0; i < s->n_schemas; i++)
        if (s->schemas[i].id == id)
            return &s->schemas[i];
    more = realloc(s->schemas, (s->n_schemas + 1) * sizeof *more);
    if (!more)
        return NULL;
    s->schemas = more;
    more[s->n_schemas] = (struct sink_schema){.id = id, .asked_ms = -1};
    return &more[s->n_schemas++];
}

/** The registry's word on an id that is not known yet. */
static enum sink_fit schema_ask(struct mill_ctx *ctx, struct sink_schema *e, struct mill_err *err)
{
    struct mill_str json = {NULL, 0};
    int64_t now = mill_tick_ms();
    enum mill_code rc = mill_sink_schema(ctx, e->id, &json, err);

    if (rc == MILL_E_NOENT) {
        e->asked_ms = now;
        e->missing_ms = e->missing_ms ? e->missing_ms : now;
        mill_str_cut(MILL_STR("the registry does not know it"), e->why, sizeof e->why);
        return now - e->missing_ms < SCHEMA_MISSING_MS ? SINK_WAIT : SINK_REFUSED;
    }
    if (rc)
        return rc == MILL_E_NOMEM ? SINK_BROKEN : SINK_AWAY;
    e->missing_ms = 0;
    e->asked_ms = now;
    e->why[0] = '\0';
    rc = mill_schema_parse(&e->schema, json, err);
    if (rc)
        e->schema = NULL;
    if (rc && rc != MILL_E_SCHEMA)
        return SINK_BROKEN;
    return rc ? SINK_REFUSED : SINK_FITS;
}

/** What is known of an id: SINK_FITS, it is a schema. */
static enum sink_fit schema_find(struct mill_ctx *ctx, int32_t id, struct sink_schema **out,
                                 struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_schema *e = schema_entry(s, id);
    int64_t now = mill_tick_ms();
    enum sink_fit fit;

    *out = e;
    if (!e) {
        mill_fail(err, MILL_E_NOMEM, "schema", "out of memory");
        return SINK_BROKEN;
    }
    if (e->schema)
        return SINK_FITS;
    if (e->asked_ms >= 0 && !e->missing_ms)
        return SINK_REFUSED;
    mill_fail(err, MILL_E_NOENT, "schema", "schema %d is not known to the registry", (int)id);
    if (e->missing_ms && now - e->missing_ms < SCHEMA_MISSING_MS &&
        now - e->asked_ms < SCHEMA_ASK_MS)
        return SINK_WAIT;
    if (e->missing_ms && now - e->missing_ms >= SCHEMA_MISSING_MS &&
        now - e->asked_ms < SCHEMA_MISSING_MS)
        return SINK_REFUSED; /* decided; asked again now and then all the same */
    fit = schema_ask(ctx, e, err);
    if (fit != SINK_AWAY && s->faults && s->fault == SINK_FAULT_REGISTRY)
        sink_fine(ctx);
    return fit;
}

enum mill_code sink_schema_check(struct mill_ctx *ctx, struct sink_topic *t, struct mill_err *err)
{
    struct mill_shape *grown = NULL;
    struct mill_schema *schema = NULL;
    struct mill_str json = {NULL, 0};
    struct mill_err why = {0};
    int32_t id = 0;
    enum mill_code rc;

    if (t->raw || mill_sink_newest(ctx, t->name, &id, &json, err))
        return MILL_OK; /* none yet, or the registry is away: its records will tell */
    rc = mill_schema_parse(&schema, json, &why);
    if (!rc)
        rc = mill_shape_grow(t->base, mill_schema_root(schema), &grown, &why);
    mill_shape_free(grown);
    mill_schema_free(schema);
    if (rc != MILL_E_SCHEMA)
        return rc ? mill_fail(err, rc, why.where, "%s", why.text) : MILL_OK;
    return mill_fail(err, MILL_E_CONFIG, t->name,
                     "its newest schema, id %d, cannot be columns: %s: %s; keep it as bytes with "
                     "raw-topics, or leave it out of in.topics",
                     (int)id, why.where, why.text);
}

void sink_fills_clear(struct sink_part *p)
{
    for (size_t i = 0; i < p->n_fills; i++)
        mill_fill_free(p->fills[i]);
    p->n_fills = 0;
}

/** A schema that never becomes columns of this topic: said once; its records go to rejected=. */
static enum sink_fit schema_unusable(struct sink_schema *e, const struct sink_part *p,
                                     struct mill_err *err)
{
    if (!e->why[0]) {
        mill_str_cut(mill_str(err->text), e->why, sizeof e->why);
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

    if (fit == SINK_REFUSED && !p->redo)
        return schema_unusable(e, p, err);
    if (fit != SINK_FITS)
        return fit;
    /* This range may have rejected records for want of this schema, and its plan would name it: a
     * redo would then make rows of them. */
    if (!p->redo && p->rejects)
        return SINK_ROLL_FIRST;
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
    enum sink_fit fit;

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
    fit = schema_find(ctx, id, &e, err);
    if (fit == SINK_REFUSED && p->redo && e->missing_ms)
        return SINK_WAIT; /* the plan's author had it */
    if (fit == SINK_REFUSED)
        return schema_unusable(e, p, err);
    if (fit != SINK_FITS)
        return fit;
    if (p->n_fills == MILL_PLAN_SCHEMAS) {
        if (p->rows)
            return SINK_ROLL_FIRST;
        sink_fills_clear(p);
    }
    return schema_learn(p, e, out, err);
}
