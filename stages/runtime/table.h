/**
 * @file table.h
 * @brief A local view of a keyed, compacted topic: newest record per key, by partition.
 *
 * Model: an LMDB file filled from the topic; it is a cache and may be deleted at any time. A
 * stage's table holds the partitions that the stage is assigned, a global one all of the topic's;
 * before a stage sees a record, its tables have read what they hold up to the marks taken after the
 * assignment. Keys are ordered bytes.
 *
 * What an owner puts itself wins over the topic's records of the same key until the topic brings
 * that very record back: an older one that is still on its way does not overwrite it.
 *
 * Threads: a stage's table belongs to the stage's one thread. A table made by mill_table_start() is
 * global, is filled by a thread of its own, and may be looked up and put into by any thread.
 * Look-ups give copies or hold the table's lock while they call back: short callbacks, which call
 * no function of the same table.
 */
#ifndef MILL_TABLE_H
#define MILL_TABLE_H

#include "kafka/client.h"
#include "stage.h"

enum { MILL_TABLE_BY_KEY = -1 }; /**< partition: the one our producers choose for the key */

/**
 * @brief Look one key up.
 * @param value out: struct of the table's descriptor (desc->size bytes)
 * @param mem   what value points to is copied here
 * @return MILL_OK; MILL_E_NOENT when there is no such key; MILL_E_STATE when its partition is not
 *         held; MILL_E_IO; MILL_E_NOMEM
 * @thread any for a table of mill_table_start()
 */
enum mill_code mill_table_get(struct mill_table *t, struct mill_str key, struct mill_arena *mem,
                              void *value, struct mill_err *err) MILL_NODISCARD;
/**
 * @brief Visit every record whose key starts with prefix, in key order.
 * @param partition one that is held; MILL_TABLE_BY_KEY: that of prefix
 * @param prefix empty = every record of the partition
 * @param each gets the key and the decoded struct (borrowed until it returns); false stops
 * @return MILL_OK (also for none); MILL_E_STATE when the partition is not held; MILL_E_IO
 */
enum mill_code mill_table_each(struct mill_table *t, int32_t partition, struct mill_str prefix,
                               bool (*each)(void *arg, struct mill_str key, const void *value),
                               void *arg, struct mill_err *err) MILL_NODISCARD;
/** @brief Read up to the high watermark taken now. A stage's table only.
 *  @return MILL_OK; MILL_E_IO after timeout_ms */
enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Take in what has arrived, without waiting: for a stage that is long in one batch. A
 * stage's table only. @return MILL_OK; MILL_E_IO, MILL_E_STATE: it is as it was */
enum mill_code mill_table_refresh(struct mill_table *t, struct mill_err *err) MILL_NODISCARD;
/** @brief Put an own, committed record in at once, before the topic brings it back. It is gone with
 *  the process: then only the topic counts. @param partition or MILL_TABLE_BY_KEY */
enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err) MILL_NODISCARD;

/** What a table can say of itself. */
struct mill_table_stats {
    uint64_t records;       /**< keys held */
    uint64_t bytes;         /**< of the file, in use */
    uint64_t read;          /**< records taken in from the topic by this process */
    int64_t lag;            /**< records of the topic not read yet */
    size_t stalled;         /**< partitions whose last stable offset stays behind: metric
                                 mill_partitions_stalled */
    double rebuild_seconds; /**< what the last catching up took */
};
/** @thread as look-ups */
void mill_table_stats(struct mill_table *t, struct mill_table_stats *out);

/** A table outside of a stage. */
struct mill_table_conf {
    struct mill_kafka_conf kafka;
    const char *registry;  /**< base URL of the schema registry */
    const char *state_dir; /**< folder of the cache file; one process at a time */
    const char *name;      /**< of the cache file */
    const char *topic;
    const struct mill_desc *desc;
    uint64_t max_bytes; /**< largest file */
};

/**
 * @brief Make a global table, and start the thread that fills it. Waits for nothing.
 * @param conf strings are borrowed until mill_table_stop()
 * @return MILL_OK; MILL_E_CONFIG (folder, kafka); MILL_E_SCHEMA; MILL_E_NOMEM. @own new in *out
 */
enum mill_code mill_table_start(struct mill_table **out, const struct mill_table_conf *conf,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief End the thread and free the table. NULL-safe. */
void mill_table_stop(struct mill_table *t);
/** @brief Has it read all that the topic had when it started? Until then a key that is not found
 *  may still come; false again when the table has failed for good. @thread any */
bool mill_table_caught_up(const struct mill_table *t);

#endif
