#include "compact/job.h"

#include "base/clock.h"
#include "base/fault.h"
#include "compact/stage.h"

#include <stdlib.h>

enum { JOB_DAY_MS = 86400000, JOB_GRACE_PARTS = 4 };

/** A partition that is left alone. */
struct job_left {
    struct mill_str topic_id;
    int32_t partition;
    struct job_left *next;
};

/** One listing and what is done by it. */
struct job_round {
    struct mill_compact_job *job;
    struct job_left **left;
    struct mill_arena *keep; /**< what outlives the round */
    struct mill_scan scan;
    struct stage stage;
    struct mill_arena mem;
    struct mill_compact_plan plan;
    bool deleted;
    bool found; /**< the audit found something that was not known */
    bool nomem;
};

static bool job_stopped(const struct mill_compact_job *job)
{
    return job->stopped && job->stopped();
}

/* --- audit ----------------------------------------------------------------------------------- */

static void job_on_finding(void *arg, const struct mill_audit_finding *f)
{
    struct job_round *r = arg;

    r->job->faults++;
    r->job->finding(r->job->arg, f);
}

/** Mark the objects of the partitions that are left alone. */
static void job_mark(struct job_round *r)
{
    for (const struct job_left *l = *r->left; l; l = l->next)
        for (size_t i = 0; i < r->scan.n; i++)
            if (r->scan.v[i].o.partition == l->partition &&
                mill_str_eq(r->scan.v[i].o.topic_id, l->topic_id))
                r->scan.v[i].left = true;
}

/** A partition with faults is left alone from now on. */
static void job_on_partition(void *arg, const struct mill_audit_partition *p)
{
    struct job_round *r = arg;
    struct job_left *l;

    if (!p->faults)
        return;
    r->found = true;
    r->job->left++;
    l = mill_arena_calloc(r->keep, 1, sizeof *l);
    if (l)
        *l = (struct job_left){mill_arena_dup(r->keep, p->topic_id), p->partition, *r->left};
    r->nomem = r->nomem || !l || !l->topic_id.p;
    if (!r->nomem)
        *r->left = l;
}

/** What will lie there once all that can be swapped is swapped. @param there one for each object */
static void job_after(const struct job_round *r, bool *there)
{
    for (size_t i = 0; i < r->plan.n; i++) {
        const struct mill_compact_step *s = &r->plan.v[i];
        if (s->act != MILL_COMPACT_SWEEP && s->act != MILL_COMPACT_SWAP)
            continue;
        there[s->at] = true;
        for (size_t k = 0; k < s->n; k++)
            there[s->parts[k]] = false;
    }
}

/** Audit what lies there, or, with a plan, what will; partitions that were found faulty before are
 *  not looked at again. */
static enum mill_code job_audit(struct job_round *r, bool after, struct mill_err *err)
{
    const struct mill_audit_report report = {job_on_finding, job_on_partition, r};
    struct mill_audit *a = mill_audit_new(r->job->s3->prefix);
    bool *there = calloc(r->scan.n + 1, sizeof *there), ok = a && there;
    enum mill_code rc;

    r->found = false;
    for (size_t i = 0; i < r->scan.n && ok; i++)
        there[i] = !r->scan.v[i].staged;
    if (ok && after)
        job_after(r, there);
    for (size_t i = 0; i < r->scan.n && ok; i++) {
        const struct mill_compact_object *o = &r->scan.v[i];
        if (!there[i] || o->left)
            continue;
        ok = mill_audit_add(a, o->name, o->bytes, o->footer, o->why);
    }
    rc = ok ? mill_audit_run(a, &report, err)
            : mill_fail(err, MILL_E_NOMEM, "compact", "out of memory");
    free(there);
    mill_audit_free(a);
    if (!rc && r->nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "compact", "out of memory");
    job_mark(r);
    return rc;
}

/* --- steps ----------------------------------------------------------------------------------- */

/** The parts go; a merged file that was proved to have their rows is in its place. */
static enum mill_code job_delete_parts(struct job_round *r, const struct mill_compact_step *s,
                                       struct mill_err *err)
{
    struct mill_str *keys = mill_arena_calloc(&r->mem, s->n + 1, sizeof *keys);
    enum mill_code rc;

    if (!keys)
        return mill_fail(err, MILL_E_NOMEM, "compact", "out of memory");
    for (size_t i = 0; i < s->n; i++)
        keys[i] = r->scan.v[s->parts[i]].key;
    r->deleted = true;
    rc = mill_s3_delete_many(r->stage.s3, keys, s->n, err);
    if (!rc)
        MILL_FAULT_POINT("compact.after-delete");
    return rc;
}

/** From merging/ to its place. What readers of topic=T see changes between these two calls. */
static enum mill_code job_swap(struct job_round *r, const struct mill_compact_step *s,
                               struct mill_err *err)
{
    const struct mill_compact_object *o = &r->scan.v[s->at];
    struct mill_s3_head head;
    enum mill_code rc;

    MILL_FAULT_POINT("compact.before-copy");
    mill_s3_until(r->stage.s3, r->stage.until_ms);
    rc = mill_s3_copy(r->stage.s3, o->key.p, o->name.p, err);
    mill_s3_until(r->stage.s3, 0);
    if (rc == MILL_E_IO && mill_tick_ms() > r->stage.until_ms)
        rc = mill_fail(err, MILL_E_NOENT, "swap", "the plan is too old");
    if (!rc)
        MILL_FAULT_POINT("compact.after-copy");
    if (!rc)
        rc = mill_s3_head(r->stage.s3, o->name.p, &head, err);
    if (!rc && head.bytes != o->bytes)
        rc = mill_fail(err, MILL_E_STATE, "swap", "%s has %llu bytes, not %llu", o->name.p,
                       (unsigned long long)head.bytes, (unsigned long long)o->bytes);
    if (!rc)
        rc = job_delete_parts(r, s, err);
    return rc ? rc : mill_s3_delete(r->stage.s3, o->key.p, err);
}

static enum mill_code job_step(struct job_round *r, const struct mill_compact_step *s,
                               struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    if (r->job->dry_run || s->act == MILL_COMPACT_WAIT || s->act == MILL_COMPACT_STUCK) {
        mill_stage_count(r->job, s, r->scan.v[s->at].name, MILL_COMPACT_PLANNED);
        return MILL_OK;
    }
    if (s->act == MILL_COMPACT_MERGE)
        return mill_stage_merge(&r->stage, s, err); /* counts by itself */
    if (s->act == MILL_COMPACT_SWEEP)
        rc = job_delete_parts(r, s, err);
    else if (s->act == MILL_COMPACT_SWAP)
        rc = job_swap(r, s, err);
    else if (s->act == MILL_COMPACT_DROP)
        rc = mill_s3_delete(r->stage.s3, r->scan.v[s->at].key.p, err);
    if (!rc)
        mill_stage_count(r->job, s, r->scan.v[s->at].name, MILL_COMPACT_DONE);
    return rc;
}

/* --- rounds ---------------------------------------------------------------------------------- */

static enum mill_code job_list(struct job_round *r, const char *topic, struct mill_err *err)
{
    enum mill_code rc;

    mill_scan_release(&r->scan);
    rc = mill_scan_list(&r->scan, topic, r->job->stopped, err);
    if (!rc)
        rc = mill_scan_footers(&r->scan, r->job->lib, r->job->stopped, err);
    job_mark(r);
    return rc;
}

/** Steps that changed the lake, so far. */
static int64_t job_progress(const struct mill_compact_job *job)
{
    int64_t n = 0;

    for (int act = 0; act < MILL_COMPACT_ACTS; act++)
        n += act == MILL_COMPACT_WAIT || act == MILL_COMPACT_STUCK ? 0 : job->sum[act].steps;
    return n;
}

static enum mill_code job_plan(struct job_round *r, struct mill_err *err)
{
    const struct mill_compact_job *job = r->job;
    const struct mill_compact_conf conf = {
        .prefix = mill_str(job->s3->prefix),
        .open_day = (int32_t)((mill_now_us() / 1000 - job->older_than_ms) / JOB_DAY_MS),
        .target_bytes = job->target_bytes,
        .grace_ms = job->grace_ms};
    enum mill_code rc = job_audit(r, false, err);

    if (!rc)
        rc = mill_compact_plan(r->scan.v, r->scan.n, &conf, &r->mem, &r->plan, err);
    if (!rc)
        rc = job_audit(r, true, err);
    if (!rc && r->found) /* a merged file that is not what its parts were: not that partition */
        rc = mill_compact_plan(r->scan.v, r->scan.n, &conf, &r->mem, &r->plan, err);
    return rc;
}

/** @param again out: the plan became too old before all was done */
static enum mill_code job_round(struct job_round *r, const char *topic, bool *again,
                                struct mill_err *err)
{
    struct mill_compact_job *job = r->job;
    const int64_t before = job_progress(job);
    const struct mill_compact_count waiting[] = {job->sum[MILL_COMPACT_WAIT],
                                                 job->sum[MILL_COMPACT_STUCK]};
    enum mill_code rc;
    size_t done = 0;

    *again = false;
    r->stage.until_ms = mill_tick_ms() + job->grace_ms / JOB_GRACE_PARTS;
    rc = job_list(r, topic, err);
    if (!rc && !job_stopped(job))
        rc = job_plan(r, err);
    for (; done < r->plan.n && !rc && !job_stopped(job); done++)
        rc = job_step(r, &r->plan.v[done], err);
    if (rc == MILL_E_NOENT && job_progress(job) > before) {
        job->sum[MILL_COMPACT_WAIT] = waiting[0]; /* they are met again */
        job->sum[MILL_COMPACT_STUCK] = waiting[1];
        *again = true;
        return MILL_OK;
    }
    return rc == MILL_E_NOENT
               ? mill_fail(err, MILL_E_STATE, "grace", "a quarter of it is too short for one merge")
               : rc;
}

enum mill_code mill_compact_run(struct mill_compact_job *job, const char *topic,
                                struct mill_err *err)
{
    bool again = true, deleted = false;
    struct job_left *left = NULL;
    struct mill_arena keep = {0};
    enum mill_code rc = MILL_OK;

    while (again && !rc && !job_stopped(job)) {
        struct job_round r = {.job = job, .left = &left, .keep = &keep};

        mill_scan_init(&r.scan, job->s3);
        r.stage = (struct stage){.job = job, .scan = &r.scan};
        rc = mill_s3_open(&r.stage.s3, job->s3, err);
        if (!rc)
            rc = mill_s3_pool_new(&r.stage.pool, job->s3, MILL_STAGE_AHEAD, err);
        if (!rc)
            rc = job_round(&r, topic, &again, err);
        deleted = deleted || r.deleted;
        if (!rc && !again && deleted && !job_stopped(job)) { /* once more, on what is left */
            rc = job_list(&r, topic, err);
            if (!rc)
                rc = job_audit(&r, false, err);
        }
        mill_s3_pool_free(r.stage.pool);
        mill_s3_free(r.stage.s3);
        mill_scan_release(&r.scan);
        mill_arena_release(&r.mem);
    }
    mill_arena_release(&keep);
    return rc;
}

/* --- topics ---------------------------------------------------------------------------------- */

static int job_topic_cmp(const void *pa, const void *pb)
{
    const struct mill_compact_object *a = pa, *b = pb;
    size_t n = a->o.topic.n < b->o.topic.n ? a->o.topic.n : b->o.topic.n;
    int d = memcmp(a->o.topic.p, b->o.topic.p, n);

    return d ? d : (a->o.topic.n > b->o.topic.n) - (a->o.topic.n < b->o.topic.n);
}

enum mill_code mill_compact_topics(const struct mill_s3_opts *s3, struct mill_arena *mem,
                                   struct mill_str **out, size_t *n, struct mill_err *err)
{
    struct mill_scan scan;
    enum mill_code rc;

    *n = 0;
    mill_scan_init(&scan, s3);
    rc = mill_scan_list(&scan, NULL, NULL, err);
    if (!rc && scan.n > 1)
        qsort(scan.v, scan.n, sizeof *scan.v, job_topic_cmp);
    *out = mill_arena_calloc(mem, scan.n + 1, sizeof **out);
    for (size_t i = 0; i < scan.n && !rc && *out; i++) {
        if (i && job_topic_cmp(&scan.v[i - 1], &scan.v[i]) == 0)
            continue;
        (*out)[*n] = mill_arena_dup(mem, scan.v[i].o.topic);
        rc = (*out)[(*n)++].p ? MILL_OK : MILL_E_NOMEM;
    }
    if (!*out || rc == MILL_E_NOMEM)
        rc = mill_fail(err, MILL_E_NOMEM, "compact", "out of memory");
    mill_scan_release(&scan);
    return rc;
}
