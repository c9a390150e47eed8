/* load BROKERS REGISTRY TOPIC COUNT [messages|events [DAYS]]: fills a topic with requests of about
 * 400 bytes, as a foreign producer would write them: id and key, no fingerprint. Or with the
 * messages that validate would make of them, or with events of the last DAYS days (bench_event.h).
 */
#include "bench_event.h"
#include "bench_kafka.h"
#include "bench_records.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "base/clock.h"

static long failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk, (void)opaque;
    failed += m->err != 0;
}

static rd_kafka_t *producer(const char *brokers)
{
    const char *const props[][2] = {
        {"bootstrap.servers", brokers},
        {"enable.idempotence", "true"},
        {"compression.type", "lz4"},
        {"linger.ms", "20"},
        {"partitioner", "murmur2"},
        {"queue.buffering.max.messages", "500000"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    bench_set(conf, props);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return bench_client(RD_KAFKA_PRODUCER, conf);
}

static int32_t register_schema(const char *url, const char *topic, const char *avsc)
{
    struct mill_registry *r = NULL;
    struct mill_err err = {0};
    char subject[300];
    int32_t id = 0;

    snprintf(subject, sizeof subject, "%s-value", topic);
    if (mill_registry_new(&r, url, 10000, &err) ||
        mill_registry_register(r, subject, mill_str(avsc), &id, &err))
        bench_die(err.where, err.text);
    mill_registry_free(r);
    return id;
}

struct load {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct mill_codec *codec;
    struct mill_buf body;
    int32_t id, partitions;
    uint64_t random;
    int64_t now_us;
    unsigned days;
};

enum load_kind { LOAD_REQUESTS, LOAD_MESSAGES, LOAD_EVENTS };

/* To the partition of the request: what is before the key's first slash. */
static void send_one(struct load *l, const void *value, const char *key)
{
    int32_t to = rd_kafka_msg_partitioner_murmur2(l->topic, key, strcspn(key, "/"), l->partitions,
                                                  NULL, NULL);

    mill_buf_reset(&l->body);
    if (!mill_frame_add(&l->body, l->id) || mill_codec_encode(l->codec, value, &l->body, NULL))
        bench_die("encode", "failed");
    while (rd_kafka_produce(l->topic, to, RD_KAFKA_MSG_F_COPY, l->body.p, l->body.n, key,
                            strlen(key), NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bench_die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(l->rk, 10);
    }
    rd_kafka_poll(l->rk, 0);
}

static void send_request(struct load *l, const char *id)
{
    struct mill_request r = bench_request;

    r.request_id = mill_str(id);
    r.accepted_at = mill_now_us();
    send_one(l, &r, id);
}

static void send_message(struct load *l, const char *id)
{
    const struct mill_request *r = &bench_request;
    struct mill_message m = {
        .request_id = mill_str(id),
        .tenant = r->tenant,
        .client = r->client,
        .accepted_at = mill_now_us(),
        .fingerprint = MILL_STR("b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"),
        .from = r->from,
        .to = {bench_to, 1},
        .subject = r->subject,
        .text = r->text,
        .categories = r->categories,
        .headers = r->headers,
        .metadata = r->metadata,
    };
    char key[80];

    snprintf(key, sizeof key, "%s/0", id);
    m.message_id = mill_str(key);
    send_one(l, &m, key);
}

static void send_event(struct load *l, uint64_t n)
{
    static struct bench_event_row row;

    bench_event_make(&row, n, &l->random, l->now_us, l->days);
    send_one(l, &row.event, row.message);
}

static void send_all(struct load *l, long count, enum load_kind kind)
{
    char id[64];

    for (long i = 0; i < count; i++) {
        snprintf(id, sizeof id, "01930c2f-7a4e-7c11-9b5e-%012lx", (unsigned long)i);
        if (kind == LOAD_EVENTS)
            send_event(l, (uint64_t)i);
        else if (kind == LOAD_MESSAGES)
            send_message(l, id);
        else
            send_request(l, id);
    }
    if (rd_kafka_flush(l->rk, 60000) || failed)
        bench_die("flush", "not all was delivered");
    fprintf(stderr, "load: %ld records of %zu bytes\n", count, l->body.n);
}

int main(int argc, char **argv)
{
    static const struct mill_desc *const descs[] = {
        [LOAD_REQUESTS] = &mill_request_desc,
        [LOAD_MESSAGES] = &mill_message_desc,
        [LOAD_EVENTS] = &bench_event_desc,
    };
    struct load l = {.random = 88172645463325252, .now_us = mill_now_us(), .days = 1};
    enum load_kind kind = argc < 6                       ? LOAD_REQUESTS
                          : !strcmp(argv[5], "messages") ? LOAD_MESSAGES
                                                         : LOAD_EVENTS;

    if (argc < 5 || argc > 7 || (kind == LOAD_EVENTS && strcmp(argv[5], "events")))
        bench_die("usage", "BROKERS REGISTRY TOPIC COUNT [messages|events [DAYS]]");
    if (argc == 7)
        l.days = (unsigned)strtoul(argv[6], NULL, 10);
    l.id = register_schema(argv[2], argv[3], descs[kind]->avsc);
    l.rk = producer(argv[1]);
    l.topic = rd_kafka_topic_new(l.rk, argv[3], NULL);
    l.partitions = bench_partitions(l.rk, argv[3]);
    if (mill_codec_new(&l.codec, descs[kind], NULL))
        bench_die("codec", "cannot be made");
    mill_buf_init(&l.body, 1 << 16);
    send_all(&l, strtol(argv[4], NULL, 10), kind);
    mill_buf_release(&l.body);
    mill_codec_free(l.codec);
    rd_kafka_topic_destroy(l.topic);
    rd_kafka_destroy(l.rk);
    return 0;
}
