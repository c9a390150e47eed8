/**
 * @file credentials.h
 * @brief The credentials file: who may call, with what secret, for which tenant, to do what.
 *
 * Model: one line a credential, `id:secret:tenant:scopes`; empty lines and lines that start with
 * `#` are skipped. secret is `$y$…` (a yescrypt hash as in shadow(5): a password, for HTTP Basic)
 * or `sha256$$<64 hex digits>` (of an API key's text, for Bearer). scopes is a comma list or `*`.
 * A parsed table never changes; any wrong line makes the whole file wrong.
 */
#ifndef INGEST_CREDENTIALS_H
#define INGEST_CREDENTIALS_H

#include "base/err.h"
#include "base/hash.h"

enum {
    INGEST_ID_MAX = 64,                 /**< bytes of an id or tenant */
    INGEST_HASH_MAX = 192,              /**< bytes of a secret's text form */
    INGEST_PASSWORD_MAX = 500,          /**< bytes; what crypt(3) takes at most, roughly */
    INGEST_CREDENTIALS_BYTES = 4 << 20, /**< of a whole file */
    INGEST_API_KEY_TEXT = 5 + 64 + 1,   /**< "mill_", 32 bytes as hex, NUL */
};

enum ingest_scope {
    INGEST_MAIL_SEND = 1u << 0,
    INGEST_MAIL_READ = 1u << 1,
    INGEST_MAIL_CANCEL = 1u << 2,
};

struct ingest_credential {
    char id[INGEST_ID_MAX + 1];
    char tenant[INGEST_ID_MAX + 1];
    unsigned scopes; /**< bits of enum ingest_scope */
    bool is_key;     /**< digest is set, hash is not */
    unsigned char digest[MILL_SHA256_BYTES];
    char hash[INGEST_HASH_MAX + 1]; /**< crypt(3) text */
};

struct ingest_credentials {
    struct ingest_credential *v;
    size_t n;
};

/** @brief Parse a file's text. @param name for messages (where = name:line)
 *  @return MILL_OK; MILL_E_CONFIG; MILL_E_NOMEM. @own out new (ingest_credentials_release), empty
 *  on failure */
enum mill_code ingest_credentials_parse(struct ingest_credentials *out, const char *name,
                                        struct mill_str text, struct mill_err *err) MILL_NODISCARD;
/** @brief Read and parse a file. */
enum mill_code ingest_credentials_load(struct ingest_credentials *out, const char *path,
                                       struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe, idempotent. */
void ingest_credentials_release(struct ingest_credentials *c);
/** @brief The password credential of that id, or NULL. @own borrowed */
const struct ingest_credential *ingest_credentials_id(const struct ingest_credentials *c,
                                                      struct mill_str id);
/** @brief The credential of that API key, or NULL. @own borrowed */
const struct ingest_credential *ingest_credentials_key(const struct ingest_credentials *c,
                                                       struct mill_str key);

/** @brief Does the password give this hash? Slow on purpose. @thread any */
bool ingest_password_check(struct mill_str password, const char *hash);
/** @brief Hash a password with yescrypt and a new salt. @param out INGEST_HASH_MAX + 1 bytes */
enum mill_code ingest_password_hash(struct mill_str password, char *out,
                                    struct mill_err *err) MILL_NODISCARD;
/** @brief A new API key and what the file holds of it. @param key INGEST_API_KEY_TEXT bytes
 *  @param secret INGEST_HASH_MAX + 1 bytes */
enum mill_code ingest_api_key_make(char *key, char *secret, struct mill_err *err) MILL_NODISCARD;

#endif
