/** @file table.c  @brief The providers that this build knows: one row each. */
#include "send/provider.h"

const struct mill_provider *const mill_providers[] = {
    &mill_provider_sendgrid,
    &mill_provider_smtp,
    NULL,
};

const struct mill_provider *mill_provider_find(struct mill_str name)
{
    for (const struct mill_provider *const *p = mill_providers; *p; p++)
        if (mill_str_is(name, (*p)->name))
            return *p;
    return NULL;
}

struct mill_str mill_answer_text(struct mill_arena *mem, struct mill_str s)
{
    enum { TEXT_MAX = 300 };
    char *out = s.n ? mill_arena_alloc(mem, TEXT_MAX) : NULL;
    size_t n = s.n < TEXT_MAX ? s.n : TEXT_MAX;
    bool utf8 = mill_str_utf8(s);

    if (!out)
        return MILL_STR("no reason given");
    while (utf8 && n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--; /* do not cut a character in two */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        out[i] = c < 0x20 || c == 0x7F ? ' ' : s.p[i];
        out[i] = c >= 0x80 && !utf8 ? '?' : out[i];
    }
    return (struct mill_str){out, n};
}
