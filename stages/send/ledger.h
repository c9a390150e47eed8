/**
 * @file ledger.h
 * @brief What mail.ledger says of one message: a fold over the records of all its attempts.
 *
 * Model: the key of a record is message_id/attempt/writer, so that the topic keeps one record per
 * attempt and writer: send's INTENT, which its OUTCOME replaces, and evidence beside it. An
 * acceptance, by whoever it was seen, beats all else. OUTCOME repeats the facts of its INTENT.
 */
#ifndef MILL_SEND_LEDGER_H
#define MILL_SEND_LEDGER_H

#include "mail/records.h"
#include "send/message_id.h"
#include "table.h"

enum { MILL_LEDGER_KEY_MAX = MILL_MESSAGE_ID_MAX + 32 };

struct mill_ledger_view {
    int64_t attempts; /**< highest attempt number; 0 = the ledger does not know the message */
    bool accepted;
    bool doubt;               /**< an attempt whose outcome nobody knows, or that never got one */
    struct mill_ledger facts; /**< of the accepted attempt, else of the highest */
};

/** @brief Fold one record into the view; its facts are copied to mem. @return false without memory
 */
bool mill_ledger_fold(struct mill_ledger_view *view, const struct mill_ledger *record,
                      struct mill_arena *mem) MILL_NODISCARD;
/** @brief Read a message's records out of the table. @own out in mem, empty on failure
 *  @param skip_attempt an attempt of which the caller knows more than the table; 0 = none
 *  @return MILL_OK (also when there are none); what mill_table_each returns; MILL_E_NOMEM */
enum mill_code mill_ledger_look(struct mill_table *table, int32_t partition,
                                struct mill_str message_id, int64_t skip_attempt,
                                struct mill_arena *mem, struct mill_ledger_view *out,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief message_id/attempt/writer into buf (MILL_LEDGER_KEY_MAX + 1 bytes). @own borrowed */
struct mill_str mill_ledger_key(char *buf, struct mill_str message_id, int64_t attempt,
                                const char *writer);

#endif
