/* From a frozen range to objects: plan, upload, commit. */
#include "sink_parquet/range.h"

#include "base/fault.h"
#include "base/hash.h"
#include "lake/footer.h"
#include "net/s3_upload.h"

enum { ROLL_SIBLINGS_MAX = 1 << 20 };

void sink_roll(struct mill_ctx *ctx, struct sink_part *p, enum sink_roll why)
{
    if (p->state != SINK_OPEN || !p->rows)
        return;
    mill_count(ctx, SINK_M_ROLLS, p->redo ? SINK_ROLL_REDO : why, 1);
    if (p->redo) { /* the plan is committed already */
        p->state = SINK_UPLOAD;
        return;
    }
    p->plan = (struct mill_plan){.end = p->next, .rows = p->rows, .n = p->n_fills};
    memcpy(p->plan.topic_id, p->topic_id, sizeof p->plan.topic_id);
    memcpy(p->plan.policy, p->topic->policy, sizeof p->plan.policy);
    p->plan.layout = p->topic->layout;
    memcpy(p->plan.schemas, p->fill_ids, p->n_fills * sizeof *p->fill_ids);
    p->state = SINK_PLAN;
}

/** Commit, and sort out what came of it. @return true when it is done */
static bool roll_commit(struct mill_ctx *ctx, struct sink_part *p, int64_t next,
                        struct mill_str meta, struct mill_err *err)
{
    size_t n = next > p->start ? p->n_failed : 0; /* they go out with E, not with the plan */
    enum mill_code rc = meta.n ? mill_sink_commit_failures(ctx, p->topic->name, p->partition, next,
                                                           meta, p->failed, n, err)
                               : mill_fail(err, MILL_E_NOMEM, "plan", "out of memory");

    if (rc == MILL_OK)
        return true;
    if (rc == MILL_E_STATE) { /* another owns it now, and will carry out what was planned */
        mill_log_err(MILL_WARN, "partition_lost", err);
        sink_part_reset(mill_state(ctx), p, next);
        p->state = SINK_DEAD;
        return false;
    }
    sink_fault(ctx, SINK_FAULT_COMMIT, err);
    return false;
}

static struct mill_object roll_object(const struct sink_part *p, const struct sink_file *f)
{
    return (struct mill_object){.kind = f->kind,
                                .topic = mill_str(p->topic->name),
                                .topic_id = mill_str(p->topic_id),
                                .partition = p->partition,
                                .start = p->start,
                                .end = p->plan.end,
                                .day = f->day,
                                .hour = f->hour};
}

/** What else the range became: [{"object":…,"rows":n},…]. */
static enum mill_code roll_siblings(const struct mill_ctx *ctx, const struct sink_part *p,
                                    struct mill_buf *out, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct mill_buf name;
    enum mill_code rc = MILL_OK;

    mill_buf_init(&name, MILL_OBJECT_NAME_MAX);
    mill_buf_putc(out, '[');
    for (size_t i = 0; i < p->n_files && !rc; i++) {
        struct mill_object o = roll_object(p, &p->files[i]);
        mill_buf_reset(&name);
        rc = mill_object_name(&o, mill_str(conf->s3.prefix), &name, err);
        mill_buf_puts(out, i ? ",{\"object\":" : "{\"object\":");
        if (!rc)
            mill_buf_json(out, mill_buf_view(&name));
        mill_buf_printf(out, ",\"rows\":%lld}", (long long)p->files[i].rows);
    }
    mill_buf_putc(out, ']');
    mill_buf_release(&name);
    if (!rc && out->failed)
        rc = mill_fail(err, MILL_E_NOMEM, "footer", "out of memory");
    return rc;
}

/** The file's bytes, with a footer that says what it is. */
static enum mill_code roll_finish(struct sink_part *p, struct sink_file *f, const char *siblings,
                                  struct mill_str *bytes, struct mill_err *err)
{
    const struct mill_object o = roll_object(p, f);
    struct mill_footer_texts texts;
    struct mill_pq_pair pairs[MILL_FOOTER_RANGE + 3];
    struct mill_buf rejected;
    size_t n = MILL_FOOTER_RANGE;
    enum mill_code rc;

    mill_buf_init(&rejected, ROLL_SIBLINGS_MAX);
    /* So many that the list is cut: the rejected= object still has them all. */
    mill_buf_printf(&rejected, "[%s]", p->rejected.failed || !p->rejected.n ? "" : p->rejected.p);
    mill_footer_range(&o, f->rows, &texts, pairs);
    pairs[n++] = (struct mill_pq_pair){"sendmill.plan", p->plan_text};
    pairs[n++] = (struct mill_pq_pair){"sendmill.siblings", siblings};
    pairs[n++] = (struct mill_pq_pair){"sendmill.rejected", rejected.failed ? "[]" : rejected.p};
    rc = mill_lake_file_finish(f->file, pairs, n, bytes, err);
    mill_buf_release(&rejected);
    return rc;
}

/** An object of that name is there: it must be what the same plan made. */
static enum mill_code roll_same(struct sink *s, const char *key, struct mill_str plan,
                                struct mill_err *err)
{
    struct mill_s3_head head;
    enum mill_code rc = mill_s3_head(s->s3, key, &head, err);

    if (rc)
        return rc == MILL_E_NOENT ? MILL_E_IO : rc;
    if (!mill_str_eq(mill_map_get(head.meta, "sendmill-plan"), plan))
        return mill_fail(err, MILL_E_STATE, "object", "%s is there, and of another plan", key);
    return MILL_OK;
}

/** A writer that slept must not put what others have merged and deleted by then. */
static int64_t roll_until(const struct mill_ctx *ctx, const struct sink_part *p)
{
    const struct sink_conf *conf = mill_conf(ctx);

    return p->planned_ms + (int64_t)conf->put_within_ms;
}

static enum mill_code roll_put(struct mill_ctx *ctx, struct sink_part *p, struct sink_file *f,
                               const char *key, const char *siblings, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];
    struct mill_pair meta = {MILL_STR("sendmill-plan"), {hex, sizeof hex - 1}};
    struct mill_str bytes = {NULL, 0};
    enum mill_s3_put how = MILL_S3_CREATED;
    enum mill_code rc = roll_finish(p, f, siblings, &bytes, err);

    if (rc)
        return rc;
    if (!mill_sha256(mill_str(p->plan_text), digest))
        return mill_fail(err, MILL_E_STATE, "plan", "no hash");
    mill_hex(digest, sizeof digest, hex);
    mill_s3_until(s->s3, roll_until(ctx, p));
    rc = mill_s3_put_large(s->s3, key, bytes, (struct mill_map){&meta, 1}, &how, err);
    mill_s3_until(s->s3, 0);
    if (!rc && how == MILL_S3_EXISTS)
        rc = roll_same(s, key, meta.value, err);
    if (rc)
        return rc == MILL_E_STATE || rc == MILL_E_NOMEM ? rc : MILL_E_IO;
    MILL_FAULT_POINT("sink.after-put");
    mill_count(ctx, SINK_M_OBJECTS, how, 1);
    mill_count(ctx, SINK_M_BYTES, 0, how == MILL_S3_CREATED ? bytes.n : 0);
    mill_log(MILL_INFO, "object_put",
             MILL_KV(MILL_KS("object", key), MILL_KI("rows", f->rows), MILL_KI("bytes", bytes.n)),
             how == MILL_S3_CREATED ? "written" : "was there");
    return MILL_OK;
}

static bool roll_uploaded(const struct sink_part *p)
{
    for (size_t i = 0; i < p->n_files; i++)
        if (p->files[i].file)
            return false;
    return true;
}

/** Put what is not yet in the lake, for a turn. @return MILL_OK; MILL_E_IO: later; else stop */
static enum mill_code roll_upload(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct sink *s = mill_state(ctx);
    int64_t end_ms = mill_tick_ms() + s->turn_ms;
    struct mill_buf name, siblings;
    enum mill_code rc;

    mill_buf_init(&name, MILL_OBJECT_NAME_MAX);
    mill_buf_init(&siblings, ROLL_SIBLINGS_MAX);
    rc = roll_siblings(ctx, p, &siblings, err); /* once: each footer has them all */
    for (size_t i = 0; i < p->n_files && !rc && mill_tick_ms() < end_ms; i++) {
        struct sink_file *f = &p->files[i];
        struct mill_object o = roll_object(p, f);

        if (!f->file)
            continue;
        mill_buf_reset(&name);
        rc = mill_object_name(&o, mill_str(conf->s3.prefix), &name, err);
        if (!rc)
            rc = roll_put(ctx, p, f, name.p, siblings.p, err);
        if (!rc) {
            mill_lake_file_free(f->file);
            f->file = NULL;
            p->held -= f->held;
            s->held -= f->held;
            f->held = 0;
        }
    }
    mill_buf_release(&name);
    mill_buf_release(&siblings);
    return rc;
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

static enum mill_verdict roll_upload_step(struct mill_ctx *ctx, struct sink_part *p,
                                          struct mill_err *err)
{
    enum mill_code rc = roll_check_redo(ctx, p, err);

    if (!rc)
        rc = roll_upload(ctx, p, err);
    if (rc == MILL_E_IO && mill_tick_ms() > roll_until(ctx, p)) {
        p->state = SINK_PLAN; /* the group says whether it is still ours */
        return MILL_DONE;
    }
    if (rc == MILL_E_IO) {
        sink_fault(ctx, SINK_FAULT_S3, err);
        return MILL_DONE;
    }
    if (rc)
        return MILL_STOP;
    if (roll_uploaded(p))
        p->state = SINK_COMMIT;
    return MILL_DONE;
}

/** Commit that everything below `next` is in the lake. @param seen see struct mill_plan */
static bool roll_commit_done(struct mill_ctx *ctx, struct sink_part *p, int64_t next, int64_t seen,
                             struct mill_err *err)
{
    struct mill_plan done = {.done = true, .seen = seen};
    char text[MILL_PLAN_TEXT_MAX];

    memcpy(done.topic_id, p->topic_id, sizeof done.topic_id);
    memcpy(done.policy, p->topic->policy, sizeof done.policy);
    return roll_commit(ctx, p, next, mill_plan_text(&done, text, sizeof text), err);
}

void sink_seen(struct mill_ctx *ctx, struct sink_part *p, int64_t to, struct mill_err *err)
{
    if (roll_commit_done(ctx, p, p->start, to, err)) {
        p->next = to;
        sink_fine(ctx);
    }
}

/** The plan, once more if it is a redo's or too old: then to the letter. */
static bool roll_plan(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct mill_str text = p->redo ? mill_str(p->plan_text)
                                   : mill_plan_text(&p->plan, p->plan_text, sizeof p->plan_text);

    p->planned_ms = mill_tick_ms();
    return roll_commit(ctx, p, p->start, text, err);
}

enum mill_verdict sink_advance(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);

    if (sink_backing_off(s))
        return MILL_DONE;
    if (p->state == SINK_PLAN && roll_plan(ctx, p, err))
        p->state = SINK_UPLOAD;
    if (p->state == SINK_UPLOAD)
        MILL_FAULT_POINT("sink.after-plan");
    if (p->state == SINK_UPLOAD && roll_upload_step(ctx, p, err) != MILL_DONE)
        return MILL_STOP;
    if (p->state == SINK_COMMIT)
        MILL_FAULT_POINT("sink.before-commit");
    if (p->state != SINK_COMMIT || !roll_commit_done(ctx, p, p->plan.end, 0, err))
        return MILL_DONE;
    sink_part_reset(s, p, p->plan.end);
    sink_fine(ctx);
    return MILL_DONE;
}
