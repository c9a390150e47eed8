#include "mail/address.h"

#include "mail/bidi.h"
#include "mail/charset.h"
#include <idn2.h>

const char mill_why_nomem[] = "out of memory";

static const struct mill_charset letdig = MILL_SET_LETDIG;

/** sub-domain *("." sub-domain), each Let-dig [Ldh-str]. */
static const char *idna_ldh(struct mill_str d)
{
    size_t i = 0;

    if (!d.n)
        return "the domain is empty";
    if (d.n > MILL_DOMAIN_MAX)
        return "the domain is longer than 255 octets";
    for (;;) {
        size_t start = i;
        while (i < d.n && (mill_in_set(&letdig, d.p[i]) || d.p[i] == '-'))
            i++;
        if (i < d.n && d.p[i] != '.')
            return "the domain has a character that is not allowed";
        if (i == start)
            return "the domain has an empty label";
        if (i - start > MILL_LABEL_MAX)
            return "a label of the domain is longer than 63 octets";
        if (d.p[start] == '-' || d.p[i - 1] == '-')
            return "a label of the domain starts or ends with a hyphen";
        if (i == d.n)
            return NULL;
        i++;
    }
}

/** Decode an A-label and hold it to all of RFC 5892, which the look-up call does not (CONTEXTO),
 *  and to its own re-encoding. */
static const char *idna_alabel(const char *label, size_t n)
{
    uint8_t *again = NULL;
    char low[MILL_LABEL_MAX + 1];
    int rc;

    for (size_t i = 0; i < n; i++)
        low[i] = (char)(label[i] >= 'A' && label[i] <= 'Z' ? label[i] + ('a' - 'A') : label[i]);
    low[n] = '\0';
    rc = idn2_register_u8(NULL, (const uint8_t *)low, &again, 0);
    idn2_free(again);
    if (rc == IDN2_MALLOC)
        return mill_why_nomem;
    return rc == IDN2_OK ? NULL : "a label of the domain is no valid international label";
}

/** All labels that start with xn--, then the name as a whole.
 *  @param d has passed idna_ldh; NUL-terminated */
static const char *idna_alabels(struct mill_str d)
{
    bool any = false;

    for (size_t i = 0; i < d.n;) {
        const char *dot = memchr(d.p + i, '.', d.n - i);
        size_t n = dot ? (size_t)(dot - d.p) - i : d.n - i;
        struct mill_str head = {d.p + i, n < 4 ? n : 4};
        bool alabel = mill_str_ieq(head, MILL_STR("xn--"));
        const char *why = alabel ? idna_alabel(d.p + i, n) : NULL;
        if (why)
            return why;
        any = any || alabel;
        i += n + 1;
    }
    return any ? mill_bidi_check(d.p) : NULL;
}

/** ASCII that may stand in an international name: what the look-up would else map or drop. */
static bool idna_ascii_part_ok(struct mill_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if ((unsigned char)c < 0x80 && !mill_in_set(&letdig, c) && c != '-' && c != '.')
            return false;
    }
    return true;
}

static const char *idna_convert(struct mill_str name, char *out, size_t *out_n)
{
    enum { FLAGS = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES };
    char in[MILL_DOMAIN_MAX + 1];
    char *ascii = NULL;
    const char *why = "the domain is no valid international name";
    size_t n;
    int rc;

    if (!mill_str_utf8(name))
        return "the domain is no UTF-8";
    if (!idna_ascii_part_ok(name))
        return "the domain has a character that is not allowed";
    memcpy(in, name.p, name.n);
    in[name.n] = '\0';
    rc = idn2_to_ascii_8z(in, &ascii, FLAGS);
    if (rc == IDN2_MALLOC)
        why = mill_why_nomem;
    if (rc != IDN2_OK)
        goto out;
    n = strlen(ascii);
    why = idna_ldh((struct mill_str){ascii, n});
    if (!why)
        why = idna_alabels((struct mill_str){ascii, n});
    if (why)
        goto out;
    memcpy(out, ascii, n + 1);
    *out_n = n;
out:
    idn2_free(ascii);
    return why;
}

const char *mill_domain_ascii(struct mill_str name, bool check_alabels, char *out, size_t *out_n)
{
    const char *why;

    if (name.n > MILL_DOMAIN_MAX)
        return "the domain is longer than 255 octets";
    if (name.n && mill_has_utf8(name))
        return idna_convert(name, out, out_n);
    why = idna_ldh(name);
    if (why)
        return why;
    memcpy(out, name.p, name.n);
    out[name.n] = '\0';
    *out_n = name.n;
    return check_alabels ? idna_alabels((struct mill_str){out, name.n}) : NULL;
}
