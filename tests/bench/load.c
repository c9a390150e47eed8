/* load BROKERS REGISTRY TOPIC COUNT: fills a topic with requests of about 400 bytes, as a foreign
 * producer would write them: id and key, no fingerprint. */
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

static int32_t register_schema(const char *url, const char *topic)
{
    struct mill_registry *r = NULL;
    struct mill_err err = {0};
    char subject[300];
    int32_t id = 0;

    snprintf(subject, sizeof subject, "%s-value", topic);
    if (mill_registry_new(&r, url, 10000, &err) ||
        mill_registry_register(r, subject, mill_str(mill_request_desc.avsc), &id, &err))
        die(err.where, err.text);
    mill_registry_free(r);
    return id;
}

static void send_all(rd_kafka_t *rk, const char *topic, int32_t id, long count)
{
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    struct mill_request r = bench_request;
    struct mill_codec *codec = NULL;
    struct mill_buf body;
    char name[64];
    size_t bytes = 0;

    if (mill_codec_new(&codec, &mill_request_desc, NULL))
        die("codec", "cannot be made");
    mill_buf_init(&body, 1 << 16);
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "01930c2f-7a4e-7c11-9b5e-%012lx", (unsigned long)i);
        r.request_id = mill_str(name);
        r.accepted_at = mill_now_us();
        mill_buf_reset(&body);
        if (!mill_frame_add(&body, id) || mill_codec_encode(codec, &r, &body, NULL))
            die("encode", "failed");
        while (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, body.p, body.n, name,
                                strlen(name), NULL)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die("produce", rd_kafka_err2str(rd_kafka_last_error()));
            rd_kafka_poll(rk, 10);
        }
        bytes = body.n;
        rd_kafka_poll(rk, 0);
    }
    if (rd_kafka_flush(rk, 60000) || failed)
        die("flush", "not all was delivered");
    fprintf(stderr, "load: %ld records of %zu bytes\n", count, bytes);
    mill_buf_release(&body);
    mill_codec_free(codec);
    rd_kafka_topic_destroy(t);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "BROKERS REGISTRY TOPIC COUNT");
    int32_t id = register_schema(argv[2], argv[3]);
    rd_kafka_t *rk = producer(argv[1]);
    send_all(rk, argv[3], id, strtol(argv[4], NULL, 10));
    rd_kafka_destroy(rk);
    return 0;
}
