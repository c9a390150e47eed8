/* Rules and JSON form of a request: which fields are named for which fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/json.h"
#include "mail/address.h"
#include "mail/request_json.h"
#include <stdio.h>
#include <stdlib.h>

/* 2026-11-21T00:00:00Z */
static const int64_t now = INT64_C(1795219200) * 1000000;

#define SIMPLE    "{\"from\":\"a@b.co\",\"to\":\"c@d.co\",\"subject\":\"s\",\"text\":\"t\"}"
#define P(rest)   "{\"to\":null,\"personalizations\":[" rest "]}"
#define ATT(rest) "{\"attachments\":[{\"filename\":\"f\",\"content\":\"AA==\"," rest "}]}"

struct row {
    const char *patch; /* members put over SIMPLE; null takes one away */
    const char *want;  /* fields at fault, in order; "" = none */
};

static const struct row rows[] = {
    {"{}", ""},
    {"[]", "*"},
    {"{\"from\":\"Jane <a@b.co>\",\"to\":[\"c@d.co\",{\"email\":\"e@f.co\",\"name\":\"E\"}]}", ""},
    {"{\"cc\":\"x@y.co\",\"bcc\":[\"z@y.co\"],\"reply_to\":\"r@s.co\"}", ""},
    {"{\"text\":null,\"html\":\"<p>\"}", ""},
    {"{\"text\":null,\"subject\":null,\"template_id\":\"d-1\",\"template_data\":{\"a\":[1]}}", ""},
    {"{\"categories\":[\"a\",\"b\"],\"headers\":{\"X-A\":\"1\"},\"metadata\":{\"k\":\"v\"}}", ""},
    {"{\"send_at\":1795219260,\"expires_at\":\"2026-11-22T00:00:00+01:00\"}", ""},
    {"{\"on_unknown\":\"resend\"}", ""},
    /* addresses */
    {"{\"from\":null}", "from"},
    {"{\"from\":7}", "from"},
    {"{\"from\":\"nonsense\"}", "from"},
    {"{\"from\":{\"name\":\"x\"}}", "from.email"},
    {"{\"from\":{\"email\":\"nonsense\",\"name\":\"x\\ny\"}}", "from.email from.name"},
    {"{\"from\":{\"email\":\"a@b.co\",\"mail\":1}}", "from.mail"},
    {"{\"from\":\"Doe, Jane <a@b.co>\"}", ""},
    {"{\"to\":\"Doe, Jane <a@b.co>\"}", "to"},
    {"{\"to\":[{\"email\":\"a@b.co\",\"name\":\"Doe; Jane\"}]}", "to[0].name"},
    {"{\"to\":null}", "to"},
    {"{\"to\":[]}", "to"},
    {"{\"to\":5}", "to"},
    {"{\"to\":[5,\"x\",\"c@d.co\",{\"email\":5}]}", "to[0] to[3].email to[1]"},
    {"{\"to\":\"a@b.co, c@d.co\"}", "to"},
    {"{\"to\":\"c@d.co\\r\\nBcc: e@f.co\"}", "to"},
    {"{\"to\":[\"c@d.co\",\"C@D.co\"]}", "to[1]"},
    {"{\"cc\":\"c@d.co\"}", "cc"},
    {"{\"bcc\":[\"e@f.co\",\"x\"],\"reply_to\":[\"y\"]}", "reply_to[0] bcc[1]"},
    /* subject and body */
    {"{\"subject\":null}", "subject"},
    {"{\"subject\":\"\"}", "subject"},
    {"{\"subject\":\"a\\r\\nBcc: x@y.z\"}", "subject"},
    {"{\"subject\":\"a\\u0007\"}", "subject"},
    {"{\"subject\":[\"a\"]}", "subject"},
    {"{\"text\":null}", "text"},
    {"{\"text\":\"\",\"html\":\"\"}", "text"},
    {"{\"text\":{}}", "text"},
    {"{\"template_data\":[]}", "template_data"},
    {"{\"template_data\":\"{}\"}", "template_data"},
    {"{\"template_id\":\"a\\nb\"}", "template_id"},
    /* headers */
    {"{\"headers\":{\"X A\":\"1\"}}", "headers[\"X A\"]"},
    {"{\"headers\":{\"\":\"1\"}}", "headers[\"\"]"},
    {"{\"headers\":{\"X:A\":\"1\"}}", "headers[\"X:A\"]"},
    {"{\"headers\":{\"X-A\":\"1\\r\\nBcc: x@y.z\"}}", "headers.X-A"},
    {"{\"headers\":{\"X-A\\r\\nBcc\":\"x@y.z\"}}", "headers[\"X-A??Bcc\"]"},
    {"{\"headers\":{\"X-A\":\"1\",\"x-a\":\"2\"}}", "headers.x-a"},
    {"{\"headers\":{\"X-A\":1}}", "headers.X-A"},
    {"{\"headers\":{\"X-T\":\"a\\tb\"}}", ""},
    {"{\"headers\":{\"SUBJECT\":\"x\",\"Bcc\":\"x\",\"Content-Type\":\"x\",\"X-SG-EID\":\"x\"}}",
     "headers.SUBJECT headers.Bcc headers.Content-Type headers.X-SG-EID"},
    {"{\"headers\":{\"Message-ID\":\"x\",\"X-Mill-Id\":\"x\"}}",
     "headers.Message-ID headers.X-Mill-Id"},
    {"{\"headers\":[]}", "headers"},
    /* categories and metadata */
    {"{\"categories\":[\"a\",\"a\",\"\",\"x\\ny\",7]}",
     "categories[4] categories[1] categories[2] categories[3]"},
    {"{\"categories\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\"]}",
     "categories"},
    {"{\"categories\":\"a\"}", "categories"},
    {"{\"metadata\":{\"mill_x\":\"1\",\"\":\"2\",\"a b\":\"ok\"}}", "metadata.mill_x metadata"},
    {"{\"metadata\":{\"a\":1,\"b\":null,\"c\\n\":\"v\"}}",
     "metadata.a metadata.b metadata[\"c?\"]"},
    /* attachments */
    {ATT("\"type\":\"image/png\",\"disposition\":\"inline\",\"content_id\":\"i1\""), ""},
    {ATT("\"type\":\"text/calendar; method=REQUEST; x=\\\"a b\\\"\""), ""},
    {ATT("\"type\":\"png\",\"disposition\":\"x\",\"content_id\":\"<i>\""),
     "attachments[0].content_id attachments[0].type attachments[0].disposition"},
    {ATT("\"type\":\"text/plain;\""), "attachments[0].type"},
    {ATT("\"type\":\"text/plain; a=\\\"b\""), "attachments[0].type"},
    {ATT("\"type\":\"text/plain\\r\\nX: y\",\"content_id\":\"a\\nb\""),
     "attachments[0].content_id attachments[0].type"},
    {ATT("\"ref\":{}"), "attachments[0].ref"},
    {"{\"attachments\":[{}]}", "attachments[0].filename attachments[0].content"},
    {"{\"attachments\":[{\"filename\":\"a/"
     "b\",\"content\":\"A\"},{\"filename\":\"c\\nd\",\"content\":\"\"},5]}",
     "attachments[0].content attachments[2] attachments[0].filename attachments[1].filename "
     "attachments[1].content"},
    {"{\"attachments\":{}}", "attachments"},
    /* times: not before 2000, at most a year ahead, expiry after both */
    {"{\"send_at\":\"soon\"}", "send_at"},
    {"{\"send_at\":1795219260000}", "send_at"},
    {"{\"send_at\":-1}", "send_at"},
    {"{\"send_at\":1.5}", "send_at"},
    {"{\"send_at\":900000000}", "send_at"},
    {"{\"send_at\":1830000000}", "send_at"},
    {"{\"send_at\":1795219260,\"expires_at\":1795219260}", "expires_at"},
    {"{\"expires_at\":1795219200}", "expires_at"},
    {"{\"expires_at\":1995219200}", "expires_at"},
    {"{\"on_unknown\":\"retry\"}", "on_unknown"},
    {"{\"on_unknown\":true}", "on_unknown"},
    /* fields that are not ours, or not the client's to set */
    {"{\"sujbect\":\"x\",\"request_id\":\"x\",\"tenant\":\"x\"}", "sujbect request_id tenant"},
    /* personalizations */
    {P("{\"to\":\"c@d.co\"},{\"to\":\"c@d.co\",\"subject\":\"own\",\"data\":{\"a\":1}}"), ""},
    {P(""), "personalizations"},
    {P("7"), "personalizations[0]"},
    {P("{}"), "personalizations[0].to"},
    {P("{\"to\":\"c@d.co\",\"headers\":{\"To\":\"x\"},\"metadata\":{\"mill_\":\"x\"},\"data\":3,"
       "\"send_at\":1,\"x\":1}"),
     "personalizations[0].data personalizations[0].x personalizations[0].headers.To "
     "personalizations[0].metadata.mill_ personalizations[0].send_at"},
    {P("{\"to\":[\"c@d.co\",\"bad\"],\"subject\":\"\\n\"},{\"to\":\"e@f.co\",\"cc\":\"E@F.co\"}"),
     "personalizations[0].to[1] personalizations[0].subject personalizations[1].cc"},
    {"{\"personalizations\":[{\"to\":\"e@f.co\"}],\"cc\":\"g@h.co\"}", "to cc"},
    {"{\"personalizations\":{}}", "personalizations to"},
};

static json_t *patched(const char *patch)
{
    json_t *json = json_loads(SIMPLE, 0, NULL), *over = json_loads(patch, 0, NULL);

    assert_non_null(json);
    if (!over)
        fail_msg("the row is no JSON: %s", patch);
    if (!json_is_object(over)) {
        json_decref(json);
        return over;
    }
    json_object_update(json, over);
    json_decref(over);
    return json;
}

static void names(const struct mill_faults *f, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < f->n && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "",
                              f->v[i].where[0] ? f->v[i].where : "*");
}

static enum mill_code read_it(const json_t *json, struct mill_arena *arena, struct mill_request *r,
                              struct mill_faults *f)
{
    const struct mill_rules rules = {.now_us = now};
    struct mill_err err = {0};

    return mill_request_read(json, &rules, arena, r, f, &err);
}

static void faults_by_field(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mill_arena arena = {0};
        struct mill_request r;
        struct mill_faults f;
        char got[2048];
        json_t *json = patched(rows[i].patch);
        enum mill_code rc = read_it(json, &arena, &r, &f);

        names(&f, got, sizeof got);
        if (strcmp(got, rows[i].want) || rc != (rows[i].want[0] ? MILL_E_DATA : MILL_OK)) {
            print_error("%s\n  wanted %s\n  got    %s (%s)\n", rows[i].patch, rows[i].want, got,
                        f.n ? f.v[0].text : "");
            wrong++;
        }
        json_decref(json);
        mill_arena_release(&arena);
    }
    assert_int_equal(wrong, 0);
}

static void pointers(void **state)
{
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults f;
    json_t *json =
        patched("{\"from\":\"x\",\"headers\":{\"A/~B\":\"\\n\"},\"to\":[\"x\"],\"k\xc3\xa9\":1}");

    (void)state;
    assert_int_equal(read_it(json, &arena, &r, &f), MILL_E_DATA);
    assert_int_equal(f.n, 4);
    assert_string_equal(f.v[0].pointer, "/k\xc3\xa9");
    assert_string_equal(f.v[1].pointer, "/from");
    assert_string_equal(f.v[2].pointer, "/headers/A~1~0B");
    assert_string_equal(f.v[3].pointer, "/to/0");
    json_decref(json);
    mill_arena_release(&arena);
}

static void full_form(void **state)
{
    static const char text[] =
        "{\"from\":{\"email\":\"a@b.co\",\"name\":\"A\"},\"reply_to\":[\"R <r@b.co>\"],"
        "\"subject\":\"s\",\"text\":\"t\",\"html\":\"h\",\"categories\":[\"c1\",\"c2\"],"
        "\"headers\":{\"X-A\":\"1\"},\"metadata\":{\"k\":\"v\"},\"on_unknown\":\"RESEND\","
        "\"template_data\":{\"b\":1,\"a\":2},\"send_at\":\"2026-11-21T01:00:00Z\","
        "\"attachments\":[{\"filename\":\"f.txt\",\"type\":\"text/plain\",\"content\":\"aGk=\"}],"
        "\"personalizations\":[{\"to\":[\"One <one@b.co>\"],\"cc\":[{\"email\":\"two@b.co\"}],"
        "\"subject\":\"s1\",\"data\":{\"x\":1},\"send_at\":1795226400},{\"to\":\"three@b.co\"}]}";
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults f;
    json_t *json = json_loads(text, 0, NULL);

    (void)state;
    assert_int_equal(read_it(json, &arena, &r, &f), MILL_OK);
    assert_true(mill_str_is(r.from.email, "a@b.co") && mill_str_is(r.from.name, "A"));
    assert_true(mill_str_is(r.reply_to.v[0].email, "r@b.co"));
    assert_true(mill_str_is(r.text, "t") && mill_str_is(r.html, "h"));
    assert_int_equal(r.categories.n, 2);
    assert_true(mill_str_is(r.categories.v[1], "c2"));
    assert_true(mill_str_is(mill_map_get(r.headers, "X-A"), "1"));
    assert_true(mill_str_is(mill_map_get(r.metadata, "k"), "v"));
    assert_int_equal(r.on_unknown, MILL_UNKNOWN_RESEND);
    assert_true(mill_str_is(r.template_data, "{\"a\":2,\"b\":1}"));
    assert_true(r.send_at.has && r.send_at.v == INT64_C(1795222800) * 1000000);
    assert_false(r.expires_at.has);
    assert_true(mill_str_is(r.attachments.v[0].content, "hi"));
    assert_true(mill_str_is(r.attachments.v[0].disposition, "attachment"));
    assert_int_equal(r.personalizations.n, 2);
    const struct mill_personalization *p = r.personalizations.v;
    assert_true(mill_str_is(p[0].to.v[0].name, "One") &&
                mill_str_is(p[0].cc.v[0].email, "two@b.co"));
    assert_true(mill_str_is(p[0].subject, "s1") && mill_str_is(p[0].data, "{\"x\":1}"));
    assert_true(p[0].send_at.has && p[0].send_at.v == INT64_C(1795226400) * 1000000);
    assert_true(mill_str_is(p[1].to.v[0].email, "three@b.co") && !p[1].subject.p);
    json_decref(json);
    mill_arena_release(&arena);
}

static json_t *with_recipients(size_t n)
{
    json_t *json = patched("{}"), *to = json_array();
    char address[64];

    for (size_t i = 0; i < n; i++) {
        snprintf(address, sizeof address, "user%zu@b.co", i);
        json_array_append_new(to, json_string(address));
    }
    json_object_set_new(json, "to", to);
    return json;
}

static char *text_of(size_t n)
{
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

/** A request whose member is a string (or the map's only value) of n bytes. */
static json_t *with_text(const char *member, const char *key, size_t n)
{
    json_t *json = patched("{}"), *map;
    char *text = text_of(n);

    if (key) {
        map = json_object();
        json_object_set_new(map, key, json_string(text));
        json_object_set_new(json, member, map);
    } else {
        json_object_set_new(json, member, json_string(text));
    }
    free(text);
    return json;
}

/** n mails of one recipient each that share a text. */
static json_t *with_mails(size_t n, size_t text_bytes)
{
    json_t *json = with_text("text", NULL, text_bytes), *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s}", "to", "c@d.co"));
    json_object_set_new(json, "to", json_null());
    json_object_set_new(json, "personalizations", list);
    return json;
}

static void expect(json_t *json, const char *want)
{
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults f;
    char got[2048];

    assert_true(read_it(json, &arena, &r, &f) == (want[0] ? MILL_E_DATA : MILL_OK));
    names(&f, got, sizeof got);
    assert_string_equal(got, want);
    json_decref(json);
    mill_arena_release(&arena);
}

static void limits(void **state)
{
    json_t *json;
    char *text;

    (void)state;
    expect(with_recipients(1000), "");
    expect(with_recipients(1001), "personalizations");
    expect(with_text("subject", NULL, 998), "");
    expect(with_text("subject", NULL, 999), "subject");
    expect(with_text("metadata", "k", 9993), ""); /* {"k":"…"} with a comma: 10000 */
    expect(with_text("metadata", "k", 9994), "metadata");
    expect(with_text("headers", "X", 8192), "");
    expect(with_text("headers", "X", 8193), "headers.X");
    expect(with_text("text", NULL, MILL_MAIL_BYTES_MAX - 1), "");
    expect(with_text("text", NULL, MILL_MAIL_BYTES_MAX), "*");

    /* 1000 mails of 128 KiB and a request with them are below 128 MiB, of 132 KiB not */
    expect(with_mails(1000, 128 << 10), "");
    expect(with_mails(1000, 132 << 10), "personalizations");

    /* request and personalization together, where the second replaces a key of the first */
    json = with_text("metadata", "k", 9000);
    text = text_of(9000);
    json_object_set_new(json, "to", json_null());
    json_object_set_new(json, "personalizations",
                        json_pack("[{s:s,s:{s:s}}]", "to", "c@d.co", "metadata", "k", text));
    expect(json_deep_copy(json), "");
    json_object_set_new(json, "personalizations",
                        json_pack("[{s:s,s:{s:s}}]", "to", "c@d.co", "metadata", "l", text));
    expect(json, "personalizations[0].metadata");
    free(text);
}

static void more_than_fits(void **state)
{
    json_t *json = patched("{}"), *to = json_array();
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults f;
    struct mill_err err = {0};

    (void)state;
    for (int i = 0; i < 150; i++)
        json_array_append_new(to, json_integer(i));
    json_object_set_new(json, "to", to);
    assert_int_equal(read_it(json, &arena, &r, &f), MILL_E_DATA);
    assert_int_equal(f.n, MILL_FAULTS_MAX);
    assert_true(f.more >= 50);
    assert_int_equal(mill_faults_err(&f, &err), MILL_E_DATA);
    assert_string_equal(err.where, "to[0]");
    assert_non_null(strstr(err.text, "to[1]: is neither"));
    assert_non_null(strstr(err.text, " more)"));
    json_decref(json);
    mill_arena_release(&arena);
}

/** Memory that runs out anywhere is no fault of the request. */
static void out_of_memory(void **state)
{
    json_t *json = with_recipients(1000), *att;
    char *content = text_of(1 << 20);
    enum mill_code rc = MILL_E_NOMEM;
    long failed = 0;

    (void)state;
    memset(content, 'A', 1 << 20);
    att = json_pack("[{s:s,s:s}]", "filename", "f", "content", content);
    json_object_set_new(json, "attachments", att);
    json_object_set_new(json, "reply_to", json_string("\"Doe, \\\"J\\\"\" <a@b.co>"));
    while (rc == MILL_E_NOMEM) {
        struct mill_arena arena = {0};
        struct mill_request r;
        struct mill_faults f;
        alloc_fail_in = ++failed;
        rc = read_it(json, &arena, &r, &f);
        alloc_fail_in = 0;
        mill_arena_release(&arena);
    }
    assert_int_equal(rc, MILL_OK);
    assert_true(failed > 2); /* some did fail */
    json_decref(json);
    free(content);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(faults_by_field), cmocka_unit_test(pointers),
        cmocka_unit_test(full_form),       cmocka_unit_test(limits),
        cmocka_unit_test(more_than_fits),  cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("request_json", t, NULL, NULL);
}
