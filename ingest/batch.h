/**
 * @file batch.h
 * @brief Cut the body of a batch into its items, without parsing them.
 *
 * Model: an item is a slice of the body. Each is parsed alone, so that one wrong item harms no
 * other and the memory of one parse is bounded by one record's limit.
 */
#ifndef INGEST_BATCH_H
#define INGEST_BATCH_H

#include "base/str.h"

enum { INGEST_BATCH_MAX = 1000 };

enum ingest_batch {
    INGEST_BATCH_OK,
    INGEST_BATCH_MALFORMED, /**< no array, or its end or commas are not where they must be */
    INGEST_BATCH_EMPTY,
    INGEST_BATCH_TOO_MANY, /**< more than INGEST_BATCH_MAX */
};

/**
 * @brief Cut a JSON array, or one JSON text a line (empty lines do not count).
 * @param items room for INGEST_BATCH_MAX; borrowed from body
 */
enum ingest_batch ingest_batch_split(struct mill_str body, bool ndjson, struct mill_str *items,
                                     size_t *n) MILL_NODISCARD;

#endif
