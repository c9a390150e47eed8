/**
 * @file job.h
 * @brief One message on its way through send: what was decided, and how its call ended.
 */
#ifndef MILL_SEND_JOB_H
#define MILL_SEND_JOB_H

#include "mail/controls.h"
#include "send/ledger.h"
#include "send/routes.h"

/** What is to become of a record, decided before its batch's INTENTs are committed. */
enum send_plan {
    SEND_BROKEN,       /**< the record cannot be planned; job.err says why */
    SEND_CALL,         /**< its INTENT is in transaction A; the provider may be called after it */
    SEND_AGAIN,        /**< called in this life already, but its outcome may not be committed */
    SEND_DUPLICATE,    /**< the provider has it, or another copy of it is in hand */
    SEND_DOUBT,        /**< nobody knows how its call ended: it waits for evidence until due_ms */
    SEND_HOLD,         /**< no evidence came in time: for a person to decide */
    SEND_REFUSED,      /**< a provider refused this very content for good; nobody has redriven it */
    SEND_CONFLICT,     /**< same id, other content, and the first may have gone out */
    SEND_EXPIRED,      /**< older than the ledger can vouch for, or than the request allows */
    SEND_EARLY,        /**< send_at is still to come */
    SEND_OVERSIZE,     /**< no provider that it may go to takes a mail of its size */
    SEND_WAIT,         /**< no provider may be called now; job.choice says till when */
    SEND_CANCELLED,    /**< its tenant does not want it any more */
    SEND_HALTED,       /**< a category of its is paused */
    SEND_SUPPRESSED,   /**< all it is for are not to be mailed */
    SEND_CANCELLATION, /**< no message: a cancellation, to be answered */
    SEND_BUSY,         /**< a call runs for another resend of the message: after that one */
};

struct send_fetched;

struct send_job {
    const struct mill_record *in;
    const struct mill_message *msg; /**< NULL with SEND_CANCELLATION */
    enum send_plan plan;
    struct mill_err err; /**< with SEND_BROKEN */
    struct send_route *route;
    struct send_choice choice;      /**< with SEND_CALL, SEND_WAIT */
    struct send_deed *deed;         /**< with SEND_CALL, SEND_AGAIN */
    struct mill_ledger_view view;   /**< what the ledger knew of the message */
    bool claim;                     /**< the request's CLAIM goes out with the INTENT */
    const struct mill_pause *pause; /**< with SEND_HALTED */
    struct mill_str left_out;       /**< recipients that are not mailed; in mem */
    bool cancelled;                 /**< with SEND_CALL: after its INTENT, before the call */
    int64_t due_ms;                 /**< with SEND_DOUBT; wall clock */
    int64_t attempt;                /**< number of this call in the ledger */
    int64_t wait_ms;                /**< mill_tick_ms() since when it is held, with SEND_WAIT */
    int64_t intent_ms;              /**< mill_tick_ms() when the INTENT was written */
    bool started;                   /**< given to the dispatcher */
    bool called;                    /**< false: the answer is ours, the provider saw nothing */
    struct send_fetched *fetched;   /**< attachments from S3 (attach.h); NULL = none */
    bool unfetched;                 /**< they could not be had */
    struct mill_outgoing call;      /**< while it runs */
    struct mill_answer answer;      /**< strings in mem, or static */
    int64_t took_ms;
    struct mill_arena mem;
    struct send_job *next; /**< in a queue */
};

/** A queue of jobs. {0} is empty. */
struct send_queue {
    struct send_job *head, *tail;
};

void send_queue_add(struct send_queue *q, struct send_job *job);
/** @return NULL when it is empty */
struct send_job *send_queue_take(struct send_queue *q) MILL_NODISCARD;
/** @brief Free what a job holds; NULL-safe, idempotent; the job itself is its owner's. */
void send_job_release(struct send_job *job);

#endif
