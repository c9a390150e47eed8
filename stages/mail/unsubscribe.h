/**
 * @file unsubscribe.h
 * @brief The token of a one-click unsubscribe link (RFC 8058): who wants no more mail of whom.
 *
 * Model: all that the link means is in its token, signed with HMAC-SHA256 (cut to 128 bits, so that
 * the header stays short); nothing is stored until somebody clicks. Anyone may read what is in it,
 * nobody may make one. It does not expire: a mail may be found in a drawer. Several keys may verify
 * while one is being replaced; the first one signs. Pure functions, thread-safe.
 */
#ifndef MILL_UNSUBSCRIBE_H
#define MILL_UNSUBSCRIBE_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    MILL_UNSUBSCRIBE_KEYS_MAX = 8,
    MILL_UNSUBSCRIBE_KEY_MIN = 32,    /**< characters */
    MILL_UNSUBSCRIBE_TOKEN_MAX = 2560 /**< characters of the longest token that is made or read */
};

struct mill_unsubscribe {
    struct mill_str tenant;
    struct mill_str address;    /**< whose mail it was; 1 to 320 bytes */
    struct mill_str category;   /**< absent or empty: all mail of the tenant */
    struct mill_str message_id; /**< the mail with the link */
    int64_t issued;             /**< µs since 1970; whole seconds are kept */
};

struct mill_unsubscribe_keys {
    struct mill_str v[MILL_UNSUBSCRIBE_KEYS_MAX]; /**< the first one signs */
    size_t n;
};

/** @brief Cut the option's text: one key a line or a comma list, MILL_UNSUBSCRIBE_KEY_MIN
 *  characters at least. @param text absent: no keys @own out borrows from text
 *  @return MILL_OK; MILL_E_CONFIG */
enum mill_code mill_unsubscribe_keys_read(struct mill_unsubscribe_keys *out, struct mill_str text,
                                          struct mill_err *err) MILL_NODISCARD;
/** @brief Append the token, base64url without padding.
 *  @return MILL_OK; MILL_E_DATA (a part is too long, or no address); MILL_E_STATE (no key);
 *          MILL_E_NOMEM */
enum mill_code mill_unsubscribe_make(const struct mill_unsubscribe *u,
                                     const struct mill_unsubscribe_keys *keys, struct mill_buf *out,
                                     struct mill_err *err) MILL_NODISCARD;
/** @brief Verify, then read. @own out borrows from arena
 *  @return MILL_OK; MILL_E_AUTH (any byte is not ours, or no key fits); MILL_E_NOMEM */
enum mill_code mill_unsubscribe_read(struct mill_unsubscribe *out, struct mill_str token,
                                     const struct mill_unsubscribe_keys *keys,
                                     struct mill_arena *arena, struct mill_err *err) MILL_NODISCARD;

#endif
