/**
 * @file split.h
 * @brief A valid request into the messages that it asks for, one for each personalization.
 *
 * Model: what a personalization says wins over what its request says: subject, send_at, each header
 * (names whatever their case), each key of metadata and of the template's data. Domains become
 * A-labels. Nothing is copied that need not change. Thread-safe.
 */
#ifndef MILL_SPLIT_H
#define MILL_SPLIT_H

#include "mail/records.h"

/**
 * @param r     has passed mill_request_check, has its request_id
 * @param index of the personalization
 * @param out   filled; @own borrowed from r and arena
 * @return MILL_OK; MILL_E_NOMEM
 */
enum mill_code mill_request_split(const struct mill_request *r, size_t index,
                                  struct mill_arena *arena, struct mill_message *out,
                                  struct mill_err *err) MILL_NODISCARD;

#endif
