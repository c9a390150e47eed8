/* Where to begin: at a plan, behind a finished range, or where the lake itself ends. */
#include "sink_parquet/range.h"

#include "base/json.h"
#include "lake/footer_fetch.h"

#include <time.h>

enum { ASSIGN_TRIES = 6, ASSIGN_WAIT_MS = 5000 };

/** One partition's objects: the range with the largest end. */
struct lake_end {
    const struct mill_position *at;
    struct mill_str prefix;
    int64_t start, end; /**< end -1 = no object */
    int64_t n;          /**< objects of that range */
    char key[MILL_OBJECT_NAME_MAX + 1];
    uint64_t bytes; /**< of that one */
};

static bool assign_each(void *arg, const char *key, uint64_t bytes)
{
    struct lake_end *e = arg;
    struct mill_object o;

    if (!mill_object_parse(mill_str(key), e->prefix, &o) || !mill_str_is(o.topic, e->at->topic) ||
        !mill_str_is(o.topic_id, e->at->topic_id) || o.partition != e->at->partition ||
        o.end < e->end)
        return true;
    e->n = o.end == e->end && o.start == e->start ? e->n + 1 : 1;
    e->start = o.start;
    e->end = o.end;
    e->bytes = bytes;
    mill_str_cut(mill_str(key), e->key, sizeof e->key);
    return true;
}

static enum mill_code assign_list(struct mill_ctx *ctx, struct lake_end *e, const char *kind,
                                  struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct mill_buf folder;
    enum mill_code rc;

    mill_buf_init(&folder, MILL_OBJECT_NAME_MAX);
    mill_buf_printf(&folder, "%.*s%s=%s/", MILL_FMT(e->prefix), kind, e->at->topic);
    rc = folder.failed ? mill_fail(err, MILL_E_CONFIG, "s3-prefix", "is too long")
                       : mill_s3_list(s->s3, folder.p, assign_each, e, err);
    mill_buf_release(&folder);
    return rc;
}

/** The plan of the lake's last range, where not all of its objects are there: its owner died in the
 *  middle, and the group has forgotten the plan since. @param plan emptied where there is none */
static enum mill_code assign_half(struct mill_ctx *ctx, const struct lake_end *e,
                                  struct mill_buf *plan, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct mill_footer footer = {0};
    struct mill_arena mem = {0};
    struct mill_buf tail;
    json_t *siblings = NULL;
    enum mill_code rc;

    mill_buf_reset(plan);
    mill_buf_init(&tail, MILL_FOOTER_MAX);
    rc = mill_footer_fetch(s->s3, s->lake.lib, e->key, e->bytes, &tail, &mem, &footer, err);
    if (rc == MILL_E_DATA) { /* the audit names it; where the range ends is known all the same */
        mill_log_err(MILL_WARN, "last_object_unreadable", err);
        rc = MILL_OK;
    }
    if (!rc && footer.siblings.n && mill_json_parse(footer.siblings, &siblings, NULL) == MILL_OK &&
        (int64_t)json_array_size(siblings) > e->n)
        mill_buf_str_add(plan, footer.plan);
    json_decref(siblings);
    mill_buf_release(&tail);
    mill_arena_release(&mem);
    return !rc && plan->failed ? mill_fail(err, MILL_E_NOMEM, "plan", "out of memory") : rc;
}

/** Where the lake ends for this partition. A first start cannot go on without S3: tries a while.
 *  @param plan see assign_half */
static enum mill_code assign_lake_end(struct mill_ctx *ctx, struct lake_end *e,
                                      struct mill_buf *plan, struct mill_err *err)
{
    struct timespec wait = {.tv_sec = ASSIGN_WAIT_MS / 1000};
    enum mill_code rc = MILL_E_IO;

    for (int i = 0; i < ASSIGN_TRIES && rc; i++) {
        if (i)
            nanosleep(&wait, NULL);
        e->end = -1;
        rc = assign_list(ctx, e, "topic", err);
        if (!rc)
            rc = assign_list(ctx, e, "rejected", err);
        if (!rc && e->end >= 0)
            rc = assign_half(ctx, e, plan, err);
        if (rc)
            sink_fault(ctx, SINK_FAULT_S3, err);
    }
    if (!rc)
        sink_fine(ctx);
    return rc;
}

/** The log no longer has what comes next, or never had. */
static enum mill_verdict assign_gap(struct mill_ctx *ctx, const struct mill_position *at,
                                    const char *what, int64_t want, int64_t have,
                                    struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);

    mill_fail(err, MILL_E_STATE, "offsets", "%s/%d: %s: lake %lld, log %lld; see accept-gaps",
              at->topic, (int)at->partition, what, (long long)want, (long long)have);
    if (!conf->accept_gaps)
        return MILL_STOP;
    mill_log_err(MILL_ERROR, "gap", err);
    return MILL_DONE;
}

/** A plan: it is to be carried out, exactly as it stands, also when today's options are others. */
static enum mill_verdict assign_redo(struct mill_ctx *ctx, struct sink_part *p,
                                     const struct mill_position *at, const struct mill_plan *plan,
                                     struct mill_err *err)
{
    struct sink_topic *topic = NULL;

    if (sink_topic_planned(ctx, at->topic, plan, &topic, err)) {
        struct mill_err why = *err;
        mill_fail(err, why.code, "plan",
                  "%s/%d [%lld,%lld): %s: run once with the options of before", at->topic,
                  (int)at->partition, (long long)at->offset, (long long)plan->end, why.text);
        return MILL_STOP;
    }
    if (topic != p->home)
        mill_log(MILL_INFO, "plan_of_other_options",
                 MILL_KV(MILL_KS("topic", at->topic), MILL_KI("partition", at->partition),
                         MILL_KI("end", plan->end)),
                 "carried out as it was planned; what follows is by today's options");
    p->topic = topic;
    if (plan->end <= at->offset) {
        mill_fail(err, MILL_E_STATE, "plan", "ends before it begins");
        return MILL_STOP;
    }
    p->redo = true;
    p->redo_ready = false;
    p->plan = *plan;
    mill_str_cut(at->metadata, p->plan_text, sizeof p->plan_text);
    mill_shape_free(p->shape);
    p->shape = mill_shape_keep(p->topic->base);
    return MILL_DONE;
}

/** No commit of ours: the lake says where it ends, or what is to be finished there. */
static enum mill_verdict assign_by_lake(struct mill_ctx *ctx, struct sink_part *p,
                                        const struct mill_position *at, bool foreign,
                                        int64_t *start, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct lake_end e = {.at = at, .prefix = mill_str(conf->s3.prefix), .end = -1};
    struct mill_position half = *at;
    enum mill_verdict v = MILL_DONE;
    struct mill_plan plan;
    struct mill_buf text;

    mill_buf_init(&text, MILL_PLAN_TEXT_MAX);
    if (assign_lake_end(ctx, &e, &text, err)) {
        mill_buf_release(&text);
        return MILL_STOP;
    }
    *start = e.end < 0 ? at->low : text.n ? e.start : e.end;
    if (foreign && at->offset != *start)
        v = assign_gap(ctx, at, "the group's offset is not where the lake ends", *start, at->offset,
                       err);
    if (v == MILL_DONE && text.n) {
        half.offset = e.start;
        half.metadata = mill_buf_view(&text);
        if (mill_plan_parse(half.metadata, &plan) && !plan.done) {
            v = assign_redo(ctx, p, &half, &plan, err);
        } else {
            mill_fail(err, MILL_E_STATE, "plan", "%s tells none, and is not whole", e.key);
            v = MILL_STOP;
        }
    } else if (v == MILL_DONE && foreign && at->offset > *start) {
        *start = at->offset; /* never back into a range that the lake has */
    }
    mill_buf_release(&text);
    return v;
}

enum mill_verdict sink_on_assign(struct mill_ctx *ctx, const struct mill_position *at,
                                 int64_t *start, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_part *p = sink_part_find(s, at->topic, at->partition);
    enum mill_verdict v = MILL_DONE;
    struct mill_plan plan;
    bool ours;

    sink_part_drop(s, p);
    if (sink_part_new(ctx, at, &p, err))
        return MILL_STOP;
    ours = at->offset >= 0 && mill_plan_parse(at->metadata, &plan);
    *start = at->offset;
    if (ours && strcmp(plan.topic_id, at->topic_id)) /* of a topic that is no more */
        v = assign_by_lake(ctx, p, at, false, start, err);
    else if (!ours)
        v = assign_by_lake(ctx, p, at, at->offset >= 0, start, err);
    else if (!plan.done)
        v = assign_redo(ctx, p, at, &plan, err);
    p->start = *start;
    /* What has expired was markers: no gap, and the next range still begins where the last ended.
     */
    if (ours && plan.done && *start == at->offset && at->low > *start && at->low <= plan.seen)
        *start = at->low;
    if (v == MILL_DONE && at->low > *start) {
        v = assign_gap(ctx, at, "the log starts behind the lake's end", *start, at->low, err);
        *start = at->low;
        if (!p->redo) /* a plan keeps its names */
            p->start = at->low;
    }
    if (v == MILL_DONE && *start > at->high && at->high >= 0)
        v = assign_gap(ctx, at, "the log ends before the lake", *start, at->high, err);
    p->next = *start;
    return v;
}
