/**
 * @file store.h
 * @brief One request, one record: queue it, and answer when the broker has it.
 *
 * Model: for every route but mail's own. The struct and all that its answer points to live in the
 * exchange's arena; the value is copied at once.
 */
#ifndef INGEST_STORE_H
#define INGEST_STORE_H

#include "app.h"

struct ingest_store {
    struct ingest *app;
    struct mill_exchange *x;
    enum ingest_port port;
    struct mill_str key;  /**< absent = any partition */
    const void *value;    /**< struct of the port's descriptor */
    unsigned status;      /**< of the answer when it is stored */
    struct mill_map head; /**< headers of that answer */
    struct mill_str body;
    size_t metric, label;        /**< counted when it is stored */
    struct ingest_ticket ticket; /**< ours */
};

/** @brief Store, then answer: status, or 413 (over the broker's record limit), 503, 500. */
void ingest_store(struct ingest_store *s);

#endif
