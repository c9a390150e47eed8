/**
 * @file charset.h
 * @brief Sets of ASCII bytes as bitmaps, for the scanners of this folder.
 *
 * Model: a set is 128 bits; bytes from 0x80 up are in none. Constants only, no state.
 */
#ifndef MILL_CHARSET_H
#define MILL_CHARSET_H

#include "base/str.h"

struct mill_charset {
    uint32_t bits[4];
};

#define MILL_SET_DIGIT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0, 0x03ff0000, 0, 0                                                                    \
        }                                                                                          \
    } /* 0-9 */
#define MILL_SET_HEX                                                                               \
    {                                                                                              \
        {                                                                                          \
            0, 0x03ff0000, 0x0000007e, 0x0000007e                                                  \
        }                                                                                          \
    } /* 0-9 A-F a-f */
#define MILL_SET_LETDIG                                                                            \
    {                                                                                              \
        {                                                                                          \
            0, 0x03ff0000, 0x07fffffe, 0x07fffffe                                                  \
        }                                                                                          \
    } /* 0-9 A-Z a-z */
#define MILL_SET_ATEXT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0, 0xa3ffacfa, 0xc7fffffe, 0x7fffffff                                                  \
        }                                                                                          \
    } /* RFC 5321 atext */
#define MILL_SET_QTEXT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0, 0xfffffffb, 0xefffffff, 0x7fffffff                                                  \
        }                                                                                          \
    } /* qtextSMTP */
#define MILL_SET_DCONTENT                                                                          \
    {                                                                                              \
        {                                                                                          \
            0, 0xfffffffe, 0xc7ffffff, 0x7fffffff                                                  \
        }                                                                                          \
    } /* dcontent */
#define MILL_SET_FTEXT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0, 0xfbfffffe, 0xffffffff, 0x7fffffff                                                  \
        }                                                                                          \
    } /* header name */
#define MILL_SET_TOKEN                                                                             \
    {                                                                                              \
        {                                                                                          \
            0, 0x03ff6cfa, 0xc7fffffe, 0x7fffffff                                                  \
        }                                                                                          \
    } /* RFC 2045 token */
#define MILL_SET_ID                                                                                \
    {                                                                                              \
        {                                                                                          \
            0, 0x07ff6000, 0x87fffffe, 0x47fffffe                                                  \
        }                                                                                          \
    } /* A-Za-z0-9._~:- */

static inline bool mill_in_set(const struct mill_charset *set, char c)
{
    unsigned char u = (unsigned char)c;
    return u < 128 && ((set->bits[u >> 5] >> (u & 31)) & 1);
}

/** @brief How many bytes from `from` on are in the set. */
static inline size_t mill_span(const struct mill_charset *set, struct mill_str s, size_t from)
{
    size_t i = from;

    while (i < s.n && mill_in_set(set, s.p[i]))
        i++;
    return i - from;
}

/** @brief Not empty, and all bytes in the set. */
static inline bool mill_all_in(const struct mill_charset *set, struct mill_str s)
{
    return s.n && mill_span(set, s, 0) == s.n;
}

/** @brief The part [from, to). @param to at most s.n */
static inline struct mill_str mill_sub(struct mill_str s, size_t from, size_t to)
{
    return (struct mill_str){s.p + from, to - from};
}

/** @brief Any byte ≥ 0x80? */
static inline bool mill_has_utf8(struct mill_str s)
{
    unsigned char any = 0;

    for (size_t i = 0; i < s.n; i++)
        any = (unsigned char)(any | (unsigned char)s.p[i]);
    return any >= 0x80;
}

#endif
