/* From a frozen range to objects: plan, upload, commit. */
#include "sink_parquet/range.h"

#include "base/fault.h"
#include "base/hash.h"
#include "lake/footer.h"
#include "net/s3_upload.h"

#include <stdatomic.h>

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

/** A range's objects on their way. */
struct roll_batch {
    struct mill_arena mem;
    struct mill_buf siblings;             /**< what each footer says */
    char plan[2 * MILL_SHA256_BYTES + 1]; /**< what each object's metadata says */
    int64_t until_ms;                     /**< mill_tick_ms(); none is put later */
    atomic_bool failed;                   /**< begin no other */
    struct roll_put *puts;
    size_t n;
};

/** One of them. */
struct roll_put {
    struct roll_batch *batch;
    struct sink_file *file;
    const char *key;
    struct mill_str bytes;
    enum mill_s3_put how;
    enum mill_code code; /**< MILL_OK; MILL_E_IO: later; else stop */
    struct mill_err err;
};

/** An object of that name is there: it must be what the same plan made. */
static enum mill_code roll_same(struct mill_s3 *s3, const char *key, struct mill_str plan,
                                struct mill_err *err)
{
    struct mill_s3_head head;
    enum mill_code rc = mill_s3_head(s3, key, &head, err);

    if (rc)
        return rc == MILL_E_NOENT ? MILL_E_IO : rc;
    if (!mill_str_eq(mill_map_get(head.meta, "sendmill-plan"), plan))
        return mill_fail(err, MILL_E_STATE, "object", "%s is there, and of another plan", key);
    return MILL_OK;
}

/** On a thread of the pool. */
static void roll_put(struct mill_s3 *s3, void *arg)
{
    struct roll_put *put = arg;
    const struct mill_pair meta = {MILL_STR("sendmill-plan"), mill_str(put->batch->plan)};
    enum mill_code rc;

    mill_s3_until(s3, put->batch->until_ms);
    rc = mill_s3_put_large(s3, put->key, put->bytes, (struct mill_map){&meta, 1}, &put->how,
                           &put->err);
    if (!rc && put->how == MILL_S3_EXISTS)
        rc = roll_same(s3, put->key, meta.value, &put->err);
    if (!rc)
        MILL_FAULT_POINT("sink.after-put");
    else
        atomic_store(&put->batch->failed, true);
    put->code = !rc || rc == MILL_E_STATE || rc == MILL_E_NOMEM ? rc : MILL_E_IO;
}

/** A writer that slept must not put what others have merged and deleted by then. */
static int64_t roll_until(const struct mill_ctx *ctx, const struct sink_part *p)
{
    const struct sink_conf *conf = mill_conf(ctx);

    return p->planned_ms + (int64_t)conf->put_within_ms;
}

static enum mill_code roll_batch_new(struct mill_ctx *ctx, const struct sink_part *p,
                                     struct roll_batch *b, struct mill_err *err)
{
    unsigned char digest[MILL_SHA256_BYTES];

    *b = (struct roll_batch){.until_ms = roll_until(ctx, p)};
    mill_buf_init(&b->siblings, ROLL_SIBLINGS_MAX);
    b->puts = mill_arena_calloc(&b->mem, p->n_files + 1, sizeof *b->puts);
    if (!b->puts || !mill_sha256(mill_str(p->plan_text), digest))
        return mill_fail(err, MILL_E_NOMEM, "upload", "out of memory");
    mill_hex(digest, sizeof digest, b->plan);
    return roll_siblings(ctx, p, &b->siblings, err);
}

/** One more: finished here, put there. */
static enum mill_code roll_batch_add(struct mill_ctx *ctx, struct sink_part *p,
                                     struct roll_batch *b, struct sink_file *f,
                                     struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct sink *s = mill_state(ctx);
    struct roll_put *put = &b->puts[b->n];
    struct mill_object o = roll_object(p, f);
    struct mill_buf name;
    enum mill_code rc;

    mill_buf_init(&name, MILL_OBJECT_NAME_MAX);
    *put = (struct roll_put){.batch = b, .file = f};
    rc = mill_object_name(&o, mill_str(conf->s3.prefix), &name, err);
    put->key = rc ? NULL : mill_arena_dup(&b->mem, mill_buf_view(&name)).p;
    mill_buf_release(&name);
    if (rc || !put->key)
        return rc ? rc : mill_fail(err, MILL_E_NOMEM, "upload", "out of memory");
    rc = roll_finish(p, f, b->siblings.p, &put->bytes, err);
    if (rc)
        return rc;
    b->n++;
    mill_s3_pool_add(s->uploads, roll_put, put);
    return MILL_OK;
}

/** It is in the lake. */
static void roll_put_done(struct mill_ctx *ctx, struct sink_part *p, const struct roll_put *put)
{
    struct sink *s = mill_state(ctx);
    struct sink_file *f = put->file;

    mill_count(ctx, SINK_M_OBJECTS, put->how, 1);
    mill_count(ctx, SINK_M_BYTES, 0, put->how == MILL_S3_CREATED ? put->bytes.n : 0);
    mill_log(MILL_INFO, "object_put",
             MILL_KV(MILL_KS("object", put->key), MILL_KI("rows", f->rows),
                     MILL_KI("bytes", put->bytes.n)),
             put->how == MILL_S3_CREATED ? "written" : "was there");
    mill_lake_file_free(f->file);
    f->file = NULL;
    p->held -= f->held;
    s->held -= f->held;
    f->held = 0;
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
    struct sink *s = mill_state(ctx);
    int64_t end_ms = mill_tick_ms() + s->turn_ms;
    struct roll_batch b;
    enum mill_code rc = roll_batch_new(ctx, p, &b, err);

    for (size_t i = 0; i < p->n_files && !rc && !atomic_load(&b.failed); i++) {
        if (b.n && mill_tick_ms() >= end_ms)
            break;
        if (p->files[i].file)
            rc = roll_batch_add(ctx, p, &b, &p->files[i], err);
    }
    mill_s3_pool_wait(s->uploads);
    for (size_t i = 0; i < b.n; i++) {
        if (!b.puts[i].code) {
            roll_put_done(ctx, p, &b.puts[i]);
        } else if (!rc || rc == MILL_E_IO) { /* what stops us is said before what passes */
            rc = b.puts[i].code;
            *err = b.puts[i].err;
        }
    }
    mill_buf_release(&b.siblings);
    mill_arena_release(&b.mem);
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
