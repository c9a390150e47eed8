/* Messages from the consumer. What lies ready is taken many at a time: a call for each was a
 * quarter of the time of a loop that has no other work than to gather. */
#include "kafka/run.h"

void run_poll_drop(struct mill_ctx *ctx)
{
    while (ctx->polled_at < ctx->polled_n)
        rd_kafka_message_destroy(ctx->polled[ctx->polled_at++]);
}

/* Waits: for one, since a call for many would wait for all of them. */
static size_t poll_one(struct mill_ctx *ctx, int wait_ms)
{
    ctx->polled[0] = rd_kafka_consumer_poll(ctx->consumer, wait_ms);
    return ctx->polled[0] ? 1 : 0;
}

/* Records before a rebalance and its events come in one call. They are of an assignment that is
 * gone; should records of the next be behind them already, which librdkafka does not tell apart, a
 * new process begins at the committed offsets. */
static void poll_amid(struct mill_ctx *ctx, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *m = ctx->polled[i];
        if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            run_event(ctx, m);
        else
            rd_kafka_message_destroy(m);
    }
    if (n && ctx->parts_n) {
        mill_log(MILL_WARN, "rebalanced_amid", NULL, "records of two assignments; starting anew");
        run_exit(ctx, MILL_EXIT_TEMP);
    }
}

static size_t poll_many(struct mill_ctx *ctx)
{
    uint64_t epoch = ctx->epoch;
    ssize_t got = rd_kafka_consume_batch_queue(ctx->consumer_queue, 0, ctx->polled, RUN_POLLED_MAX);
    size_t n = got > 0 ? (size_t)got : 0;

    if (epoch == ctx->epoch)
        return n;
    poll_amid(ctx, n);
    return 0;
}

rd_kafka_message_t *run_poll(struct mill_ctx *ctx, int wait_ms)
{
    if (ctx->polled_epoch != ctx->epoch)
        run_poll_drop(ctx);
    if (ctx->polled_at == ctx->polled_n) {
        ctx->polled_at = 0;
        ctx->polled_n = wait_ms ? poll_one(ctx, wait_ms) : poll_many(ctx);
        ctx->polled_epoch = ctx->epoch;
    }
    return ctx->polled_at < ctx->polled_n ? ctx->polled[ctx->polled_at++] : NULL;
}
