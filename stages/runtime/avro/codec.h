/**
 * @file codec.h
 * @brief From Avro binary to descriptor structs and back, with schema resolution.
 *
 * Model: a codec belongs to one descriptor. It parses the compiled-in schema once, checks it
 * against the table, and keeps one plan per writer schema id. Resolution is by name as the Avro
 * specification has it: promotions, defaults, aliases, unions, enum defaults; beyond it, a time in
 * another unit (timestamp-millis) is converted. Bytes go straight to the struct: strings are not
 * copied. Not thread-safe: one codec per thread.
 */
#ifndef MILL_CODEC_H
#define MILL_CODEC_H

#include "avro/avsc.h"
#include "avro/desc.h"
#include "base/buf.h"
#include <jansson.h>

struct mill_codec;

/** @brief Parse desc->avsc and check each row against it.
 *  @return MILL_OK; MILL_E_SCHEMA (where = field); MILL_E_NOMEM. @own new in *out */
enum mill_code mill_codec_new(struct mill_codec **out, const struct mill_desc *desc,
                              struct mill_err *err) MILL_NODISCARD;
void mill_codec_free(struct mill_codec *c);
const struct mill_desc *mill_codec_desc(const struct mill_codec *c);

/** @brief Make the plan for a writer's schema, if there is none for this id yet.
 *  @param id   registry id; @param json the writer's schema text
 *  @return MILL_OK; MILL_E_SCHEMA when the two do not resolve */
enum mill_code mill_codec_learn(struct mill_codec *c, int32_t id, struct mill_str json,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Is there a plan for this writer id? */
bool mill_codec_knows(const struct mill_codec *c, int32_t id);

/**
 * @brief Decode one record body (without the 5-byte frame).
 * @param out  desc->size bytes; zeroed first. Borrows from body and arena.
 * @return MILL_OK; MILL_E_DATA for truncated or impossible bytes, or bytes left over;
 *         MILL_E_STATE when the id was not learnt; MILL_E_NOMEM
 */
enum mill_code mill_codec_decode(struct mill_codec *c, int32_t id, struct mill_str body,
                                 struct mill_arena *arena, void *out,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Append the body in the codec's own schema. Absent strings in a non-null field are
 *  written as "", strings that are no UTF-8 with U+FFFD for each bad byte. @return MILL_OK,
 * MILL_E_DATA over the buffer's cap, MILL_E_NOMEM */
enum mill_code mill_codec_encode(struct mill_codec *c, const void *in, struct mill_buf *out,
                                 struct mill_err *err) MILL_NODISCARD;

/* Framing: byte 0, 4-byte big-endian schema id, body. */
enum { MILL_FRAME_BYTES = 5 };
/** @return MILL_OK, or MILL_E_DATA when it is no frame. @own body borrowed from raw */
enum mill_code mill_frame_split(struct mill_str raw, int32_t *id, struct mill_str *body,
                                struct mill_err *err) MILL_NODISCARD;
bool mill_frame_add(struct mill_buf *out, int32_t id);

/** @brief Any Avro body as JSON, for people and tools: unions without type names, timestamps as
 *  RFC 3339, decimals as text, bytes as text where they are printable UTF-8, else as
 *  {"base64": "…"}. @return MILL_OK; MILL_E_SCHEMA; MILL_E_DATA (where = field); MILL_E_NOMEM
 *  @own new */
enum mill_code mill_avro_json(struct mill_str schema_json, struct mill_str body, json_t **out,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief The same with a schema that is parsed already. */
enum mill_code mill_avro_json_node(const struct mill_avro_node *schema, struct mill_str body,
                                   json_t **out, struct mill_err *err) MILL_NODISCARD;

#endif
