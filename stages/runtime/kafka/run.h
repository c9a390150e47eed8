/**
 * @file run.h
 * @brief Inside of the stage runtime: one struct for the running stage, and its parts' functions.
 *
 * Model: everything here belongs to the stage's one thread, but `ready`, `tick_ms` and the metrics,
 * which the status port reads. A batch lives in the arena: the records read, and the outputs they
 * gave rise to. Outputs are kept until their transaction has ended, so that an aborted one can be
 * written again without asking the stage again. The epoch counts assignments: after anything that
 * polls the consumer, a changed epoch means that the batch in hand is gone.
 */
#ifndef MILL_RUN_H
#define MILL_RUN_H

#include "avro/codec.h"
#include "avro/registry.h"
#include "kafka/common.h"
#include "kafka/rdkafka_int.h"
#include "kafka/stall.h"
#include "kafka/table_int.h"
#include "net/http_server.h"
#include "sink.h"
#include "stage.h"
#include <stdatomic.h>

enum {
    RUN_PORTS_MAX = 16,
    RUN_TOPIC_ID = 37,
    RUN_TOPIC_NAME = 256,
    RUN_TARGETS_MAX = 32,
};

/** Options that every stage has, beside those of every program. */
struct run_conf {
    const char *group;
    const char *failures_topic, *retry_topic, *state_dir;
    uint32_t batch_records;
    uint64_t batch_bytes, batch_ms, record_max_bytes, table_max_bytes;
};

/** An assigned partition. */
struct run_part {
    const char *topic; /**< borrowed from the port */
    int32_t partition;
    size_t port;
    bool retry;       /**< of the retry topic */
    int64_t next;     /**< offset to commit: behind the last settled record; -1 = none settled */
    int64_t unmoved;  /**< offset to commit while records are in the air */
    int64_t read_to;  /**< where the log ended when it was last read to its end; -1 = never */
    int64_t taken_to; /**< behind the last record taken from the consumer */
    struct run_stall stall;
    int64_t until_ms;          /**< wall clock: MILL_LATER; 0 = not waiting */
    rd_kafka_message_t **held; /**< records that wait, oldest first: held[held_at..held_n) */
    size_t held_at, held_n, held_size;
    size_t held_bytes;
    bool paused;
};

enum run_item_state { RUN_NEW, RUN_READY, RUN_PENDING, RUN_SETTLED, RUN_HELD };

/** A record of the batch. */
struct run_item {
    struct mill_record rec; /**< first: mill_settle() finds the item by it */
    rd_kafka_message_t *msg;
    struct run_part *part;
    enum run_item_state state;
    bool pended;            /**< it was PENDING: a call may have been made for it */
    struct mill_err *fault; /**< why it could not be decoded; NULL = it could */
};

/** A record to be written. */
struct run_output {
    const char *topic;
    int32_t partition; /**< -1 = by key */
    struct mill_str key, value;
    struct mill_map headers;
    const struct run_item *item; /**< the record that gave rise to it; NULL = none */
    bool failure;                /**< its failure record */
    bool moved;                  /**< the record itself, on its way: only ever with its offset */
};

struct run_in_topic {
    char name[RUN_TOPIC_NAME];
    size_t port;
    bool retry;
    char id[RUN_TOPIC_ID]; /**< the broker's topic id, text */
};

/** What is known of a topic that mill_forward() writes to. */
struct run_target {
    char topic[RUN_TOPIC_NAME];
    int partitions;   /**< 0 = no such topic; -1 = not known */
    int64_t until_ms; /**< mill_tick_ms(): ask again then */
};

/** Rows of the runtime's own metric table. */
enum run_metric {
    RUN_M_RECEIVED,
    RUN_M_EMITTED,
    RUN_M_VERDICTS,
    RUN_M_ERRORS,
    RUN_M_COMMITS,
    RUN_M_COMMIT_SECONDS,
    RUN_M_ABORTS,
    RUN_M_LAG,
    RUN_M_HELD,
    RUN_M_READY,
    RUN_M_STALLED,
};

struct mill_ctx {
    const struct mill_stage *spec;
    void *conf, *state;
    struct run_conf rc;
    struct mill_common common;
    const char *topics[3 * RUN_PORTS_MAX]; /**< options in.*, out.*, table.* */
    struct mill_kafka_conf kafka;
    char client_id[512], group[256];

    struct mill_metrics *own, *run, *table; /**< table: NULL for a stage without any */
    struct mill_server *status;
    atomic_bool ready;
    _Atomic(const char *) why;  /**< not ready: static text */
    _Atomic(const char *) away; /**< the same, said by the runtime: what it waits for */
    atomic_llong tick_ms;       /**< the loop's last turn */

    struct mill_registry *registry;
    struct mill_codec *in_codec[RUN_PORTS_MAX], *out_codec[RUN_PORTS_MAX];
    int32_t out_schema[RUN_PORTS_MAX];
    struct run_in_topic in_topics[64];
    size_t in_topics_n;
    struct mill_table *tables[RUN_PORTS_MAX];
    struct run_target targets[RUN_TARGETS_MAX];
    size_t targets_n, targets_at;

    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *known[RUN_PORTS_MAX + 1]; /**< outputs that the producer has learnt of */
    rd_kafka_consumer_group_metadata_t *group_meta;
    bool assigned; /**< an assignment, maybe empty, was seen */
    struct run_part **parts;
    size_t parts_n;
    uint64_t epoch;

    struct mill_arena arena;
    struct mill_buf scratch;
    struct run_item **items;
    size_t items_n, items_size, fresh; /**< items[fresh..] are not processed yet */
    size_t pending;
    uint64_t items_bytes;
    int64_t batch_since_ms;
    struct run_output *outputs;
    size_t outputs_n, outputs_size;
    size_t produced; /**< outputs[0..produced) are in the open transaction */
    size_t refused;  /**< 1 + index of an output that is too large; 0 = none */
    bool announcing; /**< outputs are of on_batch: none may be left out */
    bool txn_open;
    bool emit_failed; /**< an emit of the current record failed */
    const struct mill_record *current;
    int64_t wait_until_ms; /**< mill_wait_until() of the current record */
    bool lost;             /**< the group refused the batch: our partitions are gone */
    int64_t stop_since_ms; /**< when the drain began; 0 = running */

    int exit_code; /**< -1 while running */
};

/* control.c: */
/** @brief SIGTERM and SIGINT ask for a drain; SIGPIPE is nothing. */
void run_signals(void);
/** @brief End the process's loop with a code; the first one counts. */
void run_exit(struct mill_ctx *ctx, int code);
/** @brief exit after a failure, said as an error line. */
void run_fail(struct mill_ctx *ctx, const char *ev, const struct mill_err *err);
/** @brief What the consumer says that is no record. @own steals m */
void run_event(struct mill_ctx *ctx, rd_kafka_message_t *m);
bool run_stopping(const struct mill_ctx *ctx);
/** @brief Sleep while nothing can be done, in short steps; false when stopping. */
bool run_backoff(struct mill_ctx *ctx, uint32_t *wait_ms);

/* setup.c: */
enum mill_code run_setup(struct mill_ctx *ctx, struct mill_err *err) MILL_NODISCARD;
void run_teardown(struct mill_ctx *ctx);

/* status.c: */
extern const struct mill_metric run_metric_rows[];
/** @brief Rows about the stage's tables, labelled by name; NULL when it has none. @own static */
const struct mill_metric *run_table_rows(const struct mill_stage *spec);
enum mill_code run_status_start(struct mill_ctx *ctx, struct mill_err *err) MILL_NODISCARD;
void run_measure(struct mill_ctx *ctx);
/** @brief Say in /readyz what the runtime waits for; NULL = it goes on. @param why static text */
void run_away(struct mill_ctx *ctx, const char *why);

/* loop.c: */
void run_loop(struct mill_ctx *ctx);

/* hold.c: */
/** @brief Keep a message that waits behind those that wait already. @own steals m, unless false:
 *  out of memory (exit) */
bool run_hold(struct mill_ctx *ctx, struct run_part *p, rd_kafka_message_t *m) MILL_NODISCARD;
/** @brief The oldest held message. @own the caller's, or back by run_hold_again() */
rd_kafka_message_t *run_unhold(struct run_part *p);
/** @brief Put back what run_unhold() has just given. */
void run_hold_again(struct run_part *p, const rd_kafka_message_t *m);
/** @brief Pause or resume the partition, as what it holds asks for. @param now_ms wall clock */
void run_hold_pace(struct mill_ctx *ctx, struct run_part *p, int64_t now_ms);

/* finish.c: */
/** @brief Drive PENDING records to their end. */
void run_drive_pending(struct mill_ctx *ctx);
/** @brief Commit what is settled, and empty the batch. @param offsets false: outputs only (the
 *  group has taken the partitions away) */
void run_finish_batch(struct mill_ctx *ctx, bool offsets);
/** @brief Commit the outputs so far with unmoved offsets; the batch goes on. @return false when the
 *  batch is gone (partitions lost, or exiting) */
bool run_commit_unmoved(struct mill_ctx *ctx);

/* batch.c: */
struct run_item *run_item_add(struct mill_ctx *ctx, rd_kafka_message_t *msg, struct run_part *part);
bool run_output_add(struct mill_ctx *ctx, const struct run_output *o);
/** @brief The item whose record it is; NULL for none. */
const struct run_item *run_item_of(const struct mill_record *rec);
void run_batch_reset(struct mill_ctx *ctx);
void run_item_settle(struct mill_ctx *ctx, struct run_item *item, enum mill_verdict v,
                     const struct mill_err *err);

/* prepare.c: */
/** @brief Where this mail's request was read first: carried unchanged by every hop from here on.
 *  @own of the batch's arena, or a header's */
struct mill_str run_origin(struct mill_ctx *ctx, const struct mill_record *in,
                           const struct run_part *p) MILL_NODISCARD;
/** @brief Header mill.attempt; 0 where there is none, or no such number. */
uint32_t run_attempt(const struct mill_record *in);
/** @brief The writer's schema for a decoded port. MILL_E_NOENT, MILL_E_IO, MILL_E_SCHEMA. */
enum mill_code run_learn(struct mill_ctx *ctx, struct mill_codec *codec, int32_t id,
                         struct mill_err *err) MILL_NODISCARD;
/** @brief Decode the record, or put down why not (item->fault). Waits out a registry that is away.
 *  @return false when the batch is gone meanwhile, or the process is ending */
bool run_item_prepare(struct mill_ctx *ctx, struct run_item *item);

/* failure.c: */
/** @brief Add the failure record of in: original bytes, error headers replaced. */
bool run_failure_add(struct mill_ctx *ctx, const struct run_item *item, enum mill_verdict v,
                     const struct mill_err *err);
/** @brief Make the output that is too large (ctx->refused) one that is not: a record's outputs
 *  become its failure record, a failure record is cut. @return false when neither helps (exit) */
bool run_refused_replace(struct mill_ctx *ctx);

/* txn.c: */
enum run_txn {
    RUN_TXN_OK,
    RUN_TXN_LOST /**< the group refused: partitions are gone */,
    RUN_TXN_EXIT
};
enum mill_code run_txn_init(struct mill_ctx *ctx, struct mill_err *err) MILL_NODISCARD;
/** @brief Let the producer go: afterwards nothing reads from the batch. NULL-safe. */
void run_txn_end(struct mill_ctx *ctx);
/** @brief Write outputs[produced..) into the (opened) transaction; errors show at commit. */
void run_txn_produce(struct mill_ctx *ctx);
/** @brief Commit outputs and offsets, however often it takes. @param offsets may be NULL */
enum run_txn run_txn_commit(struct mill_ctx *ctx, const rd_kafka_topic_partition_list_t *offsets);
/** @brief Afterwards no output is in librdkafka's hands, unless the process is ending. */
void run_txn_abort(struct mill_ctx *ctx);
/** @brief A turn of waiting: alive, but true (and exit) when a drain has taken too long. */
bool run_overdue(struct mill_ctx *ctx);

/* assign.c: */
void run_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e, rd_kafka_topic_partition_list_t *list,
                   void *opaque);
/** @brief An empty member id, or no generation, would let a commit pass while somebody else owns
 * the partition. @param meta may be NULL. @return MILL_OK; MILL_E_STATE */
enum mill_code run_identity(const rd_kafka_consumer_group_metadata_t *meta,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief Has the group's coordinator been without an answer for too long? @param e why there was
 *  none this time. @param since_ms in, out: since when that counts, mill_tick_ms() */
bool run_committed_overdue(rd_kafka_resp_err_t e, int64_t *since_ms, int64_t now_ms);
struct run_part *run_part_find(struct mill_ctx *ctx, const char *topic, int32_t partition);
void run_parts_clear(struct mill_ctx *ctx);

/* target.c: */
/** @brief May a record be written there? @param partition -1 = any. @return MILL_OK (also while the
 *  broker does not say); MILL_E_NOENT */
enum mill_code run_target_check(struct mill_ctx *ctx, const char *topic, int32_t partition,
                                struct mill_err *err) MILL_NODISCARD;

#endif
