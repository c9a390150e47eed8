#include "mail/bidi.h"

#include "mail/address.h"
#include <idn2.h>
#include <unictype.h>
#include <unistr.h>

/* libidn2 applies the rule to a label with right-to-left characters; RFC 5893 wants it of every
 * label of a name that has such a label, and European and Arabic digits kept apart. */

enum { BIDI_CLASSES = 23 }; /* values of uc_bidi_category */

#define BIT(c) (UINT32_C(1) << (c))
#define BOTH_WAYS                                                                                  \
    (BIT(UC_BIDI_EN) | BIT(UC_BIDI_ES) | BIT(UC_BIDI_CS) | BIT(UC_BIDI_ET) | BIT(UC_BIDI_ON) |     \
     BIT(UC_BIDI_BN) | BIT(UC_BIDI_NSM))

static const uint32_t right = BIT(UC_BIDI_R) | BIT(UC_BIDI_AL);
static const uint32_t right_or_an = BIT(UC_BIDI_R) | BIT(UC_BIDI_AL) | BIT(UC_BIDI_AN);

/** What the classes of one label are. */
struct bidi_label {
    uint32_t first, last; /**< one bit each; last without the marks that follow it */
    uint32_t all;
};

/** @return bytes of the label, which ends at a dot or the end */
static size_t bidi_scan(struct mill_str name, size_t at, struct bidi_label *out)
{
    size_t i = at;

    *out = (struct bidi_label){0};
    while (i < name.n && name.p[i] != '.') {
        ucs4_t c = 0;
        int len = u8_mbtouc(&c, (const uint8_t *)name.p + i, name.n - i);
        int class = uc_bidi_category(c);
        uint32_t bit = class >= 0 && class < BIDI_CLASSES ? BIT(class) : 0;
        out->all |= bit;
        if (!out->first)
            out->first = bit;
        if (class != UC_BIDI_NSM)
            out->last = bit;
        i += len > 0 ? (size_t)len : 1;
    }
    return i - at;
}

/** RFC 5893 § 2, rules 1 to 6. */
static bool bidi_label_ok(const struct bidi_label *l)
{
    const uint32_t digits = BIT(UC_BIDI_EN) | BIT(UC_BIDI_AN);

    if (l->first & right)
        return !(l->all & ~(right_or_an | BOTH_WAYS)) && (l->last & (right | digits)) &&
               (l->all & digits) != digits;
    return (l->first & BIT(UC_BIDI_L)) && !(l->all & ~(BIT(UC_BIDI_L) | BOTH_WAYS)) &&
           (l->last & (BIT(UC_BIDI_L) | BIT(UC_BIDI_EN)));
}

const char *mill_bidi_check(const char *alabels)
{
    char *text = NULL;
    const char *why = NULL;
    struct bidi_label label;
    struct mill_str name;
    bool any_right = false, all_ok = true;
    int rc = idn2_to_unicode_8z8z(alabels, &text, 0);

    if (rc != IDN2_OK) {
        idn2_free(text);
        return rc == IDN2_MALLOC ? mill_why_nomem : "the domain is no valid international name";
    }
    name = mill_str(text);
    for (size_t i = 0; i < name.n; i++) {
        i += bidi_scan(name, i, &label);
        any_right = any_right || (label.all & right_or_an);
        all_ok = all_ok && bidi_label_ok(&label);
    }
    if (any_right && !all_ok)
        why = "the domain mixes directions of writing";
    idn2_free(text);
    return why;
}
