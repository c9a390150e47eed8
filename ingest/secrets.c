/**
 * @file secrets.c
 * @brief Lists of keys, cut and checked.
 */
#include "secrets.h"

static enum mill_code secrets_too_many(const char *option, struct mill_err *err)
{
    return mill_fail(err, MILL_E_CONFIG, option, "more than %d keys", INGEST_KEYS_MAX);
}

static enum mill_code secrets_sendgrid(struct ingest_secrets *s, struct mill_str rest,
                                       struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    while (rest.n && !rc) {
        struct mill_str one = mill_str_trim(mill_str_take(&rest, ','));
        if (s->sendgrid_n == INGEST_KEYS_MAX)
            return secrets_too_many("sendgrid-public-key", err);
        rc = mill_verify_key_new(&s->sendgrid[s->sendgrid_n], one, err);
        if (!rc)
            s->sendgrid_n++;
    }
    return rc;
}

/* One a line, or a comma list. */
static enum mill_code secrets_mailgun(struct ingest_secrets *s, struct mill_str rest,
                                      struct mill_err *err)
{
    while (rest.n) {
        struct mill_str line = mill_str_take(&rest, '\n');
        while (line.n) {
            struct mill_str one = mill_str_trim(mill_str_take(&line, ','));
            if (!one.n)
                continue;
            if (s->mailgun_n == INGEST_KEYS_MAX)
                return secrets_too_many("mailgun-signing-key", err);
            s->mailgun[s->mailgun_n++] = one;
        }
    }
    return MILL_OK;
}

enum mill_code ingest_secrets_read(struct ingest_secrets *out, const struct ingest_conf *conf,
                                   struct mill_err *err)
{
    enum mill_code rc;

    *out = (struct ingest_secrets){.sendgrid_n = 0};
    rc = secrets_sendgrid(out, mill_str(conf->sendgrid_keys), err);
    if (!rc)
        rc = secrets_mailgun(out, mill_str(conf->mailgun_keys), err);
    if (!rc)
        rc = mill_unsubscribe_keys_read(&out->unsubscribe, mill_str(conf->unsubscribe_keys), err);
    return rc;
}

void ingest_secrets_release(struct ingest_secrets *s)
{
    while (s->sendgrid_n)
        mill_verify_key_free(s->sendgrid[--s->sendgrid_n]);
}
