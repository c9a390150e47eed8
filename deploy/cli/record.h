/**
 * @file record.h
 * @brief A record as people and scripts see it: one stable envelope.
 */
#ifndef RECORD_H
#define RECORD_H

#include "avro/registry.h"
#include "cli.h"

/**
 * @brief The envelope {topic, partition, offset, timestamp, timestamp_type, key, value, value_size,
 *        value_schema_id, headers[{key, value}]} as JSON.
 *
 * A value in the registry's frame is decoded (value_schema_id says by which schema). What cannot be
 * decoded stands as text, or as base64 under value_base64, and value_error says why: a poison
 * record still prints.
 * @own new; NULL when out of memory
 */
json_t *record_json(struct mill_registry *registry, const struct mill_record *in) MILL_NODISCARD;
/** @brief A value decoded. @return MILL_OK with *out (new); else err says why not */
enum mill_code record_decode(struct mill_registry *registry, struct mill_str raw, int32_t *id,
                             json_t **out, struct mill_err *err) MILL_NODISCARD;

#endif
