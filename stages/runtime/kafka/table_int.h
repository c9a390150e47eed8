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

#include "avro/registry.h"
#include "table.h"

struct run_table_conf {
    const char *name, *topic; /**< borrowed while the table lives, as the registry is */
    const struct mill_desc *desc;
    struct mill_kafka_conf kafka;
    struct mill_registry *registry;
    const char *folder; /**< of the cache file */
    uint64_t max_bytes, record_max_bytes;
    bool global;
};

/** @brief Waits for nobody. @own new */
enum mill_code run_table_new(struct mill_table **out, const struct run_table_conf *conf,
                             struct mill_err *err) MILL_NODISCARD;
void run_table_free(struct mill_table *t);
/** @brief Learn the topic's partition count and newest schema, while there is time to wait for
 *  broker and registry: a look-up in the middle of a batch cannot wait.
 *  @return MILL_OK; MILL_E_IO, MILL_E_NOENT (no such topic yet): ask again */
enum mill_code run_table_learn(struct mill_table *t, struct mill_err *err) MILL_NODISCARD;
/** @brief Hold these partitions (a global table: all of its topic's) and no others, and read each
 *  up to its mark; behind run_table_learn(). @return MILL_OK; MILL_E_IO: call it again */
enum mill_code run_table_assign(struct mill_table *t, const int32_t *partitions, size_t n,
                                uint32_t timeout_ms, struct mill_err *err) MILL_NODISCARD;
/** @brief Take in what has arrived. @param wait_ms for the first record */
enum mill_code run_table_pump(struct mill_table *t, int wait_ms,
                              struct mill_err *err) MILL_NODISCARD;

struct run_table_thread;
/** @own borrowed: what mill_table_start() has put there; NULL for a stage's table */
struct run_table_thread **run_table_thread(struct mill_table *t);

#endif
