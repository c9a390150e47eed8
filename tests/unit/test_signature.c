/* Webhook signatures: SendGrid's own vectors where they are there, generated ones always. */
#include "cases.h"

#include "base/hash.h"
#include "mail/signature.h"
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY "[{\"event\":\"open\"}]\r\n"

/** A key pair, its public half as SendGrid shows it, and a signature of "1" BODY. */
struct pair {
    EVP_PKEY *key;
    struct mill_buf spki, signature;
};

static void sign(EVP_PKEY *key, const char *text, struct mill_buf *out)
{
    unsigned char der[200];
    size_t n = sizeof der;
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    assert_non_null(md);
    assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(md, der, &n, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(md);
    mill_buf_init(out, 1000);
    assert_true(mill_base64_add(out, (struct mill_str){(const char *)der, n}));
}

static struct pair make(const char *group)
{
    struct pair p = {.key = EVP_EC_gen(group)};
    unsigned char *der = NULL;
    int n;

    assert_non_null(p.key);
    n = i2d_PUBKEY(p.key, &der);
    assert_true(n > 0);
    mill_buf_init(&p.spki, 1000);
    assert_true(mill_base64_add(&p.spki, (struct mill_str){(const char *)der, (size_t)n}));
    OPENSSL_free(der);
    sign(p.key, "1" BODY, &p.signature);
    return p;
}

static void drop(struct pair *p)
{
    EVP_PKEY_free(p->key);
    mill_buf_release(&p->spki);
    mill_buf_release(&p->signature);
}

static enum mill_code verify(struct mill_str spki, const char *timestamp, const char *body,
                             struct mill_str signature)
{
    struct mill_verify_key *key = NULL;
    struct mill_err err = {0};
    enum mill_code rc = mill_verify_key_new(&key, spki, &err);

    if (!rc)
        rc = mill_signature_verify(key, mill_str(timestamp), mill_str(body), signature, &err);
    mill_verify_key_free(key);
    return rc;
}

static void generated(void **state)
{
    struct pair p = make("P-256"), other = make("P-256");
    struct mill_str spki = mill_buf_view(&p.spki), good = mill_buf_view(&p.signature);
    char changed[200];

    (void)state;
    assert_int_equal(verify(spki, "1", BODY, good), MILL_OK);
    assert_int_equal(verify(spki, "2", BODY, good), MILL_E_AUTH);
    assert_int_equal(verify(spki, "", BODY, good), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1", "[{\"event\":\"open\"}]", good), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1[", &BODY[1], good), MILL_OK); /* what is signed is the join */
    assert_int_equal(verify(mill_buf_view(&other.spki), "1", BODY, good), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1", BODY, mill_buf_view(&other.signature)), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1", BODY, MILL_STR("")), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1", BODY, MILL_STR("AAAA")), MILL_E_AUTH);
    assert_int_equal(verify(spki, "1", BODY, MILL_STR("not base64")), MILL_E_AUTH);
    /* Each character of the signature counts, cut short or changed. */
    for (size_t i = 0; i < good.n; i++) {
        mill_str_cut(good, changed, sizeof changed);
        changed[i] = changed[i] == 'B' ? 'C' : 'B';
        assert_int_equal(verify(spki, "1", BODY, mill_str(changed)), MILL_E_AUTH);
        assert_int_equal(verify(spki, "1", BODY, (struct mill_str){good.p, i}), MILL_E_AUTH);
    }
    drop(&p);
    drop(&other);
}

static void keys_that_are_none(void **state)
{
    struct pair p = make("P-256"), p384 = make("P-384");
    struct mill_str spki = mill_buf_view(&p.spki), good = mill_buf_view(&p.signature);
    char longer[300];

    (void)state;
    assert_int_equal(verify(mill_buf_view(&p384.spki), "1", BODY, good), MILL_E_CONFIG);
    assert_int_equal(verify(MILL_STR(""), "1", BODY, good), MILL_E_CONFIG);
    assert_int_equal(verify(MILL_STR("####"), "1", BODY, good), MILL_E_CONFIG);
    assert_int_equal(verify(MILL_STR("AAAA"), "1", BODY, good), MILL_E_CONFIG);
    for (size_t i = 0; i < spki.n; i += 4)
        assert_int_equal(verify((struct mill_str){spki.p, i}, "1", BODY, good), MILL_E_CONFIG);
    /* bytes behind the key: with them it is another text for the same key */
    assert_int_equal(spki.n % 4, 0);
    struct mill_buf der, again;
    mill_buf_init(&der, 300);
    mill_buf_init(&again, 300);
    assert_true(mill_base64_decode(&der, spki) && mill_buf_putc(&der, 'x'));
    assert_true(mill_base64_add(&again, mill_buf_view(&der)));
    mill_str_cut(mill_buf_view(&again), longer, sizeof longer);
    assert_int_equal(verify(mill_str(longer), "1", BODY, good), MILL_E_CONFIG);
    mill_buf_release(&der);
    mill_buf_release(&again);
    mill_verify_key_free(NULL);
    drop(&p);
    drop(&p384);
}

static void vectors(void **state)
{
    const char *shared = getenv("MILL_SHARED");
    char path[1024];
    json_error_t error;
    json_t *root, *v;
    size_t i, valid = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/reference/sendgrid-webhook/signature-vectors.json",
             shared ? shared : "../../shared");
    root = json_load_file(path, 0, &error);
    if (!root) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    json_array_foreach(json_object_get(root, "vectors"), i, v)
    {
        struct mill_buf body;
        enum mill_code rc;
        mill_buf_init(&body, 1 << 20);
        assert_true(mill_base64_decode(
            &body, mill_str(json_string_value(json_object_get(v, "payload_b64")))));
        rc = verify(mill_str(json_string_value(json_object_get(v, "public_key"))),
                    json_string_value(json_object_get(v, "timestamp")), body.p,
                    mill_str(json_string_value(json_object_get(v, "signature"))));
        if ((rc == MILL_OK) != json_is_true(json_object_get(v, "valid")))
            fail_msg("%s: %d", json_string_value(json_object_get(v, "name")), (int)rc);
        valid += rc == MILL_OK;
        mill_buf_release(&body);
    }
    json_decref(root);
    assert_true(i >= 4 && valid >= 1 && valid < i);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(generated),
        cmocka_unit_test(keys_that_are_none),
        cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests_name("signature", t, NULL, NULL);
}
