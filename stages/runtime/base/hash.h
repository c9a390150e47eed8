/**
 * @file hash.h
 * @brief Digests, random bytes, text forms of bytes, UUIDs. OpenSSL stays behind this header.
 */
#ifndef MILL_HASH_H
#define MILL_HASH_H

#include "base/buf.h"

enum { MILL_SHA256_BYTES = 32, MILL_UUID_TEXT = 37 /**< with the NUL */ };

/** @return false only when the crypto library failed */
bool mill_sha256(struct mill_str in, unsigned char out[MILL_SHA256_BYTES]) MILL_NODISCARD;
/** @brief SHA-256 over several pieces, each preceded by its length (no two lists collide). */
bool mill_sha256_parts(const struct mill_str *parts, size_t n,
                       unsigned char out[MILL_SHA256_BYTES]) MILL_NODISCARD;
bool mill_hmac_sha256(struct mill_str key, struct mill_str in,
                      unsigned char out[MILL_SHA256_BYTES]) MILL_NODISCARD;
bool mill_random(void *out, size_t n) MILL_NODISCARD;
/** @brief Same bytes, in time that does not depend on where they differ. */
bool mill_equal_secret(struct mill_str a, struct mill_str b);
/** @param out 2n + 1 bytes, lower case, NUL-terminated */
char *mill_hex(const void *in, size_t n, char *out);
/** @brief Standard base64 with padding, appended to out. */
bool mill_base64_add(struct mill_buf *out, struct mill_str in);
/** @brief Strict base64 (padding needed, no white space) appended. @return false when malformed or
 *  over the cap */
bool mill_base64_decode(struct mill_buf *out, struct mill_str in) MILL_NODISCARD;
/** @brief RFC 9562 version 7: time-ordered. @param out MILL_UUID_TEXT bytes */
bool mill_uuid7(char *out) MILL_NODISCARD;
/** @brief RFC 9562 version 5 of name parts joined by NUL, in Sendmill's namespace. */
bool mill_uuid5(const struct mill_str *parts, size_t n, char *out) MILL_NODISCARD;

#endif
