/** @file audit_priv.h  @brief Shared by audit.c (what there is) and audit_range.c (is it right). */
#ifndef MILL_LAKE_AUDIT_PRIV_H
#define MILL_LAKE_AUDIT_PRIV_H

#include "lake/audit.h"

/** An object, or a part that a merged file stands for. */
struct audit_entry {
    struct mill_str key;
    uint64_t bytes;
    struct mill_object o; /**< borrows from key */
    const struct mill_footer *footer;
    struct mill_str why;       /**< without a footer */
    bool merged;               /**< the file itself: its parts are counted */
    int64_t parts_rows;        /**< of a merged file: what its parts had */
    struct mill_str parts_why; /**< what is wrong with its list of parts; absent = nothing */
    bool part;                 /**< known from a merged file's footer */
    bool superseded;           /**< still there, and in a merged file */
};

/** See mill_audit_claim. */
struct audit_claim {
    struct mill_object o; /**< its start is low */
    bool met;             /**< the partition has objects */
    struct audit_claim *next;
};

struct mill_audit {
    struct audit_claim *claims;
    struct mill_arena mem;
    struct mill_str prefix;
    struct audit_entry *v;
    size_t n, room;
    const struct mill_audit_report *report;
    struct mill_audit_partition sum; /**< of the partition in hand */
    bool nomem;
};

/** @brief Offsets that a claim has and no object. */
void mill_audit_unmet(struct mill_audit *a, int64_t start, int64_t end);
/** @brief Judge the objects of one [S,E), and count them. @param v in order of their keys */
void mill_audit_range(struct mill_audit *a, struct audit_entry *v, size_t n);

#endif
