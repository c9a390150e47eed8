/**
 * @file shape.h
 * @brief The columns of a file: a tree made from Avro schemas, which can only grow.
 *
 * Model: a shape is immutable once it is made, and counted: whoever holds one keeps it with
 * mill_shape_keep. Growing makes a new one that holds every row of the old one too: fields are
 * added (nullable), int widens to long, int and float to double, null to anything. So two versions
 * of a schema that come interleaved end in one shape and one file. Columns have ids (0 is the root,
 * a struct) by which mill_rows and mill_wire find them.
 *
 * Types: enum, uuid and string are UTF-8; a union of null and X is X, nullable; another union is a
 * nullable struct with one nullable member per branch, named by the branch's type; an empty record
 * is a boolean (Parquet has no empty group); duration stays 12 bytes.
 * One thread.
 */
#ifndef MILL_LAKE_SHAPE_H
#define MILL_LAKE_SHAPE_H

#include "avro/avsc.h"
#include "base/arena.h"
#include "lake/policy.h"

struct ArrowSchema;

enum mill_col_type {
    MILL_COL_UNSET,
    MILL_COL_NULL,
    MILL_COL_BOOL,
    MILL_COL_I32,
    MILL_COL_I64,
    MILL_COL_F32,
    MILL_COL_F64,
    MILL_COL_UTF8,
    MILL_COL_BINARY,
    MILL_COL_FIXED,
    MILL_COL_DATE,
    MILL_COL_TIME, /**< unit ms in 32 bits, µs in 64 */
    MILL_COL_TIMESTAMP,
    MILL_COL_DECIMAL, /**< 16 bytes to 38 digits, else 32 */
    MILL_COL_STRUCT,
    MILL_COL_LIST, /**< kid: element */
    MILL_COL_MAP,  /**< kid: struct key_value of key and value */
};

enum mill_unit { MILL_UNIT_MS = 1, MILL_UNIT_US, MILL_UNIT_NS };

struct mill_col {
    struct mill_str name;
    enum mill_col_type type;
    enum mill_unit unit;
    bool utc;              /**< timestamp: an instant, not a wall clock reading */
    bool nullable;         /**< may hold null */
    bool is_union;         /**< a struct that stands for a union */
    enum mill_guard guard; /**< HASH, MASK: its text is changed on the way in */
    int32_t precision, scale;
    size_t size; /**< bytes of a fixed or decimal */
    uint32_t id;
    struct mill_col **kids;
    size_t n;
};

/** Columns beside the record's own. */
enum mill_meta {
    MILL_META_TOPIC,
    MILL_META_PARTITION,
    MILL_META_OFFSET,
    MILL_META_TIMESTAMP,
    MILL_META_KEY,
    MILL_META_COUNT
};
/** @brief "_topic" … "_key" → its number. @return false when it is none */
bool mill_meta_parse(struct mill_str name, enum mill_meta *out) MILL_NODISCARD;
/** @brief A list of them, with commas between. @param mask out: bit MILL_META_x
 *  @return MILL_OK; MILL_E_CONFIG */
enum mill_code mill_meta_list(struct mill_str list, unsigned *mask,
                              struct mill_err *err) MILL_NODISCARD;

struct mill_shape {
    struct mill_arena arena;
    struct mill_col *root;
    uint32_t n_cols;
    unsigned refs;
    unsigned schemas;                             /**< that were merged into it */
    const struct mill_policy *policy;             /**< NULL: all is kept; borrowed */
    const struct mill_col *meta[MILL_META_COUNT]; /**< NULL = not wanted */
};

/** @brief A shape with metadata columns only. @param meta_mask bit MILL_META_x
 *  @param policy what is done to fields; NULL = nothing; borrowed for the life of all its versions
 *  @own new */
enum mill_code mill_shape_new(struct mill_shape **out, unsigned meta_mask,
                              const struct mill_policy *policy,
                              struct mill_err *err) MILL_NODISCARD;
/**
 * @brief The shape that also holds what this schema writes.
 * @param schema its root must be a record
 * @return MILL_OK, *out is `old` (kept once more) when nothing is new, else a new one;
 *         MILL_E_SCHEMA when the two cannot be merged or the schema cannot be columns; MILL_E_NOMEM
 * @own new reference
 */
enum mill_code mill_shape_grow(struct mill_shape *old, const struct mill_avro_node *schema,
                               struct mill_shape **out, struct mill_err *err) MILL_NODISCARD;
struct mill_shape *mill_shape_keep(struct mill_shape *s);
/** @brief Drop a reference. NULL-safe. */
void mill_shape_free(struct mill_shape *s);
/** @brief Child of a struct by name. @return NULL if there is none */
struct mill_col *mill_col_find(const struct mill_col *parent, struct mill_str name);
/** @brief Text of a type: the short name of a named one, else "long" and the like. @own borrowed */
struct mill_str mill_shape_label(const struct mill_avro_node *t);
/** @brief The branch's name inside the struct that stands for a union. @param buf for a name that
 *  had to be made; @own borrowed from the schema or buf */
struct mill_str mill_shape_branch(const struct mill_avro_node *u, size_t branch, char *buf,
                                  size_t size);
/** @brief As an Arrow schema. @own *out new, release()d by its owner */
enum mill_code mill_shape_arrow(const struct mill_shape *s, struct ArrowSchema *out,
                                struct mill_err *err) MILL_NODISCARD;

enum { MILL_SHAPE_COLS_MAX = 4096 };
/** @brief Add a column that is no type yet. @return NULL when out of memory or over the limit */
struct mill_col *mill_shape_col(struct mill_shape *s, struct mill_col *parent,
                                struct mill_str name) MILL_NODISCARD;
/** @brief Add a column of a type to a struct; a timestamp is in µs, UTC. NULL as above */
struct mill_col *mill_shape_add(struct mill_shape *s, struct mill_col *parent, const char *name,
                                enum mill_col_type type, bool nullable) MILL_NODISCARD;

#endif
