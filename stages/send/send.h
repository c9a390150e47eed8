/** @file send.h  @brief What the files of the stage `send` share. */
#ifndef MILL_SEND_H
#define MILL_SEND_H

#include "send/dispatch.h"
#include "send/life.h"
#include "send/suppress.h"
#include "timer.h"

enum {
    SEND_OUT_LEDGER,
    SEND_OUT_STATUS,
    SEND_OUT_DELAY,
    SEND_OUT_EVENTS = SEND_OUT_DELAY + MILL_TIMERS,
};
enum { SEND_IN_MESSAGES, SEND_IN_CANCELLATIONS };
enum { SEND_TABLE_LEDGER, SEND_TABLE_CANCELLATIONS, SEND_TABLE_PAUSES, SEND_TABLE_SUPPRESSIONS };
enum {
    SEND_ASIDE_MS = 1000 /**< shortest wait outside of a message that nobody was asked about */
};
enum {
    SEND_M_OUTCOMES,
    SEND_M_SKIPPED,
    SEND_M_CALL,
    SEND_M_IN_FLIGHT,
    SEND_M_PAUSED,
    SEND_M_BREAKER,
    SEND_M_TOKENS,
    /* of each provider, one row an outcome, from MILL_OUTCOME_ACCEPTED on */
    SEND_M_PROVIDER,
};

struct send_conf {
    const char *return_topic;
    uint32_t concurrency;
    uint64_t call_timeout_ms, intent_max_ms, max_age_ms, unknown_wait_ms;
    struct send_routes_conf routes;
    struct send_suppress_conf suppress;
    struct send_attach_conf attach;
    union mill_account_room accounts[MILL_PROVIDERS_N];
};

struct send_state {
    struct send_routes routes;
    const char *unready; /**< what was said about the providers; NULL = they are well */
    struct send_life *life;
    struct send_dispatch *dispatch;
    struct send_job *jobs; /**< of the batch in hand, in the batch's order */
    size_t jobs_n, cursor;
    struct send_queue waiting; /**< SEND_WAIT */
    struct mill_unsubscribe_keys unsubscribe;
    int64_t refreshed_ms; /**< mill_tick_ms() of the last look for new cancellations */
};

/* watch.c: */
/** @brief A job with a route has ended: what does that say of the provider's health? */
void send_watch_note(struct mill_ctx *ctx, const struct send_job *job);
/** @brief Metrics and readiness by the providers' health, which changes with time too. */
void send_watch_report(struct mill_ctx *ctx);
/* batch.c: */
/** @brief The stage's on_batch: tell what the batch before has left, plan each record, emit CLAIMs
 *  and INTENTs. */
enum mill_verdict send_batch_begin(struct mill_ctx *ctx, const struct mill_record *const *in,
                                   size_t n, struct mill_err *err);
/** @brief Forget the jobs of the batch. */
void send_batch_drop(struct send_state *st);

/* plan.c: */
/** @brief Decide what becomes of a record; takes a provider for it if it is to be called.
 *  @return MILL_OK (job->plan says what); MILL_E_STATE, MILL_E_IO: the ledger cannot be read */
enum mill_code send_plan_job(struct mill_ctx *ctx, struct send_job *job,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief Bytes of the message as a mail: texts as they are, attachments as base64. */
uint64_t send_mail_bytes(const struct mill_message *m);
/** @brief How often the record was taken out of the dead letters. */
int64_t send_redrives(const struct mill_record *in);
/** @brief Read what the ledger and this life know of the job's message into job->view. */
enum mill_code send_plan_look(struct mill_ctx *ctx, struct send_job *job,
                              struct mill_err *err) MILL_NODISCARD;

/* doubt.c: */
/** @brief Decide about a message that is in doubt (job->view). Leaves job->plan at SEND_CALL when
 * the next attempt may be made, with job->route set if it must be that provider's. */
enum mill_code send_doubt_plan(struct mill_ctx *ctx, struct send_job *job,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief Until when a message waits for evidence. @param open n > 0 @return wall clock, ms */
int64_t send_doubt_due(struct mill_ctx *ctx, const struct mill_ledger_open *open);
/** @brief Say that an attempt of another life is in doubt: DOUBT to the ledger, status UNKNOWN.
 *  @param open the attempt's own record, or as much of it as is known */
enum mill_code send_emit_doubt(struct mill_ctx *ctx, int32_t partition,
                               const struct mill_ledger *open, struct mill_err *err) MILL_NODISCARD;
/** @brief What is known of the attempt in doubt (job->view), to be said of it.
 *  @own borrowed from job */
struct mill_ledger send_doubt_of(const struct send_job *job);
/** @brief Was a dead letter made of the attempt in doubt (job->view), and this is not that letter,
 *  redriven? */
bool send_doubt_held(const struct send_job *job);
/** @brief Say so in the ledger, in the transaction of that letter. */
enum mill_code send_emit_held(struct mill_ctx *ctx, const struct send_job *job,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief The stage's on_assigned: every open INTENT of another life is in doubt from now on,
 *  whether its message's record comes again or not. */
enum mill_code send_doubt_assigned(struct mill_ctx *ctx, int32_t partition, struct mill_err *err);

/* claim.c: */
/** @brief Whose is the request id? Sets job->claim, or SEND_CONFLICT. */
enum mill_code send_claim_plan(struct mill_ctx *ctx, struct send_job *job,
                               struct mill_err *err) MILL_NODISCARD;
enum mill_code send_emit_claim(struct mill_ctx *ctx, const struct send_job *job,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief What stands before the first slash. @own borrowed from message_id */
struct mill_str send_request_of(struct mill_str message_id);

/* cancel.c: */
/** @brief Does its tenant not want the job's message any more? */
enum mill_code send_cancel_look(struct mill_ctx *ctx, const struct send_job *job, bool *cancelled,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief A record of the port cancellations, before its batch is planned: into the table. */
enum mill_code send_cancel_take(struct mill_ctx *ctx, const struct mill_record *in,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Answer it: TOO_LATE for the messages that were called. */
enum mill_verdict send_cancel_conclude(struct mill_ctx *ctx, const struct mill_record *in,
                                       struct mill_err *err);

/* pause.c: */
/** @brief SEND_HALTED where a category of the message is. */
enum mill_code send_pause_look(struct mill_ctx *ctx, struct send_job *job,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief Once more round; HELD at the first. */
enum mill_code send_pause_conclude(struct mill_ctx *ctx, const struct send_job *job,
                                   struct mill_err *err) MILL_NODISCARD;

/* outcome.c: */
/** @brief To the ledger, and into its table at once, before the topic brings it back. */
enum mill_code send_emit_known(struct mill_ctx *ctx, int32_t partition, struct mill_str key,
                               const struct mill_ledger *record,
                               struct mill_err *err) MILL_NODISCARD;
/* suppress.c: */
/** @brief Leave suppressed recipients out of the job's message (job->msg becomes a copy,
 *  job->left_out says who); SEND_SUPPRESSED when nobody is left in To. Else add the one-click link,
 *  where the message is to have one.
 *  @return MILL_OK; MILL_E_STATE, MILL_E_IO: the table cannot be read; MILL_E_NOMEM */
enum mill_code send_suppress_look(struct mill_ctx *ctx, struct send_job *job,
                                  struct mill_err *err) MILL_NODISCARD;

/** @brief A new state of the job's message; who was left out of it is a reason too. */
enum mill_code send_emit_status(struct mill_ctx *ctx, const struct send_job *job,
                                enum mill_state state, const char *cls, struct mill_str reason,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief A ledger record with what every one of a message says, so that OUTCOME, which replaces
 *  INTENT in the compacted topic, still has the facts that enrich joins. @own borrowed from m */
struct mill_ledger send_ledger_of(const struct mill_message *m);
/** @brief Emit the job's INTENT or OUTCOME (with answer). */
enum mill_code send_emit_ledger(struct mill_ctx *ctx, const struct send_job *job, int kind,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief What a deed says in the ledger, without the facts that only enrich needs.
 *  @own borrowed from the deed */
struct mill_ledger send_deed_record(const struct send_deed *deed);
/** @brief To the delay topics until due_ms (ms since 1970); the retry topic brings it back, with no
 *  attempt counted. */
enum mill_code send_later(struct mill_ctx *ctx, const struct send_job *job, int64_t due_ms,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief Round by the retry topic, to be planned anew, with no attempt counted. @param wait_ms
 * from now; 0 = at once, which a caller may do only so often to one message */
enum mill_code send_round(struct mill_ctx *ctx, const struct send_job *job, int64_t wait_ms,
                          struct mill_err *err) MILL_NODISCARD;
/** @brief A record that is not called: emit what there is to say. @return its verdict */
enum mill_verdict send_conclude_uncalled(struct mill_ctx *ctx, struct send_job *job,
                                         struct mill_err *err);
/** @brief A job with an answer: outcome, status. @return its verdict, and err for it */
enum mill_verdict send_conclude(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err);

#endif
