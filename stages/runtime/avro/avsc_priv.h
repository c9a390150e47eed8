/** @file avsc_priv.h  @brief Shared by avsc.c and avsc_info.c only. */
#ifndef MILL_AVSC_PRIV_H
#define MILL_AVSC_PRIV_H

#include "avro/avsc.h"
#include "base/arena.h"

enum { MILL_NODE_NEW, MILL_NODE_OPEN, MILL_NODE_SIZED };
enum { MILL_SCHEMA_MAX_FIXED = 1 << 30 };

struct mill_schema_name {
    struct mill_schema_name *next;
    struct mill_avro_node *node;
};

struct mill_schema {
    struct mill_arena arena;
    json_t *json; /* names, symbols and defaults are borrowed from it */
    struct mill_avro_node *root;
    struct mill_schema_name *names; /* newest first */
    size_t nodes;
};

/** Least bytes of a type by itself: of a record, without its fields. */
size_t mill_schema_least(enum mill_avro_type t);
/** Fills min_bytes of all records; refuses a record that holds itself. */
enum mill_code mill_schema_sizes(struct mill_schema *s, struct mill_err *err) MILL_NODISCARD;
/** Sets the logical type, where it fits. */
void mill_schema_logical(const json_t *j, struct mill_avro_node *node);

#endif
