/** @file message_id.c  @brief See message_id.h. */
#include "send/message_id.h"

static bool id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("._~:-", c));
}

bool mill_message_id_ok(struct mill_str id)
{
    const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
    size_t n = slash ? (size_t)(slash - id.p) : 0;
    size_t digits = slash ? id.n - n - 1 : 0;

    if (n == 0 || n > 128 || digits == 0 || digits > 10)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!id_char(id.p[i]))
            return false;
    for (size_t i = n + 1; i < id.n; i++)
        if (id.p[i] < '0' || id.p[i] > '9')
            return false;
    return true;
}
