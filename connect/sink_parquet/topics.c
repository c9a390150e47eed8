/* The list options: which topics are raw, which fields are dropped, which columns are added. */
#include "sink_parquet/range.h"

#include "base/hash.h"

#include <stdlib.h>

/** Next piece of a list, spaces around it cut. @return false at the end */
static bool list_next(struct mill_str *rest, char stop, struct mill_str *out)
{
    const char *p;
    size_t n;

    if (!rest->n)
        return false;
    p = memchr(rest->p, stop, rest->n);
    n = p ? (size_t)(p - rest->p) : rest->n;
    *out = (struct mill_str){rest->p, n};
    rest->p += p ? n + 1 : n;
    rest->n -= p ? n + 1 : n;
    while (out->n && out->p[0] == ' ') {
        out->p++;
        out->n--;
    }
    while (out->n && out->p[out->n - 1] == ' ')
        out->n--;
    return true;
}

static bool topic_is_raw(const struct sink_conf *conf, struct mill_str topic)
{
    struct mill_str rest = mill_str(conf->raw_topics), one;

    while (list_next(&rest, ',', &one)) {
        if (one.n && one.p[one.n - 1] == '*' && topic.n >= one.n - 1 &&
            !memcmp(topic.p, one.p, one.n - 1))
            return true;
        if (one.n && mill_str_eq(one, topic))
            return true;
    }
    return false;
}

/** Paths of "topic:a,b.c;topic2:d" that are for this topic. @return how many; out may be NULL */
static size_t topic_drops(const struct sink_conf *conf, struct mill_str topic, struct mill_str *out)
{
    struct mill_str rest = mill_str(conf->drop), entry, name, path;
    size_t n = 0;

    while (list_next(&rest, ';', &entry)) {
        if (!list_next(&entry, ':', &name) || !mill_str_eq(name, topic))
            continue;
        while (list_next(&entry, ',', &path)) {
            if (path.n && out)
                out[n] = path;
            n += path.n > 0;
        }
    }
    return n;
}

static enum mill_code lists_meta(const struct sink_conf *conf, unsigned *mask, struct mill_err *err)
{
    struct mill_str rest = mill_str(conf->meta_columns), one;
    enum mill_meta m;

    *mask = 0;
    while (list_next(&rest, ',', &one)) {
        if (!one.n)
            continue;
        if (!mill_meta_parse(one, &m))
            return mill_fail(err, MILL_E_CONFIG, "meta-columns", "%.*s is no metadata column",
                             MILL_FMT(one));
        *mask |= 1u << m;
    }
    return MILL_OK;
}

enum mill_code sink_lists_check(const struct sink_conf *conf, struct mill_err *err)
{
    struct mill_str rest = mill_str(conf->drop), entry, name;
    unsigned mask;

    while (list_next(&rest, ';', &entry)) {
        if (!entry.n)
            continue;
        if (!list_next(&entry, ':', &name) || !name.n || !entry.n)
            return mill_fail(err, MILL_E_CONFIG, "drop", "an entry is not topic:field,field");
    }
    return lists_meta(conf, &mask, err);
}

/** Hash of all that decides how a record becomes a row and where the row goes. */
static bool topic_policy(struct sink_topic *t)
{
    struct mill_str parts[64];
    unsigned char digest[MILL_SHA256_BYTES];
    char mask[2] = {(char)('A' + (t->meta_mask & 31)), '\0'}, hex[2 * MILL_SHA256_BYTES + 1];
    size_t n = 0;

    parts[n++] = MILL_STR("1"); /* of this scheme */
    parts[n++] = MILL_STR("dt=broker time");
    parts[n++] = t->raw ? MILL_STR("raw") : MILL_STR("avro");
    parts[n++] = mill_str(mask);
    for (size_t i = 0; i < t->n_drop && n < sizeof parts / sizeof *parts; i++)
        parts[n++] = t->drop[i];
    if (!mill_sha256_parts(parts, n, digest))
        return false;
    mill_hex(digest, sizeof digest, hex);
    mill_str_cut((struct mill_str){hex, sizeof t->policy - 1}, t->policy, sizeof t->policy);
    return true;
}

static void topic_free(struct sink_topic *t)
{
    if (!t)
        return;
    mill_shape_free(t->base);
    mill_shape_free(t->shape);
    free(t->drop);
    free(t->name);
    free(t);
}

static enum mill_code topic_fill(const struct sink_conf *conf, const char *name,
                                 struct sink_topic *t, struct mill_err *err)
{
    enum mill_code rc = lists_meta(conf, &t->meta_mask, err);
    size_t size = strlen(name) + 1;

    if (rc)
        return rc;
    t->raw = topic_is_raw(conf, mill_str(name));
    t->name = malloc(size);
    t->n_drop = topic_drops(conf, mill_str(name), NULL);
    t->drop = calloc(t->n_drop + 1, sizeof *t->drop);
    if (!t->name || !t->drop)
        return mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");
    memcpy(t->name, name, size);
    topic_drops(conf, mill_str(name), t->drop);
    if (t->n_drop > 50)
        return mill_fail(err, MILL_E_CONFIG, "drop", "more than 50 fields of %s", name);
    if (!topic_policy(t))
        return mill_fail(err, MILL_E_STATE, "topic", "no hash");
    rc = mill_shape_new(&t->base, t->meta_mask, (struct mill_strs){t->drop, t->n_drop}, err);
    if (!rc)
        t->shape = mill_shape_keep(t->base);
    return rc;
}

enum mill_code sink_topic(struct mill_ctx *ctx, const char *name, struct sink_topic **out,
                          struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_topic *t, **more;
    enum mill_code rc;

    for (size_t i = 0; i < s->n_topics; i++)
        if (!strcmp(s->topics[i]->name, name)) {
            *out = s->topics[i];
            return MILL_OK;
        }
    more = realloc(s->topics, (s->n_topics + 1) * sizeof(struct sink_topic *));
    if (more)
        s->topics = more;
    t = more ? calloc(1, sizeof *t) : NULL;
    rc = t ? topic_fill(mill_conf(ctx), name, t, err)
           : mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");
    if (rc) {
        topic_free(t);
        return rc;
    }
    s->topics[s->n_topics++] = t;
    *out = t;
    return MILL_OK;
}

void sink_topics_free(struct sink *s)
{
    for (size_t i = 0; i < s->n_topics; i++)
        topic_free(s->topics[i]);
    free(s->topics);
    s->topics = NULL;
    s->n_topics = 0;
}
