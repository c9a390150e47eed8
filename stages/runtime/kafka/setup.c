/* What a stage needs before its first record, made in order, and taken apart in reverse. */
#include "base/hash.h"
#include "kafka/admin.h"
#include "kafka/run.h"

#include <stdio.h>
#include <stdlib.h>

enum { REGISTRY_MS = 5000, ADMIN_MS = 2000, MEMBER_HASH_BYTES = 4 };
/* Bounds of what is read ahead within a budget, bytes. */
enum {
    AHEAD_MIN = 1 << 20,
    AHEAD_QUEUE_MAX = 64 << 20,
    AHEAD_FETCH_MAX = 50 << 20,
    AHEAD_PART_MAX = 1 << 20
};

/* ---- names ---- */

static enum mill_code setup_in_topic(struct mill_ctx *ctx, struct mill_str name, size_t port,
                                     bool retry, struct mill_err *err)
{
    size_t most = sizeof ctx->in_topics / sizeof *ctx->in_topics;
    struct run_in_topic *t = &ctx->in_topics[ctx->in_topics_n];

    if (ctx->in_topics_n == most)
        return mill_fail(err, MILL_E_CONFIG, "in", "over %zu input topics", most);
    if (name.n >= sizeof t->name)
        return mill_fail(err, MILL_E_CONFIG, "in", "a topic's name has 249 bytes at most");
    *t = (struct run_in_topic){.port = port, .retry = retry, .id = "-"};
    mill_str_cut(name, t->name, sizeof t->name);
    ctx->in_topics_n++;
    return MILL_OK;
}

/* A port's topic option: one name, or for a sink several with commas between. */
static enum mill_code setup_in_port(struct mill_ctx *ctx, size_t port, struct mill_err *err)
{
    const char *at = ctx->topics[port];
    enum mill_code code = MILL_OK;

    while (!code && *at) {
        size_t n = strcspn(at, ", ");
        if (n)
            code = setup_in_topic(ctx, (struct mill_str){at, n}, port, false, err);
        at += n + strspn(at + n, ", ");
    }
    return code;
}

static enum mill_code setup_names(struct mill_ctx *ctx, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    if (ctx->rc.group && *ctx->rc.group)
        snprintf(ctx->group, sizeof ctx->group, "%s", ctx->rc.group);
    else
        snprintf(ctx->group, sizeof ctx->group, "mill.%s", ctx->spec->name);
    snprintf(ctx->client_id, sizeof ctx->client_id, "%s.%s", ctx->group, ctx->common.instance);
    ctx->kafka = (struct mill_kafka_conf){ctx->common.brokers, ctx->client_id, ctx->common.rdkafka};
    for (size_t i = 0; !code && ctx->spec->in[i].name; i++)
        code = setup_in_port(ctx, i, err);
    if (!code && !ctx->in_topics_n)
        code = mill_fail(err, MILL_E_CONFIG, "in", "no topic to read");
    if (!code && !ctx->spec->no_retry && !ctx->spec->sink) {
        const char *given = ctx->rc.retry_topic;
        char topic[RUN_TOPIC_NAME];
        snprintf(topic, sizeof topic, "mail.retry.%s", ctx->spec->name);
        code = setup_in_topic(ctx, mill_str(given && *given ? given : topic), 0, true, err);
    }
    return code;
}

/* ---- schemas ---- */

static enum mill_code setup_register(struct mill_ctx *ctx, size_t port, struct mill_err *err)
{
    const char *topic = mill_out_topic(ctx, port);
    const struct mill_desc *desc = ctx->spec->out[port].desc;
    char subject[300];
    uint32_t wait_ms = 0;
    enum mill_code code;

    snprintf(subject, sizeof subject, "%s-value", topic);
    while ((code = mill_registry_register(ctx->registry, subject, mill_str(desc->avsc),
                                          &ctx->out_schema[port], err)) == MILL_E_IO) {
        run_away(ctx, "waiting for the schema registry");
        mill_log_err(MILL_WARN, "registry_wait", err);
        if (!run_backoff(ctx, &wait_ms))
            break;
    }
    if (!code)
        run_away(ctx, NULL);
    return code;
}

static enum mill_code setup_schemas(struct mill_ctx *ctx, struct mill_err *err)
{
    enum mill_code code = mill_registry_new(&ctx->registry, ctx->common.registry, REGISTRY_MS, err);

    for (size_t i = 0; !code && ctx->spec->in[i].name; i++)
        if (ctx->spec->in[i].desc)
            code = mill_codec_new(&ctx->in_codec[i], ctx->spec->in[i].desc, err);
    for (size_t i = 0; !code && ctx->spec->out && ctx->spec->out[i].name; i++) {
        if (!ctx->spec->out[i].desc)
            continue;
        code = mill_codec_new(&ctx->out_codec[i], ctx->spec->out[i].desc, err);
        if (!code)
            code = setup_register(ctx, i, err);
    }
    return code;
}

/* ---- Kafka ---- */

/* The static member's name, with a hash of the topics it reads: a broker hands a static member that
 * comes back its old assignment, even when it subscribes to other topics now. */
static enum mill_code setup_member(const struct mill_ctx *ctx, char *out, size_t size,
                                   struct mill_err *err)
{
    struct mill_str names[sizeof ctx->in_topics / sizeof *ctx->in_topics];
    unsigned char hash[MILL_SHA256_BYTES];
    char hex[2 * MEMBER_HASH_BYTES + 1];

    for (size_t i = 0; i < ctx->in_topics_n; i++)
        names[i] = mill_str(ctx->in_topics[i].name);
    if (!mill_sha256_parts(names, ctx->in_topics_n, hash))
        return mill_fail(err, MILL_E_NOMEM, "group.instance.id", "the crypto library failed");
    mill_hex(hash, MEMBER_HASH_BYTES, hex);
    snprintf(out, size, "%s.%s", ctx->client_id, hex);
    return MILL_OK;
}

/** How much is read ahead. */
struct setup_ahead {
    char messages[16];              /**< of a partition */
    char queue_kb[16];              /**< of all of them */
    char fetch[16], part_fetch[16]; /**< one answer of a broker, and a partition's part in it */
};

/* A budget covers more than the queue: a record in it takes about as much again in librdkafka, and
 * beside the queue stands one answer, as it came and unpacked. Measured with lz4 and records of 450
 * bytes: a queue of 8 MiB and answers of 4 MiB took 42 to 54 MB, 16 and 4 MiB 61 to 64 MB; the
 * usual 64 MiB and 50 MB took 75 to 100 MB. */
static void setup_ahead(const struct mill_ctx *ctx, struct setup_ahead *a)
{
    bool little = ctx->spec->fetch_little;
    uint64_t budget =
        ctx->spec->sink && ctx->spec->sink->prefetch ? ctx->spec->sink->prefetch(ctx->conf) : 0;
    uint64_t queue = budget / 4, fetch = budget / 8;

    snprintf(a->messages, sizeof a->messages, "%s", little ? "1000" : "50000");
    if (!budget) {
        snprintf(a->queue_kb, sizeof a->queue_kb, "%s", little ? "512" : "65536");
        snprintf(a->fetch, sizeof a->fetch, "52428800");
        snprintf(a->part_fetch, sizeof a->part_fetch, "%s", little ? "32768" : "1048576");
        return;
    }
    queue = queue < AHEAD_MIN ? AHEAD_MIN : queue > AHEAD_QUEUE_MAX ? AHEAD_QUEUE_MAX : queue;
    fetch = fetch < AHEAD_MIN ? AHEAD_MIN : fetch > AHEAD_FETCH_MAX ? AHEAD_FETCH_MAX : fetch;
    snprintf(a->queue_kb, sizeof a->queue_kb, "%llu", (unsigned long long)(queue >> 10));
    snprintf(a->fetch, sizeof a->fetch, "%llu", (unsigned long long)fetch);
    snprintf(a->part_fetch, sizeof a->part_fetch, "%llu",
             (unsigned long long)(fetch < AHEAD_PART_MAX ? fetch : AHEAD_PART_MAX));
}

static rd_kafka_t *setup_consumer(struct mill_ctx *ctx, struct mill_err *err)
{
    char member[sizeof ctx->client_id + 16];
    struct setup_ahead ahead;
    const struct mill_prop props[] = {
        {"group.id", ctx->group},
        /* Static membership: a restart within the session does not rebalance. */
        {"group.instance.id", member},
        {"partition.assignment.strategy", "range"},
        {"session.timeout.ms", "10000"},
        {"heartbeat.interval.ms", "2000"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", ctx->spec->sink ? "error" : "earliest"},
        {"enable.partition.eof", "true"}, /* says where it is with markers counted */
        {"isolation.level", "read_committed"},
        {"topic.metadata.refresh.interval.ms", "10000"},
        /* The fetcher sleeps this long on a full prefetch queue; its default is 1 s. Measured with
         * librdkafka 2.8: 215k records/s at 20,000 queued, 267k/s at 100,000 (144 MB). */
        {"fetch.queue.backoff.ms", "10"},
        {"queued.min.messages", ahead.messages},
        {"queued.max.messages.kbytes", ahead.queue_kb},
        {"fetch.max.bytes", ahead.fetch},
        {"max.partition.fetch.bytes", ahead.part_fetch},
        {NULL, NULL},
    };
    rd_kafka_conf_t *rc = NULL;
    rd_kafka_t *rk;

    setup_ahead(ctx, &ahead);
    if (!setup_member(ctx, member, sizeof member, err))
        rc = mill_rd_conf(RD_KAFKA_CONSUMER, &ctx->kafka, props, err);
    if (!rc)
        return NULL;
    rd_kafka_conf_set_rebalance_cb(rc, run_rebalance);
    rd_kafka_conf_set_opaque(rc, ctx);
    rk = mill_rd_new(RD_KAFKA_CONSUMER, rc, err);
    if (rk)
        rd_kafka_poll_set_consumer(rk);
    return rk;
}

/* Topic ids name a topic for ever, also after it was made anew under its old name. */
static enum mill_code setup_topic_ids(struct mill_ctx *ctx, struct mill_err *err)
{
    struct mill_admin *admin = NULL;
    uint32_t wait_ms = 0;
    enum mill_code code = mill_admin_new(&admin, &ctx->kafka, ADMIN_MS, err);

    for (size_t i = 0; !code && i < ctx->in_topics_n; i++) {
        struct mill_topic t;
        while ((code = mill_admin_topic(admin, ctx->in_topics[i].name, &t, err)) == MILL_E_IO ||
               code == MILL_E_NOENT || code == MILL_E_AUTH) {
            run_away(ctx, code == MILL_E_AUTH ? "the broker refuses us"
                                              : "waiting for the input topics");
            mill_log_err(MILL_WARN, "topic_wait", err);
            if (!run_backoff(ctx, &wait_ms))
                break;
        }
        if (!code && t.id[0])
            memcpy(ctx->in_topics[i].id, t.id, sizeof t.id);
        else if (!code && ctx->spec->sink)
            code = mill_fail(err, MILL_E_CONFIG, ctx->in_topics[i].name,
                             "the broker does not give the topic's id, which names its objects");
    }
    if (!code)
        run_away(ctx, NULL);
    mill_admin_free(admin);
    return code;
}

static enum mill_code setup_subscribe(struct mill_ctx *ctx, struct mill_err *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)ctx->in_topics_n);
    rd_kafka_resp_err_t e;

    for (size_t i = 0; i < ctx->in_topics_n; i++)
        rd_kafka_topic_partition_list_add(list, ctx->in_topics[i].name, RD_KAFKA_PARTITION_UA);
    e = rd_kafka_subscribe(ctx->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return e ? mill_rd_fail_code(err, "subscribe", e) : MILL_OK;
}

static enum mill_code setup_table(struct mill_ctx *ctx, size_t at, struct mill_err *err)
{
    const struct mill_table_port *port = &ctx->spec->tables[at];
    char folder[1024];
    uint32_t wait_ms = 0;
    const struct run_table_conf conf = {
        .name = port->name,
        .topic = ctx->topics[2 * RUN_PORTS_MAX + at],
        .desc = port->desc,
        .kafka = ctx->kafka,
        .registry = ctx->registry,
        .folder = folder,
        .max_bytes = ctx->rc.table_max_bytes,
        .record_max_bytes = ctx->rc.record_max_bytes,
        .global = port->global,
    };
    enum mill_code code;

    snprintf(folder, sizeof folder, "%s/%s", ctx->rc.state_dir, ctx->client_id);
    code = run_table_new(&ctx->tables[at], &conf, err);
    if (code)
        return code;
    while ((code = run_table_learn(ctx->tables[at], err)) == MILL_E_IO || code == MILL_E_NOENT) {
        run_away(ctx, "waiting for a table's topic or the schema registry");
        mill_log_err(MILL_WARN, "table_wait", err);
        if (!run_backoff(ctx, &wait_ms))
            break;
    }
    run_away(ctx, NULL);
    return code;
}

static enum mill_code setup_tables(struct mill_ctx *ctx, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && ctx->spec->tables && ctx->spec->tables[i].name; i++)
        code = setup_table(ctx, i, err);
    return code;
}

enum mill_code run_setup(struct mill_ctx *ctx, struct mill_err *err)
{
    enum mill_code code = setup_names(ctx, err);

    mill_arena_init(&ctx->arena);
    mill_buf_init(&ctx->scratch, ctx->rc.record_max_bytes);
    if (!code)
        code = run_status_start(ctx, err);
    if (!code)
        code = setup_schemas(ctx, err);
    if (!code)
        code = setup_topic_ids(ctx, err);
    if (!code && !ctx->spec->sink)
        code = run_txn_init(ctx, err);
    if (!code)
        code = setup_tables(ctx, err);
    if (!code && ctx->spec->open)
        code = ctx->spec->open(ctx, err);
    if (!code) {
        ctx->consumer = setup_consumer(ctx, err);
        code = ctx->consumer ? setup_subscribe(ctx, err) : MILL_E_CONFIG;
    }
    return code;
}

void run_teardown(struct mill_ctx *ctx)
{
    /* The close gives the partitions up, which commits what is settled. Then whoever reads from the
     * batch (producer, stage) goes before it, and all that refers to the consumer before that. */
    if (ctx->consumer)
        rd_kafka_consumer_close(ctx->consumer);
    run_txn_abort(ctx);
    run_txn_end(ctx);
    if (ctx->spec->close)
        ctx->spec->close(ctx);
    run_batch_reset(ctx);
    run_parts_clear(ctx);
    for (size_t i = 0; i < RUN_PORTS_MAX; i++)
        run_table_free(ctx->tables[i]);
    if (ctx->group_meta)
        rd_kafka_consumer_group_metadata_destroy(ctx->group_meta);
    if (ctx->consumer)
        rd_kafka_destroy(ctx->consumer);
    for (size_t i = 0; i < RUN_PORTS_MAX; i++) {
        mill_codec_free(ctx->in_codec[i]);
        mill_codec_free(ctx->out_codec[i]);
    }
    mill_registry_free(ctx->registry);
    mill_server_stop(ctx->status);
    mill_arena_release(&ctx->arena);
    mill_buf_release(&ctx->scratch);
    free(ctx->items);
    free(ctx->outputs);
}
