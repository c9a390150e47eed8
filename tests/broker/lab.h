/**
 * @file lab.h
 * @brief A mock cluster, a registry and a stage process, for tests of the runtime's loop.
 *
 * Model: the mock does not isolate aborted records nor keep transactional offsets:
 * what is said here is the loop's shape, fencing and retriable paths. Exactly-once is proved on a
 * real broker, in e2e.
 */
#ifndef LAB_H
#define LAB_H

#include "base/buf.h"
#include "stage.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/types.h>

enum { LAB_NOTE_MAX = 1200000 };

/** Kafka's API keys: of requests that the mock counts, or answers with an error. */
enum lab_api {
    PRODUCE = 0,
    LIST_OFFSETS = 2,
    METADATA = 3,
    OFFSET_COMMIT = 8,
    OFFSET_FETCH = 9,
    JOIN_GROUP = 11,
    HEARTBEAT = 12,
    LEAVE_GROUP = 13,
    INIT_PRODUCER_ID = 22,
    ADD_PARTITIONS_TO_TXN = 24,
    ADD_OFFSETS_TO_TXN = 25,
    END_TXN = 26,
    TXN_OFFSET_COMMIT = 28,
};

struct lab {
    rd_kafka_t *rk; /**< owns the mock cluster; also the producer of the tests */
    rd_kafka_mock_cluster_t *mock;
    struct mill_server *registry;
    pid_t stages[8]; /**< running */
    char brokers[256], registry_url[64], dir[64];
};

/** A record read back. */
struct lab_record {
    char key[64], value[256], headers[2048];
    size_t value_bytes;
    int32_t partition;
    int64_t timestamp_ms;
};

void lab_open(struct lab *lab);
void lab_close(struct lab *lab);
void lab_topic(struct lab *lab, const char *topic, int partitions);
/** @brief Produce, and wait until it is there. headers: "name=value" texts, ends with NULL. */
void lab_produce(struct lab *lab, const char *topic, int32_t partition, struct mill_str key,
                 struct mill_str value, const char *const *headers);
/** @brief A note of loop_stage.c with its frame; up to LAB_NOTE_MAX bytes. @own static buffer */
struct mill_str lab_note(struct mill_str text);
/** @brief Produce a note to the topic "notes". */
void lab_put(struct lab *lab, int32_t partition, const char *key, const char *text);
/** @brief The topics of loop_stage.c's stages, 4 partitions each. */
void lab_topics(struct lab *lab);
/** @brief How many requests of a kind the broker has got since tracking began. */
size_t lab_asked(const struct lab *lab, int16_t api);
/** @brief Wait until it has got so many, 20 s at most: what was pushed is used up by the stage, not
 *  by who reads its outputs. */
bool lab_wait_asked(const struct lab *lab, int16_t api, size_t n);
/** @brief Each request of a kind gets this error from now on, after what was pushed already. Ends
 * by rd_kafka_mock_clear_request_errors(), once the test has seen what it waits for. */
void lab_refuse(struct lab *lab, int16_t api, rd_kafka_resp_err_t e);
/** @brief Start this test program again as a stage process. @return its pid */
pid_t lab_stage(struct lab *lab, const char *mode);
/** @param option one more, "--name=value" */
pid_t lab_stage_with(struct lab *lab, const char *mode, const char *option);
/** @param options more of them, ends with NULL */
pid_t lab_stage_options(struct lab *lab, const char *mode, const char *const *options);
/** @brief Stop it. @param sig SIGTERM or SIGKILL. @return exit code, or -signal */
int lab_stop(struct lab *lab, pid_t pid, int sig);
/** @brief Wait for a process that ends by itself, up to 30 s. */
int lab_wait(struct lab *lab, pid_t pid);
/** @brief Read up to most records of a topic from the start: to the end of each partition, until
 *  n are there (20 s at most), and half a second more, in which one too many would show. */
size_t lab_read(struct lab *lab, const char *topic, struct lab_record *v, size_t most, size_t n);

#endif
