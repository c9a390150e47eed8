/* The way of a range that has ended: plan, upload, commit. */
#include "sink_parquet/range.h"

#include "base/fault.h"

static struct mill_plan roll_planned(const struct sink_part *p)
{
    struct mill_plan plan = {.end = p->next, .rows = p->rows, .n = p->n_fills};

    memcpy(plan.topic_id, p->topic_id, sizeof plan.topic_id);
    memcpy(plan.policy, p->topic->policy, sizeof plan.policy);
    plan.layout = p->topic->layout;
    memcpy(plan.schemas, p->fill_ids, p->n_fills * sizeof *p->fill_ids);
    return plan;
}

void sink_roll(struct mill_ctx *ctx, struct sink_part *p, enum sink_roll why)
{
    if (p->state != SINK_OPEN || !p->rows || p->out)
        return;
    if (!p->redo)
        p->plan = roll_planned(p);
    if (!sink_part_take_out(mill_state(ctx), p))
        return;
    p->out->state = SINK_PLAN;
    mill_count(ctx, SINK_M_ROLLS, p->out->redo ? SINK_ROLL_REDO : why, 1);
}

/** Commit, and sort out what came of it. @param failed go out with it. @return true when it is done
 */
static bool roll_commit(struct mill_ctx *ctx, struct sink_part *p, int64_t next,
                        struct mill_str meta, const struct mill_sink_failure *failed, size_t n,
                        struct mill_err *err)
{
    enum mill_code rc =
        meta.n ? mill_sink_commit(ctx, p->topic->name, p->partition, next, meta, failed, n, err)
               : mill_fail(err, MILL_E_NOMEM, "plan", "out of memory");

    if (rc == MILL_OK)
        return true;
    if (rc == MILL_E_STATE) { /* another owns it now, and will carry out what was planned */
        mill_log_err(MILL_WARN, "partition_lost", err);
        sink_part_out_free(mill_state(ctx), p);
        sink_part_reset(mill_state(ctx), p, next);
        p->state = SINK_DEAD;
        return false;
    }
    sink_fault(ctx, SINK_FAULT_COMMIT, err);
    return false;
}

/** A writer that slept must not put what others have merged and deleted by then. */
static int64_t roll_until(const struct mill_ctx *ctx, const struct sink_part *r)
{
    const struct sink_conf *conf = mill_conf(ctx);

    return r->planned_ms + (int64_t)conf->put_within_ms;
}

static bool roll_uploaded(const struct sink_part *r)
{
    for (size_t i = 0; i < r->n_files; i++)
        if (r->files[i].file)
            return false;
    return true;
}

/** A redo must have found what its author had: a thinner file never goes under the same name. */
static enum mill_code roll_check_redo(struct mill_ctx *ctx, const struct sink_part *p,
                                      struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);

    if (!p->redo || p->rows == p->plan.rows)
        return MILL_OK;
    mill_fail(err, MILL_E_STATE, "plan",
              "%s/%d [%lld,%lld) had %lld records, the log has %lld: see accept-gaps",
              p->topic->name, (int)p->partition, (long long)p->start, (long long)p->plan.end,
              (long long)p->plan.rows, (long long)p->rows);
    if (!conf->accept_gaps)
        return MILL_E_STATE;
    mill_log_err(MILL_ERROR, "gap", err);
    return MILL_OK;
}

/** Begin the upload, or take in the one that has ended; while it goes on, nothing. Ends of many
 * quiet partitions come at the same time: these are not looked at a turn of the loop each. */
static enum mill_verdict roll_upload(struct mill_ctx *ctx, struct sink_part *p,
                                     struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_part *r = p->out;
    int64_t wait_ms = r->upload || r->held >= s->beside_bytes ? 0 : sink_turn_left(s);
    enum mill_code rc = MILL_OK;

    if (!r->upload) {
        MILL_FAULT_POINT("sink.after-plan");
        rc = roll_check_redo(ctx, r, err);
        if (!rc)
            rc = sink_upload_begin(ctx, p, roll_until(ctx, r), err);
    }
    if (rc)
        return MILL_STOP;
    if (!sink_upload_ended(s, p, wait_ms))
        return MILL_DONE;
    rc = sink_upload_end(ctx, p, err);
    if (rc == MILL_E_IO && mill_tick_ms() > roll_until(ctx, r)) {
        r->state = SINK_PLAN; /* the group says whether it is still ours */
        return MILL_DONE;
    }
    if (rc == MILL_E_IO) {
        sink_fault(ctx, SINK_FAULT_S3, err);
        return MILL_DONE;
    }
    if (rc)
        return MILL_STOP;
    if (roll_uploaded(r))
        r->state = SINK_COMMIT;
    return MILL_DONE;
}

/** Commit that everything below `next` is in the lake. @param out what has come to its end by that,
 *  or NULL. @param seen see struct mill_plan */
static bool roll_commit_done(struct mill_ctx *ctx, struct sink_part *p, const struct sink_part *out,
                             int64_t next, int64_t seen, struct mill_err *err)
{
    struct mill_plan done = {.done = true, .seen = seen};
    char text[MILL_PLAN_TEXT_MAX];
    struct mill_str meta;

    memcpy(done.topic_id, p->topic_id, sizeof done.topic_id);
    memcpy(done.policy, (out ? out : p)->topic->policy, sizeof done.policy);
    meta = mill_plan_text(&done, text, sizeof text);
    return roll_commit(ctx, p, next, meta, out ? out->failed : NULL, out ? out->n_failed : 0, err);
}

void sink_seen(struct mill_ctx *ctx, struct sink_part *p, int64_t to, struct mill_err *err)
{
    if (roll_commit_done(ctx, p, NULL, p->start, to, err)) {
        p->next = to;
        sink_fine(ctx);
    }
}

/** The plan. Of a redo to the letter, and once more: only the group knows whether it is still ours,
 *  and whoever slept since he read it would put what others have merged and deleted by then. */
static bool roll_plan(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct sink_part *r = p->out;
    struct mill_str text = r->redo ? mill_str(r->plan_text)
                                   : mill_plan_text(&r->plan, r->plan_text, sizeof r->plan_text);

    r->planned_ms = mill_tick_ms();
    return roll_commit(ctx, p, r->start, text, NULL, 0, err);
}

enum mill_verdict sink_advance(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_part *r = p->out;

    if (!r || (!r->upload && (s->n_uploads == SINK_UPLOADS || sink_backing_off(s))))
        return MILL_DONE;
    if (r->state == SINK_PLAN && roll_plan(ctx, p, err))
        r->state = SINK_UPLOAD;
    if (!p->out) /* given to another */
        return MILL_DONE;
    if (r->state == SINK_UPLOAD && roll_upload(ctx, p, err) != MILL_DONE)
        return MILL_STOP;
    if (r->state == SINK_COMMIT)
        MILL_FAULT_POINT("sink.before-commit");
    if (r->state != SINK_COMMIT || !roll_commit_done(ctx, p, r, r->plan.end, 0, err))
        return MILL_DONE;
    sink_part_out_free(s, p);
    sink_fine(ctx);
    return MILL_DONE;
}

void sink_turn(struct sink *s, int turns)
{
    s->turn_until_ms = mill_tick_ms() + turns * s->turn_ms;
}

int64_t sink_turn_left(const struct sink *s)
{
    int64_t left = s->turn_until_ms - mill_tick_ms();

    return left > 0 ? left : 0;
}

enum mill_verdict sink_settle(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    bool own = p && p->out && p->out->upload;

    if (!s->n_uploads)
        return MILL_DONE;
    p = sink_upload_ended(s, own ? p : NULL, sink_turn_left(s));
    return p ? sink_advance(ctx, p, err) : MILL_DONE;
}
