/* One new file and one row: the edge takes and verifies the provider's posts, with its own option,
 * and what it stores can be read. */
#include "base/hash.h"
#include "ingest_edge.h"
#include "mail/records.h"

#define KEY  "fake-postbox-key"
#define POST "{\"ref\":\"r-1/0\", \"kind\":\"delivered\"}\r\n"

extern const char ingest_openapi[]; /* the shipped one is generated */
const char ingest_openapi[] = "{}";

static unsigned post(const char *key, const char *body)
{
    unsigned char mac[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1], headers[200];
    struct http_answer a;
    unsigned status;

    assert_true(mill_hmac_sha256(mill_str(key), MILL_STR(POST), mac));
    snprintf(headers, sizeof headers, JSON_TYPE "X-Postbox-Signature: %s\r\n",
             mill_hex(mac, sizeof mac, hex));
    http_ask(edge.port, "POST", "/v1/callbacks/postbox", headers, mill_str(body), &a);
    status = a.status;
    http_answer_release(&a);
    return status;
}

static enum mill_code on_event(void *arg, const struct mill_split *one, struct mill_err *err)
{
    (void)err;
    assert_true(mill_str_is(one->message_id, "r-1/0"));
    ++*(int *)arg;
    return MILL_OK;
}

static void test_posts(void **state)
{
    static struct fake_record r;
    struct mill_callback record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct mill_err err = {0};
    const struct mill_provider *p;
    int events = 0;

    (void)state;
    assert_int_equal(post(KEY, POST), 503); /* no key is configured */
    ingest_app_stop(edge.app);
    edge.conf.webhooks[MILL_PROVIDER_postbox].base.keys = "fake-older-key, " KEY;
    edge_start();
    assert_int_equal(post("fake-key-of-somebody-else", POST), 403);
    assert_int_equal(post(KEY, "{\"ref\":\"r-2/0\"}"), 403);
    assert_int_equal(fake_sent(), 0);
    assert_int_equal(post(KEY, POST), 200);
    fake_last_of("mail.callbacks", &r);
    edge_decode(&mill_callback_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.body, POST));
    assert_int_equal(record.headers.n, 1);
    assert_true(mill_str_is(record.headers.v[0].key, "X-Postbox-Signature"));
    p = mill_provider_find(record.provider);
    assert_ptr_equal(p, mill_providers[MILL_PROVIDER_postbox]);
    assert_int_equal(p->split(record.body, on_event, &events, &err), MILL_OK);
    assert_int_equal(events, 1);
    mill_codec_free(codec);
    mill_arena_release(&arena);
}

static void test_option(void **state)
{
    char *argv[] = {"mill-ingest", "--credentials=x", NULL};
    struct ingest_conf conf = {0};
    struct mill_opt_set sets[INGEST_OPT_SETS] = {{0}};
    struct mill_opts *opts = NULL;
    enum mill_opt_mode mode;
    struct mill_err err = {0};

    (void)state;
    (void)ingest_opt_sets(&conf, sets);
    setenv("MILL_INGEST_POSTBOX_WEBHOOK_KEY", KEY, 1);
    assert_int_equal(mill_opts_load(&opts, "ingest", sets, 2, argv, &mode, &err), MILL_OK);
    assert_string_equal(conf.webhooks[MILL_PROVIDER_postbox].base.keys, KEY);
    assert_null(conf.webhooks[MILL_PROVIDER_sendgrid].base.keys);
    mill_opts_free(opts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {EDGE_STARTED(test_posts), cmocka_unit_test(test_option)};

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
