/**
 * @file literal.h
 * @brief RFC 5321 § 4.1.3 address literals: [192.0.2.1], [IPv6:2001:db8::1], [tag:content].
 */
#ifndef MILL_LITERAL_H
#define MILL_LITERAL_H

#include "base/str.h"

/** @brief What stands between the brackets. @return NULL, or why it is no literal (static) */
const char *mill_literal_check(struct mill_str inside) MILL_NODISCARD;

#endif
