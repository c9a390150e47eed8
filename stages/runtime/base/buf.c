#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 };

void mill_buf_init(struct mill_buf *b, size_t cap)
{
    *b = (struct mill_buf){.cap = cap};
}

char *mill_buf_reserve(struct mill_buf *b, size_t n)
{
    size_t need, size;
    char *p;

    if (b->failed)
        return NULL;
    if (n > b->cap - b->n || n > SIZE_MAX - 1 - b->n) /* the NUL needs room too */
        goto fail;
    need = b->n + n + 1;
    if (need > b->size) {
        size = b->size ? b->size : BUF_FIRST;
        while (size < need)
            size = size > SIZE_MAX / 2 ? need : size * 2;
        if (b->cap < SIZE_MAX && size > b->cap + 1)
            size = b->cap + 1;
        p = realloc(b->p, size);
        if (!p) {
            b->nomem = true;
            goto fail;
        }
        b->p = p;
        b->size = size;
    }
    return b->p + b->n;
fail:
    b->failed = true;
    return NULL;
}

bool mill_buf_add(struct mill_buf *b, const void *p, size_t n)
{
    char *to = mill_buf_reserve(b, n);

    if (!to)
        return false;
    if (n)
        memcpy(to, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return true;
}

bool mill_buf_str_add(struct mill_buf *b, struct mill_str s)
{
    return mill_buf_add(b, s.p, s.n);
}

bool mill_buf_puts(struct mill_buf *b, const char *z)
{
    return mill_buf_add(b, z, strlen(z));
}

bool mill_buf_putc(struct mill_buf *b, char c)
{
    return mill_buf_add(b, &c, 1);
}

bool mill_buf_printf(struct mill_buf *b, const char *fmt, ...)
{
    va_list ap;
    char *to;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return false;
    }
    to = mill_buf_reserve(b, (size_t)n);
    if (!to)
        return false;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return true;
}

bool mill_buf_json(struct mill_buf *b, struct mill_str s)
{
    char unit[MILL_JSON_UNIT];
    size_t at = 0;

    mill_buf_putc(b, '"');
    while (at < s.n && !b->failed) {
        size_t n = mill_json_unit(s, &at, unit);
        mill_buf_add(b, unit, n);
    }
    return mill_buf_putc(b, '"');
}

int mill_buf_add_file(struct mill_buf *b, const char *path)
{
    char chunk[4096];
    FILE *f = fopen(path, "re");
    size_t n;
    int rc = 0;

    if (!f)
        return errno;
    while (!rc && (n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        if (!mill_buf_add(b, chunk, n))
            rc = b->nomem ? ENOMEM : EFBIG;
    }
    if (ferror(f))
        rc = EIO;
    fclose(f);
    return rc;
}

struct mill_str mill_buf_view(const struct mill_buf *b)
{
    return (struct mill_str){b->p ? b->p : "", b->n};
}

char *mill_buf_detach(struct mill_buf *b, size_t *n)
{
    char *p = NULL;

    if (!b->failed && (b->p || mill_buf_add(b, "", 0))) {
        p = b->p;
        if (n)
            *n = b->n;
        b->p = NULL;
    } else if (n) {
        *n = 0;
    }
    mill_buf_release(b);
    return p;
}

void mill_buf_reset(struct mill_buf *b)
{
    b->n = 0;
    b->failed = false;
    b->nomem = false;
    if (b->p)
        b->p[0] = '\0';
}

void mill_buf_release(struct mill_buf *b)
{
    if (!b)
        return;
    free(b->p);
    mill_buf_init(b, b->cap);
}
