/**
 * @file str.h
 * @brief Borrowed byte strings: a pointer and a length.
 *
 * Model: a mill_str never owns its bytes and need not end in NUL. p == NULL means "absent" (Avro
 * null, missing header); an empty string has p != NULL and n == 0. Lists and maps are a pointer to
 * const items and a count. All of them may be copied by value; the bytes live as long as their
 * owner says.
 */
#ifndef MILL_STR_H
#define MILL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MILL_NODISCARD    __attribute__((warn_unused_result))
#define MILL_PRINTF(f, a) __attribute__((format(printf, f, a)))

struct mill_str {
    const char *p; /**< borrowed; NULL = absent */
    size_t n;      /**< bytes */
};

struct mill_pair {
    struct mill_str key, value;
};

struct mill_strs {
    const struct mill_str *v;
    size_t n;
};

struct mill_map {
    const struct mill_pair *v;
    size_t n;
};

/** A string literal as mill_str. */
#define MILL_STR(lit) ((struct mill_str){(lit), sizeof(lit) - 1})

/** The same as initialiser of a static table's member. */
#define MILL_STR_INIT(lit)                                                                         \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

/** printf("%.*s", MILL_FMT(s)) */
#define MILL_FMT(s) (int)(s).n, ((s).p ? (s).p : "")

/** @brief NUL-terminated text (may be NULL) as mill_str. @own borrowed */
static inline struct mill_str mill_str(const char *z)
{
    return (struct mill_str){z, z ? strlen(z) : 0};
}

/** @brief Same bytes; absent equals only absent. */
static inline bool mill_str_eq(struct mill_str a, struct mill_str b)
{
    return (a.p == NULL) == (b.p == NULL) && a.n == b.n && (a.n == 0 || !memcmp(a.p, b.p, a.n));
}

/** @brief Same bytes as the NUL-terminated z. */
static inline bool mill_str_is(struct mill_str a, const char *z)
{
    return mill_str_eq(a, mill_str(z));
}

/** @brief Same ASCII letters whatever their case (header names, media types). */
bool mill_str_ieq(struct mill_str a, struct mill_str b);

/** @brief a starts with the NUL-terminated prefix. */
static inline bool mill_str_starts(struct mill_str a, const char *prefix)
{
    size_t n = strlen(prefix);
    return n == 0 || (a.n >= n && !memcmp(a.p, prefix, n));
}

/** @brief Value of a key in a map, absent if there is none. @own borrowed from the map */
struct mill_str mill_map_get(struct mill_map m, const char *key);

/** @brief s without white space (space, tab, CR, LF) at both ends. @own borrowed from s */
struct mill_str mill_str_trim(struct mill_str s);

/** @brief Takes the text before the next sep out of *rest, and the sep with it; all of it when
 * there is no sep. @own borrowed from rest */
struct mill_str mill_str_take(struct mill_str *rest, char sep);

/** @brief Is s one of the texts of list, a comma list with white space around them allowed? Absent
 *  and empty are not. */
bool mill_str_in(struct mill_str s, struct mill_str list);
/** @brief The same, of an option's text; NULL is an empty list. */
bool mill_str_listed(struct mill_str s, const char *list);

/** @brief Text of a decimal number; the whole string must be digits (one leading '-' allowed).
 *  @return false when it is no number or does not fit. */
bool mill_str_i64(struct mill_str s, int64_t *out) MILL_NODISCARD;

/** @brief Well-formed UTF-8 (no surrogates, no overlong forms, up to U+10FFFF). */
bool mill_str_utf8(struct mill_str s);

/** @brief Copies into a caller's array, cut at its size, always NUL-terminated. */
void mill_str_cut(struct mill_str s, char *out, size_t size);

#endif
