/* bare_copy BROKERS IN OUT GROUP COMMIT_RECORDS COMMIT_MS: the least that a transactional stage can
 * do with librdkafka: consume, produce the same bytes to the same partition, commit with the
 * offsets. Configuration as in stages/runtime/kafka (setup.c, txn.c): keep them in step. Ends on
 * SIGTERM. */
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bare_copy: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, rd_kafka_error_t *e)
{
    if (e)
        die(what, rd_kafka_error_string(e));
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const props[][2])
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512];

    for (; props[0][0]; props++)
        if (rd_kafka_conf_set(conf, props[0][0], props[0][1], text, sizeof text))
            die(props[0][0], text);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk)
        die("client", text);
    return rk;
}

static void open_copy(struct copy *c, char **argv)
{
    const char *const consumer[][2] = {
        {"bootstrap.servers", argv[1]},
        {"group.id", argv[4]},
        {"group.instance.id", argv[4]},
        {"partition.assignment.strategy", "range"},
        {"session.timeout.ms", "10000"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"isolation.level", "read_committed"},
        {"fetch.queue.backoff.ms", "10"},
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

    c->producer = client(RD_KAFKA_PRODUCER, producer);
    check("init", rd_kafka_init_transactions(c->producer, CALL_MS));
    c->out = rd_kafka_topic_new(c->producer, argv[3], NULL);
    c->consumer = client(RD_KAFKA_CONSUMER, consumer);
    rd_kafka_poll_set_consumer(c->consumer);
    c->in_name = argv[2];
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, c->in_name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t e = rd_kafka_subscribe(c->consumer, topics);
    if (e)
        die("subscribe", rd_kafka_err2str(e));
    rd_kafka_topic_partition_list_destroy(topics);
    c->queue = rd_kafka_queue_get_consumer(c->consumer);
}

static void copy_one(struct copy *c, const rd_kafka_message_t *m)
{
    if (m->err || m->partition >= PARTITIONS)
        die("consume", rd_kafka_message_errstr(m));
    if (!c->records++) {
        check("begin", rd_kafka_begin_transaction(c->producer));
        c->since_ms = now_ms();
    }
    while (rd_kafka_produce(c->out, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len, m->key,
                            m->key_len, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
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
    while (!stop) {
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
        die("usage", "BROKERS IN OUT GROUP COMMIT_RECORDS COMMIT_MS");
    signal(SIGTERM, on_signal);
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
