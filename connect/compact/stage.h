/**
 * @file stage.h
 * @brief Inside of compact: one merge, from its parts to the file under merging/.
 */
#ifndef MILL_COMPACT_STAGE_H
#define MILL_COMPACT_STAGE_H

#include "compact/job.h"
#include "net/s3_pool.h"

enum {
    MILL_STAGE_AHEAD = 8,             /**< parts that are fetched while as many are merged */
    MILL_STAGE_AHEAD_BYTES = 1 << 20, /**< of one at most: a larger one waits for its turn */
};

struct stage {
    struct mill_compact_job *job;
    const struct mill_scan *scan;
    struct mill_s3 *s3;
    struct mill_s3_pool *pool; /**< fetches parts ahead */
    int64_t until_ms;          /**< mill_tick_ms() after which nothing may be put any more */
};

/** @brief Count a step that is done or planned, and tell of it. */
void mill_stage_count(struct mill_compact_job *job, const struct mill_compact_step *s,
                      struct mill_str name, enum mill_compact_said said);
/** @brief Merge a step's parts; where their columns do not go together, several files, or none.
 *  @return MILL_OK; MILL_E_NOENT: it is too late by now (or a part is gone), list anew */
enum mill_code mill_stage_merge(struct stage *g, const struct mill_compact_step *s,
                                struct mill_err *err) MILL_NODISCARD;

#endif
