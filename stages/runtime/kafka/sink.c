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

/** One partition's offset and metadata; NULL when out of memory. @own new */
static rd_kafka_topic_partition_list_t *sink_offset(const char *topic, int32_t partition,
                                                    int64_t next, struct mill_str metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *tp = rd_kafka_topic_partition_list_add(list, topic, partition);

    tp->offset = next;
    if (!metadata.n)
        return list;
    tp->metadata = rd_kafka_mem_malloc(NULL, metadata.n);
    if (!tp->metadata) {
        rd_kafka_topic_partition_list_destroy(list);
        return NULL;
    }
    memcpy(tp->metadata, metadata.p, metadata.n);
    tp->metadata_size = metadata.n;
    return list;
}

static enum mill_code sink_commit(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list,
                                  struct mill_err *err)
{
    const char *topic = list->elems[0].topic;
    rd_kafka_resp_err_t e = rd_kafka_commit(ctx->consumer, list, 0);

    if (!e)
        e = list->elems[0].err;
    switch (e) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return MILL_OK;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        mill_rd_fail_code(err, topic, e);
        return err->code = MILL_E_STATE;
    default:
        return mill_rd_fail_code(err, topic, e);
    }
}

/** The failure records as the outputs of a transaction. */
static enum mill_code sink_failures_add(struct mill_ctx *ctx, struct run_part *p,
                                        const struct mill_sink_failure *v, size_t n,
                                        struct mill_err *err)
{
    struct run_item *items = mill_arena_calloc(&ctx->arena, n, sizeof *items);

    for (size_t i = 0; items && i < n; i++) {
        items[i] = (struct run_item){.rec = v[i].in, .part = p};
        items[i].rec.origin = run_origin(ctx, &v[i].in, p);
        items[i].rec.attempt = run_attempt(&v[i].in);
        if (!run_failure_add(ctx, &items[i], MILL_REJECT, &v[i].why)) {
            ctx->outputs_n = 0;
            items = NULL;
        }
    }
    return items ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "failures", "out of memory");
}

static enum mill_code sink_commit_txn(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list,
                                      struct run_part *p, const struct mill_sink_failure *v,
                                      size_t n, struct mill_err *err)
{
    enum mill_code code = ctx->exit_code >= 0
                              ? mill_fail(err, MILL_E_KAFKA, "failures", "the process is ending")
                              : run_target_check(ctx, ctx->rc.failures_topic, -1, err);

    if (!code && !ctx->producer) /* most sinks never need one */
        code = run_txn_init(ctx, err);
    if (!code)
        code = sink_failures_add(ctx, p, v, n, err);
    if (code) /* whatever it is, it may pass */
        return code == MILL_E_NOMEM ? code : (err->code = MILL_E_KAFKA);
    switch (run_txn_commit(ctx, list)) {
    case RUN_TXN_OK:
        break;
    case RUN_TXN_LOST:
        code = mill_fail(err, MILL_E_STATE, list->elems[0].topic, "the group refused the offsets");
        break;
    default:
        /* The producer reads from the sink's memory, which the sink frees when it likes. */
        run_txn_abort(ctx);
        run_txn_end(ctx);
        code = mill_fail(err, MILL_E_KAFKA, "failures", "the process is ending");
        break;
    }
    ctx->outputs_n = ctx->produced = 0;
    return code;
}

enum mill_code mill_sink_commit(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                int64_t next, struct mill_str metadata,
                                const struct mill_sink_failure *v, size_t n, struct mill_err *err)
{
    rd_kafka_topic_partition_list_t *list;
    struct run_part *p = run_part_find(ctx, topic, partition);
    bool said = n && p && ctx->rc.failures_topic && *ctx->rc.failures_topic;
    enum mill_code code;

    if (!sink_is_member(ctx))
        return mill_fail(err, MILL_E_STATE, topic, "no longer the member that was assigned %d",
                         (int)partition);
    list = sink_offset(topic, partition, next, metadata);
    if (!list)
        return mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
    code = said ? sink_commit_txn(ctx, list, p, v, n, err) : sink_commit(ctx, list, err);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code && p)
        p->unmoved = next;
    return code;
}

enum mill_code mill_sink_headers(struct mill_ctx *ctx, const struct mill_record *in,
                                 struct mill_map *headers, struct mill_err *err)
{
    return mill_rd_headers(run_item_of(in)->msg, &ctx->arena, headers)
               ? MILL_OK
               : mill_fail(err, MILL_E_NOMEM, in->topic, "out of memory");
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
