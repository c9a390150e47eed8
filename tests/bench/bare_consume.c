/* bare_consume BROKERS TOPIC COUNT [REGISTRY]: the least that a reader of a topic can do with
 * librdkafka: take COUNT records of all partitions from their start, and drop them. With REGISTRY
 * each is also decoded, as a stage does. Prints a JSON line; the clocks run from the first record
 * to the last. */
#include "bench_event.h"
#include "bench_kafka.h"
#include "bench_util.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "avro/wire.h"

enum { CHUNK = 1000 };

struct bare {
    struct mill_codec *codec; /* NULL: records are dropped as they come */
    struct mill_arena mem;
    uint64_t bytes;
    int64_t sum; /* of what was decoded */
};

static void open_codec(struct bare *b, const char *registry, const char *topic)
{
    struct mill_registry *r = NULL;
    struct mill_str json;
    struct mill_err err = {0};
    char subject[300];
    int32_t id = 0;

    snprintf(subject, sizeof subject, "%s-value", topic);
    if (mill_registry_new(&r, registry, 10000, &err) ||
        mill_registry_latest(r, subject, &id, &json, &err) ||
        mill_codec_new(&b->codec, &bench_event_desc, &err) ||
        mill_codec_learn(b->codec, id, json, &err))
        bench_die(err.where, err.text);
    mill_registry_free(r);
}

static void take(struct bare *b, const rd_kafka_message_t *m)
{
    struct bench_event12 event = {0};
    struct mill_err err = {0};
    struct mill_str body;
    int32_t id;

    b->bytes += m->len;
    if (!b->codec)
        return;
    if (mill_frame_split((struct mill_str){m->payload, m->len}, &id, &body, &err) ||
        mill_codec_decode(b->codec, id, body, &b->mem, &event, &err))
        bench_die("decode", err.text);
    b->sum += event.occurred_at;
}

static void assign(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(64);
    int32_t n = bench_partitions(rk, topic);

    for (int32_t p = 0; p < n; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    bench_check("assign", rd_kafka_assign(rk, list));
    rd_kafka_topic_partition_list_destroy(list);
}

int main(int argc, char **argv)
{
    static const char *const props[][2] = {
        {"queued.min.messages", "50000"}, {"queued.max.messages.kbytes", "65536"}, {NULL, NULL}};
    static rd_kafka_message_t *chunk[CHUNK];
    struct bare b = {0};
    double began = 0, cpu = 0;
    rd_kafka_queue_t *queue;
    rd_kafka_t *rk;
    long n = 0, count;

    if (argc < 4 || argc > 5)
        bench_die("usage", "BROKERS TOPIC COUNT [REGISTRY]");
    count = strtol(argv[3], NULL, 10);
    if (argc == 5)
        open_codec(&b, argv[4], argv[2]);
    rk = bench_consumer(argv[1], "bench-bare", props);
    assign(rk, argv[2]);
    queue = rd_kafka_queue_get_consumer(rk);
    while (n < count) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 1000, chunk, CHUNK);

        if (got > 0 && !n) {
            began = bench_now_s();
            cpu = bench_cpu_s();
        }
        for (ssize_t i = 0; i < got; i++) {
            if (chunk[i]->err)
                bench_die("consume", rd_kafka_message_errstr(chunk[i]));
            take(&b, chunk[i]);
            rd_kafka_message_destroy(chunk[i]);
        }
        mill_arena_reset(&b.mem);
        n += got > 0 ? got : 0;
    }
    began = bench_now_s() - began;
    cpu = bench_cpu_s() - cpu;
    printf("{\"rows\":%ld,\"seconds\":%.3f,\"cpu_s\":%.3f,\"rss_mb\":%.1f,\"bytes\":%llu}\n", n,
           began, cpu, bench_rss_mb(), (unsigned long long)b.bytes);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    mill_codec_free(b.codec);
    mill_arena_release(&b.mem);
    return 0;
}
