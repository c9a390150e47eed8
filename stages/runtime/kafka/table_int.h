/**
 * @file table_int.h
 * @brief Inside of a table: its topic, and who reads it.
 *
 * Model: whoever fills the table (a stage's loop, or the table's own thread) calls the functions
 * here; the lock is held only while a batch is stored or a record looked up, never while the broker
 * is waited for.
 */
#ifndef MILL_TABLE_INT_H
#define MILL_TABLE_INT_H

#include "avro/codec.h"
#include "avro/registry.h"
#include "kafka/reader.h"
#include "kafka/stall.h"
#include "kafka/table_store_int.h"
#include "table.h"
#include <pthread.h>

struct run_table_conf {
    const char *name, *topic; /**< borrowed while the table lives, as the registry is */
    const struct mill_desc *desc;
    struct mill_kafka_conf kafka;
    struct mill_registry *registry;
    const char *folder; /**< of the cache file */
    uint64_t max_bytes, record_max_bytes;
    bool global;
};

/** A partition that is held. */
struct run_table_part {
    int32_t id;
    struct run_store_mark mark; /**< as last written to the file, or to be written */
    struct run_stall stall;
};

struct mill_table {
    struct run_table_conf conf;
    struct run_table_thread *thread; /**< NULL: a stage's table */
    /* Of whoever fills the table: */
    struct mill_reader *reader;
    struct run_table_part *parts;
    size_t parts_n;
    char topic_id[40];
    int64_t tombstone_ms; /**< how long the broker keeps one: delete.retention.ms */
    int64_t assigned_ms, saved_ms;
    bool broken; /**< a record was read that could not be stored */

    pthread_mutex_t lock; /**< for all below */
    struct run_store *store;
    struct mill_codec *codec;
    int32_t partitions;      /**< of the topic; 0 = not known */
    struct mill_arena arena; /**< one decoded record */
    struct mill_buf scratch;
    struct mill_table_stats stats; /**< but records and bytes */
};

static inline void run_table_lock(struct mill_table *t)
{
    pthread_mutex_lock(&t->lock);
}

static inline void run_table_unlock(struct mill_table *t)
{
    pthread_mutex_unlock(&t->lock);
}

/* table.c: */
/** @brief Waits for nobody. @own new */
enum mill_code run_table_new(struct mill_table **out, const struct run_table_conf *conf,
                             struct mill_err *err) MILL_NODISCARD;
void run_table_free(struct mill_table *t);

/* table_topic.c: */
/** @brief Learn the topic's id, settings, partition count and newest schema, while there is time to
 * wait for broker and registry: a look-up in the middle of a batch cannot wait.
 *  @return MILL_OK; MILL_E_IO, MILL_E_NOENT (no such topic yet): ask again */
enum mill_code run_table_learn(struct mill_table *t, struct mill_err *err) MILL_NODISCARD;
/* table_read.c: */
/** @brief Hold these partitions (a global table: all of its topic's) and no others, and read each
 *  up to its mark; behind run_table_learn(). @return MILL_OK; MILL_E_IO: call it again */
enum mill_code run_table_assign(struct mill_table *t, const int32_t *partitions, size_t n,
                                uint32_t timeout_ms, struct mill_err *err) MILL_NODISCARD;
/** @brief Take in what has arrived. @param wait_ms for the first record
 *  @return MILL_OK; MILL_E_IO, MILL_E_NOENT: it passes; MILL_E_DATA: nothing is held any more,
 * assign again; else the table is of no more use, and its next life begins empty */
enum mill_code run_table_pump(struct mill_table *t, int wait_ms,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Write down how far it was read. */
void run_table_save(struct mill_table *t);

#endif
