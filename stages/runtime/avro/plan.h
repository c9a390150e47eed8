/**
 * @file plan.h
 * @brief Private to the codec: how one writer's bytes become one descriptor's struct.
 *
 * Model: a plan is a tree of values that mirrors the writer's schema, since bytes come in the
 * writer's order. Every record of it starts as a copy of a prototype struct that holds the defaults
 * of the fields which that writer does not have. Lives in the arena it was built in; immutable.
 */
#ifndef MILL_PLAN_H
#define MILL_PLAN_H

#include "avro/desc.h"
#include "avro/wire.h"

enum mill_decode_op {
    MILL_DECODE_FAIL, /**< a branch that the reader has no type for */
    MILL_DECODE_SKIP,
    MILL_DECODE_NULL, /**< leaves the prototype's absent value */
    MILL_DECODE_TEXT, /**< must be UTF-8 */
    MILL_DECODE_BYTES,
    MILL_DECODE_FIXED,
    MILL_DECODE_INT,     /**< to int64_t */
    MILL_DECODE_LONG,    /**< to int64_t */
    MILL_DECODE_SCALED,  /**< to int64_t, times mul, by div: millis to micros and the like */
    MILL_DECODE_OPT_I64, /**< to struct mill_opt_i64, read as item says */
    MILL_DECODE_BOOL,
    MILL_DECODE_OPT_BOOL,
    MILL_DECODE_LONG_F64,
    MILL_DECODE_FLOAT_F64,
    MILL_DECODE_DOUBLE_F64,
    MILL_DECODE_ENUM,
    MILL_DECODE_LIST,
    MILL_DECODE_MAP,
    MILL_DECODE_RECORD,
    MILL_DECODE_OPT_RECORD,
    MILL_DECODE_UNION,
};

struct mill_decode_record;

struct mill_decode_value {
    enum mill_decode_op op;
    const struct mill_avro_node *writer;
    const struct mill_decode_record *sub;     /**< RECORD, OPT_RECORD */
    const struct mill_decode_value *item;     /**< LIST, MAP: items; OPT_I64: the number */
    const struct mill_decode_value *branches; /**< UNION: one for each of the writer's */
    const int *symbols;                       /**< ENUM: writer's index to C; -1 = cannot be read */
    size_t stride;                            /**< LIST, MAP: bytes of an item in C */
    size_t item_min;                          /**< LIST, MAP: least bytes of an item on the wire */
    int64_t mul, div;                         /**< SCALED */
};

struct mill_decode_field {
    struct mill_decode_value value;
    size_t off;
    const char *name;
};

struct mill_decode_record {
    const struct mill_avro_node *writer, *reader;
    const struct mill_desc *desc;
    const void *proto; /**< desc->size bytes */
    const struct mill_decode_field *fields;
    size_t n;
    bool ready;                      /**< false while it is being built */
    struct mill_decode_record *next; /**< all records of the plan */
};

/** @brief Does each row of desc fit its field of the schema? @return MILL_OK; MILL_E_SCHEMA */
enum mill_code mill_decode_check(const struct mill_desc *desc, const struct mill_avro_node *reader,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Plan for a writer, which must resolve (mill_schema_resolves). @own in arena */
enum mill_code mill_decode_build(const struct mill_desc *desc, const struct mill_avro_node *writer,
                                 const struct mill_avro_node *reader, struct mill_arena *arena,
                                 struct mill_decode_value *out,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Run a plan. @param out zeroed memory of the value's C type
 *  @return MILL_OK; MILL_E_DATA (where = field); MILL_E_NOMEM */
enum mill_code mill_decode_run(const struct mill_decode_value *plan, struct mill_wire *in,
                               struct mill_arena *arena, void *out,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief The row of a field; NULL = none. */
const struct mill_field *mill_decode_row(const struct mill_desc *desc, struct mill_str name);

#endif
