/**
 * @file text.h
 * @brief One UTF-8 character at a time, and how it stands in JSON.
 */
#ifndef MILL_TEXT_H
#define MILL_TEXT_H

#include "base/str.h"

enum { MILL_JSON_UNIT = 6 /**< most bytes that one character takes in a JSON string */ };

/** @brief Bytes of the well-formed UTF-8 character at p (n > 0 bytes left), 0 if it is none. */
size_t mill_utf8_len(const char *p, size_t n);
/** @brief Write the character at s.p[*at] as it stands in a JSON string and step over it; a byte
 *  that is no UTF-8 becomes U+FFFD. @return bytes written */
size_t mill_json_unit(struct mill_str s, size_t *at, char out[MILL_JSON_UNIT]);

#endif
