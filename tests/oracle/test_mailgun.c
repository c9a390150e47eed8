/* Prism, with Mailgun's own description of its messages API, judges the forms that our provider
 * builds. Needs ../shared/reference (or $MILL_SHARED/reference) and Prism in the user cache; else
 * skipped. */
#include "base/clock.h"
#include "cases.h"
#include "judge.h"

#include <stdio.h>
#include <string.h>

#define S(lit) MILL_STR_INIT(lit)

static struct judge judge;
static union mill_account_room account;

/* --- messages --------------------------------------------------------------------------------- */

static const struct mill_address one[] = {{S("a@example.com"), {0}}};
static const struct mill_address named[] = {{S("b@example.com"), S("Jos\xc3\xa9 \"Q\", O'Neil")}};
static const struct mill_address copies[] = {{S("d@example.com"), {0}},
                                             {S("e@example.com"), S("E")}};
static const struct mill_str category[] = {S("one"), S("two \xe2\x82\xac")};
static const struct mill_pair headers[] = {{S("X-My-Header"), S("42")}, {S("List-Id"), S("<l.x>")}};
static const struct mill_pair metadata[] = {{S("order"), S("17")},
                                            {S("empty"), S("")},
                                            {S("mill_message_id"), S("forged")},
                                            {S("quote\""), S("line\r\nbreak")}};
static const struct mill_attachment attachments[] = {
    {.filename = S("a\".txt"), .type = S("text/plain"), .content = S("hello\r\n--mill-")},
    {.filename = S("logo.png"),
     .type = S("image/png"),
     .disposition = S("inline"),
     .content_id = S("logo"),
     .content = S("png")}};

#define BASE      .tenant = S("t"), .from = {S("me@example.com"), {0}}, .to = {one, 1}
#define WITH_TEXT BASE, .subject = S("Hello"), .text = S("text")

static const struct row {
    const char *name;
    struct mill_message m;
} rows[] = {
    {"text", {WITH_TEXT}},
    {"html", {BASE, .subject = S("s"), .html = S("<p>&amp; \xe2\x82\xac</p>")}},
    {"both", {WITH_TEXT, .html = S("<p>x</p>")}},
    {"names",
     {.from = {S("me@example.com"), S("Me, Inc")},
      .to = {named, 1},
      .subject = S("\xf0\x9f\x98\x80"),
      .text = S("x")}},
    {"copies", {WITH_TEXT, .cc = {copies, 1}, .bcc = {copies + 1, 1}}},
    {"reply to", {WITH_TEXT, .reply_to = {named, 1}}},
    {"category", {WITH_TEXT, .categories = {category, 1}}},
    {"headers", {WITH_TEXT, .headers = {headers, 2}}},
    {"metadata", {WITH_TEXT, .metadata = {metadata, 4}}},
    {"attachment", {WITH_TEXT, .attachments = {attachments, 1}}},
    {"inline", {WITH_TEXT, .attachments = {attachments + 1, 1}}},
    {"template with data",
     {BASE, .subject = S("s"), .template_id = S("welcome"),
      .template_data = S("{\"name\":\"x\",\"list\":[1,{\"a\":null}]}")}},
    {"everything",
     {WITH_TEXT, .html = S("<p>x</p>"), .cc = {copies, 1}, .bcc = {copies + 1, 1},
      .reply_to = {named, 1}, .categories = {category, 2}, .headers = {headers, 2},
      .metadata = {metadata, 2}, .attachments = {attachments, 2}}},
};

enum { ROWS = sizeof rows / sizeof *rows };

#define F(name, value)                                                                             \
    "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FORM(fields) fields "--B--\r\n"
#define GOOD         F("from", "a@example.com") F("to", "a@example.com") F("subject", "s") F("text", "x")

/* What the judge must refuse: it is of no use if it lets everything through. */
static const char *const refused[] = {
    FORM(F("to", "a@example.com") F("subject", "s") F("text", "x")),
    FORM(F("from", "a@example.com") F("subject", "s") F("text", "x")),
    FORM(F("from", "a@example.com") F("to", "a@example.com") F("text", "x")),
    FORM(GOOD F("o:testmode", "perhaps")),
};

static int setup(void **state)
{
    (void)state;
    judge.d = (struct double_state){
        .listen = "127.0.0.1:0", .mailgun_key = "key-fake", .threads = 1, .flush_ms = 100};
    if (judge_start(&judge))
        return -1;
    account.base = (struct mill_account){.url = judge.url, .secret = "key-fake"};
    for (const struct mill_opt *o = mill_provider_mailgun.opts; o->name; o++)
        if (!strcmp(o->name, "mailgun-domain"))
            *(const char **)(void *)(account.bytes + o->off) = "mg.example";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    judge_stop(&judge);
    return 0;
}

static void test_built(void **state)
{
    const size_t i = (size_t)(uintptr_t)*state;
    struct mill_message m = rows[i].m;
    struct mill_outgoing out = {0};
    struct mill_arena mem = {0};
    struct judge_verdict v = {.provider = &mill_provider_mailgun, .mem = &mem};
    struct mill_err err;
    char id[32];

    snprintf(id, sizeof id, "oracle/%zu", i);
    m.message_id = mill_str(id);
    if (mill_provider_mailgun.build(&account.base, &m, mill_now_us(), &out, &err))
        fail_msg("%s: %s", err.where, err.text);
    judge_call(&judge, &out.http, &v);
    if (v.status != 200)
        fail_msg("%ld %s\nfor %.*s", v.status, v.body, MILL_FMT(out.http.body));
    assert_int_equal(v.answer.outcome, MILL_OUTCOME_ACCEPTED);
    assert_int_equal(v.answer.provider_id.n, 22 + 11); /* the double's, through the judge */
    pthread_mutex_lock(&judge.d.lock);                 /* and the double knows it by our id */
    assert_int_equal(json_integer_value(json_object_get(judge.d.calls[DOUBLE_MAILGUN], id)), 1);
    pthread_mutex_unlock(&judge.d.lock);
    mill_arena_release(&mem);
    mill_arena_release(&out.mem);
    mill_buf_release(&out.body);
}

static struct judge_verdict post(const char *auth, const char *body, struct mill_arena *mem)
{
    const struct mill_pair h[] = {
        {MILL_STR("Authorization"), mill_str(auth)},
        {MILL_STR("Content-Type"), MILL_STR("multipart/form-data; boundary=B")}};
    struct judge_verdict v = {.provider = &mill_provider_mailgun, .mem = mem};
    char url[128];
    struct mill_http_call c = {
        .method = "POST", .url = url, .headers = {h, 2}, .body = mill_str(body)};

    snprintf(url, sizeof url, "%s/v3/mg.example/messages", judge.url);
    judge_call(&judge, &c, &v);
    return v;
}

#define AUTH "Basic YXBpOmtleS1mYWtl" /* api:key-fake */

static void test_judge_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct mill_arena mem = {0};
        struct judge_verdict v = post(AUTH, refused[i], &mem);

        if (v.status != 422)
            fail_msg("%ld %s\nfor %s", v.status, v.body, refused[i]);
        mill_arena_release(&mem);
    }
}

/* The judge checks answers too: those of the double are as Mailgun describes them. */
static void test_double_answers(void **state)
{
    static const struct {
        const char *auth;
        unsigned fault;
        long status;
        enum mill_outcome outcome;
    } answers[] = {
        {AUTH, 400, 400, MILL_OUTCOME_PERMANENT},
        {AUTH, 429, 429, MILL_OUTCOME_THROTTLED},
        {AUTH, 500, 500, MILL_OUTCOME_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct mill_arena mem = {0};
        struct judge_verdict v;

        judge_fault(&judge, answers[i].fault);
        v = post(answers[i].auth, FORM(GOOD), &mem);
        if (v.status != answers[i].status || strstr(v.body, "prism"))
            fail_msg("%ld %s", v.status, v.body);
        assert_int_equal(v.answer.outcome, answers[i].outcome);
        assert_int_equal(v.answer.wait_ms, answers[i].status == 429 ? 1000 : 0);
        mill_arena_release(&mem);
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2];
    const char *missing = judge_find(&judge, "overlays/mg.overlay.yaml");

    if (missing) {
        printf("SKIP: %s\n", missing);
        return 77;
    }
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_built, NULL, NULL, (void *)(uintptr_t)i};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_judge_refuses);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_double_answers);
    return cmocka_run_group_tests_name("mailgun", tests, setup, teardown);
}
