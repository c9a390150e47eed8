/* The routes beside mail's own: Mailgun's webhooks, cancellations, one-click unsubscribe, limits.
 */
#include "base/hash.h"
#include "ingest_edge.h"
#include "mail/controls.h"
#include "mail/records.h"
#include "mail/suppression.h"
#include "mail/unsubscribe.h"

static unsigned ask(const char *method, const char *path, const char *headers, const char *body)
{
    struct http_answer a;
    unsigned status;

    http_ask(edge.port, method, path, headers, mill_str(body), &a);
    status = a.status;
    print_message("%s %s: %u\n", method, path, status);
    http_answer_release(&a);
    return status;
}

/* --- Mailgun --------------------------------------------------------------------------------- */

/* A post as Mailgun makes it, signed now with a key. */
static void mailgun_post(struct mill_buf *out, const char *key, int64_t at_s)
{
    unsigned char mac[MILL_SHA256_BYTES];
    char text[128], hex[2 * MILL_SHA256_BYTES + 1];

    snprintf(text, sizeof text, "%lldf00dfeedf00dfeed", (long long)at_s);
    assert_true(mill_hmac_sha256(mill_str(key), mill_str(text), mac));
    mill_buf_reset(out);
    mill_buf_printf(out,
                    "{\"signature\":{\"timestamp\":\"%lld\",\"token\":\"f00dfeedf00dfeed\","
                    "\"signature\":\"%s\"},\n \"event-data\":{\"event\":\"opened\"}}",
                    (long long)at_s, mill_hex(mac, sizeof mac, hex));
}

static void test_mailgun(void **state)
{
    static struct fake_record r;
    struct mill_callback record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    int64_t now_s = mill_now_us() / 1000000;
    struct mill_buf body;
    unsigned sent;

    (void)state;
    mill_buf_init(&body, 4096);
    mailgun_post(&body, EDGE_MAILGUN_OLD, now_s); /* the key that is being replaced */
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 200);
    mailgun_post(&body, EDGE_MAILGUN, now_s);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 200);
    fake_last_of("mail.callbacks", &r);
    edge_decode(&mill_callback_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.provider, "mailgun"));
    assert_true(mill_str_eq(record.body, mill_buf_view(&body)));
    assert_true(mill_str_is(record.content_type, "application/json"));
    assert_int_equal(record.headers.n, 0);
    assert_true(llabs(mill_now_us() - record.received_at) < 60 * INT64_C(1000000));
    mill_codec_free(codec);
    mill_arena_release(&arena);

    sent = fake_sent();
    mailgun_post(&body, "fake-key-of-somebody-else", now_s);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 403);
    mailgun_post(&body, EDGE_MAILGUN, now_s - 2 * 86400);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 403);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, "{\"a\":1}"), 400);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, "rubbish"), 400);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, ""), 400);
    assert_int_equal(ask("POST", "/v1/callbacks/nobody", JSON_TYPE, "{}"), 404);
    assert_int_equal(ask("POST", "/v1/callbacks/smtp", JSON_TYPE, "{}"), 404); /* posts nothing */
    assert_int_equal(fake_sent(), sent);

    /* Never 406, whatever is wrong with us. */
    mailgun_post(&body, EDGE_MAILGUN, now_s);
    fake_mode(FAKE_DOUBTFUL);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 503);
    fake_mode(FAKE_UNDELIVERED);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 503);
    fake_mode(FAKE_TOO_LARGE);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 413);
    fake_mode(FAKE_FULL);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 503);
    mill_buf_release(&body);
}

static void test_mailgun_limits(void **state)
{
    static char large[2 << 20];
    struct mill_buf body;

    (void)state;
    edge.conf.record_max_bytes = 1 << 20;
    edge.conf.webhooks[MILL_PROVIDER_mailgun].base.keys = NULL;
    edge_start();
    mill_buf_init(&body, 4096);
    mailgun_post(&body, EDGE_MAILGUN, mill_now_us() / 1000000);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, body.p), 503);
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(ask("POST", "/v1/callbacks/mailgun", JSON_TYPE, large), 413);
    mill_buf_release(&body);
}

/* --- cancellations --------------------------------------------------------------------------- */

#define REQUEST_ID "0191d8a2-0000-7000-8000-000000000001"

static void cancel(const char *path_id, const char *id)
{
    static struct fake_record r;
    struct mill_cancellation record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct http_answer a;
    json_t *json = NULL;
    char path[200], type[80];

    snprintf(path, sizeof path, "/v1/mail/%s", path_id);
    http_ask(edge.port, "DELETE", path, AS_SENDER, (struct mill_str){0}, &a);
    print_message("%s: %u %s\n", path, a.status, a.body);
    assert_int_equal(a.status, 202);
    assert_string_equal(http_header(&a, "Content-Type", type, sizeof type), "application/json");
    assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &json, NULL), MILL_OK);
    edge_assert_member(json, "status", "cancelling");
    edge_assert_member(json, "id", id);
    fake_last_of("mail.cancellations", &r);
    assert_string_equal(r.key, id);
    assert_int_equal(strlen(r.traceparent), 55);
    edge_decode(&mill_cancellation_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.id, id));
    assert_true(mill_str_is(record.tenant, "acme"));
    assert_true(mill_str_is(record.client, "a"));
    assert_true(llabs(mill_now_us() - record.at) < 60 * INT64_C(1000000));
    mill_codec_free(codec);
    mill_arena_release(&arena);
    json_decref(json);
    http_answer_release(&a);
}

static void test_cancel(void **state)
{
    static const char *const bad[] = {"",        "/",       "/0",       "a/",         "a/x",
                                      "a/00",    "a/01",    "a/-1",     "a/0/0",      "a/12345",
                                      "a%20b",   "a%00b",   "%2e%2e/a", "a/%2f",      "%ff",
                                      "a/0%00x", "a%22b/0", "<b>",      "a%0d%0ab: c"};
    char long_id[300], path[400];
    unsigned sent;

    (void)state;
    cancel(REQUEST_ID, REQUEST_ID);
    cancel(REQUEST_ID "/0", REQUEST_ID "/0");
    cancel(REQUEST_ID "%2F17", REQUEST_ID "/17");
    cancel(REQUEST_ID "%2f999", REQUEST_ID "/999");
    cancel("their.own:id~7", "their.own:id~7"); /* of a producer that is no client of ours */

    sent = fake_sent();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(path, sizeof path, "/v1/mail/%s", bad[i]);
        assert_int_equal(ask("DELETE", path, AS_SENDER, NULL), 404);
    }
    memset(long_id, 'x', sizeof long_id);
    snprintf(path, sizeof path, "/v1/mail/%.*s", 129, long_id);
    assert_int_equal(ask("DELETE", path, AS_SENDER, NULL), 404);
    assert_int_equal(ask("DELETE", "/v1/mail/" REQUEST_ID, "", NULL), 401);
    assert_int_equal(ask("DELETE", "/v1/mail/" REQUEST_ID, AS_READER, NULL), 403);
    assert_int_equal(ask("POST", "/v1/mail/" REQUEST_ID, AS_SENDER, ""), 405);
    assert_int_equal(ask("DELETE", "/v1/mail/" REQUEST_ID, AS_SENDER JSON_TYPE, "{}"), 413);
    assert_int_equal(fake_sent(), sent);
    fake_mode(FAKE_DOUBTFUL);
    assert_int_equal(ask("DELETE", "/v1/mail/" REQUEST_ID, AS_SENDER, NULL), 503);
    fake_mode(FAKE_FULL);
    assert_int_equal(ask("DELETE", "/v1/mail/" REQUEST_ID, AS_SENDER, NULL), 503);
}

/* A path of two routes names the methods of both. */
static void test_allow(void **state)
{
    struct http_answer a;
    char allow[80];

    (void)state;
    http_ask(edge.port, "PUT", "/v1/mail/batch", AS_SENDER, MILL_STR(""), &a);
    assert_int_equal(a.status, 405);
    assert_string_equal(http_header(&a, "Allow", allow, sizeof allow), "POST, DELETE");
    http_answer_release(&a);
}

/* --- unsubscribe ----------------------------------------------------------------------------- */

#define FORM_TYPE "Content-Type: application/x-www-form-urlencoded\r\n"
#define ONE_CLICK "List-Unsubscribe=One-Click"

static void link_of(const struct mill_unsubscribe *u, char *path, size_t size)
{
    const struct mill_unsubscribe_keys keys = {.v = {MILL_STR(EDGE_UNSUBSCRIBE)}, .n = 1};
    struct mill_buf token;

    mill_buf_init(&token, MILL_UNSUBSCRIBE_TOKEN_MAX);
    assert_int_equal(mill_unsubscribe_make(u, &keys, &token, NULL), MILL_OK);
    assert_true(snprintf(path, size, "/v1/unsubscribe/%s", token.p) < (int)size);
    mill_buf_release(&token);
}

static const struct mill_unsubscribe ann = {
    .tenant = MILL_STR_INIT("acme"),
    .address = MILL_STR_INIT("Ann@B\xc3\xbc"
                             "cher.example"),
    .message_id = MILL_STR_INIT(REQUEST_ID "/0"),
    .issued = INT64_C(1771034400000000),
};

static void test_unsubscribe(void **state)
{
    static struct fake_record r;
    static const char multipart[] = "--x\r\nContent-Disposition: form-data; "
                                    "name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    char path[400], key[MILL_SUPPRESSION_KEY_SIZE];
    struct mill_suppression record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    unsigned sent = fake_sent();

    (void)state;
    link_of(&ann, path, sizeof path);
    /* What a scanner does: nothing is written. */
    assert_int_equal(ask("GET", path, "", NULL), 200);
    assert_int_equal(ask("HEAD", path, "", NULL), 200);
    assert_int_equal(fake_sent(), sent);

    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 200);
    assert_int_equal(fake_sent(), sent + 1);
    fake_last_of("mail.suppressions", &r);
    assert_true(mill_suppression_key(ann.tenant, ann.address, ann.category, key));
    assert_string_equal(r.key, key);
    edge_decode(&mill_suppression_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.address, "ann@xn--bcher-kva.example"));
    assert_true(mill_str_is(record.tenant, "acme"));
    assert_int_equal(record.reason, MILL_SUPPRESSED_UNSUBSCRIBE);
    assert_true(mill_str_is(record.source, "one-click"));
    assert_true(mill_str_is(record.message_id, REQUEST_ID "/0"));
    assert_null(record.event_id.p);
    assert_true(llabs(mill_now_us() - record.since) < 60 * INT64_C(1000000));
    mill_codec_free(codec);
    mill_arena_release(&arena);

    assert_int_equal(
        ask("POST", path, "Content-Type: multipart/form-data; boundary=x\r\n", multipart), 200);
    assert_int_equal(fake_sent(), sent + 2);
    struct mill_unsubscribe news = ann; /* of one category: a record of its own */
    news.category = MILL_STR("news");
    link_of(&news, path, sizeof path);
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 200);
    fake_last_of("mail.suppressions", &r);
    assert_string_not_equal(r.key, key);
    assert_true(mill_suppression_key(ann.tenant, ann.address, news.category, key));
    assert_string_equal(r.key, key);
    edge_decode(&mill_suppression_desc, &r, &arena, &codec, &record);
    assert_true(mill_str_is(record.category, "news") && !record.lifted);
    mill_codec_free(codec);
    mill_arena_release(&arena);
    const struct mill_unsubscribe bare = {.address = MILL_STR("a@b.example")};
    link_of(&bare, path, sizeof path);
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 200);
}

/* No cookie, no redirect, nothing that a page could be tricked with, and no address in it. */
static void test_unsubscribe_page(void **state)
{
    struct http_answer a;
    char path[400], value[200];

    (void)state;
    link_of(&ann, path, sizeof path);
    for (int post = 0; post < 2; post++) {
        http_ask(edge.port, post ? "POST" : "GET", path, "",
                 post ? MILL_STR(ONE_CLICK) : (struct mill_str){0}, &a);
        assert_int_equal(a.status, 200);
        assert_string_equal(http_header(&a, "Content-Type", value, sizeof value),
                            "text/html; charset=utf-8");
        assert_string_equal(http_header(&a, "Cache-Control", value, sizeof value), "no-store");
        assert_non_null(strstr(http_header(&a, "Content-Security-Policy", value, sizeof value),
                               "default-src 'none'"));
        assert_string_equal(http_header(&a, "Set-Cookie", value, sizeof value), "");
        assert_string_equal(http_header(&a, "Location", value, sizeof value), "");
        assert_null(strstr(a.body, "cher"));
        assert_true(post || strstr(a.body, "method=\"post\""));
        assert_true(post || strstr(a.body, "name=\"List-Unsubscribe\" value=\"One-Click\""));
        http_answer_release(&a);
    }
}

static void test_unsubscribe_refused(void **state)
{
    static char large[5000];
    char path[400];
    unsigned sent = fake_sent();

    (void)state;
    link_of(&ann, path, sizeof path);
    assert_int_equal(ask("POST", path, FORM_TYPE, ""), 400);
    assert_int_equal(ask("POST", path, FORM_TYPE, "List-Unsubscribe=Maybe"), 400);
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(ask("POST", path, FORM_TYPE, large), 413);
    assert_int_equal(ask("PUT", path, FORM_TYPE, ONE_CLICK), 405);
    path[strlen(path) - 2] ^= 1;
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 404);
    assert_int_equal(ask("GET", path, "", NULL), 404);
    assert_int_equal(ask("POST", "/v1/unsubscribe/", FORM_TYPE, ONE_CLICK), 404);
    assert_int_equal(fake_sent(), sent);
    link_of(&ann, path, sizeof path);
    fake_mode(FAKE_UNDELIVERED);
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 503);
    fake_mode(FAKE_FULL);
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 503);
}

static void test_unsubscribe_rate(void **state)
{
    char path[400];
    unsigned refused = 0, stored = 0;

    (void)state;
    edge.conf.unsubscribe_rate = 2;
    edge_start();
    link_of(&ann, path, sizeof path);
    for (int i = 0; i < 6; i++) {
        unsigned status = ask("POST", path, FORM_TYPE, ONE_CLICK);
        stored += status == 200;
        refused += status == 429;
    }
    assert_true(stored >= 2 && refused >= 1 && stored + refused == 6);
}

static void test_no_unsubscribe_key(void **state)
{
    char path[400];

    (void)state;
    edge.conf.unsubscribe_keys = NULL;
    edge_start();
    link_of(&ann, path, sizeof path);
    assert_int_equal(ask("POST", path, FORM_TYPE, ONE_CLICK), 404);
}

/* --- limits, configuration ------------------------------------------------------------------- */

static void test_limits(void **state)
{
    struct http_answer a;
    json_t *json = NULL;

    (void)state;
    http_ask(edge.port, "GET", "/v1/limits", "", (struct mill_str){0}, &a);
    assert_int_equal(a.status, 200);
    assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &json, NULL), MILL_OK);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json, "mail"), "body_max_bytes")),
        2 << 20);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json, "mail"), "recipients_max")), 1000);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json, "batch"), "items_max")), 1000);
    json_decref(json);
    http_answer_release(&a);
}

static void test_wrong_keys(void **state)
{
    char many[300] = "";
    struct mill_err err = {0};

    (void)state;
    edge.conf.unsubscribe_keys = "short";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    assert_string_equal(err.where, "unsubscribe-key");
    edge_default_conf();
    for (int i = 0; i < 9; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "fake-key-%d, ", i);
    edge.conf.webhooks[MILL_PROVIDER_mailgun].base.keys = many;
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    assert_string_equal(err.where, "mailgun-signing-key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_STARTED(test_mailgun),
        EDGE_PLAIN(test_mailgun_limits),
        EDGE_STARTED(test_cancel),
        EDGE_STARTED(test_allow),
        EDGE_STARTED(test_unsubscribe),
        EDGE_STARTED(test_unsubscribe_page),
        EDGE_STARTED(test_unsubscribe_refused),
        EDGE_PLAIN(test_unsubscribe_rate),
        EDGE_PLAIN(test_no_unsubscribe_key),
        EDGE_STARTED(test_limits),
        EDGE_PLAIN(test_wrong_keys),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
