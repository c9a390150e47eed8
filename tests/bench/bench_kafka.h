/* How every C benchmark comes by its Kafka client, and ends when it cannot go on. */
#ifndef MILL_BENCH_KAFKA_H
#define MILL_BENCH_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t bench_stop;

static inline void bench_on_signal(int sig)
{
    (void)sig;
    bench_stop = 1;
}

static inline void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline void bench_check(const char *what, rd_kafka_resp_err_t e)
{
    if (e)
        bench_die(what, rd_kafka_err2str(e));
}

/* props: names and values, ended by {NULL, NULL}. */
static inline void bench_set(rd_kafka_conf_t *conf, const char *const props[][2])
{
    char text[512];

    for (; props[0][0]; props++)
        if (rd_kafka_conf_set(conf, props[0][0], props[0][1], text, sizeof text))
            bench_die(props[0][0], text);
}

/* conf is consumed. */
static inline rd_kafka_t *bench_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);

    if (!rk)
        bench_die("client", text);
    return rk;
}

/* A consumer as stages/runtime/kafka/setup.c makes one: keep it in step. */
static inline rd_kafka_t *bench_consumer(const char *brokers, const char *group,
                                         const char *const props[][2])
{
    const char *const usual[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", group},
        {"partition.assignment.strategy", "range"},
        {"session.timeout.ms", "10000"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "earliest"},
        {"isolation.level", "read_committed"},
        {"fetch.queue.backoff.ms", "10"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;

    bench_set(conf, usual);
    bench_set(conf, props);
    rk = bench_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    return rk;
}

static inline void bench_subscribe(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    bench_check("subscribe", rd_kafka_subscribe(rk, topics));
    rd_kafka_topic_partition_list_destroy(topics);
}

static inline int32_t bench_partitions(rd_kafka_t *rk, const char *topic)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t e = rd_kafka_metadata(rk, 0, t, &md, 10000);
    int32_t n;

    if (e || md->topic_cnt != 1 || md->topics[0].partition_cnt < 1)
        bench_die(topic, rd_kafka_err2str(e));
    n = md->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(md);
    rd_kafka_topic_destroy(t);
    return n;
}

#endif
