/* Ids of mail; see mailid.h. */
#include "mailid.h"

#include <stdlib.h>

enum {
    REQUEST_MAX = 128,
    INDEX_MAX = 9,
    UUID_CHARS = 36,
    EARLIER_MS = 60000,
    DAYS_MS = 7 * 86400000
};

static bool mailid_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("._~:-", c));
}

bool mailid_parse(const char *text, struct mailid *out)
{
    struct mill_str index;

    *out = (struct mailid){.text = mill_str(text)};
    index = out->text;
    out->message = index.n && memchr(index.p, '/', index.n) != NULL;
    out->request = mill_str_take(&index, '/');
    if (!out->request.n || out->request.n > REQUEST_MAX)
        return false;
    for (size_t i = 0; i < out->request.n; i++)
        if (!mailid_char(out->request.p[i]))
            return false;
    for (size_t i = 0; i < index.n; i++)
        if (index.p[i] < '0' || index.p[i] > '9')
            return false;
    return !out->message || (index.n && index.n <= INDEX_MAX);
}

int64_t mailid_since_ms(const struct mailid *id, int64_t now_ms)
{
    const struct mill_str *s = &id->request;
    int64_t since = now_ms - DAYS_MS, at;
    char hex[13] = "", *end;

    if (s->n != UUID_CHARS || s->p[14] != '7' || s->p[8] != '-' || s->p[13] != '-')
        return since;
    memcpy(hex, s->p, 8);
    memcpy(hex + 8, s->p + 9, 4);
    at = (int64_t)strtoull(hex, &end, 16) - EARLIER_MS;
    return !*end && at > since && at < now_ms ? at : since;
}

static bool mailid_below(struct mill_str id, struct mill_str key)
{
    return key.n >= id.n && !memcmp(key.p, id.p, id.n) && (key.n == id.n || key.p[id.n] == '/');
}

bool mailid_owns(const struct mailid *id, struct mill_str key)
{
    return key.p && (mailid_below(id->text, key) || mill_str_eq(key, id->request));
}
