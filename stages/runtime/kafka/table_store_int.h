/**
 * @file table_store_int.h
 * @brief The LMDB file behind a table. Knows no Kafka.
 *
 * Model: per partition two databases: the topic's newest record per key, each with its offset, and
 * this owner's own records that the topic has not brought back yet, which win. No locks: its owner
 * lets one thread in at a time. LMDB does not sync: the file is whole after a kill, not after a
 * power cut.
 */
#ifndef MILL_TABLE_STORE_INT_H
#define MILL_TABLE_STORE_INT_H

#include "base/err.h"

struct run_store;

/** @param folder made if missing. @param name of the file, and of errors, borrowed. @own new */
enum mill_code run_store_open(struct run_store **out, const char *folder, const char *name,
                              uint64_t max_bytes, struct mill_err *err) MILL_NODISCARD;
void run_store_free(struct run_store *s);

/** @brief Hold a partition, empty. */
enum mill_code run_store_hold(struct run_store *s, int32_t partition,
                              struct mill_err *err) MILL_NODISCARD;
void run_store_let_go(struct run_store *s, int32_t partition);
bool run_store_holds(const struct run_store *s, int32_t partition);

/** @brief A record of the topic, value.p NULL for a tombstone. Opens the write transaction; one of
 * a partition that is not held, or with a key that no table takes, is passed over. */
enum mill_code run_store_take(struct run_store *s, int32_t partition, int64_t offset,
                              struct mill_str key, struct mill_str value,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Commit what was taken; MILL_OK also when there was nothing. */
enum mill_code run_store_commit(struct run_store *s, struct mill_err *err) MILL_NODISCARD;
/** @brief Forget what was taken since the last commit. */
void run_store_abort(struct run_store *s);

/** @brief An own record, at once. */
enum mill_code run_store_own(struct run_store *s, int32_t partition, struct mill_str key,
                             struct mill_str value, struct mill_err *err) MILL_NODISCARD;

/** @return MILL_OK; MILL_E_NOENT. @param each gets the value once, borrowed until it returns */
enum mill_code run_store_each(struct run_store *s, int32_t partition, struct mill_str prefix,
                              bool (*each)(void *arg, struct mill_str key, struct mill_str value),
                              void *arg, struct mill_err *err) MILL_NODISCARD;
/** @brief One record into mem. @return MILL_OK; MILL_E_NOENT; MILL_E_NOMEM */
enum mill_code run_store_get(struct run_store *s, int32_t partition, struct mill_str key,
                             struct mill_arena *mem, struct mill_str *value,
                             struct mill_err *err) MILL_NODISCARD;
/** @param records keys of the topic held @param bytes of the file in use */
void run_store_size(struct run_store *s, uint64_t *records, uint64_t *bytes);

#endif
