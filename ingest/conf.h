/**
 * @file conf.h
 * @brief The edge's options as a struct, and the table that fills it.
 */
#ifndef INGEST_CONF_H
#define INGEST_CONF_H

#include "base/opt.h"

struct ingest_conf {
    /* as every program has them */
    const char *brokers, *registry, *instance, *status_listen, *log_level;
    struct mill_map rdkafka;
    uint64_t drain_ms;
    /* ours */
    const char *out_requests, *out_callbacks; /**< topics */
    const char *listen, *tls_cert, *tls_key;
    const char *credentials;
    const char *sendgrid_keys; /**< comma list of base64 keys */
    bool deliverable_only;
    uint64_t record_max_bytes, batch_max_bytes, in_flight_max_bytes, ack_timeout_ms;
    uint32_t connections_max, connections_per_ip, tenant_max, threads, idle_timeout_s;
};

/** Ends with {0}. */
extern const struct mill_opt ingest_opts[];

#endif
