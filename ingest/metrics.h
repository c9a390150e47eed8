/**
 * @file metrics.h
 * @brief The edge's metric rows; the table itself is in metrics.c.
 */
#ifndef INGEST_METRICS_H
#define INGEST_METRICS_H

#include "base/metrics.h"

enum ingest_metric_row {
    M_ANSWERS,   /**< by problem; label index = enum ingest_problem, 0 = none */
    M_MAILS,     /**< by what became of them */
    M_CALLBACKS, /**< by provider; label index = its place in mill_providers */
    M_CANCELLATIONS,
    M_UNSUBSCRIBES,
    M_BYTES,   /**< of bodies, by route */
    M_RECORDS, /**< label index = enum mill_delivery */
    M_ACK,
    M_BLOBS,
    M_BLOB_BYTES,
    M_KEYS,
    M_KEYS_NOT_WRITTEN,
    M_TABLE_RECORDS,
    M_TABLE_BYTES,
    M_TABLE_LAG,
    M_READY,
    M_QUEUED,
    M_IN_FLIGHT,
};
enum { MAILS_ACCEPTED, MAILS_REFUSED, MAILS_UNAVAILABLE, MAILS_UNKNOWN, MAILS_REPLAYED };
enum { BLOBS_STORED, BLOBS_THERE, BLOBS_FAILED };
enum { BYTES_MAIL, BYTES_BATCH, BYTES_CALLBACK };

/** Ends with {0}. */
extern const struct mill_metric ingest_metrics[];

#endif
