#include "fake_lake.h"

#include "sink.h"
#include <stdio.h>
#include <stdlib.h>

struct fake_lake fake_lake = {.offset = -1, .read_to = -1};

struct mill_s3 {
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

/** Count an act. @return false when it fails; *effect: it has its effect all the same */
static bool fake_act(bool *effect)
{
    *effect = !fake_lake.dead;
    if (fake_lake.dead)
        return false;
    if (++fake_lake.acts != fake_lake.die_at)
        return true;
    fake_lake.dead = true;
    *effect = fake_lake.die_after;
    return false;
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

enum mill_code mill_sink_commit(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                int64_t next, struct mill_str metadata, struct mill_err *err)
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
    }
    if (ok && !fake_lake.commit_unknown)
        return MILL_OK;
    return mill_fail(err, MILL_E_KAFKA, "commit", "no answer");
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

void mill_s3_free(struct mill_s3 *s)
{
    free(s);
}

static struct fake_object *fake_find(const char *key)
{
    for (size_t i = 0; i < fake_lake.n; i++)
        if (!strcmp(fake_lake.objects[i].key, key))
            return &fake_lake.objects[i];
    return NULL;
}

enum mill_code mill_s3_put_new(struct mill_s3 *s, const char *key, struct mill_str body,
                               struct mill_map meta, enum mill_s3_put *how, struct mill_err *err)
{
    struct fake_object *o;
    bool effect, ok;

    (void)s;
    if (fake_lake.s3_down)
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    ok = fake_act(&effect);
    *how = fake_find(key) ? MILL_S3_EXISTS : MILL_S3_CREATED;
    if (effect && *how == MILL_S3_CREATED && fake_lake.n < FAKE_OBJECTS) {
        o = &fake_lake.objects[fake_lake.n++];
        o->key = malloc(strlen(key) + 1);
        o->bytes = malloc(body.n);
        if (!o->key || !o->bytes)
            abort();
        memcpy(o->key, key, strlen(key) + 1);
        memcpy(o->bytes, body.p, body.n);
        o->n = body.n;
        mill_str_cut(mill_map_get(meta, "sendmill-plan"), o->plan, sizeof o->plan);
    }
    return ok ? MILL_OK : mill_fail(err, MILL_E_IO, "s3", "connection reset");
}

enum mill_code mill_s3_head(struct mill_s3 *s, const char *key, struct mill_s3_head *out,
                            struct mill_err *err)
{
    const struct fake_object *o = fake_find(key);

    if (fake_lake.s3_down || fake_lake.dead)
        return mill_fail(err, MILL_E_IO, "s3", "is down");
    if (!o)
        return mill_fail(err, MILL_E_NOENT, "s3", "no such object");
    memset(out, 0, sizeof *out);
    snprintf(s->meta, sizeof s->meta, "%s", o->plan);
    s->pair = (struct mill_pair){MILL_STR("sendmill-plan"), mill_str(s->meta)};
    out->bytes = o->n;
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
