/**
 * @file header.c
 * @brief Media type, Idempotency-Key, traceparent.
 */
#include "header.h"

#include "base/hash.h"
#include <stdio.h>

enum ingest_media ingest_media_of(struct mill_str content_type)
{
    struct mill_str rest = content_type;
    struct mill_str type;
    enum ingest_media media = INGEST_MEDIA_OTHER;

    if (!rest.p)
        return media;
    type = mill_str_trim(mill_str_take(&rest, ';'));
    if (mill_str_ieq(type, MILL_STR("application/json")))
        media = INGEST_MEDIA_JSON;
    else if (mill_str_ieq(type, MILL_STR("application/x-ndjson")) ||
             mill_str_ieq(type, MILL_STR("application/ndjson")) ||
             mill_str_ieq(type, MILL_STR("application/jsonl")))
        media = INGEST_MEDIA_NDJSON;
    while (rest.n) {
        struct mill_str param = mill_str_trim(mill_str_take(&rest, ';'));
        size_t skip = sizeof "charset=" - 1;
        if (param.n < skip || !mill_str_ieq((struct mill_str){param.p, skip}, MILL_STR("charset=")))
            continue;
        param = (struct mill_str){param.p + skip, param.n - skip};
        if (!mill_str_ieq(param, MILL_STR("utf-8")) && !mill_str_ieq(param, MILL_STR("\"utf-8\"")))
            return INGEST_MEDIA_OTHER;
    }
    return media;
}

/* The inside of a structured string: \" and \\ are the only escapes. */
static bool header_unquote(struct mill_str s, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            return false;
        if (c == '\\') {
            if (++i == s.n || (s.p[i] != '"' && s.p[i] != '\\'))
                return false;
            c = s.p[i];
        }
        if (n == INGEST_KEY_MAX)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

bool ingest_key_parse(struct mill_str header, char *out)
{
    struct mill_str s = mill_str_trim(header);

    out[0] = '\0';
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return header_unquote((struct mill_str){s.p + 1, s.n - 2}, out);
    if (!s.n || s.n > INGEST_KEY_MAX || memchr(s.p, '"', s.n))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* n lower-case hex digits, not all of them 0 unless zero_ok. */
static bool header_hex(const char *p, size_t n, bool zero_ok)
{
    bool zero = true;

    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
        zero = zero && p[i] == '0';
    }
    return zero_ok || !zero;
}

bool ingest_trace_valid(struct mill_str t)
{
    return t.n == INGEST_TRACE_TEXT - 1 && !memcmp(t.p, "00-", 3) && t.p[35] == '-' &&
           t.p[52] == '-' && header_hex(t.p + 3, 32, false) && header_hex(t.p + 36, 16, false) &&
           header_hex(t.p + 53, 2, true);
}

bool ingest_trace_make(char *out)
{
    unsigned char id[24];
    char trace[33], span[17];

    if (!mill_random(id, sizeof id))
        return false;
    id[0] |= 1; /* an id of zeros is no id */
    id[16] |= 1;
    mill_hex(id, 16, trace);
    mill_hex(id + 16, 8, span);
    snprintf(out, INGEST_TRACE_TEXT, "00-%s-%s-01", trace, span);
    return true;
}
