/* Identities: the same from the same facts, for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mail/ids.h"
#include "mail/request_rules.h"
#include <stdio.h>

/* Made by a Python program that follows the descriptions, not by this code. */
#define WANTED_FINGERPRINT "02b60ee3a6acf07517e04088a4d9d914d6f7ed4ff14bef11bfc84684cbcb47fe"
#define WANTED_KEY_ID      "daf94bca-aa54-516a-b26d-5aa52b1a51d7"
#define WANTED_ORIGIN_ID   "c6350673-b837-571a-8dca-cc7d69e685ef"
#define WANTED_EVENT_ID    "208a4292d3b9c2e2cc937d6860b0b3bb"

#define S(lit) MILL_STR(lit)

static const struct mill_address to[] = {{{"a@b.co", 6}, {"A", 1}}, {{"c@d.co", 6}, {0}}};
static const struct mill_pair meta[] = {{{"k", 1}, {"v", 1}}, {{"l", 1}, {"w", 1}}};
static const struct mill_pair meta_turned[] = {{{"l", 1}, {"w", 1}}, {{"k", 1}, {"v", 1}}};
static const struct mill_personalization two[] = {{.to = {to, 1}}, {.to = {to + 1, 1}}};
static const struct mill_str categories[] = {{"c1", 2}, {"c2", 2}};
static const struct mill_attachment inside[] = {{.filename = {"f", 1}, .content = {"hi", 2}}};
static const struct mill_blob_ref ref = {
    .sha256 = {"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4", 64},
    .bytes = 2,
    .key = {"x", 1}};
static const struct mill_attachment outside[] = {{.filename = {"f", 1}, .ref = &ref}};

static struct mill_request request(void)
{
    return (struct mill_request){
        .tenant = S("t"),
        .from = {S("s@b.co"), S("S")},
        .subject = S("s"),
        .text = S("t"),
        .categories = {categories, 2},
        .metadata = {meta, 2},
        .attachments = {inside, 1},
        .personalizations = {two, 2},
    };
}

static void print_of(const struct mill_request *r, char out[MILL_FINGERPRINT_SIZE])
{
    assert_true(mill_request_fingerprint(r, out));
    assert_int_equal(strlen(out), 64);
}

static void fingerprint_ignores(void **state)
{
    struct mill_request r = request();
    char want[MILL_FINGERPRINT_SIZE], got[MILL_FINGERPRINT_SIZE];

    (void)state;
    print_of(&r, want);
    /* A value that must never change: mail on its way is compared with it. */
    assert_string_equal(want, WANTED_FINGERPRINT);
    r.request_id = S("other");
    r.client = S("other");
    r.accepted_at = 1;
    r.fingerprint = S("other");
    r.resend_id = S("x");
    r.resend_at = (struct mill_opt_i64){true, 1};
    r.metadata.v = meta_turned;
    r.attachments.v = outside;
    r.html = S("");
    print_of(&r, got);
    assert_string_equal(got, want);
}

static void fingerprint_sees(void **state)
{
    struct mill_personalization p[] = {two[0], two[1]};
    const struct mill_str joined[] = {{"c1c2", 4}};
    char want[MILL_FINGERPRINT_SIZE], got[24][MILL_FINGERPRINT_SIZE];
    const struct mill_request base = request();
    struct mill_request r[24];
    size_t n = 0;

    (void)state;
    print_of(&base, want);
    for (size_t i = 0; i < 24; i++)
        r[i] = base;
    r[n++].tenant = S("u");
    r[n++].from.email = S("s@c.co");
    r[n++].from.name = S("T");
    r[n++].reply_to = (struct mill_addresses){to, 1};
    r[n++].subject = S("s2");
    r[n++].text = S("t2");
    r[n++].html = S("t");
    r[n++].template_id = S("t");
    r[n++].template_data = S("{}");
    r[n++].categories = (struct mill_strs){categories, 1};
    r[n++].categories = (struct mill_strs){joined, 1};
    r[n++].headers = (struct mill_map){meta, 1};
    r[n++].metadata = (struct mill_map){meta, 1};
    r[n++].attachments = (struct mill_attachments){0};
    r[n++].personalizations.n = 1;
    r[n++].send_at = (struct mill_opt_i64){true, 0};
    r[n++].expires_at = (struct mill_opt_i64){true, 0};
    r[n++].on_unknown = MILL_UNKNOWN_RESEND;
    /* the same recipient, but as cc: a boundary between lists */
    p[0].to.n = 0;
    p[0].cc = (struct mill_addresses){to, 1};
    r[n++].personalizations.v = p;
    for (size_t i = 0; i < n; i++) {
        print_of(&r[i], got[i]);
        assert_string_not_equal(got[i], want);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(got[i], got[k]);
    }
}

/** More than fits the gathering buffer and the sorting array. */
static void fingerprint_of_much(void **state)
{
    static struct mill_pair many[100];
    static char keys[100][8];
    static char text[5000];
    struct mill_request r = request();
    char a[MILL_FINGERPRINT_SIZE], b[MILL_FINGERPRINT_SIZE];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "k%03zu", i);
        many[i] = (struct mill_pair){mill_str(keys[i]), S("v")};
    }
    r.metadata = (struct mill_map){many, 100};
    r.text = (struct mill_str){text, sizeof text};
    print_of(&r, a);
    struct mill_pair swap = many[0];
    many[0] = many[99];
    many[99] = swap;
    print_of(&r, b);
    assert_string_equal(a, b);
    text[4999] = 'y';
    print_of(&r, b);
    assert_string_not_equal(a, b);
}

static void names_of_requests(void **state)
{
    char a[MILL_UUID_TEXT], b[MILL_UUID_TEXT], out[MILL_MESSAGE_ID_SIZE];
    char long_id[130];

    (void)state;
    assert_true(mill_request_id_of_key(S("client"), S("key"), a));
    assert_string_equal(a, WANTED_KEY_ID);
    assert_true(mill_id_ok(mill_str(a)));
    assert_true(mill_request_id_of_key(S("clien"), S("tkey"), b));
    assert_string_not_equal(a, b);
    assert_true(mill_request_id_of_origin(S("topic/0/1/2"), a));
    assert_string_equal(a, WANTED_ORIGIN_ID);
    assert_true(mill_request_id_of_key(S("topic/0/1/2"), S(""), b));
    assert_string_not_equal(a, b);

    assert_true(mill_str_is(mill_message_id(S("r"), 7, out), "r/7"));
    memset(long_id, 'x', sizeof long_id);
    assert_int_equal(mill_message_id((struct mill_str){long_id, 128}, INT64_MAX, out).n, 128 + 20);
    assert_null(mill_message_id((struct mill_str){long_id, 129}, 0, out).p);
}

static void id_charset(void **state)
{
    char long_id[129];

    (void)state;
    memset(long_id, 'x', sizeof long_id);
    assert_true(mill_id_ok(S("aZ09._~:-")));
    assert_true(mill_id_ok((struct mill_str){long_id, 128}));
    assert_false(mill_id_ok((struct mill_str){long_id, 129}));
    assert_false(mill_id_ok(S("")));
    assert_false(mill_id_ok((struct mill_str){0}));
    assert_false(mill_id_ok(S("a/b")));
    assert_false(mill_id_ok(S("a b")));
    assert_false(mill_id_ok(S("a\n")));
    assert_false(mill_id_ok(S("\xc3\xa9")));
}

static void event_ids(void **state)
{
    struct mill_event_facts f = {
        .provider = S("sendgrid"),
        .provider_id = S("abc.filter1"),
        .event = S("click"),
        .recipient = S("a@b.co"),
        .timestamp = S("1600112492"),
        .url = S("https://example.com/"),
    };
    char want[MILL_EVENT_ID_SIZE], got[MILL_EVENT_ID_SIZE];

    (void)state;
    assert_true(mill_event_id(&f, want));
    assert_string_equal(want, WANTED_EVENT_ID);
    f.reason = S("");
    assert_true(mill_event_id(&f, got));
    assert_string_equal(got, want);
    f.reason = S("x");
    assert_true(mill_event_id(&f, got));
    assert_string_not_equal(got, want);
    f.reason = f.url;
    f.url = S("");
    assert_true(mill_event_id(&f, got));
    assert_string_not_equal(got, want);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(fingerprint_ignores), cmocka_unit_test(fingerprint_sees),
        cmocka_unit_test(fingerprint_of_much), cmocka_unit_test(names_of_requests),
        cmocka_unit_test(id_charset),          cmocka_unit_test(event_ids),
    };
    return cmocka_run_group_tests_name("ids", t, NULL, NULL);
}
