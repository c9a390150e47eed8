/* Tables from controls.h to schemas/NAME.avsc; mill_codec_new checks each row. */
#include "mail/controls.h"
#include "mail/rows.h"

/* MillEmbed.cmake compiles each schema in under this name. */
extern const char mill_avsc_cancellation[], mill_avsc_pause[], mill_avsc_suppression[],
    mill_avsc_idempotency[], mill_avsc_move[];

static const struct mill_field cancellation_fields[] = {
    ROW(mill_cancellation, id, MILL_STRING),
    ROW(mill_cancellation, tenant, MILL_STRING),
    ROW(mill_cancellation, client, MILL_STRING),
    ROW(mill_cancellation, at, MILL_I64),
    {0},
};
const struct mill_desc mill_cancellation_desc = {
    .name = "Cancellation",
    .avsc = mill_avsc_cancellation,
    .size = sizeof(struct mill_cancellation),
    .fields = cancellation_fields,
};

static const struct mill_field pause_fields[] = {
    ROW(mill_pause, category, MILL_STRING), ROW(mill_pause, paused, MILL_BOOL),
    ROW(mill_pause, reason, MILL_STRING),   ROW(mill_pause, by, MILL_STRING),
    ROW(mill_pause, at, MILL_I64),          {0},
};
const struct mill_desc mill_pause_desc = {
    .name = "Pause",
    .avsc = mill_avsc_pause,
    .size = sizeof(struct mill_pause),
    .fields = pause_fields,
};

static const char *const reason_names[] = {
    [MILL_SUPPRESSED_OTHER] = "OTHER",         [MILL_SUPPRESSED_HARD_BOUNCE] = "HARD_BOUNCE",
    [MILL_SUPPRESSED_COMPLAINT] = "COMPLAINT", [MILL_SUPPRESSED_UNSUBSCRIBE] = "UNSUBSCRIBE",
    [MILL_SUPPRESSED_MANUAL] = "MANUAL",       NULL,
};
static const struct mill_field suppression_fields[] = {
    ROW(mill_suppression, address, MILL_STRING),  ROW(mill_suppression, tenant, MILL_STRING),
    ENUM(mill_suppression, reason, reason_names), ROW(mill_suppression, since, MILL_I64),
    ROW(mill_suppression, source, MILL_STRING),   ROW(mill_suppression, message_id, MILL_STRING),
    ROW(mill_suppression, event_id, MILL_STRING), ROW(mill_suppression, category, MILL_STRING),
    ROW(mill_suppression, lifted, MILL_BOOL),     {0},
};
const struct mill_desc mill_suppression_desc = {
    .name = "Suppression",
    .avsc = mill_avsc_suppression,
    .size = sizeof(struct mill_suppression),
    .fields = suppression_fields,
};

static const struct mill_field idempotency_fields[] = {
    ROW(mill_idempotency, request_id, MILL_STRING), ROW(mill_idempotency, fingerprint, MILL_STRING),
    ROW(mill_idempotency, client, MILL_STRING),     ROW(mill_idempotency, accepted_at, MILL_I64),
    ROW(mill_idempotency, messages, MILL_I64),      {0},
};
const struct mill_desc mill_idempotency_desc = {
    .name = "Idempotency",
    .avsc = mill_avsc_idempotency,
    .size = sizeof(struct mill_idempotency),
    .fields = idempotency_fields,
};

static const char *const kind_names[] = {
    [MILL_MOVE_OTHER] = "OTHER",
    [MILL_MOVE_REDRIVE] = "REDRIVE",
    [MILL_MOVE_REPLAY] = "REPLAY",
    NULL,
};
static const struct mill_field move_fields[] = {
    ROW(mill_move, run, MILL_STRING),
    ENUM(mill_move, kind, kind_names),
    ROW(mill_move, topic, MILL_STRING),
    ROW(mill_move, topic_id, MILL_STRING),
    ROW(mill_move, partition, MILL_I64),
    ROW(mill_move, offset, MILL_I64),
    ROW(mill_move, until, MILL_OPT_I64),
    ROW(mill_move, stages, MILL_STRING),
    ROW(mill_move, by, MILL_STRING),
    ROW(mill_move, at, MILL_I64),
    {0},
};
const struct mill_desc mill_move_desc = {
    .name = "Move",
    .avsc = mill_avsc_move,
    .size = sizeof(struct mill_move),
    .fields = move_fields,
};
