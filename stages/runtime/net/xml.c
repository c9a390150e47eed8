/** @file xml.c  @brief A small strict scanner for the XML of AWS services. */
#include "net/xml.h"

void mill_xml_init(struct mill_xml *x, struct mill_str text)
{
    *x = (struct mill_xml){.p = text.n ? text.p : "", .end = text.n ? text.p + text.n : NULL};
    if (!text.n)
        x->end = x->p;
}

static bool xml_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool xml_name_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':')
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '-' || c == '.');
}

static bool xml_starts(const struct mill_xml *x, const char *text)
{
    size_t n = strlen(text);

    return (size_t)(x->end - x->p) >= n && !memcmp(x->p, text, n);
}

static void xml_skip_space(struct mill_xml *x)
{
    while (x->p < x->end && xml_space(*x->p))
        x->p++;
}

static enum mill_xml_event xml_bad(struct mill_xml *x)
{
    x->bad = true;
    return MILL_XML_BAD;
}

static bool xml_name(struct mill_xml *x, struct mill_str *out)
{
    const char *from = x->p;

    while (x->p < x->end && xml_name_char(*x->p, x->p == from))
        x->p++;
    *out = (struct mill_str){from, (size_t)(x->p - from)};
    return out->n > 0;
}

/* name="value" pairs up to > or />. */
static bool xml_attributes(struct mill_xml *x)
{
    for (;;) {
        const char *before = x->p;
        struct mill_str name;
        char quote;

        xml_skip_space(x);
        if (x->p < x->end && (*x->p == '>' || *x->p == '/'))
            return true;
        if (x->p == before || !xml_name(x, &name) || x->p == x->end || *x->p++ != '=' ||
            x->p == x->end)
            return false;
        quote = *x->p++;
        if (quote != '"' && quote != '\'')
            return false;
        while (x->p < x->end && *x->p != quote && *x->p != '<')
            x->p++;
        if (x->p == x->end || *x->p++ != quote)
            return false;
    }
}

static enum mill_xml_event xml_close(struct mill_xml *x, struct mill_str *out)
{
    x->p += 2;
    if (!xml_name(x, out))
        return xml_bad(x);
    xml_skip_space(x);
    if (x->p == x->end || *x->p++ != '>' || !x->depth || !mill_str_eq(*out, x->open[x->depth - 1]))
        return xml_bad(x);
    x->depth--;
    return MILL_XML_CLOSE;
}

static enum mill_xml_event xml_open(struct mill_xml *x, struct mill_str *out)
{
    x->p++;
    if (x->depth == MILL_XML_DEPTH || (x->begun && !x->depth) || !xml_name(x, out) ||
        !xml_attributes(x))
        return xml_bad(x);
    x->empty = *x->p == '/';
    x->p += x->empty ? 1 : 0;
    if (x->p == x->end || *x->p++ != '>')
        return xml_bad(x);
    x->begun = true;
    x->open[x->depth++] = *out;
    return MILL_XML_OPEN;
}

/* <?xml …?> as the very first thing. */
static bool xml_prolog(struct mill_xml *x)
{
    if (!xml_starts(x, "<?xml"))
        return true;
    while (x->p < x->end && !xml_starts(x, "?>"))
        x->p++;
    if (x->p == x->end)
        return false;
    x->p += 2;
    return true;
}

enum mill_xml_event mill_xml_next(struct mill_xml *x, struct mill_str *out)
{
    const char *from;

    *out = (struct mill_str){0};
    if (x->bad)
        return MILL_XML_BAD;
    if (x->empty) {
        x->empty = false;
        *out = x->open[--x->depth];
        return MILL_XML_CLOSE;
    }
    if (!x->begun && !xml_prolog(x))
        return xml_bad(x);
    if (!x->depth) {
        xml_skip_space(x);
        if (x->p == x->end)
            return x->begun ? MILL_XML_DONE : xml_bad(x);
    }
    if (x->p == x->end)
        return xml_bad(x);
    if (*x->p == '<')
        return xml_starts(x, "</") ? xml_close(x, out) : xml_open(x, out);
    if (!x->depth)
        return xml_bad(x);
    from = x->p;
    for (; x->p < x->end && *x->p != '<'; x->p++)
        if ((unsigned char)*x->p < ' ' && !xml_space(*x->p))
            return xml_bad(x); /* XML has no control characters: a NUL would cut a secret short */
    *out = (struct mill_str){from, (size_t)(x->p - from)};
    return MILL_XML_TEXT;
}

static bool xml_utf8(struct mill_buf *out, uint32_t c)
{
    if (c < 0x80)
        return mill_buf_putc(out, (char)c);
    if (c < 0x800)
        return mill_buf_putc(out, (char)(0xc0 | c >> 6)) &&
               mill_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    if (c < 0x10000)
        return mill_buf_putc(out, (char)(0xe0 | c >> 12)) &&
               mill_buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f))) &&
               mill_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    return mill_buf_putc(out, (char)(0xf0 | c >> 18)) &&
           mill_buf_putc(out, (char)(0x80 | (c >> 12 & 0x3f))) &&
           mill_buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f))) &&
           mill_buf_putc(out, (char)(0x80 | (c & 0x3f)));
}

/* What stands between & and ;. */
static bool xml_entity(struct mill_str name, struct mill_buf *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    uint32_t c = 0;
    bool hex = name.n > 1 && name.p[1] == 'x';

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mill_str_is(name, known[i].name))
            return mill_buf_putc(out, known[i].c);
    if (name.n < (hex ? 3u : 2u) || name.n > 8 || name.p[0] != '#')
        return false;
    for (size_t i = hex ? 2 : 1; i < name.n; i++) {
        const char d = name.p[i];
        uint32_t digit;

        if (d >= '0' && d <= '9')
            digit = (uint32_t)(d - '0');
        else if (hex && ((d >= 'a' && d <= 'f') || (d >= 'A' && d <= 'F')))
            digit = (uint32_t)((d | 0x20) - 'a' + 10);
        else
            return false;
        c = c * (hex ? 16 : 10) + digit;
    }
    if (!c || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    return xml_utf8(out, c);
}

bool mill_xml_decode(struct mill_str text, struct mill_buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        const char *end;

        if (text.p[i] != '&') {
            mill_buf_putc(out, text.p[i]);
            continue;
        }
        end = memchr(text.p + i, ';', text.n - i);
        if (!end)
            return false;
        if (!xml_entity((struct mill_str){text.p + i + 1, (size_t)(end - text.p) - i - 1}, out))
            return false;
        i = (size_t)(end - text.p);
    }
    return !out->failed;
}

bool mill_xml_find(struct mill_str doc, const char *name, struct mill_buf *out)
{
    struct mill_xml x;
    struct mill_str s;
    enum mill_xml_event event;
    unsigned inside = 0; /* depth of the element found */
    bool found = false, ok = true;

    mill_xml_init(&x, doc);
    while ((event = mill_xml_next(&x, &s)) != MILL_XML_DONE && event != MILL_XML_BAD) {
        if (event == MILL_XML_OPEN && !found && mill_str_is(s, name)) {
            found = true;
            inside = x.depth;
        } else if (event == MILL_XML_TEXT && inside && x.depth == inside) {
            ok = ok && mill_xml_decode(s, out);
        } else if (event == MILL_XML_CLOSE && x.depth < inside) {
            inside = 0;
        }
    }
    return event == MILL_XML_DONE && found && ok;
}
