#include "base/str.h"
#include "base/text.h"

static char str_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool mill_str_ieq(struct mill_str a, struct mill_str b)
{
    if (!a.p != !b.p || a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (str_lower(a.p[i]) != str_lower(b.p[i]))
            return false;
    return true;
}

struct mill_str mill_map_get(struct mill_map m, const char *key)
{
    for (size_t i = 0; i < m.n; i++)
        if (mill_str_is(m.v[i].key, key))
            return m.v[i].value;
    return (struct mill_str){0};
}

static bool str_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct mill_str mill_str_trim(struct mill_str s)
{
    while (s.n && str_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && str_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct mill_str mill_str_take(struct mill_str *rest, char sep)
{
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct mill_str part = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t used = part.n + (at ? 1 : 0);

    if (used) {
        rest->p += used;
        rest->n -= used;
    }
    return part;
}

bool mill_str_in(struct mill_str s, struct mill_str list)
{
    while (s.n && list.n)
        if (mill_str_eq(mill_str_trim(mill_str_take(&list, ',')), s))
            return true;
    return false;
}

bool mill_str_listed(struct mill_str s, const char *list)
{
    return mill_str_in(s, mill_str(list));
}

bool mill_str_i64(struct mill_str s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    size_t i = minus ? 1 : 0;
    int64_t v = 0;

    if (i == s.n)
        return false;
    for (; i < s.n; i++) {
        int digit = s.p[i] - '0';
        if (digit < 0 || digit > 9)
            return false;
        /* Downwards, because INT64_MIN has no positive twin. */
        if (v < (INT64_MIN + digit) / 10)
            return false;
        v = v * 10 - digit;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *out = minus ? v : -v;
    return true;
}

size_t mill_utf8_len(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    unsigned char low = 0x80, high = 0xBF; /* range of the second byte */
    size_t len;

    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xC2 || u[0] > 0xF4)
        return 0;
    len = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    if (u[0] == 0xE0)
        low = 0xA0; /* shorter form exists */
    else if (u[0] == 0xED)
        high = 0x9F; /* surrogates */
    else if (u[0] == 0xF0)
        low = 0x90;
    else if (u[0] == 0xF4)
        high = 0x8F; /* above U+10FFFF */
    if (len > n || u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (u[i] < 0x80 || u[i] > 0xBF)
            return 0;
    return len;
}

/* Eight ASCII bytes at a time: most mail is ASCII, and every decoded string comes by here. */
static size_t str_ascii(struct mill_str s, size_t i)
{
    uint64_t eight;

    for (; s.n - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, s.p + i, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    return i;
}

bool mill_str_utf8(struct mill_str s)
{
    for (size_t i = str_ascii(s, 0); i < s.n;) {
        size_t len = mill_utf8_len(s.p + i, s.n - i);
        if (!len)
            return false;
        i += len;
    }
    return true;
}

void mill_str_cut(struct mill_str s, char *out, size_t size)
{
    size_t n = s.n;

    if (!size)
        return;
    if (n >= size) {
        n = size - 1;
        /* Not through the middle of a character. */
        while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
            n--;
    }
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

size_t mill_json_unit(struct mill_str s, size_t *at, char out[MILL_JSON_UNIT])
{
    static const char hex[] = "0123456789abcdef";
    static const char named[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    unsigned char c = (unsigned char)s.p[*at];
    size_t len = mill_utf8_len(s.p + *at, s.n - *at);

    if (!len) {
        *at += 1;
        memcpy(out, "\xEF\xBF\xBD", 3);
        return 3;
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *at += 1;
        return 2;
    }
    if (c < 0x20 && named[c]) {
        out[0] = '\\';
        out[1] = named[c];
        *at += 1;
        return 2;
    }
    if (c < 0x20 || c == 0x7F) {
        const char unit[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        memcpy(out, unit, sizeof unit);
        *at += 1;
        return sizeof unit;
    }
    memcpy(out, s.p + *at, len);
    *at += len;
    return len;
}
