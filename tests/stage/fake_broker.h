/**
 * @file fake_broker.h
 * @brief In place of producer.c and registry.c: a broker that does what the test says.
 *
 * Deliveries come late, on a thread of the fake's own, as the real ones do.
 */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include "base/str.h"
#include "kafka/producer.h"

enum fake_mode {
    FAKE_DELIVER,
    FAKE_HOLD,        /**< no outcome until the mode changes */
    FAKE_UNDELIVERED, /**< outcome: proven not written */
    FAKE_DOUBTFUL,
    FAKE_TOO_LARGE,
    FAKE_FULL,      /**< send itself says: try later */
    FAKE_FORBIDDEN, /**< send itself says: no right to write */
    FAKE_FATAL,     /**< send itself says: never again */
};

/** What was sent last. */
struct fake_record {
    char topic[64];
    char key[160];
    char value[1 << 16];
    size_t value_n;
    char traceparent[64], tracestate[64];
};

void fake_mode(enum fake_mode mode);
/** @brief One topic has a mode of its own, until NULL ends that. */
void fake_mode_of(const char *topic, enum fake_mode mode);
/** @brief Does mill_producer_ready say yes; does the registry answer. */
void fake_there(bool broker, bool registry);
/** @brief Records sent since the last reset. */
unsigned fake_sent(void);
/** @brief Those of one topic. */
unsigned fake_sent_of(const char *topic);
/** @brief The newest record. */
void fake_last(struct fake_record *out);
/** @brief The newest record of a topic; its topic is "" when there is none since the start. */
void fake_last_of(const char *topic, struct fake_record *out);
/** @brief Records without an outcome. */
unsigned fake_held(void);

#endif
