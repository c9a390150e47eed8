/**
 * @file desc.h
 * @brief Descriptor tables: how an Avro record lies in a C struct.
 *
 * Model: a descriptor names the record's schema text (compiled in from schemas/NAME.avsc) and, for
 * each field that the program uses, its offset and kind. Decoding fills the struct from bytes that
 * any version of the schema wrote; encoding writes the schema compiled in. Strings, bytes and
 * lists in a decoded struct are borrowed: from the record's bytes and the arena given. A field of
 * the schema that no row names is skipped on reading and written as its default.
 */
#ifndef MILL_DESC_H
#define MILL_DESC_H

#include "base/arena.h"
#include "base/err.h"

/** C type of the member, and the Avro types it takes (after promotion). */
enum mill_kind {
    MILL_STRING = 1,  /**< struct mill_str; string, bytes, fixed, or union with null (p == NULL) */
    MILL_I64,         /**< int64_t; int, long, time and timestamp logical types */
    MILL_BOOL,        /**< bool */
    MILL_F64,         /**< double; float, double (a writer's int and long too) */
    MILL_ENUM,        /**< int; index in .names; a symbol not in .names is index 0 */
    MILL_OPT_I64,     /**< struct mill_opt_i64; union of null and long */
    MILL_OPT_BOOLEAN, /**< struct mill_opt_bool; union of null and boolean */
    MILL_STRINGS,     /**< struct mill_strs; array of string or bytes */
    MILL_STRING_MAP,  /**< struct mill_map; map of string */
    MILL_RECORD,      /**< struct embedded by value, described by .sub */
    MILL_OPT_RECORD,  /**< const struct *; union of null and record; NULL = null */
    MILL_RECORDS,     /**< { const struct *v; size_t n; }; array of records described by .sub */
};

struct mill_opt_i64 {
    bool has;
    int64_t v;
};

struct mill_opt_bool {
    bool has;
    bool v;
};

struct mill_desc;

struct mill_field {
    const char *name; /**< Avro field name; NULL ends the table */
    enum mill_kind kind;
    size_t off;
    const struct mill_desc *sub; /**< for the record kinds */
    const char *const *names;    /**< for MILL_ENUM: symbols in C enum order, ends with NULL */
};

struct mill_desc {
    const char *name; /**< Avro record name, without namespace */
    const char *avsc; /**< schema text, NUL-terminated; NULL in a .sub descriptor */
    size_t size;      /**< sizeof the struct */
    const struct mill_field *fields;
};

/** Any { const T *v; size_t n; } list, as the codec sees it. */
struct mill_list {
    const void *v;
    size_t n;
};

#endif
