/**
 * @file compact.h
 * @brief What is to be merged in a lake, and how far earlier merges have come: a pure function of
 * what lies there.
 *
 * Model: the small files of one Hive path and partition that follow each other become one, whose
 * name is their whole range and whose footer lists them. Its way is through three places, and each
 * listing shows where it stands, so that whoever was killed is followed by anybody:
 *   MERGE  it is put under PREFIX"merging/" + its name: no reader of topic=T looks there;
 *   WAIT   for the grace: writers that slept with a plan are awake or refused by then;
 *   SWAP   it is copied to its name, its parts are deleted, then its first copy;
 *   SWEEP  parts that are still there beside it are deleted (a SWAP that was killed);
 *   DROP   a copy under merging/ that nobody needs any more is deleted.
 * Never touched: a partition's last range (its plan may still be carried out by a new owner, and
 * the sink looks for the largest end), days that are not closed, files without a footer. A merged
 * file is not merged again: that a second run finds nothing to do hangs on it. One thread.
 */
#ifndef MILL_LAKE_COMPACT_H
#define MILL_LAKE_COMPACT_H

#include "lake/footer.h"
#include "lake/object.h"

/** The folder in which merged files wait; behind it a plain name, without the lake's prefix. */
#define MILL_COMPACT_STAGED "merging/"

struct mill_compact_object {
    struct mill_str key;  /**< under which it lies */
    struct mill_str name; /**< the key; of a staged one the key that it is to have */
    struct mill_object o; /**< of the name */
    uint64_t bytes;
    const struct mill_footer *footer; /**< NULL: none could be had */
    struct mill_str why;              /**< then */
    bool staged;
    int64_t age_ms; /**< of a staged one, by the service's clock */
    bool left;      /**< to be left alone: its partition has faults */
};

struct mill_compact_conf {
    struct mill_str prefix; /**< of the lake's names */
    int32_t open_day;       /**< the first day that is not closed, days since 1970 */
    uint64_t target_bytes;  /**< of a merged file; what has half of it stays as it is */
    size_t parts_max;       /**< of a merged file; 0 = 10,000 */
    int64_t grace_ms;
};

enum mill_compact_act {
    MILL_COMPACT_SWEEP,
    MILL_COMPACT_SWAP,
    MILL_COMPACT_WAIT,
    MILL_COMPACT_DROP,
    MILL_COMPACT_STUCK, /**< a staged file whose parts are not there, and nobody has their rows */
    MILL_COMPACT_MERGE,
    MILL_COMPACT_ACTS
};
/** @brief "sweep" … @own static */
const char *mill_compact_act_name(enum mill_compact_act act);

struct mill_compact_step {
    enum mill_compact_act act;
    struct mill_object o; /**< of the merged file; borrows from an object's name */
    size_t at;            /**< the merged or staged object; MERGE: the first part */
    size_t *parts;        /**< objects, in order of offsets */
    size_t n;
    uint64_t bytes; /**< of the parts */
    int64_t rows;
};

struct mill_compact_plan {
    struct mill_compact_step *v; /**< in the order of their acts, then of their objects */
    size_t n;
};

/**
 * @brief Objects in, steps out.
 * @param v  in any order, and left so; those that are `left` count as being there
 * @return MILL_OK; MILL_E_NOMEM. @own out in mem
 */
enum mill_code mill_compact_plan(const struct mill_compact_object *v, size_t n,
                                 const struct mill_compact_conf *conf, struct mill_arena *mem,
                                 struct mill_compact_plan *out,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
