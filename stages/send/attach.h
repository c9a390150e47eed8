/**
 * @file attach.h
 * @brief Attachments that travel by reference: fetched from S3 before their mail's call.
 *
 * Model: jobs go in, and come out with each attachment's bytes, of the length and SHA-256 that the
 * reference says, or with an answer why the provider is not called. Threads of its own fetch them;
 * what the jobs in hand take stays within a budget, others wait. The functions here belong to the
 * stage's thread.
 */
#ifndef MILL_SEND_ATTACH_H
#define MILL_SEND_ATTACH_H

#include "net/s3_opts.h"
#include "send/job.h"

struct send_attach_conf {
    struct mill_s3_opts s3; /**< no bucket: references cannot be followed */
    uint64_t max_bytes;     /**< the budget: the attachments' bytes, and the bodies made of them */
};
extern const struct mill_opt send_attach_opts[];

struct send_attach;

/** @param conf borrowed until free. @own new in *out */
enum mill_code send_attach_new(struct send_attach **out, const struct send_attach_conf *conf,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief Waits for the fetches that run. NULL-safe. Before the jobs are released. */
void send_attach_free(struct send_attach *a);
/** @brief Has the job's message references that are still to be followed? */
bool send_attach_needed(const struct send_job *job);
/** @own job borrowed until it is taken. @return false when out of memory: it is not in hand */
bool send_attach_push(struct send_attach *a, struct send_job *job) MILL_NODISCARD;
/** @brief A job whose fetch has ended; NULL = none. Those not begun are given up when their INTENT
 *  is older.
 *  @param oldest_ms mill_tick_ms() of the oldest INTENT that still allows a call
 *  @param code out: MILL_OK: job->msg is a copy with the bytes in it; MILL_E_DATA, MILL_E_NOENT: it
 *  can never be sent as it was meant; else it may pass. err says why */
struct send_job *send_attach_take(struct send_attach *a, int64_t oldest_ms, enum mill_code *code,
                                  struct mill_err *err) MILL_NODISCARD;
/** @brief Free what was fetched for a job, once its body is sent. Idempotent. */
void send_attach_done(struct send_attach *a, struct send_job *job);
/** @brief Free what a job still has when all is over. NULL-safe, idempotent. */
void send_attach_forget(struct send_job *job);
/** @brief Jobs pushed and not taken. */
size_t send_attach_busy(const struct send_attach *a);

#endif
