#include "compact/stage.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "compact/source.h"
#include "lake/footer_fetch.h"
#include "lake/merge.h"
#include "net/s3_upload.h"

#include <errno.h>

/** The bytes of a file on their way. */
struct stage_out {
    struct mill_s3_upload *upload;
    enum mill_code code; /**< why it did not take them */
    struct mill_err err;
};

static int stage_sink(void *arg, const void *data, size_t n)
{
    struct stage_out *out = arg;

    out->code = mill_s3_upload_add(out->upload, (struct mill_str){data, n}, &out->err);
    return !out->code ? 0 : out->code == MILL_E_NOMEM ? ENOMEM : EIO;
}

static const struct mill_compact_object *stage_part(const struct stage *g,
                                                    const struct mill_compact_step *s, size_t i)
{
    return &g->scan->v[s->parts[i]];
}

/** How many parts from the first on have columns that go together. */
static enum mill_code stage_fit(struct stage *g, const struct mill_compact_step *s,
                                struct mill_merge *m, size_t *n, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    for (*n = 0; *n < s->n && !rc; ++*n) {
        const struct mill_compact_object *o = stage_part(g, s, *n);
        struct mill_source source;
        struct mill_pq_source file;

        /* Neighbours mostly have the same: then nothing is fetched. */
        if (*n && mill_str_eq(o->footer->columns, stage_part(g, s, *n - 1)->footer->columns))
            continue;
        mill_source_init(&source, g->s3, o->key.p, o->bytes, false);
        file = mill_source_file(&source);
        rc = mill_merge_fits(m, &file, err);
        if (source.code) {
            rc = source.code;
            *err = source.err;
        }
        mill_source_release(&source);
        if (rc == MILL_E_SCHEMA)
            return MILL_OK;
        if (rc)
            break;
    }
    return rc;
}

/** Parts that follow each other, at hand or on their way. */
struct stage_batch {
    struct mill_source v[MILL_STAGE_AHEAD];
    size_t from, n; /**< of the step's parts */
};

/** Begin to fetch the parts from there on. */
static void stage_ahead(struct stage *g, const struct mill_compact_step *s, size_t from,
                        struct stage_batch *b)
{
    *b = (struct stage_batch){.from = from};
    for (; b->n < MILL_STAGE_AHEAD && from + b->n < s->n; b->n++) {
        const struct mill_compact_object *o = stage_part(g, s, from + b->n);
        struct mill_source *source = &b->v[b->n];

        mill_source_init(source, g->s3, o->key.p, o->bytes, true);
        if (o->bytes <= MILL_STAGE_AHEAD_BYTES)
            mill_s3_pool_add(g->pool, mill_source_fetch, source);
    }
}

static enum mill_code stage_add(struct stage *g, const struct mill_compact_step *s,
                                struct stage_batch *b, struct mill_merge *m, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; i < b->n && !rc; i++) {
        const struct mill_compact_object *o = stage_part(g, s, b->from + i);
        struct mill_source *source = &b->v[i];
        struct mill_pq_source file = mill_source_file(source);

        rc = mill_merge_add(m, o->key, o->footer, &file, err);
        if (source->code) {
            rc = source->code;
            *err = source->err;
        }
        mill_source_release(source);
    }
    return rc;
}

static void stage_drop(struct stage_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        mill_source_release(&b->v[i]);
}

/** A batch is merged while the next one is fetched. */
static enum mill_code stage_rows(struct stage *g, const struct mill_compact_step *s,
                                 struct mill_merge *m, struct stage_out *out, struct mill_err *err)
{
    struct stage_batch batches[2] = {{.n = 0}};
    enum mill_code rc = mill_merge_open(m, s->rows, stage_sink, out, err);

    if (!rc)
        stage_ahead(g, s, 0, &batches[0]);
    for (size_t k = 0; batches[k % 2].n && !rc; k++) {
        struct stage_batch *now = &batches[k % 2];

        mill_s3_pool_wait(g->pool);
        stage_ahead(g, s, now->from + now->n, &batches[(k + 1) % 2]);
        rc = stage_add(g, s, now, m, err);
    }
    mill_s3_pool_wait(g->pool);
    stage_drop(&batches[0]);
    stage_drop(&batches[1]);
    if (!rc)
        rc = mill_merge_finish(m, &s->o, err);
    if (out->code) {
        rc = out->code;
        *err = out->err;
    }
    return rc;
}

/** What the file is made of, as the object's metadata has it. */
static enum mill_code stage_plan(const struct stage *g, const struct mill_compact_step *s,
                                 char *hex, struct mill_err *err)
{
    unsigned char digest[MILL_SHA256_BYTES];
    struct mill_buf keys;
    bool ok;

    mill_buf_init(&keys, MILL_FOOTER_MAX);
    for (size_t i = 0; i < s->n; i++) {
        mill_buf_str_add(&keys, stage_part(g, s, i)->key);
        mill_buf_putc(&keys, '\n');
    }
    ok = !keys.failed && mill_sha256(mill_buf_view(&keys), digest);
    mill_buf_release(&keys);
    if (!ok)
        return mill_fail(err, MILL_E_NOMEM, "merge", "out of memory");
    mill_hex(digest, sizeof digest, hex);
    return MILL_OK;
}

/** What lies there now must be readable, and have the rows. */
static enum mill_code stage_verify(struct stage *g, const struct mill_compact_step *s,
                                   const char *key, struct mill_str plan, struct mill_err *err)
{
    struct mill_arena mem = {0};
    struct mill_footer footer;
    struct mill_s3_head head;
    struct mill_buf tail;
    enum mill_code rc = mill_s3_head(g->s3, key, &head, err);

    mill_buf_init(&tail, MILL_FOOTER_MAX);
    if (!rc && !mill_str_eq(mill_map_get(head.meta, "sendmill-plan"), plan))
        rc = mill_fail(err, MILL_E_STATE, "object", "%s is there, and of other parts", key);
    if (!rc)
        rc = mill_footer_fetch(g->s3, g->job->lib, key, head.bytes, &tail, &mem, &footer, err);
    if (!rc && (footer.rows != s->rows || !footer.parts.p))
        rc = mill_fail(err, MILL_E_DATA, "merge", "%s has %lld rows, its parts %lld", key,
                       (long long)footer.rows, (long long)s->rows);
    mill_buf_release(&tail);
    mill_arena_release(&mem);
    return rc;
}

/** One file of the step's parts. */
static enum mill_code stage_put(struct stage *g, const struct mill_compact_step *s,
                                struct mill_merge *m, const char *key, struct mill_err *err)
{
    char hex[2 * MILL_SHA256_BYTES + 1];
    struct mill_pair meta = {MILL_STR("sendmill-plan"), {hex, sizeof hex - 1}};
    struct stage_out out = {0};
    enum mill_s3_put how = MILL_S3_CREATED;
    enum mill_code rc = stage_plan(g, s, hex, err);

    mill_s3_until(g->s3, g->until_ms);
    if (!rc)
        rc = mill_s3_upload_new(&out.upload, g->s3, key, (struct mill_map){&meta, 1}, 0, err);
    if (!rc)
        rc = stage_rows(g, s, m, &out, err);
    if (!rc)
        MILL_FAULT_POINT("compact.before-put");
    if (!rc)
        rc = mill_s3_upload_finish(out.upload, &how, err);
    mill_s3_until(g->s3, 0);
    if (rc == MILL_E_IO && mill_tick_ms() > g->until_ms)
        rc = mill_fail(err, MILL_E_NOENT, "merge", "the plan is too old");
    mill_s3_upload_free(out.upload);
    if (!rc)
        MILL_FAULT_POINT("compact.after-put");
    return rc ? rc : stage_verify(g, s, key, meta.value, err);
}

void mill_stage_count(struct mill_compact_job *job, const struct mill_compact_step *s,
                      struct mill_str name, enum mill_compact_said said)
{
    struct mill_compact_count *c = &job->sum[s->act];

    c->steps++;
    c->parts += (int64_t)s->n;
    c->rows += s->rows;
    c->bytes += s->bytes;
    job->step(job->arg, s, name, said);
}

/** The step's first n parts as a step of their own. */
static struct mill_compact_step stage_first(const struct stage *g,
                                            const struct mill_compact_step *s, size_t n)
{
    struct mill_compact_step out = *s;

    out.n = n;
    out.bytes = 0;
    out.rows = 0;
    out.o.start = stage_part(g, s, 0)->o.start;
    out.o.end = stage_part(g, s, n - 1)->o.end;
    for (size_t i = 0; i < n; i++) {
        out.bytes += stage_part(g, s, i)->bytes;
        out.rows += stage_part(g, s, i)->footer->rows;
    }
    return out;
}

static enum mill_code stage_one(struct stage *g, const struct mill_compact_step *s,
                                struct mill_merge *m, struct mill_err *err)
{
    struct mill_compact_job *job = g->job;
    struct mill_buf key;
    enum mill_code rc;

    if (s->n < 2) {
        job->apart += (int64_t)s->n;
        job->step(job->arg, s, stage_part(g, s, 0)->name, MILL_COMPACT_APART);
        return MILL_OK;
    }
    mill_buf_init(&key, 2 * MILL_OBJECT_NAME_MAX);
    mill_buf_printf(&key, "%s%s", job->s3->prefix, MILL_COMPACT_STAGED);
    rc = mill_object_name(&s->o, (struct mill_str){NULL, 0}, &key, err);
    if (!rc)
        rc = stage_put(g, s, m, key.p, err);
    if (!rc)
        mill_stage_count(job, s, mill_buf_view(&key), MILL_COMPACT_DONE);
    mill_buf_release(&key);
    return rc;
}

enum mill_code mill_stage_merge(struct stage *g, const struct mill_compact_step *s,
                                struct mill_err *err)
{
    struct mill_compact_step rest = *s;
    const struct mill_lake_conf conf = {.lib = g->job->lib};
    enum mill_code rc = MILL_OK;

    while (rest.n && !rc) {
        struct mill_merge *m = NULL;
        size_t n = 0;

        rc = mill_merge_new(&m, &conf, err);
        if (!rc)
            rc = stage_fit(g, &rest, m, &n, err);
        if (!rc) {
            const struct mill_compact_step one = stage_first(g, &rest, n ? n : 1);
            rc = stage_one(g, &one, m, err);
            rest.parts += one.n;
            rest.n -= one.n;
        }
        mill_merge_free(m);
    }
    return rc;
}
