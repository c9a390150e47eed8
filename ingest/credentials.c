/**
 * @file credentials.c
 * @brief Parse the credentials file; make and check its secrets.
 */
#include "credentials.h"

#include "base/buf.h"
#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    unsigned bits;
} scopes[] = {
    {"mail:send", INGEST_MAIL_SEND},
    {"mail:read", INGEST_MAIL_READ},
    {"mail:cancel", INGEST_MAIL_CANCEL},
    {"*", INGEST_MAIL_SEND | INGEST_MAIL_READ | INGEST_MAIL_CANCEL},
};
enum { SCOPES_N = sizeof scopes / sizeof *scopes };

/* The last field is scopes, which has colons of its own: what is left of the line. */
static bool credentials_scopes(struct mill_str text, unsigned *out)
{
    *out = 0;
    while (text.n) {
        struct mill_str one = mill_str_take(&text, ',');
        size_t i = 0;
        while (i < SCOPES_N && !mill_str_is(one, scopes[i].name))
            i++;
        if (i == SCOPES_N)
            return false;
        *out |= scopes[i].bits;
    }
    return *out != 0;
}

static bool credentials_name(struct mill_str s, char out[INGEST_ID_MAX + 1])
{
    if (!s.n || s.n > INGEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-' || c == '@'))
            return false;
    }
    mill_str_cut(s, out, INGEST_ID_MAX + 1);
    return true;
}

static int credentials_nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool credentials_digest(struct mill_str hex, unsigned char out[MILL_SHA256_BYTES])
{
    if (hex.n != 2 * MILL_SHA256_BYTES)
        return false;
    for (size_t i = 0; i < MILL_SHA256_BYTES; i++) {
        int high = credentials_nibble(hex.p[2 * i]);
        int low = credentials_nibble(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* $y$params$salt$hash: libcrypt itself looks at the prefix only. */
static bool credentials_yescrypt(struct mill_str s)
{
    enum { YESCRYPT_HASH_CHARS = 43 };
    struct mill_str part[5];

    for (size_t i = 0; i < 5; i++)
        part[i] = mill_str_take(&s, '$');
    for (size_t i = 0; i < part[4].n; i++)
        if (part[4].p[i] < '.' || part[4].p[i] > 'z')
            return false;
    return !s.n && !part[0].n && mill_str_is(part[1], "y") && part[2].n && part[3].n &&
           part[4].n == YESCRYPT_HASH_CHARS;
}

static bool credentials_secret(struct mill_str s, struct ingest_credential *out)
{
    static const char key[] = "sha256$$";

    if (mill_str_starts(s, key)) {
        out->is_key = true;
        return credentials_digest((struct mill_str){s.p + sizeof key - 1, s.n - (sizeof key - 1)},
                                  out->digest);
    }
    if (!credentials_yescrypt(s) || s.n > INGEST_HASH_MAX || memchr(s.p, 0, s.n))
        return false;
    mill_str_cut(s, out->hash, sizeof out->hash);
    return crypt_checksalt(out->hash) == CRYPT_SALT_OK;
}

static enum mill_code credentials_line(struct mill_str line, struct ingest_credential *out,
                                       const char *where, struct mill_err *err)
{
    struct mill_str id = mill_str_take(&line, ':');
    struct mill_str secret = mill_str_take(&line, ':');
    struct mill_str tenant = mill_str_take(&line, ':');

    if (!credentials_name(id, out->id))
        return mill_fail(err, MILL_E_CONFIG, where, "the id is not 1 to 64 of A-Za-z0-9._@-");
    if (!credentials_secret(secret, out))
        return mill_fail(err, MILL_E_CONFIG, where,
                         "the secret is neither a yescrypt hash ($y$...) nor sha256$$ and 64 "
                         "hex digits");
    if (!credentials_name(tenant, out->tenant))
        return mill_fail(err, MILL_E_CONFIG, where, "the tenant is not 1 to 64 of A-Za-z0-9._@-");
    if (!credentials_scopes(line, &out->scopes))
        return mill_fail(err, MILL_E_CONFIG, where,
                         "the scopes are not a comma list of mail:send, mail:read, mail:cancel, *");
    return MILL_OK;
}

static bool credentials_has(const struct ingest_credentials *c, const char *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->v[i].id, id))
            return true;
    return false;
}

enum mill_code ingest_credentials_parse(struct ingest_credentials *out, const char *name,
                                        struct mill_str text, struct mill_err *err)
{
    char where[64];
    unsigned line_no = 0;
    enum mill_code rc = MILL_OK;

    *out = (struct ingest_credentials){0};
    while (text.n && !rc) {
        struct mill_str line = mill_str_take(&text, '\n');
        struct ingest_credential one = {0};
        struct ingest_credential *more;
        line_no++;
        snprintf(where, sizeof where, "%.40s:%u", name, line_no);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.n || line.p[0] == '#')
            continue;
        rc = credentials_line(line, &one, where, err);
        if (!rc && credentials_has(out, one.id))
            rc = mill_fail(err, MILL_E_CONFIG, where, "the id is there twice");
        if (rc)
            break;
        more = realloc(out->v, (out->n + 1) * sizeof *more);
        if (!more) {
            rc = mill_fail(err, MILL_E_NOMEM, where, "out of memory");
            break;
        }
        out->v = more;
        out->v[out->n++] = one;
    }
    if (rc)
        ingest_credentials_release(out);
    return rc;
}

enum mill_code ingest_credentials_load(struct ingest_credentials *out, const char *path,
                                       struct mill_err *err)
{
    struct mill_buf text;
    char why[80];
    enum mill_code rc;
    int failed;

    *out = (struct ingest_credentials){0};
    mill_buf_init(&text, INGEST_CREDENTIALS_BYTES);
    failed = mill_buf_add_file(&text, path);
    if (failed)
        rc = mill_fail(err, failed == ENOMEM ? MILL_E_NOMEM : MILL_E_CONFIG, "credentials",
                       "%s: %s", path, mill_errno_text(failed, why, sizeof why));
    else
        rc = ingest_credentials_parse(out, "credentials", mill_buf_view(&text), err);
    mill_buf_release(&text);
    return rc;
}

void ingest_credentials_release(struct ingest_credentials *c)
{
    if (!c)
        return;
    free(c->v);
    *c = (struct ingest_credentials){0};
}

const struct ingest_credential *ingest_credentials_id(const struct ingest_credentials *c,
                                                      struct mill_str id)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->v[i].is_key && mill_str_is(id, c->v[i].id))
            return &c->v[i];
    return NULL;
}

const struct ingest_credential *ingest_credentials_key(const struct ingest_credentials *c,
                                                       struct mill_str key)
{
    unsigned char digest[MILL_SHA256_BYTES];
    const struct ingest_credential *found = NULL;

    if (!mill_sha256(key, digest))
        return NULL;
    for (size_t i = 0; i < c->n; i++) /* all of them, so that time does not tell which */
        if (c->v[i].is_key &&
            mill_equal_secret((struct mill_str){(const char *)digest, sizeof digest},
                              (struct mill_str){(const char *)c->v[i].digest, sizeof digest}))
            found = &c->v[i];
    return found;
}

bool ingest_password_check(struct mill_str password, const char *hash)
{
    struct crypt_data *data = NULL;
    char text[INGEST_PASSWORD_MAX + 1];
    const char *got;
    bool same = false;

    if (password.n > INGEST_PASSWORD_MAX || memchr(password.p, 0, password.n))
        return false;
    data = calloc(1, sizeof *data);
    if (!data)
        return false;
    mill_str_cut(password, text, sizeof text);
    got = crypt_r(text, hash, data);
    same = got && got[0] != '*' && mill_equal_secret(mill_str(got), mill_str(hash));
    explicit_bzero(text, sizeof text);
    explicit_bzero(data, sizeof *data);
    free(data);
    return same;
}

enum mill_code ingest_password_hash(struct mill_str password, char *out, struct mill_err *err)
{
    struct crypt_data *data = NULL;
    char text[INGEST_PASSWORD_MAX + 1], salt[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *got;
    enum mill_code rc = MILL_OK;

    if (!password.n || password.n > INGEST_PASSWORD_MAX || memchr(password.p, 0, password.n))
        return mill_fail(err, MILL_E_DATA, "password", "a password has 1 to %d bytes, none NUL",
                         INGEST_PASSWORD_MAX);
    data = calloc(1, sizeof *data);
    if (!data)
        return mill_fail(err, MILL_E_NOMEM, "password", "out of memory");
    mill_str_cut(password, text, sizeof text);
    got = crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) ? crypt_r(text, salt, data) : NULL;
    if (!got || got[0] == '*' || strlen(got) > INGEST_HASH_MAX)
        rc = mill_fail(err, MILL_E_STATE, "password", "libcrypt has no yescrypt");
    else
        memcpy(out, got, strlen(got) + 1);
    explicit_bzero(text, sizeof text);
    explicit_bzero(data, sizeof *data);
    free(data);
    return rc;
}

enum mill_code ingest_api_key_make(char *key, char *secret, struct mill_err *err)
{
    unsigned char bytes[32], digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];

    if (!mill_random(bytes, sizeof bytes))
        return mill_fail(err, MILL_E_STATE, "api-key", "no random bytes");
    snprintf(key, INGEST_API_KEY_TEXT, "mill_%s", mill_hex(bytes, sizeof bytes, hex));
    if (!mill_sha256(mill_str(key), digest))
        return mill_fail(err, MILL_E_STATE, "api-key", "no SHA-256");
    snprintf(secret, INGEST_HASH_MAX + 1, "sha256$$%s", mill_hex(digest, sizeof digest, hex));
    return MILL_OK;
}
