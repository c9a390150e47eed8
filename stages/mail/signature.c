#include "mail/signature.h"

#include "base/hash.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    KEY_DER_MAX = 512,      /**< a P-256 key takes 91 bytes */
    SIGNATURE_DER_MAX = 80, /**< a P-256 signature takes at most 72 */
    TIMESTAMP_MAX = 64,
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
