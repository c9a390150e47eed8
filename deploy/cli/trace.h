/**
 * @file trace.h
 * @brief Inside of `sendmill trace`: what a record says, in a few words.
 */
#ifndef TRACE_H
#define TRACE_H

#include "base/arena.h"
#include "base/json.h"

/**
 * @brief One line for people about a record of a mail's way; not escaped.
 * @param schema base name of its topic's schema ("status.avsc"); NULL = raw bytes
 * @param record the envelope of record.h
 * @return p NULL when out of memory. @own borrowed from the arena
 */
struct mill_str trace_what(struct mill_arena *a, const char *schema,
                           const json_t *record) MILL_NODISCARD;
/** @brief One more word of mail.status, in its order: the one that stands of each message stays.
 *  @param states object of message_id → its status @param value a status */
void trace_state(json_t *states, const json_t *value);

#endif
