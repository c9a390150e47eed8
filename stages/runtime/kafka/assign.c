/* Assignments: where a partition begins, what is checked before its first record, and the way back.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "kafka/run.h"

#include <stdlib.h>

enum {
    COMMITTED_MOST_MS = 60000,
    ASK_MS = 5000,
    UNKNOWN_MOST_MS = 60000 /**< a broker that has just started does not know its topics yet */
};

struct run_part *run_part_find(struct mill_ctx *ctx, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < ctx->parts_n; i++) {
        struct run_part *p = ctx->parts[i];
        if (p->partition == partition && !strcmp(p->topic, topic))
            return p;
    }
    return NULL;
}

static void assign_part_free(struct run_part *p)
{
    for (size_t i = p->held_at; i < p->held_n; i++)
        rd_kafka_message_destroy(p->held[i]);
    free(p->held);
    free(p);
}

void run_parts_clear(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->parts_n; i++)
        assign_part_free(ctx->parts[i]);
    free(ctx->parts);
    ctx->parts = NULL;
    ctx->parts_n = 0;
}

static const struct run_in_topic *assign_topic(const struct mill_ctx *ctx, const char *name)
{
    for (size_t i = 0; i < ctx->in_topics_n; i++)
        if (!strcmp(ctx->in_topics[i].name, name))
            return &ctx->in_topics[i];
    return NULL;
}

/* Input and retry topic must give the same partitions, or one message could be in two hands. */
static enum mill_code assign_check(struct mill_ctx *ctx,
                                   const rd_kafka_topic_partition_list_t *list,
                                   struct mill_err *err)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &list->elems[i];
        const struct run_in_topic *t = assign_topic(ctx, tp->topic);
        if (!t)
            return mill_fail(err, MILL_E_STATE, tp->topic, "assigned a topic that is not read");
        for (size_t k = 0; k < ctx->in_topics_n; k++) {
            const struct run_in_topic *other = &ctx->in_topics[k];
            if (other->port != t->port || other->retry == t->retry)
                continue;
            if (!rd_kafka_topic_partition_list_find(
                    (rd_kafka_topic_partition_list_t *)(uintptr_t)list, other->name, tp->partition))
                return mill_fail(err, MILL_E_CONFIG, other->name,
                                 "partition %d of %s came without its twin: the two topics need "
                                 "the same number of partitions",
                                 tp->partition, tp->topic);
        }
    }
    return MILL_OK;
}

enum mill_code run_identity(const rd_kafka_consumer_group_metadata_t *meta, struct mill_err *err)
{
    const char *member = meta ? rd_kafka_consumer_group_metadata_member_id(meta) : NULL;

    if (!member || !*member || rd_kafka_consumer_group_metadata_generation_id(meta) < 0)
        return mill_fail(err, MILL_E_STATE, "group", "assigned without a member id or generation");
    return MILL_OK;
}

/* The group's own word on who we are, asked for anew at each assignment. */
static enum mill_code assign_identity(struct mill_ctx *ctx, struct mill_err *err)
{
    rd_kafka_consumer_group_metadata_t *meta = rd_kafka_consumer_group_metadata(ctx->consumer);

    if (ctx->group_meta)
        rd_kafka_consumer_group_metadata_destroy(ctx->group_meta);
    ctx->group_meta = meta;
    return run_identity(meta, err);
}

/* A coordinator that says that it is elsewhere or starting is waited for, however long: it will
 * answer, and it keeps no session meanwhile. */
bool run_committed_overdue(rd_kafka_resp_err_t e, int64_t *since_ms, int64_t now_ms)
{
    if (mill_rd_moves(e))
        *since_ms = now_ms;
    return now_ms - *since_ms > COMMITTED_MOST_MS;
}

/* Stable committed offsets: waits while a transaction of a former owner is open (13 to 20 s were
 * seen after a kill). Past a minute the process starts anew, in case the client is stuck; if that
 * helps not, the broker has left a transaction hanging: deploy/README.md tells what to do. */
static enum mill_code assign_committed(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list,
                                       struct mill_err *err)
{
    int64_t since = mill_tick_ms();
    uint32_t wait_ms = 0;

    for (;;) {
        rd_kafka_resp_err_t e = rd_kafka_committed(ctx->consumer, list, ASK_MS);
        for (int i = 0; !e && i < list->cnt; i++)
            e = list->elems[i].err;
        if (!e)
            return MILL_OK;
        if (mill_rd_code(e) == MILL_E_AUTH)
            return mill_rd_fail_code(err, "committed", e);
        if (run_committed_overdue(e, &since, mill_tick_ms()))
            return mill_fail(err, MILL_E_IO, "committed",
                             "%s: no stable offsets; is a transaction hanging?",
                             rd_kafka_err2name(e));
        run_away(ctx, "waiting for the group's committed offsets");
        mill_log(MILL_INFO, "committed_wait", MILL_KV(MILL_KS("code", rd_kafka_err2name(e))), "%s",
                 rd_kafka_err2str(e));
        if (!run_backoff(ctx, &wait_ms))
            return mill_fail(err, MILL_E_STATE, "committed", "stopped while waiting");
    }
}

/** A question of an assignment that is asked until it is answered: an outage is nobody's fault. */
struct assign_ask {
    const char *ev;  /**< of its log lines */
    const char *why; /**< /readyz meanwhile */
    int64_t began_ms;
    uint32_t wait_ms;
};

/* Asked again? The topic was there when the group gave it to us: that it is not known is believed
 * only after a while. */
static bool assign_again(struct mill_ctx *ctx, struct assign_ask *ask, const struct mill_err *err)
{
    int64_t now = mill_tick_ms();

    ask->began_ms = ask->began_ms ? ask->began_ms : now;
    if (err->code != MILL_E_IO &&
        (err->code != MILL_E_NOENT || now - ask->began_ms >= UNKNOWN_MOST_MS))
        return false;
    run_away(ctx, ask->why);
    mill_log_err(MILL_INFO, ask->ev, err);
    return run_backoff(ctx, &ask->wait_ms);
}

static enum mill_code assign_marks(struct mill_ctx *ctx, const rd_kafka_topic_partition_t *tp,
                                   int64_t *low, int64_t *high, struct mill_err *err)
{
    struct assign_ask ask = {.ev = "marks_wait", .why = "waiting for a partition's leader"};
    enum mill_code code;

    while ((code = mill_rd_marks(ctx->consumer, tp->topic, tp->partition, low, high, ASK_MS, err)))
        if (!assign_again(ctx, &ask, err))
            return code;
    return MILL_OK;
}

static enum mill_code assign_table(struct mill_ctx *ctx, struct mill_table *table,
                                   const int32_t *ids, size_t n, struct mill_err *err)
{
    struct assign_ask ask = {.ev = "table_wait", .why = "waiting for a table to catch up"};
    enum mill_code code;

    while ((code = run_table_assign(table, ids, n, ASK_MS, err)))
        if (!assign_again(ctx, &ask, err))
            return code;
    return MILL_OK;
}

/* A table's partitions are those of the first input (joined topics share their count); a global one
 * has all of its own. */
static enum mill_code assign_tables(struct mill_ctx *ctx,
                                    const rd_kafka_topic_partition_list_t *list,
                                    struct mill_err *err)
{
    int32_t *ids = calloc((size_t)list->cnt + 1, sizeof *ids);
    enum mill_code code = ids ? MILL_OK : mill_fail(err, MILL_E_NOMEM, "assign", "out of memory");
    size_t n = 0;

    for (int i = 0; !code && i < list->cnt; i++) {
        const struct run_in_topic *t = assign_topic(ctx, list->elems[i].topic);
        if (t && t->port == 0 && !t->retry)
            ids[n++] = list->elems[i].partition;
    }
    for (size_t i = 0; !code && i < RUN_PORTS_MAX && ctx->tables[i]; i++)
        code = assign_table(ctx, ctx->tables[i], ids, n, err);
    free(ids);
    return code;
}

static enum mill_code assign_sink(struct mill_ctx *ctx, rd_kafka_topic_partition_t *tp,
                                  struct mill_err *err)
{
    const struct run_in_topic *t = assign_topic(ctx, tp->topic);
    struct mill_position at = {
        .topic = t->name,
        .partition = tp->partition,
        .offset = tp->offset >= 0 ? tp->offset : -1,
        .metadata = {tp->metadata ? tp->metadata : "", tp->metadata_size},
    };
    enum mill_code code = assign_marks(ctx, tp, &at.low, &at.high, err);
    int64_t start;

    if (code)
        return code;
    memcpy(at.topic_id, t->id, sizeof at.topic_id);
    start = at.offset >= 0 ? at.offset : at.low;
    if (ctx->spec->sink->on_assign(ctx, &at, &start, err) != MILL_DONE)
        return err->code ? err->code : MILL_E_STATE;
    tp->offset = start;
    return MILL_OK;
}

static enum mill_code assign_part_new(struct mill_ctx *ctx, const rd_kafka_topic_partition_t *tp,
                                      struct mill_err *err)
{
    const struct run_in_topic *t = assign_topic(ctx, tp->topic);
    struct run_part **v = realloc(ctx->parts, (ctx->parts_n + 1) * sizeof(struct run_part *));
    struct run_part *p = v ? calloc(1, sizeof *p) : NULL;

    if (v)
        ctx->parts = v;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "assign", "out of memory");
    *p = (struct run_part){
        .topic = t->name,
        .partition = tp->partition,
        .port = t->port,
        .retry = t->retry,
        .next = -1,
        .unmoved = tp->offset,
        .read_to = -1,
        .taken_to = tp->offset,
    };
    ctx->parts[ctx->parts_n++] = p;
    return MILL_OK;
}

static enum mill_code assign_tell(struct mill_ctx *ctx, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && ctx->spec->on_assigned && i < ctx->parts_n; i++)
        if (ctx->parts[i]->port == 0 && !ctx->parts[i]->retry)
            code = ctx->spec->on_assigned(ctx, ctx->parts[i]->partition, err);
    return code;
}

/* In this order (protocols: group membership): committed offsets; the table up to a mark taken
 * after them; then records. A stale owner's last transaction is then either in the table or
 * refused. */
static enum mill_code assign_start(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list,
                                   struct mill_err *err)
{
    enum mill_code code = assign_committed(ctx, list, err);
    rd_kafka_resp_err_t e;

    MILL_FAULT_POINT("assign.after-committed");
    if (!code)
        code = assign_tables(ctx, list, err);
    run_parts_clear(ctx);
    for (int i = 0; !code && i < list->cnt; i++) {
        rd_kafka_topic_partition_t *tp = &list->elems[i];
        int64_t low = 0, high = 0;
        if (ctx->spec->sink) {
            code = assign_sink(ctx, tp, err);
        } else if (tp->offset < 0) {
            code = assign_marks(ctx, tp, &low, &high, err);
            tp->offset = low;
        }
        if (!code)
            code = assign_part_new(ctx, tp, err);
    }
    if (!code)
        code = assign_tell(ctx, err);
    if (code)
        return code;
    /* librdkafka keeps a pause over assignments; run_part.paused starts as false. */
    rd_kafka_resume_partitions(ctx->consumer, list);
    e = rd_kafka_assign(ctx->consumer, list);
    return e ? mill_rd_fail_code(err, "assign", e) : MILL_OK;
}

static void assign_taken(struct mill_ctx *ctx, rd_kafka_topic_partition_list_t *list)
{
    struct mill_err err = {0};
    enum mill_code code = assign_check(ctx, list, &err);

    if (!code)
        code = assign_identity(ctx, &err);
    if (!code)
        code = assign_start(ctx, list, &err);
    if (code) {
        rd_kafka_assign(ctx->consumer, NULL);
        if (!run_stopping(ctx))
            run_fail(ctx, "assign_failed", &err);
        return;
    }
    ctx->assigned = true;
    run_away(ctx, NULL);
    mill_log(MILL_INFO, "assigned", MILL_KV(MILL_KI("partitions", list->cnt)),
             "partitions assigned");
}

static void assign_given_up(struct mill_ctx *ctx)
{
    bool lost = rd_kafka_assignment_lost(ctx->consumer);

    if (ctx->spec->sink)
        for (size_t i = 0; i < ctx->parts_n && ctx->spec->sink->on_revoke; i++)
            ctx->spec->sink->on_revoke(ctx, ctx->parts[i]->topic, ctx->parts[i]->partition, lost);
    /* Calls that run are finished first: their outcomes must not be lost with the partition. */
    run_drive_pending(ctx);
    run_finish_batch(ctx, !lost);
    ctx->lost = false; /* whoever gets them begins at the committed offsets */
    run_parts_clear(ctx);
    rd_kafka_assign(ctx->consumer, NULL);
    mill_log(MILL_INFO, "revoked", MILL_KV(MILL_KI("lost", lost)), "partitions given up");
}

void run_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list,
                   void *opaque)
{
    struct mill_ctx *ctx = opaque;
    struct mill_err err = {0};

    ctx->epoch++;
    if (e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign_taken(ctx, list);
    } else if (e == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        assign_given_up(ctx);
    } else {
        rd_kafka_assign(rk, NULL);
        mill_rd_fail_code(&err, "rebalance", e);
        run_fail(ctx, "rebalance_failed", &err);
    }
}
