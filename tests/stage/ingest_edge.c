/* See ingest_edge.h. */
#include "ingest_edge.h"

#include "base/hash.h"

#include <openssl/x509.h>

struct edge edge;

/* --- the edge under test --------------------------------------------------------------------- */

void edge_put_credentials(const char *text)
{
    FILE *f = fopen(edge.credentials, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_key(int i)
{
    unsigned char *der = NULL;
    struct mill_buf text;
    int n;

    edge.key[i] = EVP_EC_gen("P-256");
    assert_non_null(edge.key[i]);
    n = i2d_PUBKEY(edge.key[i], &der);
    assert_true(n > 0);
    mill_buf_init(&text, 256);
    assert_true(mill_base64_add(&text, (struct mill_str){(const char *)der, (size_t)n}));
    snprintf(edge.keys + strlen(edge.keys), sizeof edge.keys - strlen(edge.keys), "%s%s",
             i ? ", " : "", text.p);
    mill_buf_release(&text);
    OPENSSL_free(der);
}

void edge_default_conf(void)
{
    edge.conf = (struct ingest_conf){
        .common.brokers = "127.0.0.1:1",
        .common.registry = "http://127.0.0.1:1",
        .common.instance = "0",
        .common.log_level = "error",
        .common.drain_ms = 5000,
        .out_requests = "mail.requests",
        .out_callbacks = "mail.callbacks",
        .out_cancellations = "mail.cancellations",
        .out_suppressions = "mail.suppressions",
        .out_idempotency = "mail.idempotency",
        .listen = "127.0.0.1:0",
        .credentials = edge.credentials,
        .state_dir = edge.dir,
        .key_lifetime_ms = UINT64_C(7) * 86400000,
        .table_max_bytes = 1 << 20,
        .webhooks = {[MILL_PROVIDER_sendgrid].base.keys = edge.keys,
                     [MILL_PROVIDER_mailgun].base = {EDGE_MAILGUN_OLD "\n" EDGE_MAILGUN, 86400000}},
        .unsubscribe_keys = EDGE_UNSUBSCRIBE,
        .unsubscribe_rate = 100,
        .record_max_bytes = 2 << 20,
        .batch_max_bytes = 16 << 20,
        .in_flight_max_bytes = 64 << 20,
        .ack_timeout_ms = 10000,
        .connections_max = 1024,
        .tenant_max = 4096,
        .threads = 2,
        .idle_timeout_s = 30,
    };
}

void edge_start(void)
{
    struct mill_err err = {0};
    enum mill_code rc = ingest_app_start(&edge.app, &edge.conf, &err);

    if (rc)
        print_error("%s: %s\n", err.where, err.text);
    assert_int_equal(rc, MILL_OK);
    edge.port = mill_server_port(edge.app->server);
    ingest_app_tick(edge.app, false);
}

int edge_setup(void **state)
{
    char hash[INGEST_HASH_MAX + 1], text[600];

    (void)state;
    snprintf(edge.dir, sizeof edge.dir, "%s/mill-ingest-XXXXXX", P_tmpdir);
    if (!mkdtemp(edge.dir))
        return -1;
    snprintf(edge.credentials, sizeof edge.credentials, "%s/credentials", edge.dir);
    edge.keys[0] = '\0';
    make_key(0);
    make_key(1);
    assert_int_equal(ingest_password_hash(MILL_STR("b"), hash, NULL), MILL_OK);
    snprintf(text, sizeof text,
             "a:%s:acme:mail:send,mail:cancel\nr:sha256$$" HELLO_HASH ":acme:mail:read\n", hash);
    edge_put_credentials(text);
    fake_mode(FAKE_DELIVER);
    fake_mode_of(NULL, FAKE_DELIVER);
    fake_there(true, true);
    fake_table_reset();
    edge_default_conf();
    return 0;
}

int edge_setup_started(void **state)
{
    if (edge_setup(state))
        return -1;
    edge_start();
    return 0;
}

int edge_teardown(void **state)
{
    (void)state;
    fake_mode(FAKE_DELIVER);
    fake_mode_of(NULL, FAKE_DELIVER);
    ingest_app_stop(edge.app);
    edge.app = NULL;
    for (int i = 0; i < 2; i++)
        EVP_PKEY_free(edge.key[i]);
    unlink(edge.credentials);
    return rmdir(edge.dir);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* POSTs JSON as the sender and gives the answer as JSON. @own new */
json_t *edge_post(const char *path, const char *headers, struct mill_str body, unsigned status)
{
    struct http_answer a;
    json_t *json = NULL;
    char all[1024];

    snprintf(all, sizeof all, "%s%s", strstr(headers, "Authorization") ? "" : AS_SENDER, headers);
    http_ask(edge.port, "POST", path, all, body, &a);
    if (a.status != status)
        print_error("%u: %s\n", a.status, a.body);
    assert_int_equal(a.status, status);
    assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &json, NULL), MILL_OK);
    http_answer_release(&a);
    return json;
}

json_t *edge_post_mail(const char *headers, const char *body, unsigned status)
{
    char all[1024];

    snprintf(all, sizeof all, JSON_TYPE "%s", headers);
    return edge_post("/v1/mail", all, mill_str(body), status);
}

void edge_assert_member(const json_t *o, const char *name, const char *want)
{
    struct mill_str got = mill_json_str(o, name);

    if (!mill_str_is(got, want))
        print_error("%s: %.*s, not %s\n", name, MILL_FMT(got), want);
    assert_true(mill_str_is(got, want));
}

unsigned edge_get(const char *path)
{
    struct http_answer a;
    unsigned status;

    http_ask(edge.port, "GET", path, "", (struct mill_str){0}, &a);
    status = a.status;
    http_answer_release(&a);
    return status;
}

void edge_decode(const struct mill_desc *desc, const struct fake_record *r,
                 struct mill_arena *arena, struct mill_codec **codec, void *out)
{
    struct mill_str body;
    struct mill_err err = {0};
    int32_t id;

    assert_int_equal(mill_codec_new(codec, desc, &err), MILL_OK);
    assert_int_equal(mill_frame_split((struct mill_str){r->value, r->value_n}, &id, &body, &err),
                     MILL_OK);
    assert_int_equal(mill_codec_learn(*codec, id, mill_str(desc->avsc), &err), MILL_OK);
    assert_int_equal(mill_codec_decode(*codec, id, body, arena, out, &err), MILL_OK);
}
