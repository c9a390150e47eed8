#include "mail/address.h"

#include "mail/charset.h"
#include "mail/literal.h"
#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

static const struct mill_charset atext = MILL_SET_ATEXT;
static const struct mill_charset qtext = MILL_SET_QTEXT;
static const struct mill_charset digit = MILL_SET_DIGIT;

/** RFC 6531 adds UTF8-non-ascii to both kinds of local part; the text has been checked before. */
static bool address_utf8(char c)
{
    return (unsigned char)c >= 0x80;
}

/** Atom *("." Atom). @return bytes taken up to '@' or the end */
static size_t address_dot_string(struct mill_str s, const char **why)
{
    size_t i = 0;

    for (;;) {
        size_t start = i;
        while (i < s.n && (mill_in_set(&atext, s.p[i]) || address_utf8(s.p[i])))
            i++;
        if (i == start && (i == s.n || s.p[i] == '@' || s.p[i] == '.')) {
            *why = i || (s.n && s.p[0] == '.') ? "the local part has a dot too many"
                                               : "the local part is empty";
            return i;
        }
        if (i < s.n && s.p[i] != '.' && s.p[i] != '@') {
            *why = "the local part has a character that is not allowed";
            return i;
        }
        if (i == s.n || s.p[i] == '@')
            return i;
        i++;
    }
}

/** DQUOTE *QcontentSMTP DQUOTE. @return bytes taken */
static size_t address_quoted(struct mill_str s, const char **why)
{
    size_t i = 1;

    while (i < s.n && s.p[i] != '"') {
        if (s.p[i] == '\\') {
            i++;
            if (i == s.n || s.p[i] < 0x20 || s.p[i] > 0x7e) {
                *why = "the quoted local part has a bad escape";
                return i;
            }
        } else if (!mill_in_set(&qtext, s.p[i]) && !address_utf8(s.p[i])) {
            *why = "the quoted local part has a character that is not allowed";
            return i;
        }
        i++;
    }
    if (i == s.n) {
        *why = "the quoted local part does not end";
        return i;
    }
    return i + 1;
}

static const char *address_domain(struct mill_str domain, unsigned flags, struct mill_mailbox *out)
{
    const char *why;

    out->literal = domain.n && domain.p[0] == '[';
    out->alabels_n = 0;
    if (!out->literal) {
        bool deliverable = flags & MILL_MAILBOX_DELIVERABLE;
        why = mill_domain_ascii(domain, deliverable, out->alabels, &out->alabels_n);
        if (!why && !mill_has_utf8(domain))
            out->alabels_n = 0;
        return why;
    }
    if (domain.n < 2 || domain.p[domain.n - 1] != ']')
        return "the address literal does not end";
    return mill_literal_check(mill_sub(domain, 1, domain.n - 1));
}

/** In NFC, without C1 controls and noncharacters: what other systems may change or refuse. */
static const char *address_utf8_narrow(struct mill_str local)
{
    uint8_t nfc[4 * MILL_LOCAL_MAX];
    size_t n = sizeof nfc;
    const uint8_t *s = (const uint8_t *)local.p;
    ucs4_t c = 0;

    for (size_t i = 0; i < local.n;) {
        int len = u8_mbtouc(&c, s + i, local.n - i);
        if ((c >= 0x80 && c < 0xa0) || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
            return "the local part has a control or noncharacter";
        i += len > 0 ? (size_t)len : 1;
    }
    /* A result that does not fit is allocated: then it differs from the input anyhow. */
    uint8_t *got = u8_normalize(UNINORM_NFC, s, local.n, nfc, &n);
    bool same = got && n == local.n && !memcmp(got, local.p, n);
    if (got != nfc)
        free(got);
    return same ? NULL : "the local part is not in Unicode normal form C";
}

static const char *address_narrow(const struct mill_mailbox *m)
{
    struct mill_str domain = m->alabels_n ? (struct mill_str){m->alabels, m->alabels_n} : m->domain;
    size_t dot = domain.n;

    if (m->quoted)
        return "the local part is quoted, which providers do not deliver";
    if (m->literal)
        return "the domain is an address literal, which providers do not deliver";
    while (dot && domain.p[dot - 1] != '.')
        dot--;
    if (!dot)
        return "the domain has no dot";
    if (mill_all_in(&digit, mill_sub(domain, dot, domain.n)))
        return "the top level of the domain is a number";
    return mill_has_utf8(m->local) ? address_utf8_narrow(m->local) : NULL;
}

const char *mill_mailbox_scan(struct mill_str text, unsigned flags, struct mill_mailbox *out)
{
    struct mill_mailbox m;
    const char *why = NULL;
    size_t at;

    if (!text.n)
        return "the address is empty";
    if (text.n > MILL_MAILBOX_MAX)
        return "the address is longer than 254 octets";
    if (mill_has_utf8(text) && !mill_str_utf8(text))
        return "the address is no UTF-8";
    m.quoted = text.p[0] == '"';
    at = m.quoted ? address_quoted(text, &why) : address_dot_string(text, &why);
    if (why)
        return why;
    if (at == text.n || text.p[at] != '@')
        return at == text.n ? "the address has no @" : "text follows the quoted local part";
    if (at > MILL_LOCAL_MAX)
        return "the local part is longer than 64 octets";
    m.local = mill_sub(text, 0, at);
    m.domain = mill_sub(text, at + 1, text.n);
    why = address_domain(m.domain, flags, &m);
    if (!why && m.alabels_n && at + 1 + m.alabels_n > MILL_MAILBOX_MAX)
        why = "the address is longer than 254 octets with its domain as A-labels";
    if (!why && (flags & MILL_MAILBOX_DELIVERABLE))
        why = address_narrow(&m);
    if (!why && out)
        *out = m;
    return why;
}

struct mill_str mill_mailbox_ascii(struct mill_str text, struct mill_arena *arena)
{
    struct mill_mailbox m;

    if (!mill_has_utf8(text))
        return text;
    if (mill_mailbox_scan(text, 0, &m))
        return (struct mill_str){0};
    if (!m.alabels_n)
        return text;
    return mill_arena_printf(arena, "%.*s@%s", MILL_FMT(m.local), m.alabels);
}
