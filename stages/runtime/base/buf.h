/**
 * @file buf.h
 * @brief A growing byte buffer with a hard limit, for bytes that came from a network.
 *
 * Model: init cannot fail and demands the limit. Data is NUL-terminated behind n. The first failed
 * add sets `failed`; later adds do nothing, so that a chain of adds is checked once, at the end.
 * Not thread-safe.
 */
#ifndef MILL_BUF_H
#define MILL_BUF_H

#include "base/err.h"

struct mill_buf {
    char *p;     /**< never NULL after the first successful add; use mill_buf_str() */
    size_t n;    /**< bytes used */
    size_t size; /**< bytes allocated */
    size_t cap;  /**< hard limit, bytes */
    bool failed; /**< over the limit or out of memory: content is not to be used */
    bool nomem;  /**< it failed for want of memory */
};

/** @brief Empty, nothing allocated. @param cap hard limit in bytes */
void mill_buf_init(struct mill_buf *b, size_t cap);
/** @return false (and b->failed) over the cap or out of memory */
bool mill_buf_add(struct mill_buf *b, const void *p, size_t n);
bool mill_buf_str_add(struct mill_buf *b, struct mill_str s);
bool mill_buf_puts(struct mill_buf *b, const char *z);
bool mill_buf_putc(struct mill_buf *b, char c);
bool mill_buf_printf(struct mill_buf *b, const char *fmt, ...) MILL_PRINTF(2, 3);
/** @brief Add s as a JSON string with quotes; bytes that are no UTF-8 become U+FFFD. */
bool mill_buf_json(struct mill_buf *b, struct mill_str s);
/** @brief Add a file's whole content. @return 0; else an errno value, EFBIG over the cap */
int mill_buf_add_file(struct mill_buf *b, const char *path) MILL_NODISCARD;
/** @brief Make room for n more bytes and return where they go (caller sets b->n); NULL as add. */
char *mill_buf_reserve(struct mill_buf *b, size_t n) MILL_NODISCARD;
/** @brief What is in it. @own borrowed until the next add */
struct mill_str mill_buf_view(const struct mill_buf *b);
/** @brief Take the bytes out. @own new (free()); the buffer is empty again */
char *mill_buf_detach(struct mill_buf *b, size_t *n) MILL_NODISCARD;
/** @brief Empty it, keep the memory. */
void mill_buf_reset(struct mill_buf *b);
/** @brief Free it; NULL-safe, idempotent; cap stays. */
void mill_buf_release(struct mill_buf *b);

#endif
