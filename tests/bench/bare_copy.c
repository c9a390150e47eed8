/* bare_copy BROKERS IN OUT GROUP COMMIT_RECORDS COMMIT_MS: the least that a transactional stage can
 * do with librdkafka: consume, produce the same bytes to the same partition, commit with the
 * offsets. Configuration as in stages/runtime/kafka (setup.c, txn.c): keep them in step. Ends on
 * SIGTERM. */
#include "bench_kafka.h"

#include <string.h>
#include <time.h>

enum { CHUNK = 1000, PARTITIONS = 64, CALL_MS = 10000 };

struct copy {
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *out;
    const char *in_name;
    rd_kafka_queue_t *queue;
    int64_t next[PARTITIONS]; /* offset to commit; -1 = nothing new */
    long records;             /* in the open transaction */
    int64_t since_ms;
};

static void check(const char *what, rd_kafka_error_t *e)
{
    if (e)
        bench_die(what, rd_kafka_error_string(e));
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void open_copy(struct copy *c, char **argv)
{
    const char *const consumer[][2] = {
        {"group.instance.id", argv[4]},
        {"queued.min.messages", "50000"},
        {"queued.max.messages.kbytes", "65536"},
        {NULL, NULL},
    };
    const char *const producer[][2] = {
        {"bootstrap.servers", argv[1]},
        {"transactional.id", argv[4]},
        {"transaction.timeout.ms", "10000"},
        {"retry.backoff.ms", "5"},
        {"linger.ms", "5"},
        {"compression.type", "lz4"},
        {"queue.buffering.max.messages", "200000"},
        {"queue.buffering.max.kbytes", "262144"},
        {NULL, NULL},
    };

    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    bench_set(conf, producer);
    c->producer = bench_client(RD_KAFKA_PRODUCER, conf);
    check("init", rd_kafka_init_transactions(c->producer, CALL_MS));
    c->out = rd_kafka_topic_new(c->producer, argv[3], NULL);
    c->consumer = bench_consumer(argv[1], argv[4], consumer);
    c->in_name = argv[2];
    bench_subscribe(c->consumer, c->in_name);
    c->queue = rd_kafka_queue_get_consumer(c->consumer);
}

static void copy_one(struct copy *c, const rd_kafka_message_t *m)
{
    if (m->err || m->partition >= PARTITIONS)
        bench_die("consume", rd_kafka_message_errstr(m));
    if (!c->records++) {
        check("begin", rd_kafka_begin_transaction(c->producer));
        c->since_ms = now_ms();
    }
    while (rd_kafka_produce(c->out, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len, m->key,
                            m->key_len, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bench_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(c->producer, 10);
    }
    c->next[m->partition] = m->offset + 1;
}

static void commit(struct copy *c)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(c->consumer);

    for (int p = 0; p < PARTITIONS; p++) {
        if (c->next[p] >= 0)
            rd_kafka_topic_partition_list_add(offsets, c->in_name, p)->offset = c->next[p];
        c->next[p] = -1;
    }
    check("offsets", rd_kafka_send_offsets_to_transaction(c->producer, offsets, group, CALL_MS));
    check("commit", rd_kafka_commit_transaction(c->producer, CALL_MS));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    c->records = 0;
}

static void run(struct copy *c, long commit_records, long commit_ms)
{
    static rd_kafka_message_t *chunk[CHUNK];

    memset(c->next, 0xff, sizeof c->next);
    while (!bench_stop) {
        ssize_t n = rd_kafka_consume_batch_queue(c->queue, c->records ? 0 : 100, chunk, CHUNK);
        for (ssize_t i = 0; i < n; i++) {
            copy_one(c, chunk[i]);
            rd_kafka_message_destroy(chunk[i]);
        }
        rd_kafka_poll(c->producer, 0);
        if (c->records &&
            (n <= 0 || c->records >= commit_records || now_ms() - c->since_ms >= commit_ms))
            commit(c);
    }
}

int main(int argc, char **argv)
{
    struct copy c = {0};

    if (argc != 7)
        bench_die("usage", "BROKERS IN OUT GROUP COMMIT_RECORDS COMMIT_MS");
    signal(SIGTERM, bench_on_signal);
    open_copy(&c, argv);
    run(&c, strtol(argv[5], NULL, 10), strtol(argv[6], NULL, 10));
    if (c.records)
        commit(&c);
    rd_kafka_queue_destroy(c.queue);
    rd_kafka_consumer_close(c.consumer);
    rd_kafka_destroy(c.consumer);
    rd_kafka_topic_destroy(c.out);
    rd_kafka_destroy(c.producer);
    return 0;
}
