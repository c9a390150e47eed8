/* Where to begin: at a plan, behind a finished range, or where the lake itself ends. */
#include "sink_parquet/range.h"

#include <time.h>

enum { ASSIGN_TRIES = 6, ASSIGN_WAIT_MS = 5000 };

/** Largest end among one partition's objects. */
struct lake_end {
    const struct mill_position *at;
    struct mill_str prefix;
    int64_t end; /**< -1 = no object */
};

static bool assign_each(void *arg, const char *key, uint64_t bytes)
{
    struct lake_end *e = arg;
    struct mill_object o;

    (void)bytes;
    if (mill_object_parse(mill_str(key), e->prefix, &o) && mill_str_is(o.topic, e->at->topic) &&
        mill_str_is(o.topic_id, e->at->topic_id) && o.partition == e->at->partition &&
        o.end > e->end)
        e->end = o.end;
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

/** Where the lake ends for this partition. A first start cannot go on without S3: tries a while. */
static enum mill_code assign_lake_end(struct mill_ctx *ctx, const struct mill_position *at,
                                      int64_t *end, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct timespec wait = {.tv_sec = ASSIGN_WAIT_MS / 1000};
    struct lake_end e = {at, mill_str(conf->s3.prefix), -1};
    enum mill_code rc = MILL_E_IO;

    for (int i = 0; i < ASSIGN_TRIES && rc; i++) {
        if (i)
            nanosleep(&wait, NULL);
        rc = assign_list(ctx, &e, "topic", err);
        if (!rc)
            rc = assign_list(ctx, &e, "rejected", err);
        if (rc)
            sink_fault(ctx, SINK_FAULT_S3, err);
    }
    if (!rc)
        sink_fine(ctx);
    *end = e.end;
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

/** No commit of ours: the lake says where it ends. */
static enum mill_verdict assign_by_lake(struct mill_ctx *ctx, const struct mill_position *at,
                                        bool foreign, int64_t *start, struct mill_err *err)
{
    int64_t end = -1;

    if (assign_lake_end(ctx, at, &end, err))
        return MILL_STOP;
    *start = end >= 0 ? end : at->low;
    if (!foreign || at->offset == *start)
        return MILL_DONE;
    if (assign_gap(ctx, at, "the group's offset is not where the lake ends", *start, at->offset,
                   err) == MILL_STOP)
        return MILL_STOP;
    if (at->offset > *start) /* never back into a range that the lake has */
        *start = at->offset;
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
    p->planned_ms = mill_tick_ms(); /* it was the last range then: nobody had merged it */
    p->redo_ready = false;
    p->plan = *plan;
    mill_str_cut(at->metadata, p->plan_text, sizeof p->plan_text);
    mill_shape_free(p->shape);
    p->shape = mill_shape_keep(p->topic->base);
    return MILL_DONE;
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
        v = assign_by_lake(ctx, at, false, start, err);
    else if (!ours)
        v = assign_by_lake(ctx, at, at->offset >= 0, start, err);
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
