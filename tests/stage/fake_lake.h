/* What a sink meets outside, in memory: a bucket, the group's commit, a schema registry. All of it
 * outlives the sink's context, so that a test can kill one and start the next. Each call that
 * changes something is an "act"; a test may let the process die at any of them. */
#ifndef MILL_FAKE_LAKE_H
#define MILL_FAKE_LAKE_H

#include "net/s3_upload.h"

#include <stdatomic.h>

enum { FAKE_OBJECTS = 4096, FAKE_SCHEMAS = 8, FAKE_FAILURES = 4096 };

struct fake_object {
    char *key;
    char *bytes;
    size_t n;
    char plan[80]; /**< of its metadata */
    int64_t made_ms;
};

/** What a failure record was made of. */
struct fake_failure {
    int64_t offset;
    char raw[32], key[16], header[16], why[160];
    size_t raw_n;
};

struct fake_lake {
    struct fake_object objects[FAKE_OBJECTS];
    size_t n;
    struct fake_failure failures[FAKE_FAILURES]; /**< committed with the offsets */
    size_t n_failures;
    int64_t offset; /**< committed; -1 = none */
    char metadata[4096];
    const char *schemas[FAKE_SCHEMAS]; /**< by id - 1 */
    int32_t newest;                    /**< id that is the topics' newest; 0 = none */
    int acts;                          /**< done so far */
    int die_at;                        /**< the act that is the last; 0 = none */
    bool die_after;                    /**< that act still has its effect, but nobody hears of it */
    atomic_bool dead;    /**< nothing works any more: start anew; threads may set it */
    atomic_int gets;     /**< reads of objects so far; threads may read */
    int fail_get;        /**< the one that fails; 0 = none */
    atomic_bool s3_down; /**< threads may read */
    bool registry_down, commit_unknown;
    bool stale;           /**< the group refuses commits */
    int64_t now_ms;       /**< the bucket's clock */
    void (*on_act)(void); /**< called after each effect; may be NULL */
    int64_t read_to;      /**< what mill_sink_read_to() says; -1 = there is more */
};
extern struct fake_lake fake_lake;

/** As at the very beginning; frees the objects. */
void fake_lake_reset(void);
/** Value of a pair in an object's Parquet footer; "" if there is none. */
const char *fake_footer(const struct fake_object *o, const char *key);

#endif
