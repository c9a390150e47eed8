/* The options by topic: raw or not, what is done to fields, where rows lie, columns that are added.
 */
#include "sink_parquet/range.h"

#include "base/hash.h"

#include <stdlib.h>

enum { TOPIC_RULES_MAX = 50 };

/** Its field in "TOPIC:FIELD;TOPIC:FIELD"; absent when it has none. */
static enum mill_code topic_time(const struct sink_conf *conf, struct mill_str topic,
                                 struct mill_str *out, struct mill_err *err)
{
    struct mill_str rest = mill_str(conf->event_time);

    *out = (struct mill_str){NULL, 0};
    while (rest.n) {
        struct mill_str entry = mill_str_trim(mill_str_take(&rest, ';'));
        struct mill_str name = mill_str_trim(mill_str_take(&entry, ':'));

        entry = mill_str_trim(entry);
        if (!name.n || !entry.n)
            return mill_fail(err, MILL_E_CONFIG, "event-time", "an entry is not TOPIC:FIELD");
        if (mill_policy_names(name, topic))
            *out = entry;
    }
    return MILL_OK;
}

enum mill_code sink_lists_check(const struct sink_conf *conf, struct mill_err *err)
{
    struct mill_str none = MILL_STR(""), field;
    unsigned mask;
    size_t n;
    enum mill_code rc = mill_policy_read(mill_str(conf->columns), none, NULL, &n, err);

    if (!rc)
        rc = topic_time(conf, none, &field, err);
    return rc ? rc : mill_meta_list(mill_str(conf->meta_columns), &mask, err);
}

/** Hash of all that decides how a record becomes a row and where the row goes. The key of the
 *  hashes is in it by a hash of its own. */
static bool topic_policy(struct sink_topic *t)
{
    static const char *const guards[] = {"keep", "drop", "hash", "mask"};
    struct mill_str parts[2 * TOPIC_RULES_MAX + 8];
    unsigned char digest[MILL_SHA256_BYTES], key[MILL_SHA256_BYTES];
    char mask[2] = {(char)('A' + (t->meta_mask & 31)), '\0'}, hex[2 * MILL_SHA256_BYTES + 1];
    size_t n = 0;

    parts[n++] = MILL_STR("2"); /* of this scheme */
    parts[n++] = t->columns.time.n ? t->columns.time : MILL_STR("broker time");
    parts[n++] = t->hours ? MILL_STR("dt/hour") : MILL_STR("dt");
    parts[n++] = t->raw ? MILL_STR("raw") : MILL_STR("avro");
    parts[n++] = mill_str(mask);
    for (size_t i = 0; i < t->columns.n; i++) {
        parts[n++] = t->columns.v[i].path;
        parts[n++] = mill_str(guards[t->columns.v[i].guard]);
    }
    if (mill_policy_hashes(&t->columns)) {
        if (!mill_sha256(t->columns.key, key))
            return false;
        parts[n++] = (struct mill_str){(const char *)key, sizeof key};
    }
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
    free(t->rules);
    free(t->name);
    free(t);
}

/** What is done to its fields. */
static enum mill_code topic_columns(const struct sink_conf *conf, struct sink_topic *t,
                                    struct mill_err *err)
{
    struct mill_str text = mill_str(conf->columns), name = mill_str(t->name);
    struct mill_policy *p = &t->columns;
    enum mill_code rc = mill_policy_read(text, name, NULL, &p->n, err);

    if (!rc && p->n > TOPIC_RULES_MAX)
        rc = mill_fail(err, MILL_E_CONFIG, "columns", "more than %d fields of %s", TOPIC_RULES_MAX,
                       t->name);
    if (rc)
        return rc;
    t->rules = calloc(p->n + 1, sizeof *t->rules);
    if (!t->rules)
        return mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");
    rc = mill_policy_read(text, name, t->rules, &p->n, err);
    p->v = t->rules;
    p->key = mill_str(conf->hash_key);
    if (!rc && mill_policy_hashes(p) && !p->key.n)
        rc = mill_fail(err, MILL_E_CONFIG, "hash-key", "is not set, and %s has fields to hash",
                       t->name);
    return rc ? rc : topic_time(conf, name, &p->time, err);
}

static enum mill_code topic_fill(const struct sink_conf *conf, const char *name,
                                 struct sink_topic *t, struct mill_err *err)
{
    enum mill_code rc = mill_meta_list(mill_str(conf->meta_columns), &t->meta_mask, err);
    size_t size = strlen(name) + 1;

    if (rc)
        return rc;
    t->name = malloc(size);
    if (!t->name)
        return mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");
    memcpy(t->name, name, size);
    t->raw = mill_policy_names(mill_str(conf->raw_topics), mill_str(name));
    t->hours = mill_policy_names(mill_str(conf->hours), mill_str(name));
    rc = topic_columns(conf, t, err);
    if (!rc && !topic_policy(t))
        rc = mill_fail(err, MILL_E_STATE, "topic", "no hash");
    if (!rc)
        rc = mill_shape_new(&t->base, t->meta_mask, &t->columns, err);
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
