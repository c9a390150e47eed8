/**
 * @file arena.h
 * @brief Memory that is thrown away as a whole: one per batch or request.
 *
 * Model: chunks are never moved or freed before reset, so pointers stay valid until then. reset
 * keeps the newest (largest) chunk, so that a steady load allocates nothing. Not thread-safe.
 */
#ifndef MILL_ARENA_H
#define MILL_ARENA_H

#include "base/str.h"

struct mill_arena_chunk;
struct mill_arena {
    struct mill_arena_chunk *head; /**< chunk in use; older ones behind it */
    size_t used;                   /**< bytes given out since reset */
};

/** @brief Ready to use; cannot fail, allocates nothing. {0} does the same. */
void mill_arena_init(struct mill_arena *a);
/** @brief n bytes, aligned for any type, not zeroed. @return NULL when out of memory.
 *  @own borrowed until reset or release */
void *mill_arena_alloc(struct mill_arena *a, size_t n) MILL_NODISCARD;
/** @brief count × size bytes, zeroed; NULL on overflow or no memory. */
void *mill_arena_calloc(struct mill_arena *a, size_t count, size_t size) MILL_NODISCARD;
/** @brief A copy of s, NUL-terminated behind its n bytes; p == NULL when out of memory (or s
 * absent). */
struct mill_str mill_arena_dup(struct mill_arena *a, struct mill_str s) MILL_NODISCARD;
/** @brief printf into the arena; p == NULL when out of memory. */
struct mill_str mill_arena_printf(struct mill_arena *a, const char *fmt, ...)
    MILL_PRINTF(2, 3) MILL_NODISCARD;
/** @brief Forget everything, keep one chunk. */
void mill_arena_reset(struct mill_arena *a);
/** @brief Free everything; usable again afterwards. NULL-safe. */
void mill_arena_release(struct mill_arena *a);

#endif
