/** @file url.c  @brief Percent-encoding. */
#include "net/url.h"

bool mill_url_encode(struct mill_buf *out, struct mill_str s, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const unsigned char u = (unsigned char)c;
        const bool plain = (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
                           (u >= '0' && u <= '9') || (u && strchr("-._~", c)) ||
                           (u && strchr(keep, c));

        if (plain) {
            mill_buf_putc(out, c);
        } else {
            mill_buf_putc(out, '%');
            mill_buf_putc(out, hex[u >> 4]);
            mill_buf_putc(out, hex[u & 15]);
        }
    }
    return !out->failed;
}
