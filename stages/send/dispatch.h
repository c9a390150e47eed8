/**
 * @file dispatch.h
 * @brief Makes the calls: so many at once, each at most once, none with a stale INTENT.
 *
 * Model: jobs are pushed with their INTENT committed, wait for their attachments if those travel by
 * reference, and come back through `settled`, called from
 * send_dispatch_run only. A job that may not be called any more (its INTENT too old, the process
 * draining, its provider left alone meanwhile, forbidden) comes back too, with called == false:
 * proven not accepted. Thread rule: one thread.
 */
#ifndef MILL_SEND_DISPATCH_H
#define MILL_SEND_DISPATCH_H

#include "send/attach.h"

struct send_dispatch;

struct send_dispatch_conf {
    uint32_t concurrency;
    uint32_t timeout_ms;                              /**< of one call */
    int64_t intent_max_ms;                            /**< oldest INTENT that still allows a call */
    void (*settled)(void *arg, struct send_job *job); /**< the job is the callee's again */
    /** The last look before a call. @return NULL, or why it is not to be made: static text */
    const char *(*forbids)(void *arg, struct send_job *job);
    void *arg;
    const struct send_attach_conf *attach; /**< borrowed until free */
};

enum mill_code send_dispatch_new(struct send_dispatch **out, const struct send_dispatch_conf *conf,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. Jobs in hand are forgotten, not called. */
void send_dispatch_free(struct send_dispatch *d);
/** @brief Queue a job; one with a start time waits for it. @own job borrowed until settled */
void send_dispatch_push(struct send_dispatch *d, struct send_job *job);
/** @brief A job whose answer is known already: it comes back with the next run. */
void send_dispatch_answered(struct send_dispatch *d, struct send_job *job);
/** @brief Start what may start, wait up to wait_ms for a reply, settle what ended.
 *  @param draining start nothing new */
void send_dispatch_run(struct send_dispatch *d, int wait_ms, bool draining);
/** @brief Calls that run. */
size_t send_dispatch_running(const struct send_dispatch *d);

#endif
