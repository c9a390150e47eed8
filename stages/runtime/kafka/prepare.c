/* From a Kafka message to the record a stage sees. */
#include "kafka/run.h"

uint32_t run_attempt(const struct mill_record *in)
{
    int64_t n;

    if (!mill_str_i64(mill_header(in, "mill.attempt"), &n) || n < 0 || n > 1000000)
        return 0;
    return (uint32_t)n;
}

static const struct run_in_topic *prepare_topic(const struct mill_ctx *ctx,
                                                const struct run_part *p)
{
    size_t i = 0;

    while (ctx->in_topics[i].name != p->topic)
        i++;
    return &ctx->in_topics[i];
}

struct mill_str run_origin(struct mill_ctx *ctx, const struct mill_record *in,
                           const struct run_part *p)
{
    struct mill_str s = mill_header(in, "mill.origin");

    if (s.p)
        return s;
    return mill_origin(&ctx->arena, prepare_topic(ctx, p)->id, in->partition, in->offset,
                       in->timestamp_us);
}

static bool prepare_fault(struct mill_ctx *ctx, struct run_item *item, const struct mill_err *err)
{
    item->fault = mill_arena_alloc(&ctx->arena, sizeof *item->fault);
    if (!item->fault) {
        run_exit(ctx, MILL_EXIT_TEMP);
        return false;
    }
    *item->fault = *err;
    return true;
}

/* All but those that the loop has paused for their held records. */
static void prepare_resume(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list)
{
    for (size_t i = 0; i < ctx->parts_n; i++)
        if (ctx->parts[i]->paused)
            rd_kafka_topic_partition_list_del(list, ctx->parts[i]->topic, ctx->parts[i]->partition);
    rd_kafka_resume_partitions(ctx->consumer, list);
}

/* An outage of the registry is the world's fault, not the record's: wait for it, with the consumer
 * kept alive. */
static bool prepare_wait(struct mill_ctx *ctx, const struct mill_err *why, uint32_t *wait_ms)
{
    uint64_t epoch = ctx->epoch;
    rd_kafka_topic_partition_list_t *list = NULL;
    bool on;

    run_away(ctx, "waiting for the schema registry");
    mill_log_err(MILL_WARN, "registry_wait", why);
    run_txn_abort(ctx); /* its outputs are kept, and written again later */
    if (rd_kafka_assignment(ctx->consumer, &list))
        return false;
    rd_kafka_pause_partitions(ctx->consumer, list);
    on = run_backoff(ctx, wait_ms);
    if (on) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(ctx->consumer, 0);
        if (m)
            run_event(ctx, m); /* paused: not a record */
    }
    if (epoch == ctx->epoch)
        prepare_resume(ctx, list);
    rd_kafka_topic_partition_list_destroy(list);
    return on && epoch == ctx->epoch && ctx->exit_code < 0;
}

enum mill_code run_learn(struct mill_ctx *ctx, struct mill_codec *codec, int32_t id,
                         struct mill_err *err)
{
    struct mill_str json;
    enum mill_code code = mill_registry_schema(ctx->registry, id, &json, err);

    return code ? code : mill_codec_learn(codec, id, json, err);
}

static bool prepare_decode(struct mill_ctx *ctx, struct run_item *item, struct mill_codec *codec)
{
    struct mill_err err = {0};
    struct mill_str body;
    int32_t id = 0;
    uint32_t wait_ms = 0;
    void *value = mill_arena_alloc(&ctx->arena, mill_codec_desc(codec)->size);
    enum mill_code code = value ? MILL_OK : mill_fail(&err, MILL_E_NOMEM, "value", "out of memory");

    if (!code && !item->rec.raw.p)
        code = mill_fail(&err, MILL_E_DATA, "value", "the record has no value");
    if (!code)
        code = mill_frame_split(item->rec.raw, &id, &body, &err);
    while (!code && !mill_codec_knows(codec, id)) {
        code = run_learn(ctx, codec, id, &err);
        if (code != MILL_E_IO)
            continue;
        if (!prepare_wait(ctx, &err, &wait_ms))
            return false;
        code = MILL_OK;
    }
    if (wait_ms)
        run_away(ctx, NULL);
    if (!code)
        code = mill_codec_decode(codec, id, body, &ctx->arena, value, &err);
    if (code == MILL_E_NOMEM || code == MILL_E_AUTH) {
        run_fail(ctx, "decode_failed", &err);
        return false;
    }
    if (code)
        return prepare_fault(ctx, item, &err);
    item->rec.value = value;
    return true;
}

/* A retry topic carries what any of the ports' records have become: the failure headers say which
 * topic it came from. Without them, or where it failed as it came by the timer (the place is then
 * the retry topic itself), it is of the first port. */
static enum mill_code prepare_port(const struct mill_ctx *ctx, const struct run_part *p,
                                   const struct mill_record *in, size_t *port, struct mill_err *err)
{
    struct mill_str from = mill_header(in, "__connect.errors.topic");

    *port = p->port;
    if (!p->retry || !from.p || mill_str_is(from, p->topic) || !ctx->spec->in[1].name)
        return MILL_OK;
    for (size_t i = 0; i < ctx->in_topics_n; i++)
        if (!ctx->in_topics[i].retry && mill_str_is(from, ctx->in_topics[i].name)) {
            *port = ctx->in_topics[i].port;
            return MILL_OK;
        }
    return mill_fail(err, MILL_E_DATA, "__connect.errors.topic", "%.*s is no input of ours",
                     MILL_FMT(from));
}

static bool prepare_headers(struct mill_ctx *ctx, const rd_kafka_message_t *m,
                            struct mill_record *in, const struct run_part *p)
{
    if (!mill_rd_headers(m, &ctx->arena, &in->headers)) {
        run_exit(ctx, MILL_EXIT_TEMP);
        return false;
    }
    in->origin = run_origin(ctx, in, p);
    in->attempt = run_attempt(in);
    return true;
}

bool run_item_prepare(struct mill_ctx *ctx, struct run_item *item)
{
    const rd_kafka_message_t *m = item->msg;
    const struct run_part *p = item->part;
    struct mill_record *in = &item->rec;
    struct mill_err err = {0};
    rd_kafka_timestamp_type_t type;

    *in = (struct mill_record){
        .topic = p->topic,
        .partition = p->partition,
        .offset = m->offset,
        .timestamp_us = rd_kafka_message_timestamp(m, &type) * 1000,
        .key = {m->key, m->key_len},
        .raw = {m->payload, m->len},
    };
    in->append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    item->state = RUN_READY;
    if (!ctx->spec->sink && !prepare_headers(ctx, m, in, p))
        return false;
    if (prepare_port(ctx, p, in, &in->port, &err))
        return prepare_fault(ctx, item, &err);
    return ctx->in_codec[in->port] ? prepare_decode(ctx, item, ctx->in_codec[in->port]) : true;
}
