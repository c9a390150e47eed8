/** @file message_id.c  @brief See message_id.h. */
#include "send/message_id.h"
#include "mail/request_rules.h"

bool mill_message_id_ok(struct mill_str id)
{
    const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
    size_t n = slash ? (size_t)(slash - id.p) : 0;
    size_t digits = slash ? id.n - n - 1 : 0;

    if (digits == 0 || digits > MILL_INDEX_DIGITS_MAX || !mill_id_ok((struct mill_str){id.p, n}))
        return false;
    for (size_t i = n + 1; i < id.n; i++)
        if (id.p[i] < '0' || id.p[i] > '9')
            return false;
    return true;
}
