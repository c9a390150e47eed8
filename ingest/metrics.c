/**
 * @file metrics.c
 * @brief The table of the edge's metrics.
 */
#include "metrics.h"

#include "send/provider.h"

/* In the order of enum ingest_problem; a test holds the two together. */
static const char *const answers[] = {"none",
                                      "malformed-body",
                                      "invalid-idempotency-key",
                                      "missing-idempotency-key",
                                      "unauthenticated",
                                      "missing-scope",
                                      "invalid-signature",
                                      "not-found",
                                      "method-not-allowed",
                                      "timeout",
                                      "idempotency-key-in-hand",
                                      "too-large",
                                      "unsupported-media-type",
                                      "invalid-request",
                                      "idempotency-key-reused",
                                      "too-many-in-flight",
                                      "too-many-requests",
                                      "headers-too-large",
                                      "unavailable",
                                      "outcome-unknown",
                                      "internal",
                                      NULL};
static const char *const mails[] = {"accepted", "refused",  "unavailable",
                                    "unknown",  "replayed", NULL};
static const char *const routes[] = {"mail", "batch", "callback", NULL};
static const char *const blobs[] = {"stored", "there", "failed", NULL};
static const char *const tables[] = {"idempotency", NULL};
static const char *const deliveries[] = {"delivered", "undelivered", "doubtful", "too_large", NULL};

const struct mill_metric ingest_metrics[] = {
    [M_ANSWERS] = {"mill_ingest_answers_total", MILL_COUNTER, "answers, by problem", "problem",
                   answers},
    [M_MAILS] = {"mill_ingest_mails_total", MILL_COUNTER, "mails, by what became of them",
                 "outcome", mails},
    [M_CALLBACKS] = {"mill_ingest_callbacks_total", MILL_COUNTER, "callbacks stored", "provider",
                     mill_provider_names},
    [M_CANCELLATIONS] = {"mill_ingest_cancellations_total", MILL_COUNTER, "cancellations stored",
                         NULL, NULL},
    [M_UNSUBSCRIBES] = {"mill_ingest_unsubscribes_total", MILL_COUNTER,
                        "one-click unsubscribes stored", NULL, NULL},
    [M_BYTES] = {"mill_ingest_body_bytes_total", MILL_COUNTER, "bytes of request bodies", "route",
                 routes},
    [M_RECORDS] = {"mill_ingest_records_total", MILL_COUNTER, "records handed to the broker",
                   "delivery", deliveries},
    [M_ACK] = {"mill_ingest_ack_seconds", MILL_HISTOGRAM, "from queueing to acknowledgement", NULL,
               NULL},
    [M_BLOBS] = {"mill_ingest_attachments_total", MILL_COUNTER,
                 "attachments by reference: stored, already there, not stored", "outcome", blobs},
    [M_BLOB_BYTES] = {"mill_ingest_attachment_bytes_total", MILL_COUNTER,
                      "bytes of attachments that were stored", NULL, NULL},
    [M_KEYS] = {"mill_ingest_keys_in_hand", MILL_GAUGE,
                "Idempotency-Keys of requests not answered yet", NULL, NULL},
    [M_KEYS_NOT_WRITTEN] = {"mill_ingest_keys_not_written_total", MILL_COUNTER,
                            "accepted requests whose key's record the broker did not take", NULL,
                            NULL},
    [M_TABLE_RECORDS] = {"mill_ingest_table_records", MILL_GAUGE, "records in a table", "table",
                         tables},
    [M_TABLE_BYTES] = {"mill_ingest_table_bytes", MILL_GAUGE, "bytes in use of a table's file",
                       "table", tables},
    [M_TABLE_LAG] = {"mill_ingest_table_lag_records", MILL_GAUGE,
                     "records of a table's topic not read yet", "table", tables},
    [M_READY] = {"mill_ready", MILL_GAUGE, "1 while mail can be accepted", NULL, NULL},
    [M_QUEUED] = {"mill_ingest_queued_records", MILL_GAUGE, "records waiting for the broker", NULL,
                  NULL},
    [M_IN_FLIGHT] = {"mill_ingest_in_flight_requests", MILL_GAUGE, "requests not answered yet",
                     NULL, NULL},
    {0},
};
