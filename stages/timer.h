/**
 * @file timer.h
 * @brief How a record is sent to wait: the six delay topics, and the headers that say until when.
 *
 * Model: a delay topic holds each record for one fixed time (its tier) from the broker's append
 * time on, so its order of arrival is its order of expiry. The due time is absolute, in mill.due: a
 * long wait is several hops, each to the longest tier that fits what is left, and no hop's lateness
 * adds to the next. The stage `delay` does the waiting; send, deadletter and delay itself put
 * records in. No state. @thread the stage's
 */
#ifndef MILL_TIMER_H
#define MILL_TIMER_H

#include "stage.h"

enum { MILL_TIMERS = 6 };
/** A record that is due this soon goes on at once: another hop would end further from its time, on
 *  the other side. More than half of the shortest tier, because a hop costs time too, and a machine
 *  that is busy only ever makes things late. Who checks a due time lets as much pass as early. */
enum { MILL_TIMER_EARLY_MS = 700 };
/** Longest topic name that Kafka takes. */
enum { MILL_TIMER_TARGET_MAX = 249 };

/** Shortest first, in the order of the ports below. */
struct mill_timer {
    const char *name;
    int64_t ms;
};
extern const struct mill_timer mill_timers[MILL_TIMERS];

/** Rows of an out port table for the six delay topics, from index `first` on. */
#define MILL_TIMER_OUT(first)                                                                      \
    [(first)] = {"delay-1s", "mail.delay.1s", NULL},                                               \
    [(first) + 1] = {"delay-10s", "mail.delay.10s", NULL},                                         \
    [(first) + 2] = {"delay-1m", "mail.delay.1m", NULL},                                           \
    [(first) + 3] = {"delay-10m", "mail.delay.10m", NULL},                                         \
    [(first) + 4] = {"delay-1h", "mail.delay.1h", NULL},                                           \
    [(first) + 5] = {"delay-1d", "mail.delay.1d", NULL}

/** @brief The longest tier that fits what is left, else the shortest. @return index */
size_t mill_timer_tier(int64_t left_ms);

/**
 * @brief Send a record to wait until due_ms, then to come out at a topic.
 * @param first_out_port where the stage has MILL_TIMER_OUT
 * @param due_ms    wall clock, ms since 1970
 * @param topic     where it goes when due
 * @param partition its number there; -1 = by key
 * @param extra     more headers; they and the timer's replace the record's own of their names
 * @return MILL_OK; MILL_E_NOENT (no such delay topic); MILL_E_NOMEM
 */
enum mill_code mill_timer_forward(struct mill_ctx *ctx, size_t first_out_port,
                                  const struct mill_record *in, int64_t due_ms, const char *topic,
                                  int32_t partition, struct mill_map extra,
                                  struct mill_err *err) MILL_NODISCARD;

/** What the headers of a waiting record say. */
struct mill_timer_mark {
    int64_t due_ms;
    int32_t partition; /**< -1 = by key */
    char topic[MILL_TIMER_TARGET_MAX + 1];
};
/** @brief Read them back. @return false when they name no time, or no topic that could be one */
bool mill_timer_read(const struct mill_record *in, struct mill_timer_mark *out) MILL_NODISCARD;
/** @brief Is it a header that only matters while a record waits? */
bool mill_timer_header(struct mill_str name);

#endif
