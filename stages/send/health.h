/**
 * @file health.h
 * @brief May a provider be called now? Breaker, pause, throttling and rate of one provider.
 *
 * Model:
 *
 *   state      who is called        leaves it
 *   closed     everybody            open: `failures` in a row, or `percent` of the last 32 calls
 *                                   paused: it refused our credentials
 *   open       nobody, for open_ms  half-open when that is over
 *   half-open  one call, the probe  closed: it answered; open, for twice as long: it failed;
 *                                   paused: it refused our credentials
 *   paused     nobody, for pause_ms half-open when that is over
 *
 * A failure is a call that certainly was not accepted, or of which nobody knows (a provider that
 * hangs). "Too many" is no failure: beside the state the provider is left alone until the time it
 * named. So it is with the token bucket. Half-open is not stored: it is open or paused, with the
 * time over. Answers to calls begun before the breaker opened change nothing while it is open.
 * Pure but for the struct: the clock is the caller's, mill_tick_ms(). Single thread.
 */
#ifndef MILL_SEND_HEALTH_H
#define MILL_SEND_HEALTH_H

#include "mail/records.h"

enum send_breaker { SEND_CLOSED, SEND_HALF_OPEN, SEND_OPEN, SEND_PAUSED };

struct send_health_conf {
    uint32_t failures, percent;         /**< 0 = not looked at */
    uint64_t open_ms, open_max_ms;      /**< doubled after each failed probe */
    uint64_t pause_ms;                  /**< after refused credentials */
    uint64_t throttle_ms, throttle_max; /**< where it named no time; at most */
    uint32_t rate, burst;               /**< calls a second, and at once; rate 0 = any */
};

/** {0} is well. */
struct send_health {
    enum send_breaker state; /**< CLOSED, OPEN or PAUSED */
    bool probing;            /**< one call is out to see whether it is well again */
    int64_t until_ms;        /**< of OPEN and PAUSED */
    int64_t open_ms;         /**< how long it is open this time */
    int64_t throttled_ms;    /**< left alone until then */
    double next_ms;          /**< when the next call is due at a steady rate */
    uint32_t history;        /**< of the last 32 calls, newest lowest: 1 = failed */
    uint32_t history_n;
};

/** @brief When it may be called next: now_ms or earlier means now; INT64_MAX while a probe is out.
 */
int64_t send_health_ready(const struct send_health *h, const struct send_health_conf *c,
                          int64_t now_ms);
/** @brief Only tokens are missing. */
bool send_health_paced(const struct send_health *h, int64_t now_ms);
/** @brief Take a token, and the probe where it is one. @return it is the probe */
bool send_health_take(struct send_health *h, const struct send_health_conf *c, int64_t now_ms);
/** @brief What was taken was not used. */
void send_health_give_back(struct send_health *h, const struct send_health_conf *c, bool probe);
/** @brief May a call that was taken earlier still be made? */
bool send_health_allows(const struct send_health *h, bool probe, int64_t now_ms);
/** @brief A call has ended. @param wait_ms as mill_answer has it @return the state has changed */
bool send_health_note(struct send_health *h, const struct send_health_conf *c,
                      enum mill_outcome outcome, bool probe, int64_t wait_ms, int64_t now_ms);
/** @brief The state as people see it: HALF_OPEN while the probe is out or due. */
enum send_breaker send_health_state(const struct send_health *h, int64_t now_ms);
/** @brief Calls that may be made at once; the burst where no rate is set. */
double send_health_tokens(const struct send_health *h, const struct send_health_conf *c,
                          int64_t now_ms);

#endif
