/**
 * @file stage.h
 * @brief What a stage declares, and what it may call. The whole contract of a stage's author.
 *
 * Model: a stage is one `const struct mill_stage`, the last thing in its file, and a few callbacks.
 * The runtime reads records, decodes them into the port's struct, calls on_record once per record
 * and makes the record's outputs, its failure (if any) and its offset durable in one Kafka
 * transaction: all or nothing. All callbacks run on one thread. `in` and all it points to are
 * borrowed until the record is settled (on_record returned something other than MILL_PENDING, or
 * mill_settle was called). A stage may see a record again after a crash: never twice committed.
 */
#ifndef MILL_STAGE_H
#define MILL_STAGE_H

#include "avro/desc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/opt.h"

struct mill_ctx;
struct mill_table;

/** A topic that a stage reads or writes; the topic's name is an option (--in.NAME, --out.NAME). */
struct mill_port {
    const char *name;             /**< NULL ends the table */
    const char *topic;            /**< default topic */
    const struct mill_desc *desc; /**< NULL: raw, the value is not decoded or encoded */
};

/** A keyed, compacted topic that a stage looks things up in; see table.h. */
struct mill_table_port {
    const char *name;
    const char *topic;
    const struct mill_desc *desc;
    bool global; /**< all partitions of the topic, whatever is assigned; false: those assigned */
};

/** A record. A sink's has neither headers nor origin nor attempt: see mill_sink_headers(). */
struct mill_record {
    size_t port; /**< index in spec->in */
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_us; /**< µs since 1970 */
    bool append_time;     /**< timestamp_us is the broker's, not the producer's */
    struct mill_str key;
    struct mill_str raw; /**< value bytes as they came; p == NULL for a null value */
    struct mill_map headers;
    const void *value;      /**< struct of the port's descriptor; NULL on a raw port */
    struct mill_str origin; /**< mill.origin: where the first process read this mail's request */
    uint32_t attempt;       /**< 0 at first; n when it comes back by the retry topic */
};

enum mill_verdict {
    MILL_DONE,    /**< outputs emitted, or deliberately none */
    MILL_REJECT,  /**< permanent fault of this record: class "poison" unless err->cls says other */
    MILL_RETRY,   /**< temporary fault of the world for this record: class "transient" */
    MILL_STOP,    /**< the deployment is wrong: nothing is committed, the process exits */
    MILL_PENDING, /**< settled later by mill_settle(), from on_poll */
    MILL_LATER,   /**< not before the time given to mill_wait_until(); the partition waits */
};

struct mill_stage {
    const char *name; /**< lower case, hyphens */
    const char *summary;
    const struct mill_port *in;           /**< ends with {0} */
    const struct mill_port *out;          /**< ends with {0}; NULL = none */
    const struct mill_table_port *tables; /**< ends with {0}; NULL = none */
    const struct mill_opt *opts;          /**< ends with {0}; offsets into the conf struct */
    /** More option tables, whose offsets count from `off` in the conf struct: n = 0, 1, … until
     *  NULL. NULL = none. */
    const struct mill_opt *(*opts_more)(size_t n, size_t *off);
    size_t conf_size;
    size_t state_size;                 /**< zeroed memory that mill_state() gives */
    const struct mill_metric *metrics; /**< ends with {0}; NULL = none */
    /** A string field of the inputs' records that the header mill.NAME of a failure record tells,
     *  where the record could be read; NULL = none. For who reads no more than headers. */
    const char *told;
    bool no_retry;      /**< reads no retry topic (deadletter, delay) */
    bool passes_on;     /**< what it reads is on its way back to a stage that has failed on it: a
                             failure here keeps that place, as one of a retry topic does (delay) */
    bool fetch_little;  /**< read little ahead: its partitions wait, and what is fetched of a
                             waiting one is thrown away (delay) */
    uint32_t batch_max; /**< records in one batch at most; 0 = as the options say */

    /** Allocate what the stage needs. close runs even after a failed open. */
    enum mill_code (*open)(struct mill_ctx *ctx, struct mill_err *err);
    void (*close)(struct mill_ctx *ctx);

    /** After the tables have caught up, before the first record of a new assignment, for each of
     * its partitions of the first input (not those of the retry topic). What it emits is committed
     * with the next batch, or at once when there is none. MILL_OK, or the process ends. */
    enum mill_code (*on_assigned)(struct mill_ctx *ctx, int32_t partition, struct mill_err *err);
    /** Before the records of a batch. What it emits is committed at once with *unmoved* offsets,
     *  which fences a stale owner; only then is on_record called. MILL_DONE or MILL_STOP. */
    enum mill_verdict (*on_batch)(struct mill_ctx *ctx, const struct mill_record *const *in,
                                  size_t n, struct mill_err *err);
    enum mill_verdict (*on_record)(struct mill_ctx *ctx, const struct mill_record *in,
                                   struct mill_err *err);
    /** Drive outside work for at most wait_ms; settle what ended. Called while records are PENDING,
     *  and between batches. MILL_DONE, or MILL_STOP to exit. */
    enum mill_verdict (*on_poll)(struct mill_ctx *ctx, int wait_ms, struct mill_err *err);

    /** Set for a sink only (see sink.h): it keeps records itself and says when to commit. */
    const struct mill_sink *sink;
};

/** Declares and opens the definition of a stage's spec: MILL_STAGE(validate) = { … }; */
#define MILL_STAGE(id)                                                                             \
    extern const struct mill_stage mill_stage_##id;                                                \
    const struct mill_stage mill_stage_##id

/** @brief The stage's filled options struct. @own borrowed */
const void *mill_conf(const struct mill_ctx *ctx);
/** @brief The stage's zeroed state_size bytes. @own borrowed */
void *mill_state(struct mill_ctx *ctx);
/** @brief Memory until the batch is committed. */
struct mill_arena *mill_batch_arena(struct mill_ctx *ctx);

/**
 * @brief Emit a record to an out port, in the transaction of the current record.
 * @param key   partition = murmur2(key up to the first '/'); absent key = any partition
 * @param value struct of the port's descriptor; copied (encoded) at once
 * @return MILL_OK; MILL_E_DATA (too large); MILL_E_NOMEM
 */
enum mill_code mill_emit(struct mill_ctx *ctx, size_t port, struct mill_str key, const void *value,
                         struct mill_err *err) MILL_NODISCARD;
/**
 * @brief Emit the original bytes of `in` to a topic that is not a port's fixed one.
 * @param partition exact partition, or -1 to choose by key
 * @param headers   the whole header set of the new record; a later pair replaces an earlier one
 *                  of its name
 * @return MILL_OK; MILL_E_NOENT when there is no such topic or partition; MILL_E_NOMEM
 */
enum mill_code mill_forward(struct mill_ctx *ctx, const char *topic, int32_t partition,
                            const struct mill_record *in, struct mill_map headers,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief The topic that an out port's option names. @own borrowed */
const char *mill_out_topic(const struct mill_ctx *ctx, size_t port);
/** @brief Which record the following emits belong to (for stages that settle later). */
void mill_current(struct mill_ctx *ctx, const struct mill_record *in);
/** @brief End a PENDING record. @param v not PENDING, not LATER. @param err for REJECT, RETRY, STOP
 */
void mill_settle(struct mill_ctx *ctx, const struct mill_record *in, enum mill_verdict v,
                 const struct mill_err *err);
/** @brief With MILL_LATER: keep this record's partition waiting until then. @param until_ms of
 *  wall clock, ms since 1970 */
void mill_wait_until(struct mill_ctx *ctx, int64_t until_ms);
/** @brief Header of a record, absent if none. @own borrowed */
struct mill_str mill_header(const struct mill_record *in, const char *name);

/** @brief Add to the stage's own metric row. */
void mill_count(struct mill_ctx *ctx, size_t metric, size_t label, uint64_t n);
void mill_gauge(struct mill_ctx *ctx, size_t metric, size_t label, double v);
void mill_observe(struct mill_ctx *ctx, size_t metric, size_t label, double seconds);
/** @brief Say in /readyz and the log why the stage cannot do its work; NULL = it can again.
 *  @param why static text */
void mill_unready(struct mill_ctx *ctx, const char *why);
/** @brief True once SIGTERM arrived: finish what runs, start nothing new. */
bool mill_draining(const struct mill_ctx *ctx);

/** @brief The n-th table of the spec. @own borrowed */
struct mill_table *mill_ctx_table(struct mill_ctx *ctx, size_t n);

/** @brief main() of every stage: options, signals, status port, loop. @return exit code */
int mill_stage_main(int argc, char **argv, const struct mill_stage *spec);

#endif
