/**
 * @file records.h
 * @brief The records of the pipeline as C structs, with their Avro descriptors.
 *
 * Model: each struct mirrors schemas/NAME.avsc field by field; the schema's doc texts say what a
 * field means. Times are int64 µs since 1970 UTC. All strings and lists are borrowed.
 */
#ifndef MILL_RECORDS_H
#define MILL_RECORDS_H

#include "avro/desc.h"

struct mill_address {
    struct mill_str email; /**< as given; validate writes domains as A-labels */
    struct mill_str name;  /**< absent = none */
};
struct mill_addresses {
    const struct mill_address *v;
    size_t n;
};

/** Attachment bytes by content hash on S3. */
struct mill_blob_ref {
    struct mill_str sha256; /**< 64 hex digits */
    int64_t bytes;
    struct mill_str key; /**< object key */
};

struct mill_attachment {
    struct mill_str filename, type, disposition, content_id;
    struct mill_str content;         /**< raw bytes; absent when ref is set */
    const struct mill_blob_ref *ref; /**< NULL when content is set */
};
struct mill_attachments {
    const struct mill_attachment *v;
    size_t n;
};

struct mill_personalization {
    struct mill_addresses to, cc, bcc;
    struct mill_str subject;
    struct mill_map headers;
    struct mill_str data; /**< template data, JSON object text */
    struct mill_map metadata;
    struct mill_opt_i64 send_at;
};
struct mill_personalizations {
    const struct mill_personalization *v;
    size_t n;
};

enum mill_on_unknown { MILL_UNKNOWN_HOLD, MILL_UNKNOWN_RESEND };

/** mail.requests: what a service asks for. Key: request_id. */
struct mill_request {
    struct mill_str request_id; /**< absent: derived from mill.origin */
    struct mill_str tenant, client;
    int64_t accepted_at;         /**< 0 = not set by the producer */
    struct mill_str fingerprint; /**< of the request in canonical form; absent = made by validate */
    struct mill_address from;
    struct mill_addresses reply_to;
    struct mill_str subject, text, html, template_id;
    struct mill_str template_data; /**< JSON object text */
    struct mill_strs categories;
    struct mill_map headers, metadata;
    struct mill_attachments attachments;
    struct mill_personalizations personalizations;
    struct mill_opt_i64 send_at, expires_at;
    int on_unknown; /**< enum mill_on_unknown */
    struct mill_str resend_id;
    struct mill_opt_i64 resend_at;
};
extern const struct mill_desc mill_request_desc;

/** mail.messages: one personalization of a valid request; one provider call. Key: message_id. */
struct mill_message {
    struct mill_str message_id, request_id;
    int64_t index; /**< of the personalization */
    struct mill_str tenant, client;
    int64_t accepted_at;
    struct mill_str fingerprint;
    struct mill_address from;
    struct mill_addresses reply_to, to, cc, bcc;
    struct mill_str subject, text, html, template_id, template_data;
    struct mill_strs categories;
    struct mill_map headers, metadata; /**< merged: the personalization's wins */
    struct mill_attachments attachments;
    struct mill_opt_i64 send_at, expires_at;
    int on_unknown;
    struct mill_str resend_id;
    struct mill_opt_i64 resend_at;
};
extern const struct mill_desc mill_message_desc;

enum mill_ledger_kind {
    MILL_LEDGER_CLAIM,
    MILL_LEDGER_INTENT,
    MILL_LEDGER_OUTCOME,
    MILL_LEDGER_EVIDENCE,
    MILL_LEDGER_DOUBT, /**< another owner's open INTENT was found, and UNKNOWN said of it */
};
enum mill_outcome {
    MILL_OUTCOME_NONE, /**< no outcome in this record */
    MILL_OUTCOME_ACCEPTED,
    MILL_OUTCOME_PERMANENT,  /**< refused for good: this message will never be taken as it is */
    MILL_OUTCOME_THROTTLED,  /**< refused for now: too many */
    MILL_OUTCOME_TRANSIENT,  /**< proven not accepted; may be tried again */
    MILL_OUTCOME_UNKNOWN,    /**< nobody knows */
    MILL_OUTCOME_CREDENTIAL, /**< the provider refuses us, not this message */
};

/** mail.ledger (compacted). Key: message_id/attempt/writer; a CLAIM's is request_id/claim. */
struct mill_ledger {
    struct mill_str message_id;
    int kind; /**< enum mill_ledger_kind */
    int64_t attempt;
    struct mill_str provider, provider_id;
    int outcome; /**< enum mill_outcome */
    struct mill_str fingerprint;
    int64_t at;
    struct mill_str request_id, tenant;
    struct mill_strs categories;
    struct mill_map metadata;
    int64_t accepted_at;
    struct mill_str resend_id; /**< absent: the mail itself */
    struct mill_opt_i64 held;  /**< in a DOUBT: redrives of the dead letter that was made of it */
};
extern const struct mill_desc mill_ledger_desc;

enum mill_state {
    MILL_STATE_OTHER, /**< a state that this version does not know */
    MILL_STATE_ACCEPTED,
    MILL_STATE_VALID,
    MILL_STATE_REJECTED,
    MILL_STATE_SENDING,
    MILL_STATE_SENT,
    MILL_STATE_RETRYING,
    MILL_STATE_UNKNOWN,
    MILL_STATE_DELIVERED,
    MILL_STATE_BOUNCED,
    MILL_STATE_FAILED,
    MILL_STATE_EXPIRED,
    MILL_STATE_CANCELLED,
    MILL_STATE_DUPLICATE,
    MILL_STATE_HELD,
    MILL_STATE_SCHEDULED,
    MILL_STATE_TOO_LATE,
    MILL_STATE_SUPPRESSED,
    MILL_STATE_DEAD_LETTER,
};

/** mail.status: what has become of a mail. Key: message_id (or request_id before there is one). */
struct mill_status {
    struct mill_str message_id, request_id, tenant;
    int state; /**< enum mill_state */
    struct mill_str cls, reason, provider;
    int64_t attempt;
    int64_t at;
};
extern const struct mill_desc mill_status_desc;
/** @brief Of two words on one message, the earlier and the next in the topic's order: does the next
 *  one stand? Copies of a mail tell of their own, so the last record is not always the state.
 *  @param before NULL = nothing was said so far */
bool mill_status_stands(const struct mill_status *before, const struct mill_status *next);

/** mail.callbacks: a provider's post as it came. */
struct mill_callback {
    struct mill_str provider;
    int64_t received_at;
    struct mill_str content_type;
    struct mill_map headers;
    struct mill_str body;
};
extern const struct mill_desc mill_callback_desc;

/** mail.callbacks.events: one event of a callback, still raw. Key: message_id. */
struct mill_callback_event {
    struct mill_str message_id; /**< absent when the event does not name one of ours */
    struct mill_str provider;
    struct mill_str raw; /**< JSON text */
    int64_t received_at;
    struct mill_str callback_topic;
    int64_t callback_partition, callback_offset;
    int64_t index; /**< in the callback's array */
};
extern const struct mill_desc mill_callback_event_desc;

enum mill_event_type {
    MILL_EVENT_OTHER, /**< passed through; see provider_event */
    MILL_EVENT_PROCESSED,
    MILL_EVENT_DELIVERED,
    MILL_EVENT_DEFERRED,
    MILL_EVENT_BOUNCED,
    MILL_EVENT_DROPPED,
    MILL_EVENT_OPENED,
    MILL_EVENT_CLICKED,
    MILL_EVENT_COMPLAINED,
    MILL_EVENT_UNSUBSCRIBED,
    MILL_EVENT_RESUBSCRIBED,
};

/** mail.events: a normalised event joined to its mail. Key: message_id, else event_id. */
struct mill_event {
    struct mill_str event_id; /**< stable over the provider's retries */
    struct mill_str message_id, request_id, tenant;
    bool matched; /**< joined to a message of ours */
    struct mill_str provider, provider_id, provider_event_id;
    int type;                       /**< enum mill_event_type */
    struct mill_str provider_event; /**< the provider's own word */
    struct mill_str recipient;
    int64_t occurred_at, received_at;
    struct mill_opt_i64 latency_ms; /**< occurred_at - accepted_at */
    struct mill_str bounce_class;
    struct mill_opt_bool machine_open;
    struct mill_str url, reason, ip, user_agent;
    struct mill_strs categories;
    struct mill_map metadata;
    struct mill_str group; /**< of an unsubscription; absent: all mail */
};
extern const struct mill_desc mill_event_desc;

#endif
