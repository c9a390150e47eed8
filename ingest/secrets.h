/**
 * @file secrets.h
 * @brief The keys that tell a provider's post, or a link of ours, from anybody's.
 *
 * Model: read once from the options, read-only afterwards. Each kind may have several keys while
 * one is being replaced.
 */
#ifndef INGEST_SECRETS_H
#define INGEST_SECRETS_H

#include "conf.h"
#include "mail/unsubscribe.h"

struct ingest_secrets {
    struct mill_webhook_keys webhooks[MILL_PROVIDERS_N]; /**< in the order of mill_providers */
    struct mill_unsubscribe_keys unsubscribe;            /**< borrowed from the options */
};

/** @param conf borrowed for the secrets' life @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM.
 *  @own new in *out even on failure (release) */
enum mill_code ingest_secrets_read(struct ingest_secrets *out, const struct ingest_conf *conf,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Idempotent. */
void ingest_secrets_release(struct ingest_secrets *s);

#endif
