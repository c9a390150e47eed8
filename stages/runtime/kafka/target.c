/* Is there such a topic and partition? Asked before a record is written where another record's
 * header said: librdkafka would fail the whole transaction for it, again and again, and one wrong
 * header would stop the process. */
#include "base/clock.h"
#include "kafka/run.h"

#include <stdio.h>

enum { ASK_MS = 5000, KNOWN_MS = 60000, MISSING_MS = 5000 };

/* @return partitions; 0 = there is no such topic; -1 = the broker did not say */
static int target_ask(struct mill_ctx *ctx, const char *topic)
{
    int32_t n;

    /* The consumer's handle: asking through a producer's may create the topic. */
    switch (mill_rd_partitions(ctx->consumer, topic, ASK_MS, &n, NULL)) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return n;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return 0;
    default:
        return -1;
    }
}

static struct run_target *target_slot(struct mill_ctx *ctx, const char *topic)
{
    struct run_target *t;

    for (size_t i = 0; i < ctx->targets_n; i++)
        if (!strcmp(ctx->targets[i].topic, topic))
            return &ctx->targets[i];
    if (ctx->targets_n < RUN_TARGETS_MAX)
        ctx->targets_n++;
    t = &ctx->targets[ctx->targets_at++ % RUN_TARGETS_MAX];
    *t = (struct run_target){.partitions = -1};
    snprintf(t->topic, sizeof t->topic, "%s", topic);
    return t;
}

enum mill_code run_target_check(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                struct mill_err *err)
{
    int64_t now = mill_tick_ms();
    struct run_target *t;

    if (strlen(topic) >= sizeof t->topic)
        return mill_fail(err, MILL_E_NOENT, "topic", "a name of %zu bytes", strlen(topic));
    t = target_slot(ctx, topic);
    if (t->partitions < 0 || now >= t->until_ms) {
        t->partitions = target_ask(ctx, topic);
        t->until_ms = now + (t->partitions > 0 ? KNOWN_MS : MISSING_MS);
    }
    if (t->partitions == 0)
        return mill_fail(err, MILL_E_NOENT, "topic", "there is no topic %s", topic);
    if (t->partitions > 0 && partition >= t->partitions)
        return mill_fail(err, MILL_E_NOENT, "partition", "%s has %d partitions, no number %d",
                         topic, t->partitions, partition);
    return MILL_OK; /* not said: an outage, which the commit waits out */
}
