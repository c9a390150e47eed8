/**
 * @file wire.h
 * @brief Avro binary, read and written within bounds.
 *
 * Model: a reader is a pointer pair over borrowed bytes; each read either succeeds and moves on, or
 * returns false and the record is bad. Nothing is allocated for a count before the bytes for that
 * many items are known to be there. The writer adds to a mill_buf; its failures show in
 * buf->failed, once, at the end.
 */
#ifndef MILL_WIRE_H
#define MILL_WIRE_H

#include "avro/avsc.h"
#include "base/buf.h"

enum { MILL_WIRE_MAX_DEPTH = 64, MILL_VARINT_BYTES = 10 };

struct mill_wire {
    const unsigned char *p, *end;
};

static inline struct mill_wire mill_wire_of(struct mill_str s)
{
    const unsigned char *p = (const unsigned char *)(s.p ? s.p : "");
    return (struct mill_wire){p, p + s.n};
}

static inline size_t mill_wire_left(const struct mill_wire *w)
{
    return (size_t)(w->end - w->p);
}

/** @brief Varints of two and more bytes; call mill_wire_long. */
bool mill_wire_long_slow(struct mill_wire *w, int64_t *v) MILL_NODISCARD;

/** @brief Zigzag varint of at most 10 bytes that fits 64 bits. */
static inline MILL_NODISCARD bool mill_wire_long(struct mill_wire *w, int64_t *v)
{
    if (w->p < w->end && *w->p < 0x80) {
        unsigned b = *w->p++;
        *v = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
        return true;
    }
    return mill_wire_long_slow(w, v);
}

/** @brief Length-prefixed bytes (also strings). @own borrowed from the record */
static inline MILL_NODISCARD bool mill_wire_bytes(struct mill_wire *w, struct mill_str *s)
{
    int64_t n;
    if (!mill_wire_long(w, &n) || n < 0 || (uint64_t)n > mill_wire_left(w))
        return false;
    *s = (struct mill_str){(const char *)w->p, (size_t)n};
    w->p += n;
    return true;
}

/** @brief A zigzag varint that fits 32 bits. */
bool mill_wire_int(struct mill_wire *w, int64_t *v) MILL_NODISCARD;
/** @brief One byte, 0 or 1. */
bool mill_wire_bool(struct mill_wire *w, bool *v) MILL_NODISCARD;
bool mill_wire_float(struct mill_wire *w, float *v) MILL_NODISCARD;
bool mill_wire_double(struct mill_wire *w, double *v) MILL_NODISCARD;
/** @brief n bytes as they are (fixed). */
bool mill_wire_raw(struct mill_wire *w, size_t n, struct mill_str *s) MILL_NODISCARD;
/** @brief Branch of a union or symbol of an enum: 0 <= *i < n. */
bool mill_wire_index(struct mill_wire *w, size_t n, size_t *i) MILL_NODISCARD;

/** @brief Least bytes of one item of an array or map (with its key). */
static inline size_t mill_wire_item_min(const struct mill_avro_node *list)
{
    return list->items->min_bytes + (list->type == MILL_AVRO_MAP ? 1 : 0);
}
/**
 * @brief Head of the next block of an array or map.
 * @param item_min least bytes of one item; a count that the bytes left cannot hold is refused
 * @param count    out: items that follow; 0 = the list has ended. Items of no bytes are not
 *                 bounded by the bytes left: the caller must.
 */
bool mill_wire_block(struct mill_wire *w, size_t item_min, size_t *count) MILL_NODISCARD;
/** @brief Pass over one value. */
bool mill_wire_skip(struct mill_wire *w, const struct mill_avro_node *type) MILL_NODISCARD;

/** Where the next bytes of a buffer go; begin and end around a run of puts. */
struct mill_wire_out {
    struct mill_buf *buf;
    char *p, *end;
    bool over; /**< it was the cap that made it fail, not memory */
};

void mill_wire_begin(struct mill_wire_out *o, struct mill_buf *buf);
/** @brief Give the bytes to the buffer. @return false when anything failed (buf->failed) */
bool mill_wire_end(struct mill_wire_out *o);
/** @brief Make room for n bytes. @return false over the cap or out of memory */
bool mill_wire_grow(struct mill_wire_out *o, size_t n);

static inline bool mill_wire_room(struct mill_wire_out *o, size_t n)
{
    return (size_t)(o->end - o->p) >= n || mill_wire_grow(o, n);
}
static inline void mill_wire_put_long(struct mill_wire_out *o, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    if (!mill_wire_room(o, MILL_VARINT_BYTES))
        return;
    for (; z >= 0x80; z >>= 7)
        *o->p++ = (char)(z | 0x80);
    *o->p++ = (char)z;
}
static inline void mill_wire_put_raw(struct mill_wire_out *o, struct mill_str s)
{
    if (!s.n || !mill_wire_room(o, s.n))
        return;
    memcpy(o->p, s.p, s.n);
    o->p += s.n;
}
static inline void mill_wire_put_bytes(struct mill_wire_out *o, struct mill_str s)
{
    mill_wire_put_long(o, (int64_t)s.n);
    mill_wire_put_raw(o, s);
}
/** @brief A string; bytes that are no UTF-8 become U+FFFD, so that every reader can read it. */
void mill_wire_put_text(struct mill_wire_out *o, struct mill_str s);
void mill_wire_put_bool(struct mill_wire_out *o, bool v);
void mill_wire_put_float(struct mill_wire_out *o, float v);
void mill_wire_put_double(struct mill_wire_out *o, double v);
/** @brief A value given as JSON, as schema defaults are: bytes and fixed as text of U+0000 to
 *  U+00FF, a union by its first branch. @return MILL_OK; MILL_E_SCHEMA when it does not fit */
enum mill_code mill_wire_put_json(struct mill_wire_out *o, const struct mill_avro_node *type,
                                  const json_t *v, struct mill_err *err) MILL_NODISCARD;

#endif
