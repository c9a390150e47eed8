#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_FIRST = 4096,
    ARENA_LARGEST = 4 << 20
}; /* bytes of a chunk, unless one item is larger */

struct mill_arena_chunk {
    struct mill_arena_chunk *older;
    size_t size, used; /**< bytes of data[] */
    max_align_t data[];
};

void mill_arena_init(struct mill_arena *a)
{
    *a = (struct mill_arena){0};
}

static struct mill_arena_chunk *arena_grow(struct mill_arena *a, size_t n)
{
    struct mill_arena_chunk *c;
    size_t size = ARENA_FIRST;

    if (a->head)
        size = a->head->size < ARENA_LARGEST / 2 ? a->head->size * 2 : ARENA_LARGEST;
    if (size < n)
        size = n;
    if (size > SIZE_MAX - sizeof *c)
        return NULL;
    c = malloc(sizeof *c + size);
    if (!c)
        return NULL;
    c->older = a->head;
    c->size = size;
    c->used = 0;
    a->head = c;
    return c;
}

void *mill_arena_alloc(struct mill_arena *a, size_t n)
{
    const size_t align = _Alignof(max_align_t);
    struct mill_arena_chunk *c = a->head;
    void *p;

    if (n > SIZE_MAX - align)
        return NULL;
    n = n ? (n + align - 1) / align * align : align;
    if (!c || c->size - c->used < n)
        c = arena_grow(a, n);
    if (!c)
        return NULL;
    p = (char *)c->data + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *mill_arena_calloc(struct mill_arena *a, size_t count, size_t size)
{
    void *p;

    if (size && count > SIZE_MAX / size)
        return NULL;
    p = mill_arena_alloc(a, count * size);
    if (p)
        memset(p, 0, count * size);
    return p;
}

struct mill_str mill_arena_dup(struct mill_arena *a, struct mill_str s)
{
    char *p;

    if (!s.p || s.n == SIZE_MAX)
        return (struct mill_str){0};
    p = mill_arena_alloc(a, s.n + 1);
    if (!p)
        return (struct mill_str){0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct mill_str){p, s.n};
}

struct mill_str mill_arena_printf(struct mill_arena *a, const char *fmt, ...)
{
    struct mill_arena_chunk *c = a->head;
    size_t room = c ? c->size - c->used : 0;
    char *next = c ? (char *)c->data + c->used : NULL, *p;
    va_list ap;
    int n;

    /* Mostly it fits where the next bytes come from anyway: then it is printed once. */
    va_start(ap, fmt);
    n = vsnprintf(next, room, fmt, ap);
    va_end(ap);
    if (n < 0)
        return (struct mill_str){0};
    p = mill_arena_alloc(a, (size_t)n + 1);
    if (!p)
        return (struct mill_str){0};
    if (p != next || (size_t)n >= room) {
        va_start(ap, fmt);
        vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return (struct mill_str){p, (size_t)n};
}

static void arena_free_older(struct mill_arena_chunk *c)
{
    while (c) {
        struct mill_arena_chunk *older = c->older;
        free(c);
        c = older;
    }
}

void mill_arena_reset(struct mill_arena *a)
{
    struct mill_arena_chunk *c = a->head;

    a->used = 0;
    if (!c)
        return;
    /* The newest chunk is the largest, so it is the one to keep; an outsize one goes too. */
    arena_free_older(c->older);
    c->older = NULL;
    c->used = 0;
    if (c->size > ARENA_LARGEST) {
        free(c);
        a->head = NULL;
    }
}

void mill_arena_release(struct mill_arena *a)
{
    if (!a)
        return;
    arena_free_older(a->head);
    mill_arena_init(a);
}
