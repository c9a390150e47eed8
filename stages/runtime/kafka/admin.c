/* Topics: list, describe, create, configure; see admin.h. */
#include "kafka/admin.h"
#include "base/arena.h"
#include "kafka/rdkafka_int.h"

#include <stdlib.h>

struct mill_admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    uint32_t timeout_ms;
    struct mill_arena arena; /**< what the last answer borrowed from */
};

enum mill_code mill_admin_new(struct mill_admin **out, const struct mill_kafka_conf *conf,
                              uint32_t timeout_ms, struct mill_err *err)
{
    struct mill_admin *a = calloc(1, sizeof *a);
    rd_kafka_conf_t *rc;

    *out = NULL;
    if (!a)
        return mill_fail(err, MILL_E_NOMEM, "admin", "out of memory");
    rc = mill_rd_conf(RD_KAFKA_PRODUCER, conf, NULL, err);
    if (rc)
        a->rk = mill_rd_new(RD_KAFKA_PRODUCER, rc, err);
    if (!a->rk) {
        mill_admin_free(a);
        return MILL_E_CONFIG;
    }
    a->queue = rd_kafka_queue_new(a->rk);
    a->timeout_ms = timeout_ms;
    *out = a;
    return MILL_OK;
}

void mill_admin_free(struct mill_admin *a)
{
    if (!a)
        return;
    if (a->queue)
        rd_kafka_queue_destroy(a->queue);
    if (a->rk)
        rd_kafka_destroy(a->rk);
    mill_arena_release(&a->arena);
    free(a);
}

static rd_kafka_AdminOptions_t *admin_options(struct mill_admin *a, rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(a->rk, op);
    char text[128];

    rd_kafka_AdminOptions_set_request_timeout(o, (int)a->timeout_ms, text, sizeof text);
    return o;
}

/* The answer of one request; NULL with err when there is none, or it failed as a whole. */
static rd_kafka_event_t *admin_wait(struct mill_admin *a, const char *what, enum mill_code *code,
                                    struct mill_err *err)
{
    rd_kafka_event_t *ev = rd_kafka_queue_poll(a->queue, (int)a->timeout_ms + 1000);
    rd_kafka_resp_err_t e = ev ? rd_kafka_event_error(ev) : RD_KAFKA_RESP_ERR__TIMED_OUT;

    *code = MILL_OK;
    if (!e)
        return ev;
    *code = mill_rd_fail_code(err, what, e);
    if (ev)
        rd_kafka_event_destroy(ev);
    return NULL;
}

/* The id as Kafka's own tools print it: base64 for URLs, where librdkafka gives '+' and '/'. A
 * broker before 2.8 gives none, which is all zeros. */
static void admin_topic_id(const rd_kafka_Uuid_t *id, struct mill_topic *out)
{
    if (!rd_kafka_Uuid_most_significant_bits(id) && !rd_kafka_Uuid_least_significant_bits(id))
        return;
    mill_str_cut(mill_str(rd_kafka_Uuid_base64str(id)), out->id, sizeof out->id);
    for (char *c = out->id; *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
    }
}

/* @param broker out: one that answers; -1 = not known */
static enum mill_code admin_topic(struct mill_admin *a, const char *name, struct mill_topic *out,
                                  int32_t *broker, struct mill_err *err)
{
    rd_kafka_TopicCollection_t *names;
    rd_kafka_AdminOptions_t *o;
    rd_kafka_event_t *ev;
    int32_t partitions;
    enum mill_code code = MILL_OK;
    rd_kafka_resp_err_t e =
        mill_rd_partitions(a->rk, name, (int)a->timeout_ms, &partitions, broker);

    if (e)
        return mill_rd_fail_call(err, name, a->rk, e);
    *out = (struct mill_topic){.name = name, .partitions = partitions};
    names = rd_kafka_TopicCollection_of_topic_names(&name, 1);
    o = admin_options(a, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    /* Any broker knows; left to itself, librdkafka waits for the controller. */
    if (*broker >= 0)
        rd_kafka_AdminOptions_set_broker(o, *broker, NULL, 0);
    rd_kafka_DescribeTopics(a->rk, names, o, a->queue);
    ev = admin_wait(a, name, &code, err);
    if (ev) {
        size_t n = 0;
        const rd_kafka_TopicDescription_t **v =
            rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(ev), &n);
        if (n == 1 && !rd_kafka_error_code(rd_kafka_TopicDescription_error(v[0])))
            admin_topic_id(rd_kafka_TopicDescription_topic_id(v[0]), out);
        rd_kafka_event_destroy(ev);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_TopicCollection_destroy(names);
    /* An outage is one; a broker that cannot describe topics gives no ids, that is all. */
    return code == MILL_E_IO ? code : MILL_OK;
}

enum mill_code mill_admin_topic(struct mill_admin *a, const char *name, struct mill_topic *out,
                                struct mill_err *err)
{
    int32_t broker;

    return admin_topic(a, name, out, &broker, err);
}

/* All entries of the first resource of an answer, copied to the arena. */
static struct mill_map admin_entries(struct mill_admin *a, const rd_kafka_event_t *ev)
{
    size_t n = 0, count = 0;
    const rd_kafka_ConfigResource_t **r = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)ev), &n);
    const rd_kafka_ConfigEntry_t **e = n ? rd_kafka_ConfigResource_configs(r[0], &count) : NULL;
    struct mill_pair *v = mill_arena_calloc(&a->arena, count + 1, sizeof *v);

    for (size_t i = 0; v && i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(e[i]);
        v[i].key = mill_arena_dup(&a->arena, mill_str(rd_kafka_ConfigEntry_name(e[i])));
        v[i].value = mill_arena_dup(&a->arena, mill_str(value ? value : ""));
    }
    return (struct mill_map){v, v ? count : 0};
}

enum mill_code mill_admin_describe(struct mill_admin *a, const char *name, struct mill_topic *out,
                                   struct mill_err *err)
{
    int32_t broker;
    enum mill_code code = admin_topic(a, name, out, &broker, err);
    rd_kafka_ConfigResource_t *r;
    rd_kafka_AdminOptions_t *o;
    rd_kafka_event_t *ev;

    if (code)
        return code;
    mill_arena_reset(&a->arena);
    r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    o = admin_options(a, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    if (broker >= 0)
        rd_kafka_AdminOptions_set_broker(o, broker, NULL, 0);
    rd_kafka_DescribeConfigs(a->rk, &r, 1, o, a->queue);
    ev = admin_wait(a, name, &code, err);
    if (ev) {
        out->config = admin_entries(a, ev);
        rd_kafka_event_destroy(ev);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(r);
    return code;
}

enum mill_code mill_admin_list(struct mill_admin *a, const struct mill_topic **topics, size_t *n,
                               struct mill_err *err)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t e = rd_kafka_metadata(a->rk, 1, NULL, &md, (int)a->timeout_ms);
    struct mill_topic *v;

    *n = 0;
    *topics = NULL;
    if (e)
        return mill_rd_fail_call(err, "topics", a->rk, e);
    mill_arena_reset(&a->arena);
    v = mill_arena_calloc(&a->arena, (size_t)md->topic_cnt + 1, sizeof *v);
    for (int i = 0; v && i < md->topic_cnt; i++) {
        const char *name = md->topics[i].topic;
        if (mill_str_starts(mill_str(name), "__"))
            continue;
        v[*n].name = mill_arena_dup(&a->arena, mill_str(name)).p;
        v[(*n)++].partitions = md->topics[i].partition_cnt;
    }
    rd_kafka_metadata_destroy(md);
    *topics = v;
    return v ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "topics", "out of memory");
}

/* A setting's name and value as librdkafka wants them, NUL-terminated. */
static bool admin_setting(struct mill_admin *a, const struct mill_pair *p, const char *out[2])
{
    out[0] = mill_arena_dup(&a->arena, p->key).p;
    out[1] = mill_arena_dup(&a->arena, p->value).p;
    return out[0] && out[1];
}

static rd_kafka_NewTopic_t *admin_new_topic(struct mill_admin *a, const struct mill_topic *t,
                                            int32_t replication, struct mill_err *err)
{
    char text[256];
    rd_kafka_NewTopic_t *n =
        rd_kafka_NewTopic_new(t->name, t->partitions, replication, text, sizeof text);

    if (!n) {
        mill_fail(err, MILL_E_CONFIG, t->name, "%s", text);
        return NULL;
    }
    for (size_t i = 0; i < t->config.n; i++) {
        const char *s[2];
        if (!admin_setting(a, &t->config.v[i], s)) {
            mill_fail(err, MILL_E_NOMEM, t->name, "out of memory");
            rd_kafka_NewTopic_destroy(n);
            return NULL;
        }
        rd_kafka_NewTopic_set_config(n, s[0], s[1]);
    }
    return n;
}

enum mill_code mill_admin_create(struct mill_admin *a, const struct mill_topic *t,
                                 int32_t replication, struct mill_err *err)
{
    rd_kafka_NewTopic_t *topic = admin_new_topic(a, t, replication, err);
    rd_kafka_AdminOptions_t *o;
    rd_kafka_event_t *ev;
    enum mill_code code;

    if (!topic)
        return err->code;
    o = admin_options(a, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(a->rk, &topic, 1, o, a->queue);
    ev = admin_wait(a, t->name, &code, err);
    if (ev) {
        size_t n = 0;
        const rd_kafka_topic_result_t **r =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n);
        rd_kafka_resp_err_t e = n ? rd_kafka_topic_result_error(r[0]) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (e) {
            const char *why = rd_kafka_topic_result_error_string(r[0]);
            code = e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? MILL_E_STATE : mill_rd_code(e);
            mill_fail(err, code, t->name, "%s", why ? why : rd_kafka_err2str(e));
        }
        rd_kafka_event_destroy(ev);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_NewTopic_destroy(topic);
    return code;
}

enum mill_code mill_admin_alter(struct mill_admin *a, const char *name, struct mill_map config,
                                struct mill_err *err)
{
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_AdminOptions_t *o = admin_options(a, RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS);
    rd_kafka_event_t *ev;
    enum mill_code code;

    for (size_t i = 0; i < config.n; i++) {
        const char *s[2];
        rd_kafka_error_t *e;
        if (!admin_setting(a, &config.v[i], s)) {
            code = mill_fail(err, MILL_E_NOMEM, name, "out of memory");
            goto out;
        }
        e = rd_kafka_ConfigResource_add_incremental_config(r, s[0],
                                                           RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, s[1]);
        if (e) {
            code = mill_rd_fail(err, name, e);
            goto out;
        }
    }
    rd_kafka_IncrementalAlterConfigs(a->rk, &r, 1, o, a->queue);
    ev = admin_wait(a, name, &code, err);
    if (ev) {
        size_t n = 0;
        const rd_kafka_ConfigResource_t **v = rd_kafka_IncrementalAlterConfigs_result_resources(
            rd_kafka_event_IncrementalAlterConfigs_result(ev), &n);
        if (n && rd_kafka_ConfigResource_error(v[0]))
            code = mill_fail(err, mill_rd_code(rd_kafka_ConfigResource_error(v[0])), name, "%s",
                             rd_kafka_ConfigResource_error_string(v[0]));
        rd_kafka_event_destroy(ev);
    }
out:
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(r);
    return code;
}
