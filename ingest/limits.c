/**
 * @file limits.c
 * @brief GET /v1/limits: what a client may send, and how long its keys are remembered.
 */
#include "app.h"

#include "batch.h"
#include "header.h"
#include "mail/request_rules.h"

enum { LIMITS_BYTES = 4096, LIMITS_AHEAD_S = 366 * 86400 };

void ingest_limits_get(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    const struct ingest_conf *c = app->conf;
    struct mill_buf body;

    mill_buf_init(&body, LIMITS_BYTES);
    mill_buf_printf(&body,
                    "{\"mail\":{\"body_max_bytes\":%llu,\"record_max_bytes\":%llu,"
                    "\"attachments_by_reference\":%s,"
                    "\"with_attachments_max_bytes\":%d,\"recipients_max\":%d,"
                    "\"categories_max\":%d,\"headers_max\":%d,\"metadata_max_bytes\":%d,"
                    "\"send_at_ahead_max_s\":%d},",
                    (unsigned long long)app->mail_max_bytes,
                    (unsigned long long)c->record_max_bytes, app->blobs ? "true" : "false",
                    MILL_MAIL_BYTES_MAX, MILL_RECIPIENTS_MAX, MILL_CATEGORIES_MAX, MILL_HEADERS_MAX,
                    MILL_CUSTOM_BYTES_MAX, LIMITS_AHEAD_S);
    mill_buf_printf(&body,
                    "\"batch\":{\"body_max_bytes\":%llu,\"items_max\":%d},"
                    "\"idempotency\":{\"lifetime_s\":%llu,\"key_max_chars\":%d,\"required\":%s},"
                    "\"in_flight_per_tenant\":%u}",
                    (unsigned long long)c->batch_max_bytes, INGEST_BATCH_MAX,
                    (unsigned long long)c->key_lifetime_ms / 1000, INGEST_KEY_MAX,
                    c->require_key ? "true" : "false", c->tenant_max);
    ingest_reply(app, x, 200, (struct mill_map){0}, &body);
    mill_buf_release(&body);
}
