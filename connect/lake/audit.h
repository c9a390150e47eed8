/**
 * @file audit.h
 * @brief Is each offset of each partition in the lake exactly once? By names and footers alone.
 *
 * Model: objects are added by name, each with its footer, then mill_audit_run judges. Ranges [S,E)
 * of a partition must follow each other without gap or overlap; a range's objects must be those
 * that its footers list, with the rows that its plan counted. Offsets without a row inside a range
 * (transaction markers, what compaction took) are legal: the plan counted records, not offsets. A
 * merged file stands for the parts that its footer lists; parts that are still there are not
 * counted again.
 */
#ifndef MILL_LAKE_AUDIT_H
#define MILL_LAKE_AUDIT_H

#include "lake/footer.h"
#include "lake/object.h"

enum mill_audit_fault {
    MILL_AUDIT_GAP,        /**< no object has these offsets */
    MILL_AUDIT_OVERLAP,    /**< two ranges have them */
    MILL_AUDIT_MISSING,    /**< an object that a footer lists is not there */
    MILL_AUDIT_STRAY,      /**< an object that its range does not list, or a second copy */
    MILL_AUDIT_NAME,       /**< the footer is of another range than the name */
    MILL_AUDIT_ROWS,       /**< not the number of rows that footer or plan say */
    MILL_AUDIT_UNREADABLE, /**< no footer could be had */
    MILL_AUDIT_FAULTS
};
/** @brief "gap" … @own static */
const char *mill_audit_fault_name(enum mill_audit_fault f);

/** What is wrong; strings are borrowed until the audit is freed. */
struct mill_audit_finding {
    enum mill_audit_fault fault;
    struct mill_str topic, topic_id;
    int32_t partition;
    int64_t start, end;     /**< offsets concerned */
    struct mill_str object; /**< absent for a gap */
    struct mill_str detail;
};

/** One partition of one life of a topic. */
struct mill_audit_partition {
    struct mill_str topic, topic_id;
    int32_t partition;
    int64_t start, end; /**< [start, end) is what the lake claims to have */
    int64_t ranges, objects, rows, rejected, bytes;
    int64_t holes;  /**< offsets inside the ranges that have no row: legal */
    int64_t merged; /**< objects that a merged file stands for and that are still there */
    int64_t faults;
};

struct mill_audit;
/** @param prefix of the names, "" or ending in '/'. @own new; NULL when out of memory */
struct mill_audit *mill_audit_new(const char *prefix) MILL_NODISCARD;
/** @brief NULL-safe. */
void mill_audit_free(struct mill_audit *a);
/** @brief Take an object in, with what its footer says; one that is not ours by its name is left
 *  out.
 *  @param footer NULL: it cannot be had, why says it. @own both borrowed until the audit is freed
 *  @return false when out of memory */
bool mill_audit_add(struct mill_audit *a, struct mill_str key, uint64_t bytes,
                    const struct mill_footer *footer, struct mill_str why) MILL_NODISCARD;

/** @brief What the sink's group says: all below `end` is in the lake. The end of a partition's
 *  objects must not be below it; without a claim, nothing says that the last range is gone.
 *  @param low where the log starts now: a partition without any object claims nothing below it
 *  @return false when out of memory */
bool mill_audit_claim(struct mill_audit *a, struct mill_str topic, struct mill_str topic_id,
                      int32_t partition, int64_t low, int64_t end) MILL_NODISCARD;

struct mill_audit_report {
    void (*finding)(void *arg, const struct mill_audit_finding *f);
    void (*partition)(void *arg, const struct mill_audit_partition *p);
    void *arg;
};
/**
 * @brief Judge, partition by partition: its findings, then its sum.
 * @return MILL_OK, whatever was found; MILL_E_NOMEM
 */
enum mill_code mill_audit_run(struct mill_audit *a, const struct mill_audit_report *report,
                              struct mill_err *err) MILL_NODISCARD;

#endif
