/**
 * @file secrets.c
 * @brief The keys of every provider that posts events, and our own.
 */
#include "secrets.h"

enum mill_code ingest_secrets_read(struct ingest_secrets *out, const struct ingest_conf *conf,
                                   struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    *out = (struct ingest_secrets){.unsubscribe.n = 0};
    for (size_t i = 0; !rc && i < MILL_PROVIDERS_N; i++)
        if (mill_providers[i]->webhook)
            rc = mill_webhook_keys_read(&out->webhooks[i], mill_providers[i]->webhook,
                                        &conf->webhooks[i].base, err);
    if (!rc)
        rc = mill_unsubscribe_keys_read(&out->unsubscribe, mill_str(conf->unsubscribe_keys), err);
    return rc;
}

void ingest_secrets_release(struct ingest_secrets *s)
{
    for (size_t i = 0; i < MILL_PROVIDERS_N; i++)
        mill_webhook_keys_release(&s->webhooks[i]);
}
