/* load BROKERS REGISTRY TOPIC COUNT [messages]: fills a topic with requests of about 400 bytes, as
 * a foreign producer would write them: id and key, no fingerprint. Or with the messages that
 * validate would make of them. */
#include "bench_records.h"

#include "avro/codec.h"
#include "avro/registry.h"
#include "base/clock.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static long failed;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk, (void)opaque;
    failed += m->err != 0;
}

static rd_kafka_t *producer(const char *brokers)
{
    const char *const props[][2] = {
        {"bootstrap.servers", brokers}, {"enable.idempotence", "true"},
        {"compression.type", "lz4"},    {"linger.ms", "20"},
        {"partitioner", "murmur2"},     {"queue.buffering.max.messages", "500000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[512];

    for (size_t i = 0; i < sizeof props / sizeof props[0]; i++)
        if (rd_kafka_conf_set(conf, props[i][0], props[i][1], text, sizeof text))
            die(props[i][0], text);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk)
        die("producer", text);
    return rk;
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
        die(err.where, err.text);
    mill_registry_free(r);
    return id;
}

struct load {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct mill_codec *codec;
    struct mill_buf body;
    int32_t id, partitions;
};

/* To the partition of the request: what is before the key's first slash. */
static void send_one(struct load *l, const void *value, const char *key)
{
    int32_t to = rd_kafka_msg_partitioner_murmur2(l->topic, key, strcspn(key, "/"), l->partitions,
                                                  NULL, NULL);

    mill_buf_reset(&l->body);
    if (!mill_frame_add(&l->body, l->id) || mill_codec_encode(l->codec, value, &l->body, NULL))
        die("encode", "failed");
    while (rd_kafka_produce(l->topic, to, RD_KAFKA_MSG_F_COPY, l->body.p, l->body.n, key,
                            strlen(key), NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
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

static int32_t partitions_of(rd_kafka_t *rk, rd_kafka_topic_t *t)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t e = rd_kafka_metadata(rk, 0, t, &md, 10000);
    int32_t n;

    if (e || md->topic_cnt != 1 || md->topics[0].partition_cnt < 1)
        die("metadata", rd_kafka_err2str(e));
    n = md->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(md);
    return n;
}

static void send_all(struct load *l, long count, bool messages)
{
    char id[64];

    for (long i = 0; i < count; i++) {
        snprintf(id, sizeof id, "01930c2f-7a4e-7c11-9b5e-%012lx", (unsigned long)i);
        if (messages)
            send_message(l, id);
        else
            send_request(l, id);
    }
    if (rd_kafka_flush(l->rk, 60000) || failed)
        die("flush", "not all was delivered");
    fprintf(stderr, "load: %ld records of %zu bytes\n", count, l->body.n);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    bool messages = argc == 6 && !strcmp(argv[5], "messages");
    const struct mill_desc *desc = messages ? &mill_message_desc : &mill_request_desc;

    if (argc != 5 && !messages)
        die("usage", "BROKERS REGISTRY TOPIC COUNT [messages]");
    l.id = register_schema(argv[2], argv[3], desc->avsc);
    l.rk = producer(argv[1]);
    l.topic = rd_kafka_topic_new(l.rk, argv[3], NULL);
    l.partitions = partitions_of(l.rk, l.topic);
    if (mill_codec_new(&l.codec, desc, NULL))
        die("codec", "cannot be made");
    mill_buf_init(&l.body, 1 << 16);
    send_all(&l, strtol(argv[4], NULL, 10), messages);
    mill_buf_release(&l.body);
    mill_codec_free(l.codec);
    rd_kafka_topic_destroy(l.topic);
    rd_kafka_destroy(l.rk);
    return 0;
}
