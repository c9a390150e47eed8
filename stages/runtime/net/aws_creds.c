/** @file aws_creds.c  @brief The chain of providers, and when to ask it again. */
#include "net/aws_creds.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/aws_in.h"
#include <stdlib.h>

enum { AWS_RETRY_MS = 10000 /* between two failed renewals */ };

#define AWS_EARLY_US INT64_C(300000000) /* renew so long before the end */

struct mill_aws {
    struct aws_source source;
    char region[64];
    struct mill_aws_creds creds;
    bool have;
    int64_t not_before_ms; /* tick of the next renewal after a failed one */
};

const char *mill_aws_env(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] ? value : NULL;
}

static enum mill_code aws_from_env(struct aws_source *s, struct mill_aws_creds *out,
                                   struct mill_err *err)
{
    const char *key = mill_aws_env("AWS_ACCESS_KEY_ID");
    const char *secret = mill_aws_env("AWS_SECRET_ACCESS_KEY");
    const char *token = mill_aws_env("AWS_SESSION_TOKEN");

    (void)s;
    if (!key && !secret)
        return MILL_E_NOENT;
    if (!key || !secret)
        return mill_fail(err, MILL_E_CONFIG, "AWS_ACCESS_KEY_ID",
                         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together");
    mill_str_cut(mill_str(key), out->key_id, sizeof out->key_id);
    mill_str_cut(mill_str(secret), out->secret, sizeof out->secret);
    mill_str_cut(mill_str(token ? token : ""), out->token, sizeof out->token);
    return MILL_OK;
}

static const struct {
    const char *name;
    enum mill_code (*get)(struct aws_source *, struct mill_aws_creds *, struct mill_err *);
} aws_chain[] = {
    {"env", aws_from_env},
    {"web-identity", mill_aws_from_web_identity},
    {"profile", mill_aws_from_files},
    {"container", mill_aws_from_container},
    {"imds", mill_aws_from_imds},
};

enum mill_code mill_aws_new(struct mill_aws **out, const char *region, struct mill_err *err)
{
    struct mill_aws *a = calloc(1, sizeof *a);
    enum mill_code code;

    *out = NULL;
    if (!a)
        return mill_fail(err, MILL_E_NOMEM, "aws", "out of memory");
    code = mill_http_new(&a->source.http, NULL, err);
    if (code) {
        free(a);
        return code;
    }
    if (region) {
        mill_str_cut(mill_str(region), a->region, sizeof a->region);
        a->source.region = a->region;
    }
    *out = a;
    return MILL_OK;
}

void mill_aws_free(struct mill_aws *a)
{
    if (!a)
        return;
    mill_http_free(a->source.http);
    explicit_bzero(&a->creds, sizeof a->creds);
    free(a);
}

static enum mill_code aws_search(struct mill_aws *a, struct mill_aws_creds *found,
                                 struct mill_err *err)
{
    for (size_t i = 0; i < sizeof aws_chain / sizeof *aws_chain; i++) {
        enum mill_code code;

        memset(found, 0, sizeof *found);
        code = aws_chain[i].get(&a->source, found, err);
        if (code == MILL_E_NOENT)
            continue;
        found->provider = aws_chain[i].name;
        return code;
    }
    return mill_fail(err, MILL_E_NOENT, "aws",
                     "no AWS credentials: no environment, web identity, profile, container or "
                     "instance role");
}

enum mill_code mill_aws_get(struct mill_aws *a, const struct mill_aws_creds **creds,
                            struct mill_err *err)
{
    const int64_t now = mill_now_us();
    const bool dead = !a->have || (a->creds.expires_us && now >= a->creds.expires_us);
    struct mill_aws_creds found;
    enum mill_code code = MILL_OK;

    *creds = &a->creds;
    if (!dead && (!a->creds.expires_us || now < a->creds.expires_us - AWS_EARLY_US))
        return MILL_OK;
    if (!dead && mill_tick_ms() < a->not_before_ms)
        return MILL_OK;
    code = aws_search(a, &found, err);
    if (!code) {
        if (!a->have || a->creds.provider != found.provider)
            mill_log(MILL_INFO, "aws_credentials", MILL_KV(MILL_KS("provider", found.provider)),
                     "AWS credentials from %s", found.provider);
        a->creds = found;
        a->have = true;
    } else if (!dead) {
        mill_log_err(MILL_WARN, "aws_renewal_failed", err);
        a->not_before_ms = mill_tick_ms() + AWS_RETRY_MS;
        code = MILL_OK;
    }
    explicit_bzero(&found, sizeof found);
    return code;
}

void mill_aws_refused(struct mill_aws *a)
{
    a->have = false;
}
