/** @file attach.c  @brief See attach.h. */
#include "send/attach.h"
#include "base/hash.h"
#include "mail/request_rules.h"
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 4, BODY_SHARE = 3 /* the bytes, and a body of them as base64 */ };

/** What is fetched for one job. The threads see only this. */
struct send_fetched {
    struct send_job *job;
    const struct mill_attachments *from;
    size_t n;
    struct mill_buf *got; /**< one for each attachment; empty where it travels inside */
    size_t cost_bytes;
    bool admitted;       /**< its cost is taken from the budget */
    enum mill_code code; /**< MILL_OK: all are there; E_DATA, E_NOENT: for ever; else it may pass */
    struct mill_err err;
    struct send_fetched *next;
};

struct fetched_queue {
    struct send_fetched *head, *tail;
};

struct send_attach {
    const struct send_attach_conf *conf;
    struct fetched_queue waiting; /**< for the budget */
    uint64_t used_bytes;
    size_t busy;

    pthread_mutex_t lock; /**< for the rest */
    pthread_cond_t more;
    struct fetched_queue todo, ended;
    bool stop;
    pthread_t threads[THREADS];
    size_t threads_n;
};

#define OFF(m) offsetof(struct send_attach_conf, m)
const struct mill_opt send_attach_opts[] = {
    MILL_S3_OPT_ROWS(struct send_attach_conf, s3, 0),
    {.name = "attachments-max-bytes",
     .type = MILL_OPT_BYTES,
     .off = OFF(max_bytes),
     .def = "128MiB",
     .min = 1 << 20,
     .max = UINT64_C(1) << 40,
     .help = "memory for attachments that are fetched from S3, and for the bodies made of them"},
    {0},
};
#undef OFF

static void attach_add(struct fetched_queue *q, struct send_fetched *f)
{
    f->next = NULL;
    if (q->tail)
        q->tail->next = f;
    else
        q->head = f;
    q->tail = f;
}

static struct send_fetched *attach_first(struct fetched_queue *q)
{
    struct send_fetched *f = q->head;

    if (f) {
        q->head = f->next;
        q->tail = q->head ? q->tail : NULL;
    }
    return f;
}

/* ---- on the threads ---- */

/** A mail without its attachment, or with another, is not sent: the reference is the truth. */
static enum mill_code attach_check(const struct mill_blob_ref *ref, struct mill_str got,
                                   struct mill_err *err)
{
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];

    if (got.n != (size_t)ref->bytes)
        return mill_fail(err, MILL_E_DATA, "attachments",
                         "the stored object has %zu bytes instead of %lld", got.n,
                         (long long)ref->bytes);
    if (!mill_sha256(got, digest))
        return mill_fail(err, MILL_E_NOMEM, "attachments", "the crypto library failed");
    mill_hex(digest, sizeof digest, hex);
    if (!mill_str_ieq(mill_str(hex), ref->sha256))
        return mill_fail(err, MILL_E_DATA, "attachments", "the stored object has been altered");
    return MILL_OK;
}

static enum mill_code attach_one(const struct send_attach *a, struct mill_s3 *s3,
                                 const struct mill_blob_ref *ref, struct mill_buf *out,
                                 struct mill_err *err)
{
    char key[1100];
    enum mill_code code;

    if (ref->bytes < 0 || ref->bytes > MILL_MAIL_BYTES_MAX)
        return mill_fail(err, MILL_E_DATA, "attachments", "%lld bytes cannot be sent",
                         (long long)ref->bytes);
    if (!ref->key.n || ref->key.n >= sizeof key || memchr(ref->key.p, 0, ref->key.n))
        return mill_fail(err, MILL_E_DATA, "attachments", "its name on S3 is not one");
    if (a->conf->s3.prefix && !mill_str_starts(ref->key, a->conf->s3.prefix))
        return mill_fail(err, MILL_E_DATA, "attachments", "its name on S3 is not below s3-prefix");
    mill_str_cut(ref->key, key, sizeof key);
    mill_buf_init(out, (size_t)ref->bytes + 1);
    code = mill_s3_get(s3, key, out, err);
    if (code == MILL_E_NOENT)
        return mill_fail(err, code, "attachments", "the stored object is missing");
    return code ? code : attach_check(ref, mill_buf_view(out), err);
}

static void attach_fetch(const struct send_attach *a, struct mill_s3 *s3, struct send_fetched *f)
{
    for (size_t i = 0; !f->code && i < f->from->n; i++)
        if (f->from->v[i].ref)
            f->code = attach_one(a, s3, f->from->v[i].ref, &f->got[i], &f->err);
}

static void *attach_thread(void *arg)
{
    struct send_attach *a = arg;
    struct mill_err err = {0};
    struct mill_s3 *s3 = NULL;
    enum mill_code opened = mill_s3_open(&s3, &a->conf->s3, &err);

    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct send_fetched *f = attach_first(&a->todo);
        if (!f) {
            pthread_cond_wait(&a->more, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        f->code = opened;
        f->err = err;
        attach_fetch(a, s3, f);
        pthread_mutex_lock(&a->lock);
        attach_add(&a->ended, f);
    }
    pthread_mutex_unlock(&a->lock);
    mill_s3_free(s3);
    return NULL;
}

/* ---- on the stage's ---- */

static bool attach_bucket(const struct send_attach_conf *conf)
{
    return conf->s3.bucket && *conf->s3.bucket;
}

enum mill_code send_attach_new(struct send_attach **out, const struct send_attach_conf *conf,
                               struct mill_err *err)
{
    struct send_attach *a = calloc(1, sizeof *a);

    *out = NULL;
    if (!a)
        return mill_fail(err, MILL_E_NOMEM, "attachments", "out of memory");
    a->conf = conf;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->more, NULL);
    for (size_t i = 0; attach_bucket(conf) && i < THREADS; i++) {
        if (pthread_create(&a->threads[i], NULL, attach_thread, a)) {
            send_attach_free(a);
            return mill_fail(err, MILL_E_NOMEM, "attachments", "no thread to fetch them");
        }
        a->threads_n++;
    }
    *out = a;
    return MILL_OK;
}

void send_attach_forget(struct send_job *job)
{
    struct send_fetched *f = job->fetched;

    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        mill_buf_release(&f->got[i]);
    free(f->got);
    free(f);
    job->fetched = NULL;
}

void send_attach_free(struct send_attach *a)
{
    struct send_fetched *f;

    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->more);
    pthread_mutex_unlock(&a->lock);
    for (size_t i = 0; i < a->threads_n; i++)
        pthread_join(a->threads[i], NULL);
    while ((f = attach_first(&a->waiting)) || (f = attach_first(&a->todo)) ||
           (f = attach_first(&a->ended)))
        send_attach_forget(f->job);
    pthread_cond_destroy(&a->more);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

bool send_attach_needed(const struct send_job *job)
{
    for (size_t i = 0; i < job->msg->attachments.n; i++)
        if (job->msg->attachments.v[i].ref)
            return true;
    return false;
}

/** As many as there is room for; one alone is always let in. */
static void attach_admit(struct send_attach *a)
{
    while (a->waiting.head &&
           (!a->used_bytes || a->used_bytes + a->waiting.head->cost_bytes <= a->conf->max_bytes)) {
        struct send_fetched *f = attach_first(&a->waiting);
        a->used_bytes += f->cost_bytes;
        f->admitted = true;
        pthread_mutex_lock(&a->lock);
        if (a->threads_n) {
            attach_add(&a->todo, f);
            pthread_cond_signal(&a->more);
        } else {
            f->code = mill_fail(&f->err, MILL_E_CONFIG, "s3-bucket",
                                "is not set, and the mail has attachments there");
            attach_add(&a->ended, f);
        }
        pthread_mutex_unlock(&a->lock);
    }
}

bool send_attach_push(struct send_attach *a, struct send_job *job)
{
    struct send_fetched *f = calloc(1, sizeof *f);

    if (f)
        f->got = calloc(job->msg->attachments.n, sizeof *f->got);
    if (!f || !f->got) {
        free(f);
        return false;
    }
    f->job = job;
    f->from = &job->msg->attachments;
    f->n = f->from->n;
    for (size_t i = 0; i < f->from->n; i++)
        if (f->from->v[i].ref && f->from->v[i].ref->bytes > 0)
            f->cost_bytes += BODY_SHARE * (size_t)f->from->v[i].ref->bytes;
    job->fetched = f;
    a->busy++;
    attach_add(&a->waiting, f);
    attach_admit(a);
    return true;
}

/** Moves those whose INTENT has grown old from a queue to the ended ones. */
static void attach_give_up(struct send_attach *a, struct fetched_queue *q, int64_t oldest_ms)
{
    struct fetched_queue old = *q;
    struct send_fetched *f;

    *q = (struct fetched_queue){NULL, NULL};
    while ((f = attach_first(&old))) {
        bool late = f->job->intent_ms < oldest_ms;
        if (late)
            f->code = mill_fail(&f->err, MILL_E_IO, "attachments", "could not be fetched in time");
        attach_add(late ? &a->ended : q, f);
    }
}

/** The message with the bytes where the references were. */
static enum mill_code attach_fill(struct send_job *job, const struct send_fetched *f,
                                  struct mill_err *err)
{
    struct mill_message *m = mill_arena_alloc(&job->mem, sizeof *m);
    struct mill_attachment *v = mill_arena_calloc(&job->mem, f->from->n, sizeof *v);

    if (!m || !v)
        return mill_fail(err, MILL_E_NOMEM, "attachments", "out of memory");
    for (size_t i = 0; i < f->from->n; i++) {
        v[i] = f->from->v[i];
        if (!v[i].ref)
            continue;
        v[i].content = mill_buf_view(&f->got[i]);
        v[i].ref = NULL;
    }
    *m = *job->msg;
    m->attachments = (struct mill_attachments){v, f->from->n};
    job->msg = m;
    return MILL_OK;
}

struct send_job *send_attach_take(struct send_attach *a, int64_t oldest_ms, enum mill_code *code,
                                  struct mill_err *err)
{
    struct send_fetched *f;
    struct send_job *job;

    pthread_mutex_lock(&a->lock);
    attach_give_up(a, &a->waiting, oldest_ms);
    attach_give_up(a, &a->todo, oldest_ms);
    f = attach_first(&a->ended);
    pthread_mutex_unlock(&a->lock);
    if (!f)
        return NULL;
    job = f->job;
    a->busy--;
    *err = f->err;
    *code = f->code ? f->code : attach_fill(job, f, err);
    if (*code)
        send_attach_done(a, job);
    return job;
}

void send_attach_done(struct send_attach *a, struct send_job *job)
{
    if (!job->fetched)
        return;
    if (job->fetched->admitted)
        a->used_bytes -= job->fetched->cost_bytes;
    send_attach_forget(job);
    attach_admit(a);
}

size_t send_attach_busy(const struct send_attach *a)
{
    return a->busy;
}
