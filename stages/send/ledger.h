/**
 * @file ledger.h
 * @brief What mail.ledger says of one message: a fold over the records of all its attempts.
 *
 * Model: the key of a record is message_id/attempt/writer, so that the topic keeps one record per
 * attempt and writer: send's INTENT, which its OUTCOME replaces; evidence (of enrich) and doubt (of
 * an owner that found the INTENT open) beside it. An acceptance, by whoever it was seen, beats all
 * else. OUTCOME repeats the facts of its INTENT. A request's CLAIM has the key request_id/claim.
 */
#ifndef MILL_SEND_LEDGER_H
#define MILL_SEND_LEDGER_H

#include "mail/records.h"
#include "send/message_id.h"
#include "table.h"

enum { MILL_LEDGER_KEY_MAX = MILL_MESSAGE_ID_MAX + 32 };

/** Attempts whose outcome nobody knows, or that never got one. */
struct mill_ledger_open {
    size_t n;
    int64_t attempt; /**< the newest of them; the fields below but `since` are its */
    int64_t at;
    struct mill_str provider, fingerprint, resend_id;
    int64_t since; /**< `at` of the oldest */
};

struct mill_ledger_view {
    int64_t attempts; /**< highest attempt number; 0 = the ledger does not know the message */
    bool accepted;
    bool doubt; /**< open.n > 0 */
    struct mill_ledger_open open;
    int64_t told;             /**< newest attempt of which UNKNOWN was said; 0 = none */
    int64_t held;             /**< newest attempt for which a dead letter was made; 0 = none */
    int64_t held_redrives;    /**< how often that letter had been redriven */
    struct mill_ledger facts; /**< of the accepted attempt, else of the highest */
};

/** @brief Fold one record into the view; what is kept of it is copied to mem.
 *  @param resend_id only attempts of this resend say anything, though all are counted; absent: all
 *  @return false without memory */
bool mill_ledger_fold(struct mill_ledger_view *view, const struct mill_ledger *record,
                      struct mill_str resend_id, struct mill_arena *mem) MILL_NODISCARD;
/** What is asked of the ledger about a message. */
struct mill_ledger_ask {
    int32_t partition;
    struct mill_str message_id;
    struct mill_str resend_id; /**< as for mill_ledger_fold() */
    int64_t skip_attempt;      /**< one of which the caller knows more than the table; 0 = none */
};
/** @brief Read a message's records out of the table. @own out in mem, empty on failure
 *  @return MILL_OK (also when there are none); what mill_table_each returns; MILL_E_NOMEM */
enum mill_code mill_ledger_look(struct mill_table *table, const struct mill_ledger_ask *ask,
                                struct mill_arena *mem, struct mill_ledger_view *out,
                                struct mill_err *err) MILL_NODISCARD;
/**
 * @brief The open attempt that an event of this provider proves to have been accepted: the event's
 *        provider_id belongs to no other attempt, and of the open ones the newest is it.
 * @param provider_id of the event; absent: it proves nothing where another attempt was accepted
 * @param out attempt == 0: there is none. @own in mem
 */
enum mill_code mill_ledger_proven(struct mill_table *table, const struct mill_ledger_ask *ask,
                                  struct mill_str provider, struct mill_str provider_id,
                                  struct mill_arena *mem, struct mill_ledger *out,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief message_id/attempt/writer into buf (MILL_LEDGER_KEY_MAX + 1 bytes). @own borrowed */
struct mill_str mill_ledger_key(char *buf, struct mill_str message_id, int64_t attempt,
                                const char *writer);
/** @brief A deep copy. @return false without memory. @own new in mem */
bool mill_ledger_copy(struct mill_ledger *out, const struct mill_ledger *record,
                      struct mill_arena *mem) MILL_NODISCARD;
/** @brief May the provider have taken the mail on this record's word: open, accepted, or proven? */
bool mill_ledger_stands(const struct mill_ledger *record);

#endif
