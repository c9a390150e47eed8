/** @file send.h  @brief What the files of the stage `send` share. */
#ifndef MILL_SEND_H
#define MILL_SEND_H

#include "send/dispatch.h"
#include "send/life.h"

enum { SEND_OUT_LEDGER, SEND_OUT_STATUS, SEND_OUT_DELAY };
enum { SEND_TABLE_LEDGER };
enum { SEND_M_OUTCOMES, SEND_M_SKIPPED, SEND_M_CALL, SEND_M_IN_FLIGHT, SEND_M_PAUSED };
enum { SEND_ROUTES_MAX = 8 };

struct send_conf {
    const char *providers;
    const char *sendgrid_url, *sendgrid_key;
    const char *smtp_url, *smtp_user, *smtp_password;
    const char *tls_ca, *return_topic;
    uint32_t concurrency;
    uint64_t call_timeout_ms, intent_max_ms, credential_pause_ms, max_age_ms;
};

struct send_state {
    struct send_route routes[SEND_ROUTES_MAX];
    size_t routes_n;
    bool unready; /**< said so, because a provider is paused */
    struct send_life *life;
    struct send_dispatch *dispatch;
    struct send_job *jobs; /**< of the batch in hand, in the batch's order */
    size_t jobs_n, cursor;
    struct send_queue waiting; /**< SEND_WAIT */
};

/** @brief Fill st->routes from the options. @return MILL_OK or MILL_E_CONFIG */
enum mill_code send_routes_open(struct send_state *st, const struct send_conf *conf,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief The first provider that is well; one whose pause is over gets one call to prove itself.
 *  @return NULL when there is none. @own borrowed from st */
struct send_route *send_routes_take(struct send_state *st) MILL_NODISCARD;
/** @brief A job of its has ended: is the provider still on speaking terms with us? */
void send_routes_note(struct mill_ctx *ctx, const struct send_job *job);
/** @brief Decide what becomes of a record; takes a provider for it if it is to be called.
 *  @return MILL_OK (job->plan says what); MILL_E_STATE, MILL_E_IO: the ledger cannot be read */
enum mill_code send_plan_job(struct mill_ctx *ctx, struct send_job *job,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief Emit the job's INTENT or OUTCOME (with answer). */
enum mill_code send_emit_ledger(struct mill_ctx *ctx, const struct send_job *job, int kind,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief What a deed says in the ledger, without the facts that only enrich needs.
 *  @own borrowed from the deed */
struct mill_ledger send_deed_record(const struct send_deed *deed);
/** @brief A record that is not called: emit what there is to say. @return its verdict */
enum mill_verdict send_conclude_uncalled(struct mill_ctx *ctx, const struct send_job *job,
                                         struct mill_err *err);
/** @brief A job with an answer: outcome, status. @return its verdict, and err for it */
enum mill_verdict send_conclude(struct mill_ctx *ctx, const struct send_job *job,
                                struct mill_err *err);

#endif
