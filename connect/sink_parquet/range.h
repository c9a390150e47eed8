/**
 * @file range.h
 * @brief What the files of sink_parquet share: its options, state, and the life of a range.
 *
 * Model: a partition gathers rows from its committed offset S. Rolling it freezes E and takes the
 * range out; the next is gathered from E meanwhile. What is out goes PLAN (commit S with the plan)
 * → UPLOAD (each object by conditional PUT) → COMMIT (commit E), one step after the other; a step
 * that fails is tried again later, and until E is committed no second range of the partition goes
 * out. A plan found at assignment (redo) is carried out to exactly its E.
 *
 * Threads: all of this is one, but for UPLOAD: a thread encodes the range's objects and has them
 * put side by side (upload.c). There are SINK_UPLOADS of them at most in the process; until one has
 * been taken in again nobody else looks at the files of its range.
 */
#ifndef MILL_SINK_PARQUET_H
#define MILL_SINK_PARQUET_H

#include "base/arena.h"
#include "base/clock.h"
#include "lake/file.h"
#include "lake/fill.h"
#include "lake/object.h"
#include "lake/plan.h"
#include "net/s3_pool.h"
#include "sink.h"
#include <pthread.h>

enum { SINK_UPLOADS = 2 };

struct sink_conf {
    struct mill_s3_opts s3;
    uint64_t flush_ms, put_within_ms;
    uint32_t roll_rows, uploads;
    uint64_t roll_bytes, memory_bytes, row_group_bytes;
    const char *raw_topics, *columns, *hash_key, *hours, *event_time, *meta_columns, *parquet_lib;
    bool accept_gaps;
};

enum sink_metric {
    SINK_M_ROWS,
    SINK_M_OBJECTS,
    SINK_M_BYTES,
    SINK_M_ROLLS,
    SINK_M_FAULTS,
    SINK_M_HELD,
};
enum sink_roll {
    SINK_ROLL_TIME,
    SINK_ROLL_ROWS,
    SINK_ROLL_BYTES,
    SINK_ROLL_MEMORY,
    SINK_ROLL_SCHEMA,
    SINK_ROLL_REDO,
    SINK_ROLL_DRAIN,
    SINK_ROLL_FILES,
};
enum sink_fault { SINK_FAULT_S3, SINK_FAULT_COMMIT, SINK_FAULT_REGISTRY };

/** A registry id, looked up once. */
struct sink_schema {
    int32_t id;
    struct mill_schema *schema; /**< NULL: cannot be columns, and why */
    char why[160];
    int64_t missing_ms, asked_ms; /**< not known to the registry since; 0 = it is, or unusable */
};

struct sink_topic {
    char *name;
    bool raw;
    unsigned meta_mask;
    bool hours;                     /**< laid out by dt and hour */
    struct mill_policy_rule *rules; /**< texts are borrowed from the options */
    struct mill_policy columns;
    char policy[17];                /**< hash of all of these */
    struct mill_plan_layout layout; /**< the same, as a plan says it */
    bool of_plan;                   /**< made for a plan of other options; then: */
    struct mill_plan_layout planned;
    struct mill_buf text;     /**< its rules */
    struct mill_shape *base;  /**< metadata columns only */
    struct mill_shape *shape; /**< the widest so far; what the next range starts with */
};

struct sink_file {
    enum mill_object_kind kind;
    int32_t day;
    int hour; /**< -1: not in the layout */
    int64_t rows;
    size_t held;
    struct mill_lake_file *file; /**< NULL once it is in the lake */
};

enum sink_state {
    SINK_OPEN, /**< gathers rows */
    /* Out: */
    SINK_PLAN,   /**< to commit S with the plan */
    SINK_UPLOAD, /**< to put what is not yet in the lake */
    SINK_COMMIT, /**< to commit E */
    /* And: */
    SINK_DEAD, /**< the group gave it to another, or rows were lost: does nothing any more */
};

/** A partition and the range that it gathers; or, in its `out`, the range that is to be written. */
struct sink_part {
    struct sink_part *out;      /**< NULL = none */
    struct sink_upload *upload; /**< of what is out, while it goes on; NULL = none */
    struct sink_topic *topic; /**< as this range has it: by the options, or by the plan of a redo */
    struct sink_topic *home;  /**< by the options */
    int32_t partition;
    char topic_id[37];
    enum sink_state state;
    int64_t start;      /**< S */
    int64_t next;       /**< E as it would be now */
    int64_t rows;       /**< records in the range, rejected ones too */
    int64_t opened_ms;  /**< when the first of them came */
    int64_t planned_ms; /**< the plan was in our commit not before that, mill_tick_ms() */
    bool redo;          /**< plan was found, not made: its end and rows are to be met */
    bool redo_ready;    /**< its schemas were looked up */
    struct mill_plan plan;
    char plan_text[MILL_PLAN_TEXT_MAX];
    struct mill_shape *shape;
    int32_t fill_ids[MILL_PLAN_SCHEMAS];
    struct mill_fill *fills[MILL_PLAN_SCHEMAS];
    size_t n_fills;
    struct sink_file *files;
    size_t n_files;
    size_t name_bytes; /**< that the name of one takes in the others' footers, at most */
    size_t held;
    int64_t rejects;                  /**< records that could not be decoded */
    struct mill_buf rejected;         /**< their offsets, as a JSON list without its brackets */
    struct mill_sink_failure *failed; /**< they themselves, for their failure records */
    size_t n_failed, failed_size;     /**< how many; and room */
    size_t failed_bytes;
    struct mill_arena mem; /**< what they point to */
};

struct sink {
    struct mill_s3 *s3;
    struct mill_s3_pool *pool;
    struct mill_lake_conf lake;
    struct mill_shape *raw_shape, *rejected_shape;
    struct sink_schema *schemas;
    size_t n_schemas;
    struct sink_topic **topics;
    size_t n_topics;
    struct sink_part **parts;
    size_t n_parts, last_part, next_poll;
    size_t n_out;     /**< parts of which a range is out */
    size_t n_uploads; /**< of these, that are being encoded and put */
    pthread_mutex_t lock;
    pthread_cond_t over;   /**< an upload is, under the lock */
    size_t held;           /**< bytes in all parts, out or not */
    size_t largest;        /**< bytes of the largest file in them */
    size_t budget;         /**< that they and the files being encoded may take */
    size_t encoding;       /**< of it for those, at most */
    size_t beside_bytes;   /**< a range of so many is written beside the others; a smaller one is
                                waited for */
    size_t names_max;      /**< see SINK_NAMES_MAX */
    int64_t turn_ms;       /**< longest that one turn of the loop waits or works here: then the
                                consumer is to be polled */
    int64_t turn_until_ms; /**< mill_tick_ms(); nothing is waited for afterwards */
    /* One outage at a time is enough: after a fault nothing outside is tried before retry_ms. */
    int64_t retry_ms;
    unsigned faults;
    enum sink_fault fault; /**< the latest */
};

/* outage.c */
/** @brief Something outside failed: log it, back off, say so in /readyz. */
void sink_fault(struct mill_ctx *ctx, enum sink_fault which, const struct mill_err *err);
/** @brief The outside works (again). */
void sink_fine(struct mill_ctx *ctx);
/** @brief Is it too early to try the outside again? */
bool sink_backing_off(const struct sink *s);

/* topics.c */
/** @brief Check the list options. @return MILL_OK or MILL_E_CONFIG */
enum mill_code sink_lists_check(const struct sink_conf *conf, struct mill_err *err);
/** @brief The topic's entry, made at first use. @own borrowed */
enum mill_code sink_topic(struct mill_ctx *ctx, const char *name, struct sink_topic **out,
                          struct mill_err *err);
/** @brief The topic as a plan has it, also when the options are others by now. @own borrowed
 *  @return MILL_OK; MILL_E_STATE: the plan cannot be carried out here, err says why */
enum mill_code sink_topic_planned(struct mill_ctx *ctx, const char *name,
                                  const struct mill_plan *plan, struct sink_topic **out,
                                  struct mill_err *err);
/** @brief Forget all topics; no partition may be left. */
void sink_topics_free(struct sink *s);

/* part.c */
/** @return NULL = it is not assigned. @own borrowed, until the next one is dropped */
struct sink_part *sink_part_find(struct sink *s, const char *topic, int32_t partition);
/** @brief A partition without a range. @own of the sink. @return MILL_OK; MILL_E_CONFIG: the topic
 *  cannot be columns; MILL_E_NOMEM */
enum mill_code sink_part_new(struct mill_ctx *ctx, const struct mill_position *at,
                             struct sink_part **out, struct mill_err *err);
/** @brief Forget a partition and all that it holds. NULL-safe. */
void sink_part_drop(struct sink *s, struct sink_part *p);
/** @brief Empty it: the next range begins at start. */
void sink_part_reset(struct sink *s, struct sink_part *p, int64_t start);
/** @brief Take its range, which has a plan, out; the next one begins where this one ends.
 *  @return false: no memory */
bool sink_part_take_out(struct sink *s, struct sink_part *p) MILL_NODISCARD;
/** @brief Free the range that is out, which no upload may be at. */
void sink_part_out_free(struct sink *s, struct sink_part *p);
/** @brief Keep one record. @return MILL_DONE; MILL_LATER (something outside is away, or the
 *  range must be rolled first: *roll); MILL_STOP */
enum mill_verdict sink_part_add(struct mill_ctx *ctx, struct sink_part *p,
                                const struct mill_record *in, bool *roll, struct mill_err *err);

/* schemas.c */
enum sink_fit {
    SINK_FITS,
    SINK_ROLL_FIRST, /**< the range holds rows that do not go with it */
    SINK_AWAY,       /**< the registry does not answer */
    SINK_WAIT,       /**< the registry does not know it (yet) */
    SINK_REFUSED,    /**< never becomes columns */
    SINK_BROKEN,     /**< out of memory */
};
/** @brief The program that reads a writer's schema into the range's shape, which grows if it may.
 *  @return SINK_FITS with *out; else why not: err says it */
enum sink_fit sink_fill(struct mill_ctx *ctx, struct sink_part *p, int32_t id,
                        struct mill_fill **out, struct mill_err *err);
/** @brief Forget the partition's programs. */
void sink_fills_clear(struct sink_part *p);
/** @brief Can the topic's newest schema be columns at all? @return MILL_OK, also when that is not
 *  known; MILL_E_CONFIG */
enum mill_code sink_schema_check(struct mill_ctx *ctx, struct sink_topic *t, struct mill_err *err);

/* roll.c */
/** @brief Freeze the range at p->next and take it out, unless one of the partition is out already;
 *  nothing else is done yet. */
void sink_roll(struct mill_ctx *ctx, struct sink_part *p, enum sink_roll why);
/** @brief Bring what is out as far as one can now without waiting for S3.
 *  @return MILL_DONE (look at p->out), or MILL_STOP */
enum mill_verdict sink_advance(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err);
/** @brief From now on all waiting together may last so many turns. */
void sink_turn(struct sink *s, int turns);
/** @return ms that may still be waited */
int64_t sink_turn_left(const struct sink *s);
/** @brief Wait for the partition's upload, or without one for any that goes on, no longer than
 *  sink_turn says, and bring its range further. @param p NULL = any. @return as sink_advance */
enum mill_verdict sink_settle(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err);

/** @brief Commit that from the range's start up to `to` the log has no record: its markers may
 * expire before the next record comes, which is no gap then. */
void sink_seen(struct mill_ctx *ctx, struct sink_part *p, int64_t to, struct mill_err *err);

/* upload.c */
/** @brief Once, before the first upload. */
void sink_uploads_init(struct sink *s);
/** @brief None may go on. */
void sink_uploads_release(struct sink *s);
/** @brief Begin to put what of the range that is out is not yet in the lake. Fewer than
 *  SINK_UPLOADS may go on.
 *  @param until_ms mill_tick_ms(); no object is put later
 *  @return MILL_OK; MILL_E_NOMEM, MILL_E_STATE */
enum mill_code sink_upload_begin(struct mill_ctx *ctx, struct sink_part *p, int64_t until_ms,
                                 struct mill_err *err);
/** @brief A partition whose upload is over, or in wait_ms at the latest: p, or if that is NULL any.
 *  @return NULL = it goes on */
struct sink_part *sink_upload_ended(struct sink *s, const struct sink_part *p, int64_t wait_ms);
/** @brief Take in what the partition's upload did. It must be over.
 *  @return MILL_OK: all that it began is in the lake; MILL_E_IO: later again; others: stop */
enum mill_code sink_upload_end(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err);
/** @brief End the partition's upload, if one goes on, whatever of it is done. */
void sink_upload_cancel(struct sink *s, struct sink_part *p);

/* assign.c */
/** @brief Where the partition begins, and what is to be finished there first; see struct mill_sink.
 *  Lists the lake where the group has no commit of ours. */
enum mill_verdict sink_on_assign(struct mill_ctx *ctx, const struct mill_position *at,
                                 int64_t *start, struct mill_err *err);

#endif
