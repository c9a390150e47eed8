/* Messages from the consumer. What lies ready is taken many at a time: a call for each was a
 * quarter of the time of a loop that has no other work than to gather. */
#include "kafka/run.h"

enum { LINGER_MS = 1 };

void run_poll_drop(struct mill_ctx *ctx)
{
    while (ctx->polled_at < ctx->polled_n)
        rd_kafka_message_destroy(ctx->polled[ctx->polled_at++]);
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

/* A wait is for one, since a call for many would wait for all of them. Records of one fetch get
 * ready one after the other: after the first a moment is left for those behind it, or it would be a
 * batch of its own, for whose end they wait. */
static void poll_more(struct mill_ctx *ctx, int wait_ms)
{
    uint64_t epoch;
    size_t n = 0;
    ssize_t more = 0;

    if (wait_ms && (ctx->polled[0] = rd_kafka_consumer_poll(ctx->consumer, wait_ms)))
        n = 1;
    epoch = ctx->epoch;
    if (n || !wait_ms)
        more = rd_kafka_consume_batch_queue(ctx->consumer_queue, n ? LINGER_MS : 0, ctx->polled + n,
                                            RUN_POLLED_MAX - n);
    n += more > 0 ? (size_t)more : 0;
    if (epoch != ctx->epoch) {
        poll_amid(ctx, n);
        n = 0;
    }
    ctx->polled_at = 0;
    ctx->polled_n = n;
    ctx->polled_epoch = ctx->epoch;
}

rd_kafka_message_t *run_poll(struct mill_ctx *ctx, int wait_ms)
{
    if (ctx->polled_epoch != ctx->epoch)
        run_poll_drop(ctx);
    if (ctx->polled_at == ctx->polled_n)
        poll_more(ctx, wait_ms);
    return ctx->polled_at < ctx->polled_n ? ctx->polled[ctx->polled_at++] : NULL;
}
