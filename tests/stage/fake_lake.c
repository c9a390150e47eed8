#include "fake_lake.h"

#include "base/clock.h"
#include "net/s3_pool.h"
#include "net/s3_upload.h"
#include "sink.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct fake_lake fake_lake = {.offset = -1, .read_to = -1};

struct mill_s3 {
    int64_t until_ms;
    char meta[80];
    struct mill_pair pair;
};

void fake_lake_reset(void)
{
    for (size_t i = 0; i < fake_lake.n; i++) {
        free(fake_lake.objects[i].key);
        free(fake_lake.objects[i].bytes);
    }
    fake_lake = (struct fake_lake){.offset = -1, .read_to = -1};
}

/* Over the objects and the acts, for the threads that put and read; what tests look at meanwhile
 * they count themselves. */
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

/** Count an act. @return false when it fails; *effect: it has its effect all the same */
static bool fake_act(bool *effect)
{
    bool ok = false;

    pthread_mutex_lock(&fake_lock);
    *effect = !fake_lake.dead;
    if (!fake_lake.dead) {
        ok = ++fake_lake.acts != fake_lake.die_at;
        fake_lake.dead = !ok;
        *effect = ok || fake_lake.die_after;
    }
    pthread_mutex_unlock(&fake_lock);
    return ok;
}

static void fake_seen(void)
{
    if (fake_lake.on_act)
        fake_lake.on_act();
}

const char *fake_footer(const struct fake_object *o, const char *key)
{
    static char value[4096];
    size_t n = strlen(key);

    /* Thrift's compact form: name, then field 2 (0x18), then the length as a varint. */
    for (size_t i = o->n; i-- > 0;) {
        const unsigned char *p = (const unsigned char *)o->bytes + i;
        size_t len, at = n + 1;
        if (i + n + 3 > o->n || memcmp(p, key, n) || p[n] != 0x18)
            continue;
        len = p[at] & 0x7f;
        if (p[at++] & 0x80)
            len |= (size_t)p[at++] << 7;
        mill_str_cut((struct mill_str){(const char *)p + at, len}, value, sizeof value);
        return value;
    }
    return "";
}

/** Keep what a failure record would say. */
static void fake_failed(const struct mill_sink_failure *f)
{
    struct fake_failure *to = &fake_lake.failures[fake_lake.n_failures++];

    if (fake_lake.n_failures > FAKE_FAILURES)
        abort();
    *to = (struct fake_failure){.offset = f->in.offset};
    mill_str_cut(f->in.raw, to->raw, sizeof to->raw);
    to->raw_n = f->in.raw.n;
    mill_str_cut(f->in.key, to->key, sizeof to->key);
    mill_str_cut(mill_map_get(f->in.headers, "h"), to->header, sizeof to->header);
    snprintf(to->why, sizeof to->why, "%s: %s", f->why.where, f->why.text);
}

enum mill_code mill_sink_commit(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                int64_t next, struct mill_str metadata,
                                const struct mill_sink_failure *v, size_t n, struct mill_err *err)
{
    bool effect, ok = fake_act(&effect);

    (void)ctx;
    (void)topic;
    (void)partition;
    if (fake_lake.stale)
        return mill_fail(err, MILL_E_STATE, "commit", "another owns it");
    if (effect) {
        fake_lake.offset = next;
        mill_str_cut(metadata, fake_lake.metadata, sizeof fake_lake.metadata);
        for (size_t i = 0; i < n; i++)
            fake_failed(&v[i]);
    }
    if (ok && !fake_lake.commit_unknown)
        return MILL_OK;
    return mill_fail(err, MILL_E_KAFKA, "commit", "no answer");
}

enum mill_code mill_sink_headers(struct mill_ctx *ctx, const struct mill_record *in,
                                 struct mill_map *headers, struct mill_err *err)
{
    (void)ctx;
    (void)err;
    *headers = in->headers;
    return MILL_OK;
}

int64_t mill_sink_read_to(struct mill_ctx *ctx, const char *topic, int32_t partition)
{
    (void)ctx;
    (void)topic;
    (void)partition;
    return fake_lake.read_to;
}

enum mill_code mill_sink_schema(struct mill_ctx *ctx, int32_t id, struct mill_str *json,
                                struct mill_err *err)
{
    (void)ctx;
    if (fake_lake.registry_down)
        return mill_fail(err, MILL_E_IO, "registry", "is down");
    if (id < 1 || id > FAKE_SCHEMAS || !fake_lake.schemas[id - 1])
        return mill_fail(err, MILL_E_NOENT, "registry", "does not know it");
    *json = mill_str(fake_lake.schemas[id - 1]);
    return MILL_OK;
}

enum mill_code mill_sink_newest(struct mill_ctx *ctx, const char *topic, int32_t *id,
                                struct mill_str *json, struct mill_err *err)
{
    (void)topic;
    *id = fake_lake.newest;
    return mill_sink_schema(ctx, *id, json, err);
}

enum mill_code mill_s3_new(struct mill_s3 **out, const struct mill_s3_conf *conf,
                           struct mill_err *err)
{
    (void)conf;
    *out = calloc(1, sizeof **out);
    return *out ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
}

void mill_s3_until(struct mill_s3 *s, int64_t tick_ms)
{
    s->until_ms = tick_ms;
}

void mill_s3_free(struct mill_s3 *s)
{
    free(s);
}

/* On the caller's thread, at once: so that an act has a number. */
struct mill_s3_pool {
    bool none;
};

enum mill_code mill_s3_pool_new(struct mill_s3_pool **out, const struct mill_s3_opts *o,
                                size_t threads, struct mill_err *err)
{
    (void)o;
    (void)threads;
    *out = calloc(1, sizeof **out);
    return *out ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
}

void mill_s3_pool_free(struct mill_s3_pool *p)
{
    free(p);
}

void mill_s3_pool_add(struct mill_s3_pool *p, void (*run)(struct mill_s3 *s3, void *arg), void *arg)
{
    struct mill_s3 s3 = {0};

    (void)p;
    run(&s3, arg);
}

void mill_s3_pool_wait(struct mill_s3_pool *p)
{
    (void)p;
}

/** Under the lock. @return borrowed; NULL if there is none */
static struct fake_object *fake_find(const char *key)
{
    for (size_t i = 0; i < fake_lake.n; i++)
        if (!strcmp(fake_lake.objects[i].key, key))
            return &fake_lake.objects[i];
    return NULL;
}

static void fake_add(const char *key, struct mill_str body, struct mill_map meta)
{
    struct fake_object *o = &fake_lake.objects[fake_lake.n++];

    o->key = malloc(strlen(key) + 1);
    o->bytes = malloc(body.n);
    if (!o->key || !o->bytes)
        abort();
    memcpy(o->key, key, strlen(key) + 1);
    memcpy(o->bytes, body.p, body.n);
    o->n = body.n;
    mill_str_cut(mill_map_get(meta, "sendmill-plan"), o->plan, sizeof o->plan);
    o->made_ms = fake_lake.now_ms;
}

enum mill_code mill_s3_put_large(struct mill_s3 *s, const char *key, struct mill_str body,
                                 struct mill_map meta, enum mill_s3_put *how, struct mill_err *err)
{
    bool effect, ok;

    if (atomic_load(&fake_lake.s3_down))
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    if (s && s->until_ms && mill_tick_ms() > s->until_ms)
        return mill_fail(err, MILL_E_IO, "s3", "too late");
    ok = fake_act(&effect);
    pthread_mutex_lock(&fake_lock);
    *how = fake_find(key) ? MILL_S3_EXISTS : MILL_S3_CREATED;
    effect = effect && *how == MILL_S3_CREATED && fake_lake.n < FAKE_OBJECTS;
    if (effect)
        fake_add(key, body, meta);
    pthread_mutex_unlock(&fake_lock);
    if (effect)
        fake_seen();
    return ok ? MILL_OK : mill_fail(err, MILL_E_IO, "s3", "connection reset");
}

enum mill_code mill_s3_head(struct mill_s3 *s, const char *key, struct mill_s3_head *out,
                            struct mill_err *err)
{
    const struct fake_object *o;

    if (fake_lake.s3_down || fake_lake.dead)
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&fake_lock);
    o = fake_find(key);
    if (o) {
        snprintf(s->meta, sizeof s->meta, "%s", o->plan);
        out->bytes = o->n;
        out->modified_ms = o->made_ms;
    }
    pthread_mutex_unlock(&fake_lock);
    if (!o)
        return mill_fail(err, MILL_E_NOENT, "s3", "no such object");
    s->pair = (struct mill_pair){MILL_STR("sendmill-plan"), mill_str(s->meta)};
    out->now_ms = fake_lake.now_ms;
    out->meta = (struct mill_map){&s->pair, 1};
    return MILL_OK;
}

enum mill_code mill_s3_list(struct mill_s3 *s, const char *prefix,
                            bool (*each)(void *arg, const char *key, uint64_t bytes), void *arg,
                            struct mill_err *err)
{
    (void)s;
    if (fake_lake.s3_down || fake_lake.dead)
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    for (size_t i = 0; i < fake_lake.n; i++)
        if (!strncmp(fake_lake.objects[i].key, prefix, strlen(prefix)) &&
            !each(arg, fake_lake.objects[i].key, fake_lake.objects[i].n))
            break;
    return MILL_OK;
}

enum mill_code mill_s3_get_range(struct mill_s3 *s, const char *key, uint64_t from, uint64_t n,
                                 struct mill_buf *out, struct mill_err *err)
{
    const struct fake_object *o;
    enum mill_code rc = MILL_OK;

    (void)s;
    if (fake_lake.s3_down || fake_lake.dead)
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    if (atomic_fetch_add(&fake_lake.gets, 1) + 1 == fake_lake.fail_get)
        return mill_fail(err, MILL_E_IO, "s3", "connection reset");
    pthread_mutex_lock(&fake_lock);
    o = fake_find(key);
    if (!o)
        rc = mill_fail(err, MILL_E_NOENT, "s3", "no such object");
    else if (from + n > o->n)
        rc = mill_fail(err, MILL_E_DATA, "s3", "no such range");
    else
        mill_buf_add(out, o->bytes + from, n);
    pthread_mutex_unlock(&fake_lock);
    return rc;
}

static void fake_drop(const char *key)
{
    struct fake_object *o;

    pthread_mutex_lock(&fake_lock);
    o = fake_find(key);
    if (o) {
        free(o->key);
        free(o->bytes);
        *o = fake_lake.objects[--fake_lake.n];
    }
    pthread_mutex_unlock(&fake_lock);
}

static enum mill_code fake_answer(bool ok, struct mill_err *err)
{
    return ok ? MILL_OK : mill_fail(err, MILL_E_IO, "s3", "connection reset");
}

enum mill_code mill_s3_copy(struct mill_s3 *s, const char *from, const char *to,
                            struct mill_err *err)
{
    const struct fake_object *o;
    struct mill_pair plan = {MILL_STR("sendmill-plan"), {NULL, 0}};
    enum mill_s3_put how;

    pthread_mutex_lock(&fake_lock);
    o = fake_find(from);
    pthread_mutex_unlock(&fake_lock);
    if (!o)
        return mill_fail(err, MILL_E_NOENT, "s3", "no such object");
    plan.value = mill_str(o->plan);
    return mill_s3_put_large(s, to, (struct mill_str){o->bytes, o->n}, (struct mill_map){&plan, 1},
                             &how, err);
}

enum mill_code mill_s3_delete(struct mill_s3 *s, const char *key, struct mill_err *err)
{
    bool effect, ok = fake_act(&effect);

    (void)s;
    if (effect) {
        fake_drop(key);
        fake_seen();
    }
    return fake_answer(ok, err);
}

/* Not at once: what is seen in between is an act of its own for each key. */
enum mill_code mill_s3_delete_many(struct mill_s3 *s, const struct mill_str *keys, size_t n,
                                   struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; i < n && !rc; i++)
        rc = mill_s3_delete(s, keys[i].p, err);
    return rc;
}

struct mill_s3_upload {
    struct mill_s3 *s;
    char key[1100], plan[80];
    struct mill_buf bytes;
};

enum mill_code mill_s3_upload_new(struct mill_s3_upload **out, struct mill_s3 *s, const char *key,
                                  struct mill_map meta, size_t part_bytes, struct mill_err *err)
{
    struct mill_s3_upload *u = calloc(1, sizeof *u);

    (void)part_bytes;
    *out = u;
    if (!u)
        return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    u->s = s;
    snprintf(u->key, sizeof u->key, "%s", key);
    mill_str_cut(mill_map_get(meta, "sendmill-plan"), u->plan, sizeof u->plan);
    mill_buf_init(&u->bytes, 1 << 28);
    return MILL_OK;
}

enum mill_code mill_s3_upload_add(struct mill_s3_upload *u, struct mill_str bytes,
                                  struct mill_err *err)
{
    return mill_buf_str_add(&u->bytes, bytes) ? MILL_OK
                                              : mill_fail(err, MILL_E_NOMEM, "s3", "too much");
}

enum mill_code mill_s3_upload_finish(struct mill_s3_upload *u, enum mill_s3_put *how,
                                     struct mill_err *err)
{
    struct mill_pair plan = {MILL_STR("sendmill-plan"), mill_str(u->plan)};

    return mill_s3_put_large(u->s, u->key, mill_buf_view(&u->bytes), (struct mill_map){&plan, 1},
                             how, err);
}

void mill_s3_upload_free(struct mill_s3_upload *u)
{
    if (!u)
        return;
    mill_buf_release(&u->bytes);
    free(u);
}
