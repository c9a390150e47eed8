/**
 * @file keys.h
 * @brief Which Idempotency-Keys were used, by any process, and which are in use here right now.
 *
 * Model: a key's id is UUIDv5(client, key). mail.idempotency has one record for each key that led
 * to an accepted request, keyed by that id; every ingest process holds the whole topic in a table
 * (stages/runtime/table.h). Beside it a set of the ids that are in hand in this process. A caller
 * takes an id before it writes, keeps it when the request is accepted, and releases it.
 *
 * The key's record is written after the request's is acknowledged, never before, and 202 is given
 * after both. So, whenever a process dies (kill -9) or loses the broker:
 *
 * | it dies                               | request | key record | client saw | the same again |
 * |---------------------------------------|---------|------------|------------|-----------------------|
 * | before the request is written         | no      | no         | nothing    | a first request |
 * | request written, acknowledged or not  | yes     | no         | nothing    | written twice, (a)
 * | | key record written, not acknowledged  | yes     | yes        | nothing    | the first answer,
 * (b) | | both acknowledged                     | yes     | yes        | 202 or     | the first
 * answer, (b) | |                                       |         |            | nothing    | | |
 * the other order, which we never do    | no      | yes        | nothing    | 202, and a lost mail
 * |
 *
 * (a) same id, same fingerprint: the ledger takes the second record as a duplicate, one mail goes.
 *     With another body both are accepted, and send's claim record lets only the first one through;
 *     the other ends REJECTED (idempotency-conflict) in mail.status.
 * (b) with another body: 422.
 * The same holds within the table's lag (milliseconds), and for two processes that hold the same
 * key at the same moment. A request whose acknowledgement is in doubt is answered 503
 * outcome-unknown; its key is free, and using it again is (a). A key record that the broker does
 * not take harms no mail: 202 is given, this process remembers, another one is at (a).
 *
 * An id older than the lifetime is forgotten: its key makes a new request. As the ledger may know
 * the old one for some time still, the new one gets an id of its own, made of the old use, so that
 * every process makes the same; the topic is kept longer than the ledger for that.
 */
#ifndef INGEST_KEYS_H
#define INGEST_KEYS_H

#include "base/hash.h"
#include "mail/controls.h"
#include "mail/ids.h"
#include "table.h"

struct ingest_keys;

/** How a key was used, or is to be. */
struct ingest_key_use {
    char request_id[MILL_UUID_TEXT];
    char fingerprint[MILL_FINGERPRINT_SIZE];
    int64_t accepted_at; /**< µs since 1970 */
    int64_t messages;
};

enum ingest_key {
    INGEST_KEY_FREE,    /**< the caller's until release; use->request_id is the one to write */
    INGEST_KEY_USED,    /**< use says how */
    INGEST_KEY_IN_HAND, /**< another request of this process has it right now */
    INGEST_KEY_AWAY,    /**< not known yet: the table still reads, or failed */
};

/** @param table of mill_idempotency_desc, global; borrowed for the keys' life
 *  @own new; NULL when out of memory */
struct ingest_keys *ingest_keys_new(struct mill_table *table, uint64_t lifetime_ms) MILL_NODISCARD;
/** @brief NULL-safe. */
void ingest_keys_free(struct ingest_keys *k);
/** @param id the key's @param now_us µs since 1970 @thread any */
enum ingest_key ingest_keys_take(struct ingest_keys *k, const char *id, int64_t now_us,
                                 struct ingest_key_use *use) MILL_NODISCARD;
/** @brief The request of an id in hand was accepted. Call it before the key's record is written, so
 *  that the topic brings it later than we. @thread any */
void ingest_keys_keep(struct ingest_keys *k, const char *id, const struct mill_idempotency *record);
/** @brief The id is in hand no longer: USED if it was kept, else as it was before. @thread any */
void ingest_keys_release(struct ingest_keys *k, const char *id);
/** @brief Why no key can be looked up now; NULL = they can. @own static @thread any */
const char *ingest_keys_why(const struct ingest_keys *k);
/** @brief Ids in hand. @thread any */
size_t ingest_keys_in_hand(struct ingest_keys *k);

#endif
