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
    /* With the version of what a rule reaches, so that no redo does otherwise than its author. */
    static const char *const guards[] = {"keep", "drop", "hash 2", "mask 2"};
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

/** What a plan says of it; not known when it does not fit. */
static void topic_layout(struct sink_topic *t)
{
    static const char *const words[] = {"keep", "drop", "hash", "mask"};
    struct mill_plan_layout *l = &t->layout;
    struct mill_buf rules;

    mill_buf_init(&rules, sizeof l->rules - 1);
    for (size_t i = 0; i < t->columns.n; i++)
        mill_buf_printf(&rules, "%s%.*s=%s", i ? "," : "", MILL_FMT(t->columns.v[i].path),
                        words[t->columns.v[i].guard]);
    *l = (struct mill_plan_layout){.known = !rules.failed && t->columns.time.n < sizeof l->time,
                                   .raw = t->raw,
                                   .hours = t->hours,
                                   .meta = t->meta_mask};
    mill_str_cut(mill_buf_view(&rules), l->rules, sizeof l->rules);
    mill_str_cut(t->columns.time, l->time, sizeof l->time);
    mill_buf_release(&rules);
}

static void topic_free(struct sink_topic *t)
{
    if (!t)
        return;
    mill_shape_free(t->base);
    mill_shape_free(t->shape);
    mill_buf_release(&t->text);
    free(t->rules);
    free(t->name);
    free(t);
}

/** What is done to its fields. @param text rules of topics, for the topic's life */
static enum mill_code topic_columns(const struct sink_conf *conf, struct sink_topic *t,
                                    struct mill_str text, struct mill_err *err)
{
    struct mill_str name = mill_str(t->name);
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
    return rc;
}

static enum mill_code topic_by_options(const struct sink_conf *conf, struct sink_topic *t,
                                       struct mill_err *err)
{
    struct mill_str name = mill_str(t->name);
    enum mill_code rc = mill_meta_list(mill_str(conf->meta_columns), &t->meta_mask, err);

    t->raw = mill_policy_names(mill_str(conf->raw_topics), name);
    t->hours = mill_policy_names(mill_str(conf->hours), name);
    if (!rc)
        rc = topic_columns(conf, t, mill_str(conf->columns), err);
    return rc ? rc : topic_time(conf, name, &t->columns.time, err);
}

static enum mill_code topic_by_plan(const struct sink_conf *conf, struct sink_topic *t,
                                    const struct mill_plan_layout *l, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    t->planned = *l;
    t->of_plan = true;
    t->meta_mask = l->meta & ((1u << MILL_META_COUNT) - 1);
    t->raw = l->raw;
    t->hours = l->hours;
    t->columns.time = mill_str(t->planned.time);
    if (l->rules[0]) {
        mill_buf_init(&t->text, sizeof l->rules + 2);
        mill_buf_printf(&t->text, "*:%s", l->rules);
        rc = t->text.failed ? mill_fail(err, MILL_E_NOMEM, "topic", "out of memory")
                            : topic_columns(conf, t, mill_buf_view(&t->text), err);
    }
    return rc;
}

/** @param l how a plan has it; NULL = as the options have it */
static enum mill_code topic_fill(const struct sink_conf *conf, const char *name,
                                 const struct mill_plan_layout *l, struct sink_topic *t,
                                 struct mill_err *err)
{
    size_t size = strlen(name) + 1;
    enum mill_code rc;

    t->name = malloc(size);
    if (!t->name)
        return mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");
    memcpy(t->name, name, size);
    rc = l ? topic_by_plan(conf, t, l, err) : topic_by_options(conf, t, err);
    if (!rc && !topic_policy(t))
        rc = mill_fail(err, MILL_E_STATE, "topic", "no hash");
    if (!rc)
        rc = mill_shape_new(&t->base, t->meta_mask, &t->columns, err);
    if (rc)
        return rc;
    t->shape = mill_shape_keep(t->base);
    topic_layout(t);
    return MILL_OK;
}

static enum mill_code topic_new(struct mill_ctx *ctx, const char *name,
                                const struct mill_plan_layout *l, struct sink_topic **out,
                                struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_topic **more = realloc(s->topics, (s->n_topics + 1) * sizeof(struct sink_topic *));
    struct sink_topic *t = more ? calloc(1, sizeof *t) : NULL;
    enum mill_code rc = t ? topic_fill(mill_conf(ctx), name, l, t, err)
                          : mill_fail(err, MILL_E_NOMEM, "topic", "out of memory");

    if (more)
        s->topics = more;
    if (rc) {
        topic_free(t);
        return rc;
    }
    s->topics[s->n_topics++] = t;
    *out = t;
    return MILL_OK;
}

enum mill_code sink_topic(struct mill_ctx *ctx, const char *name, struct sink_topic **out,
                          struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    enum mill_code rc;

    for (size_t i = 0; i < s->n_topics; i++)
        if (!s->topics[i]->of_plan && !strcmp(s->topics[i]->name, name)) {
            *out = s->topics[i];
            return MILL_OK;
        }
    rc = topic_new(ctx, name, NULL, out, err);
    return rc ? rc : sink_schema_check(ctx, *out, err);
}

enum mill_code sink_topic_planned(struct mill_ctx *ctx, const char *name,
                                  const struct mill_plan *plan, struct sink_topic **out,
                                  struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; i < s->n_topics; i++)
        if (!strcmp(s->topics[i]->name, name) && !strcmp(s->topics[i]->policy, plan->policy)) {
            *out = s->topics[i];
            return MILL_OK;
        }
    if (!plan->layout.known)
        return mill_fail(err, MILL_E_STATE, "plan", "it does not say how its rows are made");
    rc = topic_new(ctx, name, &plan->layout, out, err);
    if (!rc && strcmp((*out)->policy, plan->policy))
        rc = mill_fail(err, MILL_E_STATE, "plan",
                       "another hash-key, or another version of the sink, made its columns");
    return rc;
}

void sink_topics_free(struct sink *s)
{
    for (size_t i = 0; i < s->n_topics; i++)
        topic_free(s->topics[i]);
    free(s->topics);
    s->topics = NULL;
    s->n_topics = 0;
}
