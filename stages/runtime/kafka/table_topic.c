/* What a table must know of its topic before it reads it. */
#include "base/clock.h"
#include "kafka/admin.h"
#include "kafka/table_int.h"

enum { ADMIN_MS = 5000 };
#define TOMBSTONE_MS INT64_C(86400000) /* Kafka's default */

/* A topic made anew under its name is another topic; and what was deleted while we were away can be
 * known only as long as the broker keeps its tombstone. */
static enum mill_code topic_facts(struct mill_table *t, struct mill_err *err)
{
    struct mill_admin *admin = NULL;
    struct mill_topic topic = {0};
    enum mill_code code = mill_admin_new(&admin, &t->conf.kafka, ADMIN_MS, err);

    t->tombstone_ms = TOMBSTONE_MS;
    if (code)
        return code;
    code = mill_admin_topic(admin, t->conf.topic, &topic, err);
    if (!code) {
        memset(t->topic_id, 0, sizeof t->topic_id);
        mill_str_cut(mill_str(topic.id), t->topic_id, sizeof t->topic_id);
        code = mill_admin_describe(admin, t->conf.topic, &topic, err);
        if (!code &&
            !mill_str_i64(mill_map_get(topic.config, "delete.retention.ms"), &t->tombstone_ms))
            t->tombstone_ms = TOMBSTONE_MS;
        if (code && code != MILL_E_IO) {
            mill_log_err(MILL_INFO, "table_topic_settings", err); /* not permitted, maybe */
            code = MILL_OK;
        }
    }
    mill_admin_free(admin);
    return code;
}

/* How many partitions the topic has: where a key's records lie, and what a global table holds. */
static enum mill_code topic_partitions(struct mill_table *t, struct mill_err *err)
{
    int32_t n;
    enum mill_code code = mill_reader_partitions(t->reader, t->conf.topic, &n, err);

    if (code)
        return code;
    run_table_lock(t);
    t->partitions = n;
    run_table_unlock(t);
    return MILL_OK;
}

/* Of the registry. */
static enum mill_code topic_schema(struct mill_table *t, struct mill_err *err)
{
    struct mill_str json, subject;
    int32_t id;
    enum mill_code code;

    run_table_lock(t);
    mill_arena_reset(&t->arena);
    subject = mill_arena_printf(&t->arena, "%s-value", t->conf.topic);
    code = subject.p ? mill_registry_latest(t->conf.registry, subject.p, &id, &json, err)
                     : mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    if (!code)
        code = mill_codec_learn(t->codec, id, json, err);
    else if (code == MILL_E_NOENT)
        code = MILL_OK; /* nobody has written yet */
    run_table_unlock(t);
    return code;
}

enum mill_code run_table_learn(struct mill_table *t, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    if (!t->reader) /* none yet, or the last one has met its end */
        code = mill_reader_new(&t->reader, &t->conf.kafka, err);
    if (!code)
        code = topic_partitions(t, err);
    if (!code)
        code = topic_facts(t, err);
    return code ? code : topic_schema(t, err);
}
