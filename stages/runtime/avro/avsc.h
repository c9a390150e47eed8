/**
 * @file avsc.h
 * @brief An Avro schema as a tree, read from its JSON text.
 *
 * Model: immutable once parsed, so threads may share it. Names are full names, resolved; a
 * reference to a named type is a pointer to that type's node, so the tree of a recursive schema
 * has cycles. A type that would contain itself without a union, array or map between is refused:
 * such a value cannot end. Limits: text 1 MiB, nesting 64, 16384 nodes. Logical types that do not
 * fit their type are ignored, as the Avro specification has it.
 */
#ifndef MILL_AVSC_H
#define MILL_AVSC_H

#include "base/err.h"
#include <jansson.h>

enum { MILL_SCHEMA_MAX_BYTES = 1 << 20, MILL_SCHEMA_MAX_DEPTH = 64, MILL_SCHEMA_MAX_NODES = 16384 };

enum mill_avro_type {
    MILL_AVRO_NULL,
    MILL_AVRO_BOOLEAN,
    MILL_AVRO_INT,
    MILL_AVRO_LONG,
    MILL_AVRO_FLOAT,
    MILL_AVRO_DOUBLE,
    MILL_AVRO_BYTES,
    MILL_AVRO_STRING,
    MILL_AVRO_FIXED,
    MILL_AVRO_ENUM,
    MILL_AVRO_RECORD,
    MILL_AVRO_ARRAY,
    MILL_AVRO_MAP,
    MILL_AVRO_UNION,
};

enum mill_logical {
    MILL_LOGICAL_NONE,
    MILL_LOGICAL_DECIMAL, /**< bytes or fixed, two's complement, big-endian */
    MILL_LOGICAL_UUID,    /**< string, or fixed(16) */
    MILL_LOGICAL_DATE,    /**< int, days since 1970-01-01 */
    MILL_LOGICAL_TIME_MILLIS,
    MILL_LOGICAL_TIME_MICROS,
    MILL_LOGICAL_TIMESTAMP_MILLIS,
    MILL_LOGICAL_TIMESTAMP_MICROS,
    MILL_LOGICAL_TIMESTAMP_NANOS,
    MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS,
    MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS,
    MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS,
    MILL_LOGICAL_DURATION, /**< fixed(12) */
};

struct mill_avro_node;

struct mill_avro_field {
    struct mill_str name;
    struct mill_str doc;      /**< absent if none */
    struct mill_strs aliases; /**< other names of this field in older schemas */
    struct mill_avro_node *type;
    const json_t *def; /**< default value as JSON; NULL = none (JSON null is json_null()) */
};

struct mill_avro_node {
    enum mill_avro_type type;
    enum mill_logical logical;
    uint32_t precision, scale;        /**< MILL_LOGICAL_DECIMAL */
    struct mill_str name;             /**< full name: record, enum, fixed; else absent */
    struct mill_strs aliases;         /**< full names */
    struct mill_strs symbols;         /**< enum */
    int32_t default_symbol;           /**< enum: index, -1 = none */
    size_t size;                      /**< fixed: bytes */
    struct mill_avro_field *fields;   /**< record: n of them */
    struct mill_avro_node **branches; /**< union: n of them */
    struct mill_avro_node *items;     /**< array items, map values */
    size_t n;
    /** Least bytes of a value on the wire (capped at 2^30). 0 only where every value takes none. */
    size_t min_bytes;
    uint32_t state; /**< private to the parser */
};

struct mill_schema;

/** @brief Parse a schema. @return MILL_OK; MILL_E_SCHEMA (where = path of the field); MILL_E_NOMEM
 *  @own new in *out; json is copied */
enum mill_code mill_schema_parse(struct mill_schema **out, struct mill_str json,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. */
void mill_schema_free(struct mill_schema *s);
/** @own borrowed from s */
const struct mill_avro_node *mill_schema_root(const struct mill_schema *s);

/** @brief Name of an Avro type ("record"). @own static */
const char *mill_avro_type_name(enum mill_avro_type t);
/** @brief The part of a full name behind the last dot. @own borrowed */
struct mill_str mill_avro_short_name(struct mill_str full);
/** @brief Of a union of null and one other type: that type; the node itself if it is no union;
 *  NULL for any other union. @param nullable out: NULL allowed */
const struct mill_avro_node *mill_avro_nullable(const struct mill_avro_node *n, bool *nullable);

/**
 * @brief Can a reader with one schema read what a writer with the other wrote?
 * @param strict every branch of the writer's unions and every enum symbol must be readable, as a
 *        registry judges it; else one branch is enough, and the others fail when they are met
 * @return MILL_OK; MILL_E_SCHEMA (where = field at fault)
 */
enum mill_code mill_schema_resolves(const struct mill_avro_node *writer,
                                    const struct mill_avro_node *reader, bool strict,
                                    struct mill_err *err) MILL_NODISCARD;

#endif
