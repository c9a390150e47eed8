/* Callbacks, pages and the OpenAPI document, credentials that change. */
#include "ingest_edge.h"
#include "mail/records.h"
#include "net/http_client.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* --- callbacks ------------------------------------------------------------------------------- */

static void sign(int key, const char *timestamp, struct mill_str body, struct mill_buf *headers)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[128];
    size_t n = sizeof sig;

    assert_non_null(ctx);
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, edge.key[key]), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, timestamp, strlen(timestamp)), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, body.p, body.n), 1);
    assert_int_equal(EVP_DigestSignFinal(ctx, sig, &n), 1);
    EVP_MD_CTX_free(ctx);
    mill_buf_reset(headers);
    mill_buf_printf(headers,
                    JSON_TYPE "X-Twilio-Email-Event-Webhook-Timestamp: %s\r\n"
                              "X-Twilio-Email-Event-Webhook-Signature: ",
                    timestamp);
    mill_base64_add(headers, (struct mill_str){(const char *)sig, n});
    mill_buf_puts(headers, "\r\n");
    assert_false(headers->failed);
}

static unsigned callback(const char *headers, struct mill_str body)
{
    struct http_answer a;
    unsigned status;

    http_ask(edge.port, "POST", "/v1/callbacks/sendgrid", headers, body, &a);
    status = a.status;
    print_message("%u %s\n", status, a.body);
    http_answer_release(&a);
    return status;
}

static void test_callbacks(void **state)
{
    struct mill_str body = MILL_STR("[{\"event\":\"open\"},\r\n{\"event\":\"click\"}]\r\n");
    static struct fake_record r;
    struct mill_callback record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct mill_buf headers;
    unsigned sent;

    (void)state;
    mill_buf_init(&headers, 2048);
    for (int key = 0; key < 2; key++) { /* both keys count: one is being replaced */
        sign(key, "1600112502", body, &headers);
        sent = fake_sent();
        assert_int_equal(callback(headers.p, body), 200);
        assert_int_equal(fake_sent(), sent + 1); /* two events, one record */
    }
    fake_last(&r);
    assert_string_equal(r.topic, "mail.callbacks");
    edge_decode(&mill_callback_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.provider, "sendgrid"));
    assert_true(mill_str_eq(record.body, body));
    assert_true(mill_str_is(record.content_type, "application/json"));
    assert_true(mill_str_is(mill_map_get(record.headers, "X-Twilio-Email-Event-Webhook-Timestamp"),
                            "1600112502"));
    mill_codec_free(codec);
    mill_arena_release(&arena);

    sent = fake_sent();
    assert_int_equal(callback(headers.p, MILL_STR("[{\"event\":\"open\"}]")), 403);
    assert_int_equal(callback(headers.p, (struct mill_str){body.p, body.n - 2}), 403);
    assert_int_equal(callback(JSON_TYPE, body), 403);
    assert_int_equal(callback(JSON_TYPE "X-Twilio-Email-Event-Webhook-Timestamp: 1\r\n"
                                        "X-Twilio-Email-Event-Webhook-Signature: AAAA\r\n",
                              body),
                     403);
    assert_int_equal(fake_sent(), sent);
    fake_mode(FAKE_DOUBTFUL);
    assert_int_equal(callback(headers.p, body), 503);
    fake_mode(FAKE_TOO_LARGE);
    assert_int_equal(callback(headers.p, body), 413);
    fake_mode(FAKE_FULL);
    assert_int_equal(callback(headers.p, body), 503);
    mill_buf_release(&headers);
}

static void test_no_callback_key(void **state)
{
    (void)state;
    edge.conf.webhooks[MILL_PROVIDER_sendgrid].base.keys = NULL;
    edge_start();
    assert_int_equal(callback(JSON_TYPE, MILL_STR("[]")), 503);
}

/* --- the rest of the surface ----------------------------------------------------------------- */

static void test_pages(void **state)
{
    struct http_answer a;
    char path[80];

    (void)state;
    for (unsigned p = 1; p < PROBLEM_END; p++) {
        snprintf(path, sizeof path, "/problems/%s", ingest_problem_name((enum ingest_problem)p));
        assert_int_equal(edge_get(path), 200);
        /* The metric's label has the problem's name. */
        assert_string_equal(ingest_metrics[M_ANSWERS].values[p],
                            ingest_problem_name((enum ingest_problem)p));
    }
    assert_null(ingest_metrics[M_ANSWERS].values[PROBLEM_END]);
    http_ask(edge.port, "GET", "/metrics", "", (struct mill_str){0}, &a);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "mill_ready{stage=\"ingest\"} 1"));
    http_answer_release(&a);
}

static void test_credentials_change(void **state)
{
    (void)state;
    json_decref(edge_post_mail("", SIMPLE, 202));
    edge_put_credentials("n:sha256$$" HELLO_HASH ":acme:mail:send\n");
    ingest_app_tick(edge.app, false);
    json_decref(edge_post_mail("", SIMPLE, 401));
    json_decref(edge_post_mail(AS_READER, SIMPLE, 202));
    edge_put_credentials("rubbish\n");
    ingest_app_tick(edge.app, true);
    json_decref(edge_post_mail(AS_READER, SIMPLE, 202));
}

/* A certificate for 127.0.0.1 that signs itself, and its key, as PEM files. */
static void write_certificate(const char *cert_path, const char *key_path)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    FILE *f;

    assert_true(cert && name && san);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"edge", -1, -1, 0);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, edge.key[0]);
    X509_add_ext(cert, san, -1);
    assert_true(X509_sign(cert, edge.key[0], EVP_sha256()) > 0);
    f = fopen(cert_path, "w");
    assert_true(f && PEM_write_X509(f, cert));
    fclose(f);
    f = fopen(key_path, "w");
    assert_true(f && PEM_write_PrivateKey(f, edge.key[0], NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_EXTENSION_free(san);
    X509_NAME_free(name);
    X509_free(cert);
}

static void test_tls(void **state)
{
    char cert[96], key[96], url[64];
    struct mill_pair headers[] = {
        {MILL_STR("Authorization"), MILL_STR("Basic YTpi")},
        {MILL_STR("Content-Type"), MILL_STR("application/json")},
    };
    struct mill_http_call call = {.method = "POST",
                                  .url = url,
                                  .headers = {headers, 2},
                                  .body = MILL_STR(SIMPLE),
                                  .timeout_ms = 10000,
                                  .tls_ca = cert};
    struct mill_http_conf conf = {0};
    struct mill_http *http = NULL;
    struct http_answer plain;
    struct mill_err err = {0};
    long status = 0;

    (void)state;
    snprintf(cert, sizeof cert, "%s/cert.pem", edge.dir);
    snprintf(key, sizeof key, "%s/key.pem", edge.dir);
    write_certificate(cert, key);
    edge.conf.tls_cert = cert;
    edge.conf.tls_key = key;
    edge_start();
    snprintf(url, sizeof url, "https://127.0.0.1:%u/v1/mail", edge.port);
    assert_int_equal(mill_http_new(&http, &conf, &err), MILL_OK);
    assert_int_equal(mill_http_wait(http, &call, &status, NULL, &err), MILL_OK);
    assert_int_equal(status, 202);
    mill_http_free(http);
    http_ask(edge.port, "GET", "/healthz", "", (struct mill_str){0}, &plain);
    assert_int_equal(plain.status, 0); /* no plain HTTP on this port */
    http_answer_release(&plain);
    unlink(cert);
    unlink(key);
}

static void test_wrong_conf(void **state)
{
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_OK);
    edge.conf.webhooks[MILL_PROVIDER_sendgrid].base.keys = "bm9uZQ==";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    assert_int_equal(ingest_app_start(&edge.app, &edge.conf, &err), MILL_E_CONFIG);
    assert_null(edge.app);
    edge_default_conf();
    edge.conf.tls_cert = "x";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    edge_default_conf();
    edge.conf.common.log_level = "loud";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    edge_default_conf();
    edge.conf.credentials = "nowhere";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
}

/* openapi.json names every route the server has, and no other; each answers as it is named. */
static void test_openapi(void **state)
{
    struct http_answer a;
    json_t *doc = NULL, *methods;
    const char *path, *method;
    size_t n = 0;

    (void)state;
    http_ask(edge.port, "GET", "/openapi.json", "", (struct mill_str){0}, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &doc, NULL), MILL_OK);
    http_answer_release(&a);
    json_object_foreach(json_object_get(doc, "paths"), path, methods)
    {
        json_t *operation;
        json_object_foreach(methods, method, operation)
        {
            char upper[8] = "", real[80], status[8];
            const char *brace = strchr(path, '{');
            for (size_t i = 0; method[i] && i < sizeof upper - 1; i++)
                upper[i] = (char)(method[i] - 'a' + 'A');
            snprintf(real, sizeof real, "%.*s%s", (int)(brace ? brace - path : (int)strlen(path)),
                     path, brace ? "not-found" : "");
            http_ask(edge.port, upper, real, "",
                     strcmp(method, "post") ? (struct mill_str){0} : MILL_STR(""), &a);
            snprintf(status, sizeof status, "%u", a.status);
            print_message("%s %s: %s\n", upper, real, status);
            assert_non_null(json_object_get(json_object_get(operation, "responses"), status));
            http_answer_release(&a);
            n++;
        }
    }
    for (const struct mill_route *r = edge.app->routes; r->method; r++)
        n--;
    assert_int_equal(n, 0);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_STARTED(test_callbacks), EDGE_PLAIN(test_no_callback_key),
        EDGE_STARTED(test_pages),     EDGE_STARTED(test_credentials_change),
        EDGE_PLAIN(test_tls),         EDGE_PLAIN(test_wrong_conf),
        EDGE_STARTED(test_openapi),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
