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
#include "mail/signature.h"
#include "mail/unsubscribe.h"

enum { INGEST_KEYS_MAX = 8 /**< of one kind */ };

struct ingest_secrets {
    struct mill_verify_key *sendgrid[INGEST_KEYS_MAX];
    size_t sendgrid_n;
    struct mill_str mailgun[INGEST_KEYS_MAX]; /**< borrowed from the options */
    size_t mailgun_n;
    struct mill_unsubscribe_keys unsubscribe; /**< borrowed from the options */
};

/** @param conf borrowed for the secrets' life @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM.
 *  @own new in *out even on failure (release) */
enum mill_code ingest_secrets_read(struct ingest_secrets *out, const struct ingest_conf *conf,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Idempotent. */
void ingest_secrets_release(struct ingest_secrets *s);

#endif
