/**
 * @file ids.h
 * @brief Names that must come out the same wherever and whenever they are made.
 *
 * Model: each is a pure function of its arguments. Changing one of them changes the identity of
 * mail that is on its way: don't. Thread-safe.
 */
#ifndef MILL_IDS_H
#define MILL_IDS_H

#include "base/hash.h"
#include "mail/records.h"

enum {
    MILL_MESSAGE_ID_SIZE = 128 + 1 + 20 + 1, /**< request id, slash, index, NUL */
    MILL_FINGERPRINT_SIZE = 2 * MILL_SHA256_BYTES + 1,
    MILL_EVENT_ID_SIZE = 32 + 1,
};

/** @brief request_id/index. @param index from 0 @param out MILL_MESSAGE_ID_SIZE bytes
 *  @return the text in out; p == NULL when request_id is longer than 128 bytes */
struct mill_str mill_message_id(struct mill_str request_id, int64_t index,
                                char *out) MILL_NODISCARD;

/** @brief The request_id of a record that has none: UUIDv5 of its mill.origin header. */
bool mill_request_id_of_origin(struct mill_str origin, char out[MILL_UUID_TEXT]) MILL_NODISCARD;
/** @brief The request_id of an HTTP request with an Idempotency-Key: UUIDv5(client, key). */
bool mill_request_id_of_key(struct mill_str client, struct mill_str key,
                            char out[MILL_UUID_TEXT]) MILL_NODISCARD;

/**
 * @brief SHA-256 over what a request asks for, in hexadecimal. Not part of it: its ids and times
 * (request_id, client, accepted_at, fingerprint, resend_*), the order of maps, whether a text is
 * absent or empty, whether an attachment travels inside or by reference.
 * @param out MILL_FINGERPRINT_SIZE bytes
 * @return false when out of memory or the crypto library failed
 */
bool mill_request_fingerprint(const struct mill_request *r, char *out) MILL_NODISCARD;

/** What makes two reports of a provider the same event. Absent parts count as empty. */
struct mill_event_facts {
    struct mill_str provider, provider_id;
    struct mill_str event; /**< the provider's own word */
    struct mill_str recipient;
    struct mill_str timestamp; /**< the provider's, as it was written */
    struct mill_str url, reason;
};
/** @brief Stable over the provider's retries. @param out MILL_EVENT_ID_SIZE bytes */
bool mill_event_id(const struct mill_event_facts *f, char *out) MILL_NODISCARD;

#endif
