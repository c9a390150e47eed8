/* Bytes for people; see text.h. */
#include "text.h"
#include "base/text.h"

enum { ESCAPE = 4 /**< \xNN */ };

/* Does the character of n bytes steer a terminal, or where the next one stands? */
static bool text_steers(const unsigned char *p, size_t n)
{
    if (n == 1)
        return p[0] < 0x20 || p[0] == 0x7f;
    if (n == 2) /* C1: U+0080 to U+009F; the Arabic letter mark */
        return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
    if (n != 3 || p[0] != 0xe2)
        return false;
    /* U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069 */
    return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
           (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

static char *text_escape(char *out, const unsigned char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = '\\';
        *out++ = 'x';
        *out++ = hex[p[i] >> 4];
        *out++ = hex[p[i] & 15];
    }
    return out;
}

static const char *text_make(struct mill_arena *a, struct mill_str s, bool lines)
{
    char *text, *out;

    if (!s.n)
        return "";
    out = text = s.n < SIZE_MAX / ESCAPE ? mill_arena_alloc(a, s.n * ESCAPE + 1) : NULL;
    if (!text)
        return "(out of memory)";
    for (size_t at = 0; at < s.n;) {
        const unsigned char *p = (const unsigned char *)s.p + at;
        size_t n = mill_utf8_len(s.p + at, s.n - at);
        if ((n && !text_steers(p, n)) || (lines && *p == '\n')) {
            memcpy(out, p, n ? n : 1);
            out += n ? n : 1;
        } else {
            out = text_escape(out, p, n ? n : 1);
        }
        at += n ? n : 1;
    }
    *out = 0;
    return text;
}

const char *text_safe(struct mill_arena *a, struct mill_str s)
{
    return text_make(a, s, false);
}

const char *text_safe_lines(struct mill_arena *a, struct mill_str s)
{
    return text_make(a, s, true);
}
