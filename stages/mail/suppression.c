#include "mail/suppression.h"

#include "mail/address.h"

static struct mill_str suppression_domain(struct mill_str address, char *out)
{
    struct mill_mailbox box;
    size_t n;

    if (mill_mailbox_scan(address, 0, &box) || !box.alabels_n)
        return address;
    n = (size_t)(box.domain.p - address.p);
    memcpy(out, address.p, n);
    memcpy(out + n, box.alabels, box.alabels_n);
    return (struct mill_str){out, n + box.alabels_n};
}

struct mill_str mill_suppression_address(struct mill_str address, char *out)
{
    char ascii[MILL_LOCAL_MAX + MILL_DOMAIN_MAX + 2];
    struct mill_str s;

    out[0] = '\0';
    if (!address.n || address.n >= MILL_SUPPRESSION_ADDRESS_SIZE)
        return (struct mill_str){0};
    s = suppression_domain(address, ascii);
    for (size_t i = 0; i < s.n; i++)
        out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + ('a' - 'A') : s.p[i]);
    out[s.n] = '\0';
    return (struct mill_str){out, s.n};
}

bool mill_suppression_key(struct mill_str tenant, struct mill_str address, struct mill_str category,
                          char *out)
{
    char text[MILL_SUPPRESSION_ADDRESS_SIZE];
    struct mill_str same = mill_suppression_address(address, text);
    const struct mill_str parts[] = {tenant.p ? tenant : MILL_STR(""), same, category};
    unsigned char digest[MILL_SHA256_BYTES];

    if (!same.p || !mill_sha256_parts(parts, category.n ? 3 : 2, digest))
        return false;
    mill_hex(digest, sizeof digest, out);
    return true;
}

struct mill_str mill_suppression_category(struct mill_strs categories, const char *listed)
{
    for (size_t i = 0; listed && i < categories.n; i++)
        if (categories.v[i].n && mill_str_listed(categories.v[i], listed))
            return categories.v[i];
    return MILL_STR("");
}
