/**
 * @file move.h
 * @brief A job that sends records back to a stage: transactions of records and their marks.
 *
 * Model: one thread. Each transaction holds some records and, in mail.moves, the marks that say so:
 * a record is moved if and only if its mark is there, whenever the job dies. The job's id is its
 * transactional id, so that of two runs of one job only the younger goes on. The marks are read
 * after the id was taken: what a former run has committed is in them.
 */
#ifndef MOVE_H
#define MOVE_H

#include "avro/codec.h"
#include "avro/registry.h"
#include "base/hash.h"
#include "cli.h"
#include "kafka/transact.h"
#include "mail/controls.h"
#include "progress.h"

#define MOVE_TOPIC "mail.moves"

struct move {
    struct cli *cli;
    struct mill_transact *tx;
    struct mill_registry *registry;
    struct mill_codec *codec;
    int32_t schema;
    struct mill_buf buf;
    char run[MILL_UUID_TEXT];
    /** Before each commit: adds the marks of what is in it, where that is not done record by
     *  record. NULL = nothing to add. */
    enum mill_code (*before_commit)(void *arg, struct mill_err *err);
    void *arg;
    uint64_t moved;  /**< committed */
    uint64_t open_n; /**< in the open transaction */
    size_t open_bytes;
    int64_t open_ms, began_ms; /**< mill_tick_ms() */
    struct progress progress;
};

/** @brief Take the job's id. @param id transactional id. @param run NULL = a new one */
enum mill_code move_open(struct move *m, struct cli *cli, const char *id, const char *run,
                         struct mill_err *err) MILL_NODISCARD;
/** @brief What is open is dropped. NULL-safe. */
void move_close(struct move *m);
/** @brief Send a record on; waits as --rate says. @param headers the whole set */
enum mill_code move_record(struct move *m, const char *topic, int32_t partition,
                           const struct mill_record *in, struct mill_map headers,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief Put a mark into the open transaction; run, by and at are filled in. */
enum mill_code move_mark(struct move *m, struct mill_str key, struct mill_move *mark,
                         struct mill_err *err) MILL_NODISCARD;
/** @brief Commit when enough is open, or long enough. */
enum mill_code move_tick(struct move *m, struct mill_err *err) MILL_NODISCARD;
enum mill_code move_commit(struct move *m, struct mill_err *err) MILL_NODISCARD;

/** @brief Every mark there is, oldest first. @param each mark is borrowed during the call */
enum mill_code moves_read(struct cli *cli, void (*each)(void *arg, const struct mill_move *mark),
                          void *arg, struct mill_err *err) MILL_NODISCARD;

#endif
