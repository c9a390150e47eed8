/**
 * @file table_store_int.h
 * @brief The LMDB file behind a table. Knows no Kafka.
 *
 * Model: per partition two databases: the topic's newest record per key, each with its offset, and
 * this owner's own records that the topic has not brought back yet, which win. No locks: its owner
 * lets one thread in at a time. LMDB does not sync: the file is whole after a kill, not after a
 * power cut; so one of another boot of the machine is made anew, as one of another topic or format
 * is. With each batch of records goes how far the topic was read: after a kill the two agree.
 */
#ifndef MILL_TABLE_STORE_INT_H
#define MILL_TABLE_STORE_INT_H

#include "base/arena.h"
#include "base/err.h"

struct run_store;

/** How far a partition was read. Written to the file as it is. */
struct run_store_mark {
    char topic_id[40]; /**< the broker's, text; zeros behind it */
    int64_t next;      /**< offset of the first record not taken */
    int64_t end_us;    /**< wall clock: when the table last had all that the topic had */
    int64_t low;       /**< where the topic began when what lies before it was last deleted here */
    int32_t epoch;     /**< leader epoch of the record before next; -1 = not known */
    int32_t spare;     /**< 0 */
};

/** @param folder made if missing. @param name of the file, and of errors, borrowed. @own new */
enum mill_code run_store_open(struct run_store **out, const char *folder, const char *name,
                              const char *topic, uint64_t max_bytes,
                              struct mill_err *err) MILL_NODISCARD;
void run_store_free(struct run_store *s);

/** @brief How far a partition (held or not) was read. @return false: it is not known */
bool run_store_mark(struct run_store *s, int32_t partition, struct run_store_mark *out);
/** @brief Hold a partition. @param keep what the file has of the topic; false: empty */
enum mill_code run_store_hold(struct run_store *s, int32_t partition, bool keep,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Delete what lies before the topic's start: retention has deleted it there. */
enum mill_code run_store_expire(struct run_store *s, int32_t partition, int64_t low,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief The next hold of it begins empty. */
void run_store_forget(struct run_store *s, int32_t partition);
void run_store_let_go(struct run_store *s, int32_t partition);
bool run_store_holds(const struct run_store *s, int32_t partition);

/** @brief A record of the topic, value.p NULL for a tombstone. Opens the write transaction; one of
 * a partition that is not held, or with a key that no table takes, is passed over. */
enum mill_code run_store_take(struct run_store *s, int32_t partition, int64_t offset,
                              struct mill_str key, struct mill_str value,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Say how far a partition was read, in the same transaction. */
enum mill_code run_store_read_to(struct run_store *s, int32_t partition,
                                 const struct run_store_mark *mark,
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

/* table_life.c: the text beside the file. */
/** @brief Was the file made for this topic, in this format, since the machine was started? */
bool run_life_same(const char *mdb, const char *topic);
/** @brief Unlink both. */
void run_life_end(const char *mdb);
/** @brief Write the text of a new file. @return 0 or an errno value */
int run_life_begin(const char *mdb, const char *topic) MILL_NODISCARD;

#endif
