/* The objects of a range that is out, on a thread of their own: one after the other is encoded
 * there, and put by the pool meanwhile. Encoding takes more than half of the sink's CPU time: two
 * ranges are at it side by side, and beside them the next ones are gathered
 * (tests/bench/RESULTS.md: rows a second before and after). */
#include "sink_parquet/range.h"

#include "base/fault.h"
#include "base/hash.h"
#include "lake/footer.h"
#include "net/s3_upload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { UPLOAD_TEXT_MAX = 64 << 20 };

struct sink_upload {
    struct sink_part *part; /**< whose range it is */
    struct sink *sink;      /**< for the thread: what is shared */
    struct mill_arena mem;
    struct mill_buf siblings;             /**< what each footer says */
    char plan[2 * MILL_SHA256_BYTES + 1]; /**< what each object's metadata says */
    int64_t until_ms;                     /**< mill_tick_ms(); none is put later */
    atomic_bool stop;                     /**< begin no other */
    struct upload_put *puts;              /**< one for each file of the range */
    enum mill_code code;                  /**< of the thread */
    struct mill_err err;
    pthread_t thread;
    size_t going; /**< under the sink's lock: the thread, and objects that are being put */
};

/** One object. */
struct upload_put {
    struct sink_upload *upload;
    struct sink_file *file;
    const char *key;
    bool begun;
    struct mill_str bytes;
    enum mill_s3_put how;
    enum mill_code code; /**< MILL_OK; MILL_E_IO: later; else stop */
    struct mill_err err;
};

static struct mill_object upload_object(const struct sink_part *r, const struct sink_file *f)
{
    return (struct mill_object){.kind = f->kind,
                                .topic = mill_str(r->topic->name),
                                .topic_id = mill_str(r->topic_id),
                                .partition = r->partition,
                                .start = r->start,
                                .end = r->plan.end,
                                .day = f->day,
                                .hour = f->hour};
}

/** What each of the range's files will be called. */
static enum mill_code upload_names(struct sink_upload *u, const char *prefix, struct mill_err *err)
{
    const struct sink_part *r = u->part->out;
    struct mill_buf name;
    enum mill_code rc = MILL_OK;

    mill_buf_init(&name, MILL_OBJECT_NAME_MAX);
    for (size_t i = 0; i < r->n_files && !rc; i++) {
        struct mill_object o = upload_object(r, &r->files[i]);
        mill_buf_reset(&name);
        rc = mill_object_name(&o, mill_str(prefix), &name, err);
        u->puts[i] = (struct upload_put){.upload = u, .file = &r->files[i]};
        u->puts[i].key = rc ? NULL : mill_arena_dup(&u->mem, mill_buf_view(&name)).p;
        if (!rc && !u->puts[i].key)
            rc = mill_fail(err, MILL_E_NOMEM, "upload", "out of memory");
    }
    mill_buf_release(&name);
    return rc;
}

/** What else the range became: [{"object":…,"rows":n},…]. */
static enum mill_code upload_siblings(struct sink_upload *u, struct mill_err *err)
{
    struct mill_buf *out = &u->siblings;

    mill_buf_putc(out, '[');
    for (size_t i = 0; i < u->part->out->n_files; i++) {
        mill_buf_puts(out, i ? ",{\"object\":" : "{\"object\":");
        mill_buf_json(out, mill_str(u->puts[i].key));
        mill_buf_printf(out, ",\"rows\":%lld}", (long long)u->puts[i].file->rows);
    }
    mill_buf_putc(out, ']');
    return out->failed ? mill_fail(err, MILL_E_NOMEM, "footer", "out of memory") : MILL_OK;
}

/** The file's bytes, with a footer that says what it is. */
static enum mill_code upload_finish(const struct sink_part *r, struct sink_file *f,
                                    const char *siblings, struct mill_str *bytes,
                                    struct mill_err *err)
{
    const struct mill_object o = upload_object(r, f);
    struct mill_footer_texts texts;
    struct mill_pq_pair pairs[MILL_FOOTER_RANGE + 3];
    struct mill_buf rejected;
    size_t n = MILL_FOOTER_RANGE;
    enum mill_code rc;

    mill_buf_init(&rejected, UPLOAD_TEXT_MAX);
    /* So many that the list is cut: the rejected= object still has them all. */
    mill_buf_printf(&rejected, "[%s]", r->rejected.failed || !r->rejected.n ? "" : r->rejected.p);
    mill_footer_range(&o, f->rows, &texts, pairs);
    pairs[n++] = (struct mill_pq_pair){"sendmill.plan", r->plan_text};
    pairs[n++] = (struct mill_pq_pair){"sendmill.siblings", siblings};
    pairs[n++] = (struct mill_pq_pair){"sendmill.rejected", rejected.failed ? "[]" : rejected.p};
    rc = mill_lake_file_finish(f->file, pairs, n, bytes, err);
    mill_buf_release(&rejected);
    return rc;
}

/** An object of that name is there: it must be what the same plan made. */
static enum mill_code upload_same(struct mill_s3 *s3, const char *key, struct mill_str plan,
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

static void upload_more(struct sink_upload *u)
{
    pthread_mutex_lock(&u->sink->lock);
    u->going++;
    pthread_mutex_unlock(&u->sink->lock);
}

/** Something of it has ended; what was the last is not touched afterwards. */
static void upload_less(struct sink_upload *u)
{
    struct sink *s = u->sink;

    pthread_mutex_lock(&s->lock);
    if (--u->going == 0)
        pthread_cond_signal(&s->over);
    pthread_mutex_unlock(&s->lock);
}

/** On a thread of the pool. */
static void upload_put(struct mill_s3 *s3, void *arg)
{
    struct upload_put *put = arg;
    const struct mill_pair meta = {MILL_STR("sendmill-plan"), mill_str(put->upload->plan)};
    enum mill_code rc;

    mill_s3_until(s3, put->upload->until_ms);
    rc = mill_s3_put_large(s3, put->key, put->bytes, (struct mill_map){&meta, 1}, &put->how,
                           &put->err);
    if (!rc && put->how == MILL_S3_EXISTS)
        rc = upload_same(s3, put->key, meta.value, &put->err);
    if (!rc)
        MILL_FAULT_POINT("sink.after-put");
    else
        atomic_store(&put->upload->stop, true);
    put->code = !rc || rc == MILL_E_STATE || rc == MILL_E_NOMEM ? rc : MILL_E_IO;
    upload_less(put->upload);
}

/** One more: finished here, put there. */
static enum mill_code upload_add(struct sink_upload *u, struct upload_put *put,
                                 struct mill_err *err)
{
    enum mill_code rc = upload_finish(u->part->out, put->file, u->siblings.p, &put->bytes, err);

    if (rc)
        return rc;
    put->begun = true;
    upload_more(u);
    mill_s3_pool_add(u->sink->pool, upload_put, put);
    return MILL_OK;
}

/** What is not yet in the lake; until the end, or a failure. */
static void *upload_main(void *arg)
{
    struct sink_upload *u = arg;

    for (size_t i = 0; i < u->part->out->n_files && !u->code && !atomic_load(&u->stop); i++)
        if (u->puts[i].file->file)
            u->code = upload_add(u, &u->puts[i], &u->err);
    upload_less(u);
    return NULL;
}

static void upload_free(struct sink_upload *u)
{
    mill_buf_release(&u->siblings);
    mill_arena_release(&u->mem);
    free(u);
}

void sink_uploads_init(struct sink *s)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->over, &attr);
    pthread_condattr_destroy(&attr);
}

void sink_uploads_release(struct sink *s)
{
    pthread_cond_destroy(&s->over);
    pthread_mutex_destroy(&s->lock);
}

enum mill_code sink_upload_begin(struct mill_ctx *ctx, struct sink_part *p, int64_t until_ms,
                                 struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct sink *s = mill_state(ctx);
    unsigned char digest[MILL_SHA256_BYTES];
    struct sink_upload *u = calloc(1, sizeof *u);
    enum mill_code rc = MILL_OK;

    if (!u)
        return mill_fail(err, MILL_E_NOMEM, "upload", "out of memory");
    mill_buf_init(&u->siblings, UPLOAD_TEXT_MAX);
    u->part = p;
    u->sink = s;
    u->going = 1;
    u->until_ms = until_ms;
    u->puts = mill_arena_calloc(&u->mem, p->out->n_files + 1, sizeof *u->puts);
    if (!u->puts || !mill_sha256(mill_str(p->out->plan_text), digest))
        rc = mill_fail(err, MILL_E_NOMEM, "upload", "out of memory");
    if (!rc) {
        mill_hex(digest, sizeof digest, u->plan);
        rc = upload_names(u, conf->s3.prefix, err);
    }
    if (!rc)
        rc = upload_siblings(u, err);
    if (!rc && pthread_create(&u->thread, NULL, upload_main, u))
        rc = mill_fail(err, MILL_E_NOMEM, "upload", "no thread");
    if (rc) {
        upload_free(u);
        return rc;
    }
    p->out->upload = u;
    s->n_uploads++;
    return MILL_OK;
}

/** A partition whose upload is over: this one, or if it is NULL any. */
static struct sink_part *upload_over(const struct sink *s, const struct sink_part *p)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct sink_part *r = s->parts[i]->out;
        if (r && r->upload && !r->upload->going && (!p || p == s->parts[i]))
            return s->parts[i];
    }
    return NULL;
}

struct sink_part *sink_upload_ended(struct sink *s, const struct sink_part *p, int64_t wait_ms)
{
    struct sink_part *over;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->lock);
    while (!(over = upload_over(s, p)) && wait_ms > 0 &&
           pthread_cond_timedwait(&s->over, &s->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&s->lock);
    return over;
}

/** It is in the lake. */
static void upload_done(struct mill_ctx *ctx, struct sink_part *r, const struct upload_put *put)
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
    r->held -= f->held;
    s->held -= f->held;
    f->held = 0;
}

/** It is over, or soon: the partition has none any more. */
static struct sink_upload *upload_join(struct sink *s, struct sink_part *p)
{
    struct sink_upload *u = p->out->upload;

    pthread_join(u->thread, NULL);
    pthread_mutex_lock(&s->lock);
    while (u->going)
        pthread_cond_wait(&s->over, &s->lock);
    pthread_mutex_unlock(&s->lock);
    s->n_uploads--;
    p->out->upload = NULL;
    return u;
}

enum mill_code sink_upload_end(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    struct sink_upload *u = upload_join(mill_state(ctx), p);
    enum mill_code rc = u->code;

    if (rc)
        *err = u->err;
    for (size_t i = 0; i < u->part->out->n_files; i++) {
        const struct upload_put *put = &u->puts[i];
        if (put->begun && !put->code) {
            upload_done(ctx, u->part->out, put);
        } else if (put->begun && (!rc || rc == MILL_E_IO)) { /* what stops us goes before */
            rc = put->code;
            *err = put->err;
        }
    }
    upload_free(u);
    return rc;
}

void sink_upload_cancel(struct sink *s, struct sink_part *p)
{
    if (!p->out || !p->out->upload)
        return;
    atomic_store(&p->out->upload->stop, true);
    upload_free(upload_join(s, p));
}
