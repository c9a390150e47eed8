/** @file resolve.h  @brief The rules of schema resolution, one by one; for plan.c. */
#ifndef MILL_RESOLVE_H
#define MILL_RESOLVE_H

#include "avro/avsc.h"

/** Same name without namespace, or one of the reader's aliases. */
bool mill_resolve_names(const struct mill_avro_node *writer, const struct mill_avro_node *reader);
/** The writer's field that a field of the reader is read from: by name, else by an alias that is no
 *  field of the reader's own; NULL = none. */
const struct mill_avro_field *mill_resolve_field(const struct mill_avro_node *writer,
                                                 const struct mill_avro_node *reader,
                                                 const struct mill_avro_field *field);
/** Field of a record by name; NULL = none. */
const struct mill_avro_field *mill_avro_field_find(const struct mill_avro_node *record,
                                                   struct mill_str name);
/** Reader's index of a writer's symbol: itself, else the default, else -1. */
int32_t mill_resolve_symbol(struct mill_str symbol, const struct mill_avro_node *reader);
/** May a value of one type be read as the other, different one? */
bool mill_resolve_promotes(enum mill_avro_type writer, enum mill_avro_type reader);

#endif
