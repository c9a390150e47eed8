/**
 * @file conf.h
 * @brief The edge's options as a struct, and the tables that fill it.
 */
#ifndef INGEST_CONF_H
#define INGEST_CONF_H

#include "kafka/common.h"
#include "net/s3_opts.h"
#include "send/provider.h"

struct ingest_conf {
    struct mill_common common;                /**< as every program has them */
    const char *out_requests, *out_callbacks; /**< topics */
    const char *out_cancellations, *out_suppressions, *out_idempotency;
    const char *listen, *tls_cert, *tls_key;
    const char *credentials, *state_dir;
    const char *unsubscribe_keys; /**< by comma or line; the first signs */
    struct mill_s3_opts s3;       /**< no bucket: no attachments by reference */
    bool deliverable_only, require_key;
    uint64_t record_max_bytes, batch_max_bytes, in_flight_max_bytes, ack_timeout_ms;
    uint64_t key_lifetime_ms, table_max_bytes;
    uint64_t mail_max_bytes, inline_max_bytes;
    uint32_t connections_max, connections_per_ip, tenant_max, threads, idle_timeout_s;
    uint32_t unsubscribe_rate, large_threads;
    union mill_webhook_room webhooks[MILL_PROVIDERS_N]; /**< in the order of mill_providers */
};

enum { INGEST_OPT_SETS = MILL_PROVIDERS_N + 4 };
/** @brief The edge's tables of options, and each provider's, with their places in conf; all but
 *  `common`, which mill_client_opts and mill_common_opts fill.
 *  @param sets zeroed @return how many; there is room for two more and an end */
size_t ingest_opt_sets(struct ingest_conf *conf, struct mill_opt_set sets[INGEST_OPT_SETS]);

#endif
