/* See group.h. */
#include "kafka/group.h"
#include "kafka/rdkafka_int.h"
#include "kafka/reader.h"

#include <stdlib.h>

enum { GROUP_ASK_MS = 10000 };

struct mill_group {
    rd_kafka_t *rk;             /**< has the group's name, and asks */
    struct mill_reader *reader; /**< for what the log has */
};

enum mill_code mill_group_new(struct mill_group **out, const struct mill_kafka_conf *conf,
                              const char *group, struct mill_err *err)
{
    const struct mill_prop props[] = {{"group.id", group},
                                      {"enable.auto.commit", "false"},
                                      {"enable.auto.offset.store", "false"},
                                      {NULL, NULL}};
    struct mill_group *g = calloc(1, sizeof *g);
    rd_kafka_conf_t *rc;
    enum mill_code code;

    *out = NULL;
    if (!g)
        return mill_fail(err, MILL_E_NOMEM, "group", "out of memory");
    code = mill_reader_new(&g->reader, conf, err);
    rc = code ? NULL : mill_rd_conf(RD_KAFKA_CONSUMER, conf, props, err);
    g->rk = rc ? mill_rd_new(RD_KAFKA_CONSUMER, rc, err) : NULL;
    if (!g->rk) {
        mill_group_free(g);
        return code ? code : MILL_E_CONFIG;
    }
    rd_kafka_poll_set_consumer(g->rk);
    *out = g;
    return MILL_OK;
}

void mill_group_free(struct mill_group *g)
{
    if (!g)
        return;
    if (g->rk) {
        rd_kafka_consumer_close(g->rk);
        rd_kafka_destroy(g->rk);
    }
    mill_reader_free(g->reader);
    free(g);
}

static enum mill_code group_ask(struct mill_group *g, const char *topic,
                                rd_kafka_topic_partition_list_t *list, struct mill_arena *mem,
                                struct mill_committed *out, struct mill_err *err)
{
    rd_kafka_resp_err_t e = rd_kafka_committed(g->rk, list, GROUP_ASK_MS);

    for (int i = 0; !e && i < list->cnt; i++)
        e = list->elems[i].err;
    if (e)
        return mill_rd_fail_call(err, topic, g->rk, e);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &list->elems[i];
        struct mill_committed *c = &out[i];
        enum mill_code code;

        c->partition = tp->partition;
        c->offset = tp->offset >= 0 ? tp->offset : -1;
        c->metadata = mill_arena_dup(mem, (struct mill_str){tp->metadata ? tp->metadata : "",
                                                            tp->metadata ? tp->metadata_size : 0});
        code = mill_reader_marks(g->reader, topic, tp->partition, &c->low, &c->high, err);
        if (code)
            return code;
        if (!c->metadata.p)
            return mill_fail(err, MILL_E_NOMEM, "group", "out of memory");
    }
    return MILL_OK;
}

enum mill_code mill_group_committed(struct mill_group *g, const char *topic, struct mill_arena *mem,
                                    struct mill_committed **out, size_t *n, struct mill_err *err)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    int32_t partitions = 0;
    enum mill_code code = mill_reader_partitions(g->reader, topic, &partitions, err);

    *n = (size_t)partitions;
    if (code)
        return code;
    *out = mill_arena_calloc(mem, *n + 1, sizeof **out);
    list = rd_kafka_topic_partition_list_new(partitions);
    if (!*out || !list) {
        code = mill_fail(err, MILL_E_NOMEM, "group", "out of memory");
    } else {
        for (int32_t p = 0; p < partitions; p++)
            rd_kafka_topic_partition_list_add(list, topic, p);
        code = group_ask(g, topic, list, mem, *out, err);
    }
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    return code;
}
