/**
 * @file job.h
 * @brief Compaction of a topic's files in the lake: plan, prove, swap, merge.
 *
 * Model: lake/compact.h says which steps there are. A run lists the topic, proves by the audit that
 * its partitions are whole, finishes what earlier runs have begun, then puts new merged files under
 * merging/. Partitions with faults are left alone. Parts are only deleted where the audit finds the
 * lake whole with the merged file in their place, and the audit is run once more afterwards. Each
 * step may be the last of the process: the next run goes on from what lies there, and two runs at
 * the same time do each other no harm. No object is put later than a quarter of the grace after the
 * listing that it was planned by. One thread; what fetches footers is inside.
 */
#ifndef MILL_COMPACT_JOB_H
#define MILL_COMPACT_JOB_H

#include "compact/scan.h"
#include "lake/audit.h"

enum mill_compact_said {
    MILL_COMPACT_PLANNED, /**< dry run: it would be done */
    MILL_COMPACT_DONE,
    MILL_COMPACT_APART, /**< a merge whose parts' columns do not go together: left as they are */
};

/** Of one act. */
struct mill_compact_count {
    int64_t steps, parts, rows;
    uint64_t bytes;
};

struct mill_compact_job {
    const struct mill_s3_opts *s3;
    const struct mill_parquet *lib;
    int64_t older_than_ms; /**< a day is closed when its end is so long ago */
    int64_t grace_ms;
    uint64_t target_bytes;
    bool dry_run;
    bool (*stopped)(void); /**< asked between steps; may be NULL */
    void (*step)(void *arg, const struct mill_compact_step *s, struct mill_str name,
                 enum mill_compact_said said);
    void (*finding)(void *arg, const struct mill_audit_finding *f);
    void *arg;
    /* out */
    struct mill_compact_count sum[MILL_COMPACT_ACTS];
    int64_t apart;  /**< parts whose columns do not go with their neighbours' */
    int64_t faults; /**< what the audits found */
    int64_t left;   /**< partitions that were left alone for them */
};

/** @brief Topics that have objects in the lake, each once, in order. @own names in mem */
enum mill_code mill_compact_topics(const struct mill_s3_opts *s3, struct mill_arena *mem,
                                   struct mill_str **out, size_t *n,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Compact one topic; sums are added to. @return MILL_OK, also with faults; as s3.h says;
 *  MILL_E_STATE: grace too short to merge anything in, or a peer broke a rule */
enum mill_code mill_compact_run(struct mill_compact_job *job, const char *topic,
                                struct mill_err *err) MILL_NODISCARD;

#endif
