/* Tables from records.h to schemas/NAME.avsc; mill_codec_new checks each row against the schema. */
#include "mail/records.h"
#include "mail/rows.h"

/* MillEmbed.cmake compiles each schema in under this name. */
extern const char mill_avsc_request[], mill_avsc_message[], mill_avsc_ledger[], mill_avsc_status[],
    mill_avsc_callback[], mill_avsc_callback_event[], mill_avsc_event[];

static const struct mill_field address_fields[] = {
    ROW(mill_address, email, MILL_STRING),
    ROW(mill_address, name, MILL_STRING),
    {0},
};
static const struct mill_desc address_desc = {
    .name = "Address",
    .size = sizeof(struct mill_address),
    .fields = address_fields,
};

static const struct mill_field blob_ref_fields[] = {
    ROW(mill_blob_ref, sha256, MILL_STRING),
    ROW(mill_blob_ref, bytes, MILL_I64),
    ROW(mill_blob_ref, key, MILL_STRING),
    {0},
};
static const struct mill_desc blob_ref_desc = {
    .name = "BlobRef",
    .size = sizeof(struct mill_blob_ref),
    .fields = blob_ref_fields,
};

static const struct mill_field attachment_fields[] = {
    ROW(mill_attachment, filename, MILL_STRING),
    ROW(mill_attachment, type, MILL_STRING),
    ROW(mill_attachment, disposition, MILL_STRING),
    ROW(mill_attachment, content_id, MILL_STRING),
    ROW(mill_attachment, content, MILL_STRING),
    SUB(mill_attachment, ref, MILL_OPT_RECORD, &blob_ref_desc),
    {0},
};
static const struct mill_desc attachment_desc = {
    .name = "Attachment",
    .size = sizeof(struct mill_attachment),
    .fields = attachment_fields,
};

static const struct mill_field personalization_fields[] = {
    SUB(mill_personalization, to, MILL_RECORDS, &address_desc),
    SUB(mill_personalization, cc, MILL_RECORDS, &address_desc),
    SUB(mill_personalization, bcc, MILL_RECORDS, &address_desc),
    ROW(mill_personalization, subject, MILL_STRING),
    ROW(mill_personalization, headers, MILL_STRING_MAP),
    ROW(mill_personalization, data, MILL_STRING),
    ROW(mill_personalization, metadata, MILL_STRING_MAP),
    ROW(mill_personalization, send_at, MILL_OPT_I64),
    {0},
};
static const struct mill_desc personalization_desc = {
    .name = "Personalization",
    .size = sizeof(struct mill_personalization),
    .fields = personalization_fields,
};

/* Symbols in the order of the C enum, which need not be the schema's. */
static const char *const on_unknown_names[] = {
    [MILL_UNKNOWN_HOLD] = "HOLD",
    [MILL_UNKNOWN_RESEND] = "RESEND",
    NULL,
};

static const struct mill_field request_fields[] = {
    ROW(mill_request, request_id, MILL_STRING),
    ROW(mill_request, tenant, MILL_STRING),
    ROW(mill_request, client, MILL_STRING),
    ROW(mill_request, accepted_at, MILL_I64),
    ROW(mill_request, fingerprint, MILL_STRING),
    SUB(mill_request, from, MILL_RECORD, &address_desc),
    SUB(mill_request, reply_to, MILL_RECORDS, &address_desc),
    ROW(mill_request, subject, MILL_STRING),
    ROW(mill_request, text, MILL_STRING),
    ROW(mill_request, html, MILL_STRING),
    ROW(mill_request, template_id, MILL_STRING),
    ROW(mill_request, template_data, MILL_STRING),
    ROW(mill_request, categories, MILL_STRINGS),
    ROW(mill_request, headers, MILL_STRING_MAP),
    ROW(mill_request, metadata, MILL_STRING_MAP),
    SUB(mill_request, attachments, MILL_RECORDS, &attachment_desc),
    SUB(mill_request, personalizations, MILL_RECORDS, &personalization_desc),
    ROW(mill_request, send_at, MILL_OPT_I64),
    ROW(mill_request, expires_at, MILL_OPT_I64),
    ENUM(mill_request, on_unknown, on_unknown_names),
    ROW(mill_request, resend_id, MILL_STRING),
    ROW(mill_request, resend_at, MILL_OPT_I64),
    {0},
};
const struct mill_desc mill_request_desc = {
    .name = "Request",
    .avsc = mill_avsc_request,
    .size = sizeof(struct mill_request),
    .fields = request_fields,
};

static const struct mill_field message_fields[] = {
    ROW(mill_message, message_id, MILL_STRING),
    ROW(mill_message, request_id, MILL_STRING),
    ROW(mill_message, index, MILL_I64),
    ROW(mill_message, tenant, MILL_STRING),
    ROW(mill_message, client, MILL_STRING),
    ROW(mill_message, accepted_at, MILL_I64),
    ROW(mill_message, fingerprint, MILL_STRING),
    SUB(mill_message, from, MILL_RECORD, &address_desc),
    SUB(mill_message, reply_to, MILL_RECORDS, &address_desc),
    SUB(mill_message, to, MILL_RECORDS, &address_desc),
    SUB(mill_message, cc, MILL_RECORDS, &address_desc),
    SUB(mill_message, bcc, MILL_RECORDS, &address_desc),
    ROW(mill_message, subject, MILL_STRING),
    ROW(mill_message, text, MILL_STRING),
    ROW(mill_message, html, MILL_STRING),
    ROW(mill_message, template_id, MILL_STRING),
    ROW(mill_message, template_data, MILL_STRING),
    ROW(mill_message, categories, MILL_STRINGS),
    ROW(mill_message, headers, MILL_STRING_MAP),
    ROW(mill_message, metadata, MILL_STRING_MAP),
    SUB(mill_message, attachments, MILL_RECORDS, &attachment_desc),
    ROW(mill_message, send_at, MILL_OPT_I64),
    ROW(mill_message, expires_at, MILL_OPT_I64),
    ENUM(mill_message, on_unknown, on_unknown_names),
    ROW(mill_message, resend_id, MILL_STRING),
    ROW(mill_message, resend_at, MILL_OPT_I64),
    {0},
};
const struct mill_desc mill_message_desc = {
    .name = "Message",
    .avsc = mill_avsc_message,
    .size = sizeof(struct mill_message),
    .fields = message_fields,
};

static const char *const ledger_kind_names[] = {
    [MILL_LEDGER_CLAIM] = "CLAIM",     [MILL_LEDGER_INTENT] = "INTENT",
    [MILL_LEDGER_OUTCOME] = "OUTCOME", [MILL_LEDGER_EVIDENCE] = "EVIDENCE",
    [MILL_LEDGER_DOUBT] = "DOUBT",     NULL,
};
static const char *const outcome_names[] = {
    [MILL_OUTCOME_NONE] = "NONE",
    [MILL_OUTCOME_ACCEPTED] = "ACCEPTED",
    [MILL_OUTCOME_PERMANENT] = "PERMANENT",
    [MILL_OUTCOME_THROTTLED] = "THROTTLED",
    [MILL_OUTCOME_TRANSIENT] = "TRANSIENT",
    [MILL_OUTCOME_UNKNOWN] = "UNKNOWN",
    [MILL_OUTCOME_CREDENTIAL] = "CREDENTIAL",
    NULL,
};
static const struct mill_field ledger_fields[] = {
    ROW(mill_ledger, message_id, MILL_STRING),
    ENUM(mill_ledger, kind, ledger_kind_names),
    ROW(mill_ledger, attempt, MILL_I64),
    ROW(mill_ledger, provider, MILL_STRING),
    ROW(mill_ledger, provider_id, MILL_STRING),
    ENUM(mill_ledger, outcome, outcome_names),
    ROW(mill_ledger, fingerprint, MILL_STRING),
    ROW(mill_ledger, at, MILL_I64),
    ROW(mill_ledger, request_id, MILL_STRING),
    ROW(mill_ledger, tenant, MILL_STRING),
    ROW(mill_ledger, categories, MILL_STRINGS),
    ROW(mill_ledger, metadata, MILL_STRING_MAP),
    ROW(mill_ledger, accepted_at, MILL_I64),
    ROW(mill_ledger, resend_id, MILL_STRING),
    ROW(mill_ledger, held, MILL_OPT_I64), /* in a DOUBT */
    {0},
};
const struct mill_desc mill_ledger_desc = {
    .name = "Ledger",
    .avsc = mill_avsc_ledger,
    .size = sizeof(struct mill_ledger),
    .fields = ledger_fields,
};

static const char *const state_names[] = {
    [MILL_STATE_OTHER] = "OTHER",
    [MILL_STATE_ACCEPTED] = "ACCEPTED",
    [MILL_STATE_VALID] = "VALID",
    [MILL_STATE_REJECTED] = "REJECTED",
    [MILL_STATE_SENDING] = "SENDING",
    [MILL_STATE_SENT] = "SENT",
    [MILL_STATE_RETRYING] = "RETRYING",
    [MILL_STATE_UNKNOWN] = "UNKNOWN",
    [MILL_STATE_DELIVERED] = "DELIVERED",
    [MILL_STATE_BOUNCED] = "BOUNCED",
    [MILL_STATE_FAILED] = "FAILED",
    [MILL_STATE_EXPIRED] = "EXPIRED",
    [MILL_STATE_CANCELLED] = "CANCELLED",
    [MILL_STATE_DUPLICATE] = "DUPLICATE",
    [MILL_STATE_HELD] = "HELD",
    [MILL_STATE_SCHEDULED] = "SCHEDULED",
    [MILL_STATE_TOO_LATE] = "TOO_LATE",
    [MILL_STATE_SUPPRESSED] = "SUPPRESSED",
    [MILL_STATE_DEAD_LETTER] = "DEAD_LETTER",
    NULL,
};
static const struct mill_field status_fields[] = {
    ROW(mill_status, message_id, MILL_STRING),
    ROW(mill_status, request_id, MILL_STRING),
    ROW(mill_status, tenant, MILL_STRING),
    ENUM(mill_status, state, state_names),
    {.name = "class", .kind = MILL_STRING, .off = offsetof(struct mill_status, cls)},
    ROW(mill_status, reason, MILL_STRING),
    ROW(mill_status, provider, MILL_STRING),
    ROW(mill_status, attempt, MILL_I64),
    ROW(mill_status, at, MILL_I64),
    {0},
};
const struct mill_desc mill_status_desc = {
    .name = "Status",
    .avsc = mill_avsc_status,
    .size = sizeof(struct mill_status),
    .fields = status_fields,
};

enum { RANK_EVENT, RANK_OPEN, RANK_CALLED, RANK_TOLD };

static int status_rank(int state)
{
    switch (state) {
    case MILL_STATE_OTHER:
    case MILL_STATE_DUPLICATE:
    case MILL_STATE_TOO_LATE:
        return RANK_EVENT; /* what happened to it, not what it is */
    case MILL_STATE_SENT:
    case MILL_STATE_FAILED:
        return RANK_CALLED;
    case MILL_STATE_DELIVERED:
    case MILL_STATE_BOUNCED:
        return RANK_TOLD;
    default:
        return RANK_OPEN; /* ends without a call among them: another copy may have been called */
    }
}

bool mill_status_stands(const struct mill_status *before, const struct mill_status *next)
{
    int was = before ? status_rank(before->state) : RANK_EVENT, is = status_rank(next->state);

    if (was == RANK_CALLED && is == RANK_OPEN)
        return before->state == MILL_STATE_FAILED; /* it is tried again */
    if (was == RANK_CALLED && is == RANK_CALLED)
        return next->attempt > before->attempt ||
               (next->attempt == before->attempt && next->state == MILL_STATE_FAILED);
    return is >= was && (is != RANK_EVENT || !before);
}

static const struct mill_field callback_fields[] = {
    ROW(mill_callback, provider, MILL_STRING),     ROW(mill_callback, received_at, MILL_I64),
    ROW(mill_callback, content_type, MILL_STRING), ROW(mill_callback, headers, MILL_STRING_MAP),
    ROW(mill_callback, body, MILL_STRING),         {0},
};
const struct mill_desc mill_callback_desc = {
    .name = "Callback",
    .avsc = mill_avsc_callback,
    .size = sizeof(struct mill_callback),
    .fields = callback_fields,
};

static const struct mill_field callback_event_fields[] = {
    ROW(mill_callback_event, message_id, MILL_STRING),
    ROW(mill_callback_event, provider, MILL_STRING),
    ROW(mill_callback_event, raw, MILL_STRING),
    ROW(mill_callback_event, received_at, MILL_I64),
    ROW(mill_callback_event, callback_topic, MILL_STRING),
    ROW(mill_callback_event, callback_partition, MILL_I64),
    ROW(mill_callback_event, callback_offset, MILL_I64),
    ROW(mill_callback_event, index, MILL_I64),
    {0},
};
const struct mill_desc mill_callback_event_desc = {
    .name = "CallbackEvent",
    .avsc = mill_avsc_callback_event,
    .size = sizeof(struct mill_callback_event),
    .fields = callback_event_fields,
};

static const char *const event_type_names[] = {
    [MILL_EVENT_OTHER] = "OTHER",
    [MILL_EVENT_PROCESSED] = "PROCESSED",
    [MILL_EVENT_DELIVERED] = "DELIVERED",
    [MILL_EVENT_DEFERRED] = "DEFERRED",
    [MILL_EVENT_BOUNCED] = "BOUNCED",
    [MILL_EVENT_DROPPED] = "DROPPED",
    [MILL_EVENT_OPENED] = "OPENED",
    [MILL_EVENT_CLICKED] = "CLICKED",
    [MILL_EVENT_COMPLAINED] = "COMPLAINED",
    [MILL_EVENT_UNSUBSCRIBED] = "UNSUBSCRIBED",
    [MILL_EVENT_RESUBSCRIBED] = "RESUBSCRIBED",
    NULL,
};
static const struct mill_field event_fields[] = {
    ROW(mill_event, event_id, MILL_STRING),     ROW(mill_event, message_id, MILL_STRING),
    ROW(mill_event, request_id, MILL_STRING),   ROW(mill_event, tenant, MILL_STRING),
    ROW(mill_event, matched, MILL_BOOL),        ROW(mill_event, provider, MILL_STRING),
    ROW(mill_event, provider_id, MILL_STRING),  ROW(mill_event, provider_event_id, MILL_STRING),
    ENUM(mill_event, type, event_type_names),   ROW(mill_event, provider_event, MILL_STRING),
    ROW(mill_event, recipient, MILL_STRING),    ROW(mill_event, occurred_at, MILL_I64),
    ROW(mill_event, received_at, MILL_I64),     ROW(mill_event, latency_ms, MILL_OPT_I64),
    ROW(mill_event, bounce_class, MILL_STRING), ROW(mill_event, machine_open, MILL_OPT_BOOLEAN),
    ROW(mill_event, url, MILL_STRING),          ROW(mill_event, reason, MILL_STRING),
    ROW(mill_event, ip, MILL_STRING),           ROW(mill_event, user_agent, MILL_STRING),
    ROW(mill_event, categories, MILL_STRINGS),  ROW(mill_event, metadata, MILL_STRING_MAP),
    ROW(mill_event, group, MILL_STRING),        {0},
};
const struct mill_desc mill_event_desc = {
    .name = "Event",
    .avsc = mill_avsc_event,
    .size = sizeof(struct mill_event),
    .fields = event_fields,
};
