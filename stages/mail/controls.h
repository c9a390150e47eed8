/**
 * @file controls.h
 * @brief Records that steer the pipeline: small, keyed, in compacted topics, looked up by tables.
 *
 * Model: as in records.h: each struct mirrors schemas/NAME.avsc; strings are borrowed.
 */
#ifndef MILL_CONTROLS_H
#define MILL_CONTROLS_H

#include "avro/desc.h"

/** mail.cancellations. Key: id. */
struct mill_cancellation {
    struct mill_str id; /**< request_id or message_id */
    struct mill_str tenant, client;
    int64_t at;
};
extern const struct mill_desc mill_cancellation_desc;

/** mail.pauses. Key: category. */
struct mill_pause {
    struct mill_str category;
    bool paused;
    struct mill_str reason, by;
    int64_t at;
};
extern const struct mill_desc mill_pause_desc;

enum mill_suppression_reason {
    MILL_SUPPRESSED_OTHER,
    MILL_SUPPRESSED_HARD_BOUNCE,
    MILL_SUPPRESSED_COMPLAINT,
    MILL_SUPPRESSED_UNSUBSCRIBE,
    MILL_SUPPRESSED_MANUAL,
};

/** mail.suppressions. Key: SHA-256 of tenant, address, category; a null value lifts it. */
struct mill_suppression {
    struct mill_str address; /**< lower case, A-labels */
    struct mill_str tenant;  /**< empty: every tenant's mail */
    int reason;              /**< enum mill_suppression_reason */
    int64_t since;
    struct mill_str source, message_id, event_id;
    struct mill_str category; /**< empty: all mail */
    bool lifted;              /**< it counts no more, from `since` on */
};
extern const struct mill_desc mill_suppression_desc;

/** mail.idempotency. Key: the id of client and Idempotency-Key (mill_request_id_of_key). */
struct mill_idempotency {
    struct mill_str request_id, fingerprint, client;
    int64_t accepted_at;
    int64_t messages;
};
extern const struct mill_desc mill_idempotency_desc;

enum mill_move_kind { MILL_MOVE_OTHER, MILL_MOVE_REDRIVE, MILL_MOVE_REPLAY };

/** mail.moves. Key: redrive: topic id/partition/offset; replay: run/partition. */
struct mill_move {
    struct mill_str run;
    int kind; /**< enum mill_move_kind */
    struct mill_str topic, topic_id;
    int64_t partition;
    int64_t offset; /**< redrive: of the dead letter; replay: the next one to go */
    struct mill_opt_i64 until;
    struct mill_str stages; /**< with commas between */
    struct mill_str by;
    int64_t at;
};
extern const struct mill_desc mill_move_desc;

#endif
