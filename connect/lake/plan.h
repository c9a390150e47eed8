/**
 * @file plan.h
 * @brief What the sink writes into an offset commit's metadata: its intent, or that it is done.
 *
 * Model: a commit of offset S with a plan says: [S,end) becomes these objects, in this way, and in
 * no other; whoever owns the partition next carries it out, in the layout that it names. A commit
 * of offset E that is "done" says: everything below E is in the lake; if it has "seen", that the
 * log has no record from E up to there, only markers, so that they may expire. A commit with
 * anything else is not ours.
 */
#ifndef MILL_LAKE_PLAN_H
#define MILL_LAKE_PLAN_H

#include "base/buf.h"

enum {
    MILL_PLAN_SCHEMAS = 32,
    MILL_PLAN_RULES_MAX = 2048,
    MILL_PLAN_TEXT_MAX = 3584 /**< the broker's limit is 4096 */
};

/** How the plan's rows are made and where they lie, so that a redo needs no option of its author.
 */
struct mill_plan_layout {
    bool known; /**< false: not in the plan (an older one, or too many rules) */
    bool raw, hours;
    unsigned meta;  /**< bit MILL_META_x */
    char time[256]; /**< field that says where a row lies; "" = the broker's time */
    char rules[MILL_PLAN_RULES_MAX]; /**< "FIELD=RULE,…", see lake/policy.h */
};

struct mill_plan {
    bool done;
    char topic_id[37];
    char policy[17]; /**< hash of what shapes the rows: layout, and the key of hashed columns */
    struct mill_plan_layout layout;
    int64_t end;  /**< E; not in a "done" */
    int64_t seen; /**< "done": [offset, seen) holds no record; 0 = not known */
    int64_t rows; /**< records in [S,E): fewer in a redo is a gap */
    int32_t schemas[MILL_PLAN_SCHEMAS]; /**< ids in the order in which they entered the shape */
    size_t n;
};

/** @brief The text. @param out at least MILL_PLAN_TEXT_MAX bytes; empty string when it does not fit
 *  @own borrowed from out */
struct mill_str mill_plan_text(const struct mill_plan *p, char *out, size_t size);
/** @brief Read a commit's metadata. @return false when it is not ours */
bool mill_plan_parse(struct mill_str text, struct mill_plan *out) MILL_NODISCARD;

#endif
