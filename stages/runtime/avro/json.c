/* Any Avro body as JSON for people: tail, dlq show. Not the "JSON encoding" of the specification,
 * which names the branch of every union. */
#include "avro/codec.h"

#include "avro/wire.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include <stdio.h>

/* Values in one document: bounds memory where a few bytes stand for many values. */
enum { JSON_MAX_VALUES = 1 << 20, JSON_MAX_DECIMAL_BYTES = 32 };

struct walker {
    struct mill_wire in;
    unsigned depth;
    size_t values;
    const char *at; /* field at fault */
    bool nomem;
};

static json_t *json_value(struct walker *w, const struct mill_avro_node *t);

/* Text if it can be read, else {"base64": …}: a tool can tell the two apart. */
static json_t *json_bytes(struct mill_str s)
{
    struct mill_buf b;
    json_t *v = NULL;
    bool printable = mill_str_utf8(s);

    for (size_t i = 0; i < s.n && printable; i++) {
        unsigned char c = (unsigned char)s.p[i];
        printable = (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\r' || c == '\t';
    }
    if (printable)
        return mill_json_new(s);
    mill_buf_init(&b, s.n * 2 + 8);
    if (mill_base64_add(&b, s))
        v = json_pack("{s:s%}", "base64", b.p, b.n);
    mill_buf_release(&b);
    return v;
}

/* Two's complement, big-endian, to decimal text with the point `scale` digits from the right. */
static json_t *json_decimal(struct mill_str s, uint32_t scale)
{
    unsigned char n[JSON_MAX_DECIMAL_BYTES];
    char digits[3 * JSON_MAX_DECIMAL_BYTES], text[2 * sizeof digits];
    size_t len = 0, at = 0, left = s.n;
    bool negative = s.n && (s.p[0] & 0x80);
    unsigned carry = 1;

    if (!s.n || s.n > JSON_MAX_DECIMAL_BYTES || scale > sizeof digits / 2)
        return json_bytes(s);
    memcpy(n, s.p, s.n);
    for (size_t i = s.n; negative && i-- > 0; carry >>= 8) {
        carry += (unsigned char)~n[i];
        n[i] = (unsigned char)carry;
    }
    while (left || len <= scale) { /* divide by ten until nothing is left */
        unsigned rest = 0;
        for (size_t i = s.n - left; i < s.n; i++) {
            rest = rest << 8 | n[i];
            n[i] = (unsigned char)(rest / 10);
            rest %= 10;
        }
        digits[len++] = (char)('0' + rest);
        while (left && !n[s.n - left])
            left--;
    }
    if (negative)
        text[at++] = '-';
    while (len) {
        text[at++] = digits[--len];
        if (len == scale && scale)
            text[at++] = '.';
    }
    return json_stringn(text, at);
}

static json_t *json_clock(int64_t v, int64_t per_second)
{
    char text[32];
    int64_t s = v / per_second;

    if (v < 0 || s >= 86400)
        return json_integer(v);
    snprintf(text, sizeof text, "%02d:%02d:%02d.%0*d", (int)(s / 3600), (int)(s / 60 % 60),
             (int)(s % 60), per_second == 1000 ? 3 : 6, (int)(v % per_second));
    return json_string(text);
}

/* Seconds of any unit as RFC 3339; a local time has no zone. What does not fit stays a number. */
static json_t *json_instant(int64_t v, int64_t per_second, bool local)
{
    char text[48], *end;
    int64_t us = per_second == 1000 ? v * (v > INT64_MAX / 1000 || v < INT64_MIN / 1000 ? 0 : 1000)
                 : per_second > 1000000 ? v / 1000 - (v % 1000 < 0)
                                        : v;
    int64_t year_1 = -INT64_C(62135596800000000), year_9999 = INT64_C(253402300799999999);

    if (us < year_1 || us > year_9999 || (v && !us))
        return json_integer(v);
    mill_time_text(us, text, 32);
    end = strchr(text, 'Z');
    if (end && per_second > 1000000)
        end += snprintf(end, 5, "%03dZ", (int)(v - us * 1000)) - 1;
    if (end && local)
        *end = '\0';
    return json_string(text);
}

static json_t *json_long(int64_t v, enum mill_logical logical)
{
    char text[32];

    switch (logical) {
    case MILL_LOGICAL_DATE:
        if (v < -719162 || v > 2932896) /* years 1 to 9999 */
            return json_integer(v);
        mill_time_text(v * INT64_C(86400000000), text, sizeof text);
        return json_stringn(text, strlen("1970-01-01"));
    case MILL_LOGICAL_TIME_MILLIS:
        return json_clock(v, 1000);
    case MILL_LOGICAL_TIME_MICROS:
        return json_clock(v, 1000000);
    case MILL_LOGICAL_TIMESTAMP_MILLIS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS:
        return json_instant(v, 1000, logical == MILL_LOGICAL_LOCAL_TIMESTAMP_MILLIS);
    case MILL_LOGICAL_TIMESTAMP_MICROS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS:
        return json_instant(v, 1000000, logical == MILL_LOGICAL_LOCAL_TIMESTAMP_MICROS);
    case MILL_LOGICAL_TIMESTAMP_NANOS:
    case MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS:
        return json_instant(v, 1000000000, logical == MILL_LOGICAL_LOCAL_TIMESTAMP_NANOS);
    default:
        return json_integer(v);
    }
}

static json_t *json_float(double v)
{
    json_t *j = json_real(v);
    return j ? j : json_string(v > 0 ? "Infinity" : v < 0 ? "-Infinity" : "NaN");
}

static json_t *json_number(struct walker *w, const struct mill_avro_node *t)
{
    int64_t i;
    float f;
    double d;

    if (t->type == MILL_AVRO_FLOAT)
        return mill_wire_float(&w->in, &f) ? json_float((double)f) : NULL;
    if (t->type == MILL_AVRO_DOUBLE)
        return mill_wire_double(&w->in, &d) ? json_float(d) : NULL;
    if (t->type == MILL_AVRO_INT ? mill_wire_int(&w->in, &i) : mill_wire_long(&w->in, &i))
        return json_long(i, t->logical);
    return NULL;
}

static json_t *json_simple(struct walker *w, const struct mill_avro_node *t)
{
    bool b;
    size_t i;

    if (t->type == MILL_AVRO_NULL)
        return json_null();
    if (t->type == MILL_AVRO_BOOLEAN)
        return mill_wire_bool(&w->in, &b) ? json_boolean(b) : NULL;
    return mill_wire_index(&w->in, t->symbols.n, &i) ? mill_json_new(t->symbols.v[i]) : NULL;
}

static json_t *json_text(struct walker *w, const struct mill_avro_node *t)
{
    struct mill_str s;
    bool good = t->type == MILL_AVRO_FIXED ? mill_wire_raw(&w->in, t->size, &s)
                                           : mill_wire_bytes(&w->in, &s);
    if (!good)
        return NULL;
    if (t->logical == MILL_LOGICAL_DECIMAL)
        return json_decimal(s, t->scale);
    return t->type == MILL_AVRO_STRING ? mill_json_new(s) : json_bytes(s);
}

/* Puts a value into an object; a key that is no UTF-8 is repaired like any string. */
static bool json_put(struct walker *w, json_t *to, struct mill_str key, json_t *v)
{
    json_t *k = v ? mill_json_new(key) : NULL;
    bool good = k && !json_object_setn_new_nocheck(to, json_string_value(k), json_string_length(k),
                                                   json_incref(v));
    w->nomem = w->nomem || (v && !good);
    json_decref(k);
    json_decref(v);
    return good;
}

static json_t *json_record(struct walker *w, const struct mill_avro_node *t)
{
    json_t *o = json_object();

    for (size_t i = 0; o && i < t->n; i++) {
        if (json_put(w, o, t->fields[i].name, json_value(w, t->fields[i].type)))
            continue;
        if (!w->at)
            w->at = t->fields[i].name.p;
        json_decref(o);
        o = NULL;
    }
    return o;
}

static bool json_item(struct walker *w, const struct mill_avro_node *t, json_t *to)
{
    struct mill_str key;

    if (t->type == MILL_AVRO_ARRAY) {
        json_t *v = json_value(w, t->items);
        return v && !json_array_append_new(to, v);
    }
    return mill_wire_bytes(&w->in, &key) && json_put(w, to, key, json_value(w, t->items));
}

static json_t *json_list(struct walker *w, const struct mill_avro_node *t)
{
    json_t *to = t->type == MILL_AVRO_ARRAY ? json_array() : json_object();
    size_t block = 0;

    while (to) {
        if (!block && !mill_wire_block(&w->in, mill_wire_item_min(t), &block))
            break;
        if (!block)
            return to;
        if (!json_item(w, t, to))
            break;
        block--;
    }
    json_decref(to);
    return NULL;
}

static json_t *json_union(struct walker *w, const struct mill_avro_node *t)
{
    size_t i;
    return mill_wire_index(&w->in, t->n, &i) ? json_value(w, t->branches[i]) : NULL;
}

static json_t *json_value(struct walker *w, const struct mill_avro_node *t)
{
    static json_t *(*const by_type[])(struct walker *, const struct mill_avro_node *) = {
        [MILL_AVRO_NULL] = json_simple,   [MILL_AVRO_BOOLEAN] = json_simple,
        [MILL_AVRO_INT] = json_number,    [MILL_AVRO_LONG] = json_number,
        [MILL_AVRO_FLOAT] = json_number,  [MILL_AVRO_DOUBLE] = json_number,
        [MILL_AVRO_BYTES] = json_text,    [MILL_AVRO_STRING] = json_text,
        [MILL_AVRO_FIXED] = json_text,    [MILL_AVRO_ENUM] = json_simple,
        [MILL_AVRO_RECORD] = json_record, [MILL_AVRO_ARRAY] = json_list,
        [MILL_AVRO_MAP] = json_list,      [MILL_AVRO_UNION] = json_union,
    };
    json_t *v = NULL;

    if (w->depth >= MILL_WIRE_MAX_DEPTH || ++w->values > JSON_MAX_VALUES)
        return NULL;
    w->depth++;
    v = by_type[t->type](w, t);
    w->depth--;
    return v;
}

enum mill_code mill_avro_json_node(const struct mill_avro_node *schema, struct mill_str body,
                                   json_t **out, struct mill_err *err)
{
    struct walker w = {.in = mill_wire_of(body)};

    *out = json_value(&w, schema);
    if (*out && !mill_wire_left(&w.in))
        return MILL_OK;
    bool over = *out != NULL;
    json_decref(*out);
    *out = NULL;
    if (w.nomem)
        return mill_fail(err, MILL_E_NOMEM, "record", "out of memory");
    return mill_fail(err, MILL_E_DATA, w.at ? w.at : "record", "%s",
                     over ? "bytes behind the record"
                          : "the bytes end too early, make no sense, or hold too much");
}

enum mill_code mill_avro_json(struct mill_str schema_json, struct mill_str body, json_t **out,
                              struct mill_err *err)
{
    struct mill_schema *s = NULL;
    enum mill_code rc;

    *out = NULL;
    rc = mill_schema_parse(&s, schema_json, err);
    if (!rc)
        rc = mill_avro_json_node(mill_schema_root(s), body, out, err);
    mill_schema_free(s);
    return rc;
}
