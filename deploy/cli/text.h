/**
 * @file text.h
 * @brief Bytes of others as a person may see them: nothing in them steers the terminal.
 */
#ifndef TEXT_H
#define TEXT_H

#include "base/arena.h"

/**
 * @brief Control characters (C0, DEL, C1), bytes that are no UTF-8 and marks that turn the writing
 *        direction become \xNN, byte by byte.
 * @return NUL-terminated; "" for an absent string, "(out of memory)" for want of it.
 * @own borrowed from the arena
 */
const char *text_safe(struct mill_arena *a, struct mill_str s);
/** @brief The same, but lines stay lines. */
const char *text_safe_lines(struct mill_arena *a, struct mill_str s);

#endif
