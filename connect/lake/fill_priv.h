/** @file fill_priv.h  @brief Shared by fill.c (runs a program) and fill_plan.c (makes it) only. */
#ifndef MILL_LAKE_FILL_PRIV_H
#define MILL_LAKE_FILL_PRIV_H

#include "avro/wire.h"
#include "lake/fill.h"

enum mill_step_op {
    MILL_STEP_SKIP, /**< no column: pass over one value of .type */
    MILL_STEP_NULL,
    MILL_STEP_BOOL,
    MILL_STEP_INT,
    MILL_STEP_INT_LONG,
    MILL_STEP_INT_DOUBLE,
    MILL_STEP_LONG,
    MILL_STEP_FLOAT,
    MILL_STEP_FLOAT_DOUBLE,
    MILL_STEP_DOUBLE,
    MILL_STEP_BYTES,
    MILL_STEP_STRING,
    MILL_STEP_FIXED,
    MILL_STEP_ENUM,
    MILL_STEP_DECIMAL,
    MILL_STEP_UUID,   /**< 16 bytes to 36 characters */
    MILL_STEP_EMPTY,  /**< a record with no column of its own: pass over, add true */
    MILL_STEP_RECORD, /**< kids in the writer's order, then nulls for .absent */
    MILL_STEP_ARRAY,
    MILL_STEP_MAP,
    MILL_STEP_OPTION, /**< a union of null and one type (or only one): kids by branch */
    MILL_STEP_UNION,  /**< kids by branch, each to its member; the others get null */
};

struct mill_step {
    enum mill_step_op op;
    const struct mill_avro_node *type;
    const struct mill_col *col; /**< NULL for SKIP */
    struct mill_step *kids;
    size_t n;
    const struct mill_col **absent; /**< columns that the writer does not have */
    size_t n_absent;
    unsigned char limit[32]; /**< DECIMAL: 10^precision, big-endian */
};

struct mill_fill {
    struct mill_arena arena;
    struct mill_shape *shape;
    struct mill_step root;
    size_t time_at;          /**< field of the root that holds the row's time; SIZE_MAX = none */
    struct mill_buf guarded; /**< one text, hashed or masked */
};

/** @brief µs of one unit, times 1000, of a timestamp type; 0 = it is none. */
int64_t mill_fill_unit(const struct mill_avro_node *t);

#endif
