#include "mail/literal.h"

#include "mail/charset.h"

static const struct mill_charset hex = MILL_SET_HEX;
static const struct mill_charset digit = MILL_SET_DIGIT;
static const struct mill_charset letdig = MILL_SET_LETDIG;
static const struct mill_charset dcontent = MILL_SET_DCONTENT;

/** Four numbers of one to three digits, each at most 255. */
static bool literal_ipv4(struct mill_str s)
{
    size_t i = 0;

    for (int part = 0; part < 4; part++) {
        size_t n = mill_span(&digit, s, i);
        int value = 0;
        if (n < 1 || n > 3)
            return false;
        for (size_t k = 0; k < n; k++)
            value = value * 10 + (s.p[i + k] - '0');
        i += n;
        if (value > 255 || (part < 3 && (i == s.n || s.p[i++] != '.')))
            return false;
    }
    return i == s.n;
}

/** IPv6-full, -comp, IPv6v4-full, -comp: "::" stands for two groups at least, so at most six are
 *  written beside it (four before an IPv4 tail). */
static bool literal_ipv6(struct mill_str s)
{
    size_t i = 0;
    int groups = 0;
    bool compressed = false, v4 = false;

    if (mill_str_starts(s, "::")) {
        compressed = true;
        i = 2;
    }
    while (i < s.n && !v4) {
        size_t n = mill_span(&hex, s, i);
        v4 = n >= 1 && i + n < s.n && s.p[i + n] == '.';
        if (v4)
            break;
        if (n < 1 || n > 4 || ++groups > 8)
            return false;
        i += n;
        if (i == s.n)
            break;
        if (s.p[i++] != ':' || i == s.n)
            return false;
        if (s.p[i] == ':') {
            if (compressed)
                return false;
            compressed = true;
            i++;
        }
    }
    if (v4 && !literal_ipv4(mill_sub(s, i, s.n)))
        return false;
    return compressed ? groups <= (v4 ? 4 : 6) : groups == (v4 ? 6 : 8);
}

/** General-address-literal = Standardized-tag ":" 1*dcontent. A tag of one to four hex digits is
 *  refused: that is an IPv6 address whose tag was forgotten. */
static bool literal_general(struct mill_str tag, struct mill_str content)
{
    if (!tag.n || !mill_in_set(&letdig, tag.p[tag.n - 1]) || !mill_all_in(&dcontent, content))
        return false;
    for (size_t i = 0; i < tag.n; i++)
        if (tag.p[i] != '-' && !mill_in_set(&letdig, tag.p[i]))
            return false;
    return !(tag.n <= 4 && mill_all_in(&hex, tag));
}

const char *mill_literal_check(struct mill_str inside)
{
    const char *colon = inside.n ? memchr(inside.p, ':', inside.n) : NULL;
    struct mill_str tag, content;

    if (!colon)
        return literal_ipv4(inside) ? NULL : "the address literal is no IPv4 address";
    tag = mill_sub(inside, 0, (size_t)(colon - inside.p));
    content = mill_sub(inside, tag.n + 1, inside.n);
    if (mill_str_ieq(tag, MILL_STR("IPv6")))
        return literal_ipv6(content) ? NULL : "the address literal is no IPv6 address";
    return literal_general(tag, content) ? NULL : "the address literal has no known form";
}
