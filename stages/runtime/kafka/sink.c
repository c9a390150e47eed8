/* What a sink may ask of the runtime; see sink.h. */
#include "sink.h"
#include "kafka/run.h"

#include <stdio.h>

/* A member that was thrown out commits without id or generation until it has joined again, and the
 * broker may take such a commit although another owns the partition: only the identity of the
 * assignment may commit. */
static bool sink_is_member(const struct mill_ctx *ctx)
{
    rd_kafka_consumer_group_metadata_t *now = rd_kafka_consumer_group_metadata(ctx->consumer);
    const char *member = now ? rd_kafka_consumer_group_metadata_member_id(now) : NULL;
    bool same = member && *member && ctx->group_meta && !rd_kafka_assignment_lost(ctx->consumer) &&
                !strcmp(member, rd_kafka_consumer_group_metadata_member_id(ctx->group_meta)) &&
                rd_kafka_consumer_group_metadata_generation_id(now) ==
                    rd_kafka_consumer_group_metadata_generation_id(ctx->group_meta);

    if (now)
        rd_kafka_consumer_group_metadata_destroy(now);
    return same;
}

enum mill_code mill_sink_commit(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                int64_t next, struct mill_str metadata, struct mill_err *err)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_topic_partition_t *tp;
    struct run_part *p = run_part_find(ctx, topic, partition);
    enum mill_code code = MILL_OK;
    rd_kafka_resp_err_t e;

    if (!sink_is_member(ctx))
        return mill_fail(err, MILL_E_STATE, topic, "no longer the member that was assigned %d",
                         (int)partition);
    list = rd_kafka_topic_partition_list_new(1);
    tp = rd_kafka_topic_partition_list_add(list, topic, partition);
    tp->offset = next;
    if (metadata.n) {
        tp->metadata = rd_kafka_mem_malloc(NULL, metadata.n);
        if (tp->metadata) {
            memcpy(tp->metadata, metadata.p, metadata.n);
            tp->metadata_size = metadata.n;
        }
    }
    e = metadata.n && !tp->metadata ? RD_KAFKA_RESP_ERR__FAIL
                                    : rd_kafka_commit(ctx->consumer, list, 0);
    if (!e)
        e = tp->err;
    rd_kafka_topic_partition_list_destroy(list);
    switch (e) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        if (p)
            p->unmoved = next;
        break;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        mill_rd_fail_code(err, topic, e);
        code = err->code = MILL_E_STATE;
        break;
    default:
        code = mill_rd_fail_code(err, topic, e);
    }
    return code;
}

int64_t mill_sink_read_to(struct mill_ctx *ctx, const char *topic, int32_t partition)
{
    const struct run_part *p = run_part_find(ctx, topic, partition);

    return p && p->held_at == p->held_n ? p->read_to : -1;
}

enum mill_code mill_sink_schema(struct mill_ctx *ctx, int32_t id, struct mill_str *json,
                                struct mill_err *err)
{
    return mill_registry_schema(ctx->registry, id, json, err);
}

enum mill_code mill_sink_newest(struct mill_ctx *ctx, const char *topic, int32_t *id,
                                struct mill_str *json, struct mill_err *err)
{
    char subject[RUN_TOPIC_NAME + sizeof "-value"];

    snprintf(subject, sizeof subject, "%s-value", topic);
    return mill_registry_latest(ctx->registry, subject, id, json, err);
}
