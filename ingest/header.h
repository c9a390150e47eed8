/**
 * @file header.h
 * @brief The request headers that the edge reads: media type, Idempotency-Key, traceparent.
 *
 * Model: pure functions over borrowed bytes; nothing is kept.
 */
#ifndef INGEST_HEADER_H
#define INGEST_HEADER_H

#include "base/str.h"

enum {
    INGEST_KEY_MAX = 256,   /**< characters of an Idempotency-Key, without quotes */
    INGEST_TRACE_TEXT = 56, /**< traceparent with its NUL */
    INGEST_STATE_MAX = 512, /**< bytes of a tracestate that is carried on */
};

enum ingest_media { INGEST_MEDIA_OTHER, INGEST_MEDIA_JSON, INGEST_MEDIA_NDJSON };

/** @brief What a Content-Type names; a charset other than UTF-8 is OTHER. Absent is OTHER. */
enum ingest_media ingest_media_of(struct mill_str content_type);

/**
 * @brief An Idempotency-Key, bare (as clients send it) or a quoted structured string (as the draft
 *        has it); both give the same key.
 * @param out at least INGEST_KEY_MAX + 1 bytes, NUL-terminated
 * @return false when it is empty, too long, or holds anything but printable ASCII
 */
bool ingest_key_parse(struct mill_str header, char *out) MILL_NODISCARD;

/** @brief Is this a W3C traceparent that we may carry on? (version 00, lower case, ids not zero) */
bool ingest_trace_valid(struct mill_str traceparent);
/** @brief A new traceparent, sampled. @param out INGEST_TRACE_TEXT bytes
 *  @return false when there are no random bytes */
bool ingest_trace_make(char *out) MILL_NODISCARD;

#endif
