/**
 * @file mailid.h
 * @brief An id as people give it: of a request, or of one of its messages.
 */
#ifndef MAILID_H
#define MAILID_H

#include "base/str.h"

struct mailid {
    struct mill_str text;    /**< as given */
    struct mill_str request; /**< the part before the slash */
    bool message;            /**< it names one message */
};

/** @brief 1 to 128 of [A-Za-z0-9._~:-], and for a message a slash and its index.
 *  @return false when it is none. @own borrowed from text */
bool mailid_parse(const char *text, struct mailid *out);
/** @brief No record of the mail is older, ms since 1970: 7 days before now, or, where the id
 * carries its time (UUID of version 7), that; clocks may differ by a minute. */
int64_t mailid_since_ms(const struct mailid *id, int64_t now_ms);
/** @brief Is a record key of this mail? Also of what is behind it: message_id/attempt/writer. A
 *  request's own key is of each of its messages. */
bool mailid_owns(const struct mailid *id, struct mill_str key);

#endif
