/** @file message_id.h  @brief The form of a message id: request_id, a slash, the index. */
#ifndef MILL_SEND_MESSAGE_ID_H
#define MILL_SEND_MESSAGE_ID_H

#include "base/str.h"

enum {
    MILL_INDEX_DIGITS_MAX = 10,
    /** Longest message id, bytes: a request id of 128, the slash, the index. */
    MILL_MESSAGE_ID_MAX = 128 + 1 + MILL_INDEX_DIGITS_MAX,
};

/** @brief Could we have made it? A provider echoes what it likes. Absent is no id. */
bool mill_message_id_ok(struct mill_str id) MILL_NODISCARD;

#endif
