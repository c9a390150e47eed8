#include "avro/wire.h"

#include "base/text.h"

bool mill_wire_long_slow(struct mill_wire *w, int64_t *v)
{
    uint64_t z = 0;

    for (unsigned i = 0; i < MILL_VARINT_BYTES && w->p < w->end; i++) {
        unsigned char b = *w->p++;
        if (i == MILL_VARINT_BYTES - 1 && b > 1)
            return false; /* more than 64 bits */
        z |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *v = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
            return true;
        }
    }
    return false;
}

bool mill_wire_int(struct mill_wire *w, int64_t *v)
{
    return mill_wire_long(w, v) && *v >= INT32_MIN && *v <= INT32_MAX;
}

bool mill_wire_bool(struct mill_wire *w, bool *v)
{
    if (w->p == w->end || *w->p > 1)
        return false;
    *v = *w->p++ == 1;
    return true;
}

static uint64_t wire_little(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

bool mill_wire_float(struct mill_wire *w, float *v)
{
    if (mill_wire_left(w) < 4)
        return false;
    uint32_t bits = (uint32_t)wire_little(w->p, 4);
    memcpy(v, &bits, sizeof *v);
    w->p += 4;
    return true;
}

bool mill_wire_double(struct mill_wire *w, double *v)
{
    if (mill_wire_left(w) < 8)
        return false;
    uint64_t bits = wire_little(w->p, 8);
    memcpy(v, &bits, sizeof *v);
    w->p += 8;
    return true;
}

bool mill_wire_raw(struct mill_wire *w, size_t n, struct mill_str *s)
{
    if (mill_wire_left(w) < n)
        return false;
    *s = (struct mill_str){(const char *)w->p, n};
    w->p += n;
    return true;
}

bool mill_wire_index(struct mill_wire *w, size_t n, size_t *i)
{
    int64_t v;
    if (!mill_wire_long(w, &v) || v < 0 || (uint64_t)v >= n)
        return false;
    *i = (size_t)v;
    return true;
}

bool mill_wire_block(struct mill_wire *w, size_t item_min, size_t *count)
{
    int64_t n, bytes;

    if (!mill_wire_long(w, &n))
        return false;
    if (n < 0) { /* a block that says its length */
        if (n == INT64_MIN || !mill_wire_long(w, &bytes) || bytes < 0 ||
            (uint64_t)bytes > mill_wire_left(w))
            return false;
        n = -n;
    }
    if (item_min && (uint64_t)n > mill_wire_left(w) / item_min)
        return false;
    *count = (size_t)n;
    return true;
}

static bool wire_skip(struct mill_wire *w, const struct mill_avro_node *type, unsigned depth);

static bool wire_skip_list(struct mill_wire *w, const struct mill_avro_node *type, unsigned depth)
{
    size_t n;
    struct mill_str key;

    for (;;) {
        if (!mill_wire_block(w, mill_wire_item_min(type), &n))
            return false;
        if (!n)
            return true;
        if (!mill_wire_item_min(type))
            continue; /* n items of no bytes */
        while (n--) {
            if (type->type == MILL_AVRO_MAP && !mill_wire_bytes(w, &key))
                return false;
            if (!wire_skip(w, type->items, depth))
                return false;
        }
    }
}

static bool wire_skip_scalar(struct mill_wire *w, const struct mill_avro_node *type)
{
    struct mill_str s;
    int64_t v;
    size_t i;
    bool b;

    switch (type->type) {
    case MILL_AVRO_BOOLEAN:
        return mill_wire_bool(w, &b);
    case MILL_AVRO_INT:
        return mill_wire_int(w, &v);
    case MILL_AVRO_LONG:
        return mill_wire_long(w, &v);
    case MILL_AVRO_FLOAT:
    case MILL_AVRO_DOUBLE:
    case MILL_AVRO_FIXED:
        return mill_wire_raw(w, type->min_bytes, &s);
    case MILL_AVRO_BYTES:
    case MILL_AVRO_STRING:
        return mill_wire_bytes(w, &s);
    case MILL_AVRO_ENUM:
        return mill_wire_index(w, type->symbols.n, &i);
    default:
        return false;
    }
}

static bool wire_skip(struct mill_wire *w, const struct mill_avro_node *type, unsigned depth)
{
    size_t i;

    if (!type->min_bytes) /* also bounds the walk: what is entered takes at least a byte */
        return true;
    if (depth > MILL_WIRE_MAX_DEPTH)
        return false;
    switch (type->type) {
    case MILL_AVRO_RECORD:
        for (i = 0; i < type->n; i++)
            if (!wire_skip(w, type->fields[i].type, depth + 1))
                return false;
        return true;
    case MILL_AVRO_ARRAY:
    case MILL_AVRO_MAP:
        return wire_skip_list(w, type, depth + 1);
    case MILL_AVRO_UNION:
        return mill_wire_index(w, type->n, &i) && wire_skip(w, type->branches[i], depth + 1);
    default:
        return wire_skip_scalar(w, type);
    }
}

bool mill_wire_skip(struct mill_wire *w, const struct mill_avro_node *type)
{
    return wire_skip(w, type, 0);
}

void mill_wire_begin(struct mill_wire_out *o, struct mill_buf *buf)
{
    *o = (struct mill_wire_out){.buf = buf};
}

static void wire_flush(struct mill_wire_out *o)
{
    if (!o->p || o->buf->failed)
        return;
    o->buf->n = (size_t)(o->p - o->buf->p);
    o->buf->p[o->buf->n] = '\0';
}

bool mill_wire_grow(struct mill_wire_out *o, size_t n)
{
    enum { CHUNK = 512 };

    wire_flush(o);
    size_t left = o->buf->cap - o->buf->n;
    size_t want = n < CHUNK ? CHUNK : n;
    if (want > left)
        want = n;
    o->over = o->over || n > left;
    o->p = mill_buf_reserve(o->buf, want);
    o->end = o->p ? o->p + want : NULL;
    return o->p != NULL;
}

bool mill_wire_end(struct mill_wire_out *o)
{
    wire_flush(o);
    return !o->buf->failed;
}

void mill_wire_put_bool(struct mill_wire_out *o, bool v)
{
    if (mill_wire_room(o, 1))
        *o->p++ = v ? 1 : 0;
}

static void wire_put_little(struct mill_wire_out *o, uint64_t v, unsigned n)
{
    if (!mill_wire_room(o, n))
        return;
    for (unsigned i = 0; i < n; i++, v >>= 8)
        *o->p++ = (char)(v & 0xff);
}

void mill_wire_put_float(struct mill_wire_out *o, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_little(o, bits, 4);
}

void mill_wire_put_double(struct mill_wire_out *o, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    wire_put_little(o, bits, 8);
}

void mill_wire_put_text(struct mill_wire_out *o, struct mill_str s)
{
    if (mill_str_utf8(s)) {
        mill_wire_put_bytes(o, s);
        return;
    }
    /* Twice the same walk: the length comes first. */
    size_t n = 0, len;
    for (size_t i = 0; i < s.n; i += len ? len : 1) {
        len = mill_utf8_len(s.p + i, s.n - i);
        n += len ? len : 3;
    }
    mill_wire_put_long(o, (int64_t)n);
    for (size_t i = 0; i < s.n; i += len ? len : 1) {
        len = mill_utf8_len(s.p + i, s.n - i);
        mill_wire_put_raw(o, len ? (struct mill_str){s.p + i, len} : MILL_STR("\xEF\xBF\xBD"));
    }
}
