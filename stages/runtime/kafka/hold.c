/* Records that wait (MILL_LATER): the head of a partition is held in hand until its time, and those
 * behind it as far as there is room.
 *
 * A pause throws away what librdkafka has fetched of the partition and not handed out, so that
 * pausing and resuming for each record fetched 62 MB to deliver 30 of 10 KB. A partition is
 * therefore paused only while its head is far off or as much is held as may be, and goes on before
 * the time comes. */
#include "kafka/run.h"

#include <stdlib.h>

enum { HELD_MAX = 1000, HELD_BYTES = 4 << 20, NEAR_MS = 2000 };
/* All partitions together hold no more than this, about; but each of them a little. */
enum { HELD_ALL_BYTES = 32 << 20, HELD_LEAST_BYTES = 64 << 10 };

static size_t hold_count(const struct run_part *p)
{
    return p->held_n - p->held_at;
}

static bool hold_full(const struct mill_ctx *ctx, const struct run_part *p, unsigned part_of)
{
    size_t bytes = HELD_ALL_BYTES / ctx->parts_n;

    if (bytes > HELD_BYTES)
        bytes = HELD_BYTES;
    if (bytes < HELD_LEAST_BYTES)
        bytes = HELD_LEAST_BYTES;
    return hold_count(p) >= HELD_MAX / part_of || p->held_bytes >= bytes / part_of;
}

bool run_hold(struct mill_ctx *ctx, struct run_part *p, rd_kafka_message_t *m)
{
    if (p->held_at && (p->held_at == p->held_n || p->held_n == p->held_size)) {
        p->held_n -= p->held_at;
        memmove(p->held, p->held + p->held_at, p->held_n * sizeof *p->held);
        p->held_at = 0;
    }
    if (p->held_n == p->held_size) {
        size_t size = p->held_size ? p->held_size * 2 : 64;
        rd_kafka_message_t **v = realloc(p->held, size * sizeof(rd_kafka_message_t *));
        if (!v) {
            run_exit(ctx, MILL_EXIT_TEMP);
            return false;
        }
        p->held = v;
        p->held_size = size;
    }
    p->held[p->held_n++] = m;
    p->held_bytes += m->len + m->key_len;
    return true;
}

rd_kafka_message_t *run_unhold(struct run_part *p)
{
    rd_kafka_message_t *m = p->held[p->held_at++];

    p->held_bytes -= m->len + m->key_len;
    return m;
}

void run_hold_again(struct run_part *p, const rd_kafka_message_t *m)
{
    p->held_at--; /* it is still in its place */
    p->held_bytes += m->len + m->key_len;
}

void run_hold_pace(struct mill_ctx *ctx, struct run_part *p, int64_t now_ms)
{
    bool far_off = hold_count(p) && p->until_ms - now_ms > NEAR_MS;
    bool pause = far_off || hold_full(ctx, p, p->paused ? 2 : 1);
    rd_kafka_topic_partition_list_t *list;

    if (p->paused == pause)
        return;
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, p->topic, p->partition);
    if (pause)
        rd_kafka_pause_partitions(ctx->consumer, list);
    else
        rd_kafka_resume_partitions(ctx->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    p->paused = pause;
}
