/**
 * @file auth.h
 * @brief Who is calling: one small interface, and its provider by a credentials file.
 *
 * Model: a provider looks at the Authorization header and names the caller. It says LATER instead
 * of working long (a password hash, a call to an identity server); the caller then asks again from
 * a thread that may wait. Another identity provider is another set of these four functions.
 * All functions may be called from any thread at once.
 */
#ifndef INGEST_AUTH_H
#define INGEST_AUTH_H

#include "credentials.h"

struct ingest_identity {
    char client[INGEST_ID_MAX + 1]; /**< the credential's id */
    char tenant[INGEST_ID_MAX + 1];
    unsigned scopes; /**< bits of enum ingest_scope */
};

enum ingest_auth_result {
    INGEST_AUTH_OK,
    INGEST_AUTH_REFUSED, /**< missing, malformed, unknown or wrong: never said which */
    INGEST_AUTH_LATER,   /**< only when may_wait is false: ask again with true */
};

struct ingest_auth {
    const char *challenge; /**< value of WWW-Authenticate */
    /** @param authorization header's value; absent if none. @param who filled on OK */
    enum ingest_auth_result (*check)(void *self, struct mill_str authorization, bool may_wait,
                                     struct ingest_identity *who);
    /** Read the configuration again if it changed, or in any case. A wrong one is logged and the
     * old one stays. NULL = nothing to read. */
    void (*reload)(void *self, bool in_any_case);
    void (*free)(void *self); /**< NULL-safe */
    void *self;
};

/** @brief The provider by a credentials file: HTTP Basic and Bearer API keys; what was verified is
 *  kept under a keyed hash. @param path borrowed for the provider's life. @own out new, freed by
 *  out->free(out->self)
 *  @return MILL_OK; MILL_E_CONFIG for a wrong file; MILL_E_NOMEM; MILL_E_STATE */
enum mill_code ingest_auth_file(struct ingest_auth *out, const char *path,
                                struct mill_err *err) MILL_NODISCARD;

/** The two forms of an Authorization header that the file provider takes. */
enum ingest_auth_scheme { INGEST_AUTH_NONE, INGEST_AUTH_BASIC, INGEST_AUTH_BEARER };
struct ingest_secret {
    enum ingest_auth_scheme scheme;
    struct mill_str id;     /**< Basic only */
    struct mill_str secret; /**< password or API key */
};
/** @brief Take an Authorization header apart. @param room at least 1024 bytes, for the decoded
 * text; out borrows from it and from the header. */
void ingest_auth_split(struct mill_str authorization, char *room, struct ingest_secret *out);
enum { INGEST_AUTH_ROOM = 1024 };

#endif
