/**
 * @file life.h
 * @brief What this process itself has done: its own calls, until the ledger table shows them.
 *
 * Model: an open INTENT in the ledger means doubt only if it is another life's. This map knows our
 * own: a call that runs, and one that has ended though its outcome may not be committed (after a
 * refused transaction the record comes again; its outcome is told again without a call). Two
 * generations bound the memory: the older one is dropped when the newer is full; what runs or is
 * not told is never dropped. Single thread.
 */
#ifndef MILL_SEND_LIFE_H
#define MILL_SEND_LIFE_H

#include "base/buf.h"
#include "send/job.h"

struct send_life;

struct send_deed {
    char message_id[MILL_MESSAGE_ID_MAX + 1];
    bool running;
    bool told;      /**< its outcome is committed */
    bool listed;    /**< in the list that send_life_take_ended() gives */
    bool again;     /**< its record has come again in the batch in hand */
    uint64_t place; /**< which record it was done for */
    int32_t partition;
    int64_t attempt;
    const struct mill_provider *provider;
    enum mill_outcome outcome;
    bool called;
    int64_t at; /**< when it ended, µs since 1970 */
    char fingerprint[129], provider_id[129], reason[301], tenant[129], resend_id[129];
    struct mill_buf refusals; /**< recipients refused in it, an event's raw text a line; kept until
                                   they are told */
    struct send_deed *next;   /**< in that list */
};

/** @param limit deeds in a generation. @own new; NULL when out of memory */
struct send_life *send_life_new(size_t limit) MILL_NODISCARD;
/** @brief NULL-safe. */
void send_life_free(struct send_life *l);
/** @brief What we have done for this message; NULL = nothing. @own borrowed until the next begin */
struct send_deed *send_life_find(struct send_life *l, struct mill_str message_id);
/** @brief Remember that a call for this job is about to be made. @return NULL without memory.
 *  @own borrowed; stays while it runs */
struct send_deed *send_life_begin(struct send_life *l, const struct send_job *job) MILL_NODISCARD;
/** @brief Remember how the job's call ended. */
void send_life_end(struct send_life *l, const struct send_job *job);
/** @brief It was not done after all: its INTENT was not committed. */
void send_deed_forget(struct send_deed *deed);
/** @brief Its outcome is committed: what was kept to tell it again is freed. */
void send_deed_told(struct send_deed *deed);
/** @brief The ended deeds that are not told, as a list by `next`; the life's own list is empty
 * then.
 *  @own borrowed until the next begin */
struct send_deed *send_life_take_ended(struct send_life *l) MILL_NODISCARD;
/** @brief Put one back into that list. */
void send_life_list(struct send_life *l, struct send_deed *deed);
/** @brief Is this deed about this very record, and not another copy of the message? */
bool send_deed_of(const struct send_deed *deed, const struct mill_record *in);

#endif
