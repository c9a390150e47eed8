#include "mail/signature.h"

#include "base/hash.h"
#include "base/json.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    KEY_DER_MAX = 512,      /**< a P-256 key takes 91 bytes */
    SIGNATURE_DER_MAX = 80, /**< a P-256 signature takes at most 72 */
    TIMESTAMP_MAX = 64,
    MAILGUN_SECONDS_MAX = 12, /**< digits */
    MAILGUN_TOKEN_MAX = 128,  /**< it is 50 */
};

struct mill_verify_key {
    EVP_PKEY *pkey;
};

static bool signature_is_p256(EVP_PKEY *pkey)
{
    char group[32];
    size_t n = 0;

    return EVP_PKEY_is_a(pkey, "EC") &&
           EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) == 1 &&
           !strcmp(group, "prime256v1");
}

enum mill_code mill_verify_key_new(struct mill_verify_key **out, struct mill_str base64,
                                   struct mill_err *err)
{
    struct mill_verify_key *key = calloc(1, sizeof *key);
    struct mill_buf der;
    const unsigned char *p;
    enum mill_code rc = MILL_E_CONFIG;

    *out = NULL;
    mill_buf_init(&der, KEY_DER_MAX);
    if (!key) {
        rc = mill_fail(err, MILL_E_NOMEM, "public key", "out of memory");
        goto out;
    }
    if (!base64.n || base64.n > KEY_DER_MAX || !mill_base64_decode(&der, base64)) {
        mill_fail(err, rc, "public key", "is no base64");
        goto out;
    }
    p = (const unsigned char *)der.p;
    key->pkey = d2i_PUBKEY(NULL, &p, (long)der.n);
    if (!key->pkey || p != (const unsigned char *)der.p + der.n || !signature_is_p256(key->pkey)) {
        mill_fail(err, rc, "public key", "is no P-256 key (SubjectPublicKeyInfo in DER)");
        goto out;
    }
    *out = key;
    key = NULL;
    rc = MILL_OK;
out:
    mill_buf_release(&der);
    mill_verify_key_free(key);
    return rc;
}

void mill_verify_key_free(struct mill_verify_key *key)
{
    if (key)
        EVP_PKEY_free(key->pkey);
    free(key);
}

enum mill_code mill_signature_verify(const struct mill_verify_key *key, struct mill_str timestamp,
                                     struct mill_str body, struct mill_str signature,
                                     struct mill_err *err)
{
    struct mill_buf der;
    EVP_MD_CTX *md = NULL;
    enum mill_code rc = MILL_E_AUTH;

    mill_buf_init(&der, SIGNATURE_DER_MAX);
    if (!timestamp.n || timestamp.n > TIMESTAMP_MAX) {
        mill_fail(err, rc, "timestamp", "is missing or too long");
        goto out;
    }
    if (!signature.n || signature.n > 2 * SIGNATURE_DER_MAX ||
        !mill_base64_decode(&der, signature)) {
        mill_fail(err, rc, "signature", "is no base64 of a signature");
        goto out;
    }
    md = EVP_MD_CTX_new();
    if (!md || EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->pkey) != 1) {
        rc = mill_fail(err, MILL_E_NOMEM, "signature", "the crypto library failed");
        goto out;
    }
    if (EVP_DigestVerifyUpdate(md, timestamp.p, timestamp.n) != 1 ||
        (body.n && EVP_DigestVerifyUpdate(md, body.p, body.n) != 1) ||
        EVP_DigestVerifyFinal(md, (const unsigned char *)der.p, der.n) != 1) {
        mill_fail(err, rc, "signature", "does not fit the body");
        goto out;
    }
    rc = MILL_OK;
out:
    EVP_MD_CTX_free(md);
    mill_buf_release(&der);
    return rc;
}

/** What Mailgun says about itself in a post; borrowed from the JSON. */
struct mailgun_words {
    struct mill_str timestamp, token, signature, parent;
};

/** Both ways: a digit moved from the token to the timestamp is signed as well. */
static bool mailgun_fresh(struct mill_str timestamp, int64_t now_us, uint64_t max_age_ms)
{
    int64_t s = 0, age_ms;

    if (timestamp.n > MAILGUN_SECONDS_MAX || !mill_str_i64(timestamp, &s) || s < 0)
        return false;
    age_ms = now_us / 1000 - s * 1000;
    return !max_age_ms || (uint64_t)(age_ms < 0 ? -age_ms : age_ms) <= max_age_ms;
}

static bool mailgun_fits(const struct mailgun_words *w, struct mill_str key)
{
    char text[MAILGUN_SECONDS_MAX + MAILGUN_TOKEN_MAX], hex[2 * MILL_SHA256_BYTES + 1];
    unsigned char mac[MILL_SHA256_BYTES];

    memcpy(text, w->timestamp.p, w->timestamp.n);
    memcpy(text + w->timestamp.n, w->token.p, w->token.n);
    if (!key.n || !mill_hmac_sha256(key, (struct mill_str){text, w->timestamp.n + w->token.n}, mac))
        return false;
    mill_hex(mac, sizeof mac, hex);
    return mill_equal_secret(mill_str(hex), w->signature) ||
           mill_equal_secret(mill_str(hex), w->parent);
}

enum mill_code mill_verify_mailgun(struct mill_strs keys, struct mill_str body, int64_t now_us,
                                   uint64_t max_age_ms, struct mill_err *err)
{
    json_t *root = NULL, *o;
    struct mailgun_words w;
    enum mill_code rc = mill_json_parse(body, &root, err);

    if (rc)
        return rc;
    o = json_object_get(root, "signature");
    w = (struct mailgun_words){mill_json_str(o, "timestamp"), mill_json_str(o, "token"),
                               mill_json_str(o, "signature"), mill_json_str(o, "parent-signature")};
    rc = MILL_E_AUTH;
    if (!json_is_object(o)) {
        rc = mill_fail(err, MILL_E_DATA, "signature", "is missing");
    } else if (!w.token.n || w.token.n > MAILGUN_TOKEN_MAX) {
        mill_fail(err, rc, "signature.token", "is missing or too long");
    } else if (!mailgun_fresh(w.timestamp, now_us, max_age_ms)) {
        mill_fail(err, rc, "signature.timestamp", "is no time, or too far from now");
    } else {
        for (size_t i = 0; rc && i < keys.n; i++)
            if (mailgun_fits(&w, keys.v[i]))
                rc = MILL_OK;
        if (rc)
            mill_fail(err, rc, "signature", "does not fit");
    }
    json_decref(root);
    return rc;
}
