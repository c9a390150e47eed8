#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { JSON_DEPTH = 64 };

/* jansson's own limit is fixed when it is built, and deep input costs stack there. */
static bool json_too_deep(struct mill_str s)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

const char *mill_json_why(json_error_t *e)
{
    char *near = strstr(e->text, " near ");

    if (near)
        *near = '\0';
    return e->text;
}

enum mill_code mill_json_parse(struct mill_str text, json_t **out, struct mill_err *err)
{
    json_error_t je;
    char where[32];

    *out = NULL;
    if (json_too_deep(text))
        return mill_fail(err, MILL_E_DATA, "1:1", "JSON is nested deeper than %d", JSON_DEPTH);
    *out = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (*out)
        return MILL_OK;
    if (json_error_code(&je) == json_error_out_of_memory)
        return mill_fail(err, MILL_E_NOMEM, "json", "out of memory");
    snprintf(where, sizeof where, "%d:%d", je.line, je.column);
    return mill_fail(err, MILL_E_DATA, where, "no JSON: %s", mill_json_why(&je));
}

struct mill_str mill_json_text(const json_t *v)
{
    if (!json_is_string(v))
        return (struct mill_str){0};
    return (struct mill_str){json_string_value(v), json_string_length(v)};
}

struct mill_str mill_json_str(const json_t *o, const char *key)
{
    return mill_json_text(json_object_get(o, key));
}

char *mill_json_canonical(const json_t *v)
{
    return json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

json_t *mill_json_new(struct mill_str s)
{
    json_t *v = NULL;
    char *clean;
    size_t n = 0;

    if (mill_str_utf8(s))
        return json_stringn(s.p ? s.p : "", s.n);
    if (s.n > SIZE_MAX / 3)
        return NULL;
    clean = malloc(s.n * 3);
    if (!clean)
        return NULL;
    for (size_t i = 0; i < s.n;) {
        size_t len = mill_utf8_len(s.p + i, s.n - i);
        memcpy(clean + n, len ? s.p + i : "\xEF\xBF\xBD", len ? len : 3);
        n += len ? len : 3;
        i += len ? len : 1;
    }
    v = json_stringn(clean, n);
    free(clean);
    return v;
}
