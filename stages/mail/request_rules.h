/**
 * @file request_rules.h
 * @brief What a mail request may look like: the one set of rules of ingest and validate.
 *
 * Model: rules look at form alone; they need no network and no state, and the same request with
 * the same `now_us` always gives the same answer. All wrong fields are collected, not the first.
 * The limits are the narrowest of the providers. Thread-safe.
 */
#ifndef MILL_REQUEST_RULES_H
#define MILL_REQUEST_RULES_H

#include "mail/faults.h"
#include "mail/records.h"

enum {
    MILL_RECIPIENTS_MAX = 1000,       /**< to, cc and bcc of all personalizations */
    MILL_MAIL_BYTES_MAX = 30000000,   /**< a mail with its attachments as base64 is smaller */
    MILL_SPLIT_BYTES_MAX = 128 << 20, /**< all messages of a request */
    MILL_CATEGORIES_MAX = 10,
    MILL_CATEGORY_CHARS = 255,
    MILL_CUSTOM_BYTES_MAX = 10000, /**< metadata of one mail, as JSON */
    MILL_SUBJECT_CHARS = 998,
    MILL_HEADERS_MAX = 100,
    MILL_HEADER_BYTES_MAX = 8192, /**< one header's value */
    MILL_NAME_BYTES_MAX = 256,    /**< display names, file names, content ids, template ids */
    MILL_ID_BYTES_MAX = 128,
};

struct mill_rules {
    unsigned mailbox_flags; /**< MILL_MAILBOX_… */
    int64_t now_us;         /**< µs since 1970; the request's accepted_at counts where it is set */
};

/** @brief Bytes of the attachments in a mail, which carries them as base64 (without line ends). */
uint64_t mill_attachments_bytes(struct mill_attachments v);
/** @brief Add to `out` every field of r that breaks a rule. @param out initialised by the caller */
void mill_request_check(const struct mill_request *r, const struct mill_rules *rules,
                        struct mill_faults *out);

/** @brief 1 to 128 of A-Z a-z 0-9 . _ ~ : - */
bool mill_id_ok(struct mill_str id);

/** @brief May a user's header not have this name, because Sendmill or the provider writes it? */
bool mill_header_reserved(struct mill_str name);

#endif
