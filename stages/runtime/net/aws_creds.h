/**
 * @file aws_creds.h
 * @brief AWS credentials, from where the AWS SDKs look for them, in their order.
 *
 * Model: environment → web identity → shared files (AWS_PROFILE) → container → instance metadata
 * (IMDSv2); the first that is set up wins, and a fault in it is a fault: the search does not go on,
 * so that a process never runs quietly as somebody else. Those that expire are renewed 5 minutes
 * before; while a renewal fails, the old ones are used as long as they live. Token files are read
 * again each time. Not read from profiles: source_profile, sso, credential_process; a profile that
 * has one of them and no key is refused by name. One thread.
 */
#ifndef MILL_AWS_CREDS_H
#define MILL_AWS_CREDS_H

#include "base/err.h"

struct mill_aws;

struct mill_aws_creds {
    char key_id[160];
    char secret[160];
    char token[8192];     /**< "" = none */
    int64_t expires_us;   /**< µs since 1970; 0 = never */
    const char *provider; /**< who won: "env", "web-identity", "profile", "container", "imds" */
};

/** @brief Looks nothing up yet. @param region for the regional STS address; NULL = global
 *  @own new in *out */
enum mill_code mill_aws_new(struct mill_aws **out, const char *region,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe; wipes the secret. */
void mill_aws_free(struct mill_aws *a);
/** @brief Credentials that are good now. @own borrowed until the next call
 *  @return MILL_OK; MILL_E_NOENT (no provider is set up); MILL_E_CONFIG (one is, and is wrong);
 *          MILL_E_IO (its service does not answer); MILL_E_AUTH (its service says no) */
enum mill_code mill_aws_get(struct mill_aws *a, const struct mill_aws_creds **creds,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief The service refused them: look them up anew at the next get. */
void mill_aws_refused(struct mill_aws *a);

#endif
