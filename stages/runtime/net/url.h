/**
 * @file url.h
 * @brief Percent-encoding.
 */
#ifndef MILL_URL_H
#define MILL_URL_H

#include "base/buf.h"

/** @brief Append s with all but RFC 3986's unreserved characters percent-encoded (upper-case hex).
 *  @param keep further characters that stay as they are ("/" for a path), "" = none
 *  @return false when the buffer failed */
bool mill_url_encode(struct mill_buf *out, struct mill_str s, const char *keep);

#endif
