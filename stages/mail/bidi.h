/**
 * @file bidi.h
 * @brief The Bidi rule of RFC 5893 over a whole domain name; private to this folder.
 */
#ifndef MILL_BIDI_H
#define MILL_BIDI_H

#include "base/str.h"

/** @param alabels a domain name as A-labels, NUL-terminated, checked label by label before
 *  @return NULL (also for a name without right-to-left labels), or why not (static, or
 *  mill_why_nomem) */
const char *mill_bidi_check(const char *alabels) MILL_NODISCARD;

#endif
