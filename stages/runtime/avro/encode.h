/** @file encode.h  @brief Private to the codec: from a descriptor's struct to Avro binary. */
#ifndef MILL_ENCODE_H
#define MILL_ENCODE_H

#include "avro/desc.h"
#include "avro/wire.h"

struct mill_encode_record; /**< lives in the arena it was built in; immutable */

/** @brief Order of work for one descriptor in its own schema, which mill_decode_check has passed.
 *  @return MILL_OK; MILL_E_SCHEMA when a field without a row has no default; MILL_E_NOMEM */
enum mill_code mill_encode_build(const struct mill_desc *desc, const struct mill_avro_node *schema,
                                 struct mill_arena *arena, const struct mill_encode_record **out,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Write one struct. @return MILL_OK; MILL_E_DATA when a value does not fit its type or the
 *  buffer's cap; MILL_E_NOMEM */
enum mill_code mill_encode_run(const struct mill_encode_record *rec, const void *in,
                               struct mill_buf *out, struct mill_err *err) MILL_NODISCARD;

#endif
