/* Schema defaults (JSON) as Avro binary. */
#include "avro/resolve.h"
#include "avro/wire.h"
#include "base/json.h"

struct writer {
    struct mill_wire_out *o;
    unsigned depth; /* a default may name a type whose own default leads back to it */
    struct mill_err *err;
};

static enum mill_code default_put(struct writer *d, const struct mill_avro_node *t,
                                  const json_t *v);

static enum mill_code default_bad(const struct writer *d, const struct mill_avro_node *t)
{
    return mill_fail(d->err, MILL_E_SCHEMA, "default", "a default is no %s",
                     mill_avro_type_name(t->type));
}

/* Bytes stand as text whose characters U+0000 to U+00FF are the bytes. */
static bool default_bytes(struct mill_wire_out *o, const struct mill_avro_node *t,
                          struct mill_str text)
{
    struct mill_buf raw;
    bool good = true;

    mill_buf_init(&raw, text.n);
    for (size_t i = 0; i < text.n && good; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x80) { /* jansson gives well-formed UTF-8: U+0080 to U+00FF take two bytes */
            good = c == 0xC2 || c == 0xC3;
            c = (unsigned char)((c & 3) << 6);
            c |= (unsigned char)(good ? (unsigned char)text.p[++i] & 0x3f : 0);
        }
        mill_buf_putc(&raw, (char)c);
    }
    if (t->type == MILL_AVRO_FIXED) {
        good = good && raw.n == t->size;
        mill_wire_put_raw(o, mill_buf_view(&raw));
    } else {
        mill_wire_put_bytes(o, mill_buf_view(&raw));
    }
    good = good && !raw.failed;
    mill_buf_release(&raw);
    return good;
}

static enum mill_code default_integer(struct writer *d, const struct mill_avro_node *t,
                                      const json_t *v)
{
    json_int_t i = json_integer_value(v);
    if (!json_is_integer(v) || (t->type == MILL_AVRO_INT && (i < INT32_MIN || i > INT32_MAX)))
        return default_bad(d, t);
    mill_wire_put_long(d->o, i);
    return MILL_OK;
}

static enum mill_code default_number(struct writer *d, const struct mill_avro_node *t,
                                     const json_t *v)
{
    if (!json_is_number(v))
        return default_bad(d, t);
    if (t->type == MILL_AVRO_FLOAT)
        mill_wire_put_float(d->o, (float)json_number_value(v));
    else
        mill_wire_put_double(d->o, json_number_value(v));
    return MILL_OK;
}

static enum mill_code default_text(struct writer *d, const struct mill_avro_node *t,
                                   const json_t *v)
{
    if (!json_is_string(v))
        return default_bad(d, t);
    if (t->type == MILL_AVRO_STRING)
        mill_wire_put_bytes(d->o, mill_json_text(v));
    else if (t->type == MILL_AVRO_ENUM) {
        for (size_t i = 0; i < t->symbols.n; i++) {
            if (mill_str_eq(t->symbols.v[i], mill_json_text(v))) {
                mill_wire_put_long(d->o, (int64_t)i);
                return MILL_OK;
            }
        }
        return default_bad(d, t);
    } else if (!default_bytes(d->o, t, mill_json_text(v))) {
        return default_bad(d, t);
    }
    return MILL_OK;
}

static enum mill_code default_record(struct writer *d, const struct mill_avro_node *t,
                                     const json_t *v)
{
    if (!json_is_object(v))
        return default_bad(d, t);
    for (size_t i = 0; i < t->n; i++) {
        const struct mill_avro_field *f = &t->fields[i];
        const json_t *given = json_object_get(v, f->name.p);
        if (!given && !f->def)
            return default_bad(d, t);
        enum mill_code rc = default_put(d, f->type, given ? given : f->def);
        if (rc)
            return rc;
    }
    return MILL_OK;
}

static enum mill_code default_list(struct writer *d, const struct mill_avro_node *t,
                                   const json_t *v)
{
    bool map = t->type == MILL_AVRO_MAP;
    size_t n = map ? json_object_size(v) : json_array_size(v);
    enum mill_code rc = MILL_OK;

    if (map ? !json_is_object(v) : !json_is_array(v))
        return default_bad(d, t);
    if (n)
        mill_wire_put_long(d->o, (int64_t)n);
    if (map) {
        const char *key;
        json_t *item;
        json_object_foreach((json_t *)(uintptr_t)v, key, item) /* the macro is not const-correct */
        {
            mill_wire_put_bytes(d->o, mill_str(key));
            rc = default_put(d, t->items, item);
            if (rc)
                return rc;
        }
    }
    for (size_t i = 0; !map && i < n && !rc; i++)
        rc = default_put(d, t->items, json_array_get(v, i));
    mill_wire_put_long(d->o, 0);
    return rc;
}

static enum mill_code default_simple(struct writer *d, const struct mill_avro_node *t,
                                     const json_t *v)
{
    if (t->type == MILL_AVRO_NULL)
        return json_is_null(v) ? MILL_OK : default_bad(d, t);
    if (!json_is_boolean(v))
        return default_bad(d, t);
    mill_wire_put_bool(d->o, json_is_true(v));
    return MILL_OK;
}

static enum mill_code default_union(struct writer *d, const struct mill_avro_node *t,
                                    const json_t *v)
{
    mill_wire_put_long(d->o, 0);
    return default_put(d, t->branches[0], v);
}

static enum mill_code default_put(struct writer *d, const struct mill_avro_node *t, const json_t *v)
{
    static enum mill_code (*const put[])(struct writer *, const struct mill_avro_node *,
                                         const json_t *) = {
        [MILL_AVRO_NULL] = default_simple,   [MILL_AVRO_BOOLEAN] = default_simple,
        [MILL_AVRO_INT] = default_integer,   [MILL_AVRO_LONG] = default_integer,
        [MILL_AVRO_FLOAT] = default_number,  [MILL_AVRO_DOUBLE] = default_number,
        [MILL_AVRO_BYTES] = default_text,    [MILL_AVRO_STRING] = default_text,
        [MILL_AVRO_FIXED] = default_text,    [MILL_AVRO_ENUM] = default_text,
        [MILL_AVRO_RECORD] = default_record, [MILL_AVRO_ARRAY] = default_list,
        [MILL_AVRO_MAP] = default_list,      [MILL_AVRO_UNION] = default_union,
    };
    if (d->depth >= MILL_WIRE_MAX_DEPTH || d->o->buf->failed)
        return default_bad(d, t);
    d->depth++;
    enum mill_code rc = put[t->type](d, t, v);
    d->depth--;
    return rc;
}

enum mill_code mill_wire_put_json(struct mill_wire_out *o, const struct mill_avro_node *type,
                                  const json_t *v, struct mill_err *err)
{
    struct writer d = {.o = o, .err = err};
    return default_put(&d, type, v);
}
