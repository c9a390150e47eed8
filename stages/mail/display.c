#include "mail/address.h"

/** Bytes of `"…"` at the start of s with both quotes; 0 when it does not end. */
static size_t display_quoted(struct mill_str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static struct mill_str display_trim(struct mill_str s)
{
    while (s.n && s.p[s.n - 1] == ' ')
        s.n--;
    while (s.n && s.p[0] == ' ') {
        s.p++;
        s.n--;
    }
    return s;
}

/** A quoted name without its quotes and escapes. */
static const char *display_unquote(struct mill_str name, struct mill_arena *arena,
                                   struct mill_str *out)
{
    struct mill_str inside = {name.p + 1, name.n - 2};
    char *to;
    size_t n = 0;

    if (!inside.n || !memchr(inside.p, '\\', inside.n)) {
        *out = inside;
        return NULL;
    }
    to = mill_arena_alloc(arena, inside.n);
    if (!to)
        return mill_why_nomem;
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] == '\\')
            i++;
        to[n++] = inside.p[i];
    }
    *out = (struct mill_str){to, n};
    return NULL;
}

const char *mill_address_split(struct mill_str text, struct mill_arena *arena,
                               struct mill_address *out)
{
    struct mill_str s = display_trim(text), name;
    const char *open;
    size_t quoted = 0;

    *out = (struct mill_address){.email = text};
    if (!s.n || s.p[s.n - 1] != '>')
        return NULL;
    if (s.p[0] == '"')
        quoted = display_quoted(s);
    if (s.p[0] == '"' && !quoted)
        return "the quoted name does not end";
    open = memchr(s.p + quoted, '<', s.n - quoted);
    if (!open)
        return "there is a > without a <";
    out->email = (struct mill_str){open + 1, (size_t)(s.p + s.n - 1 - (open + 1))};
    name = display_trim((struct mill_str){s.p, (size_t)(open - s.p)});
    if (!name.n)
        return NULL;
    if (!quoted) {
        if (memchr(name.p, '"', name.n) || memchr(name.p, '>', name.n))
            return "the name has a quote or bracket in it";
        out->name = name;
        return NULL;
    }
    if (name.n != quoted)
        return "text stands between the quoted name and the <";
    return display_unquote(name, arena, &out->name);
}
