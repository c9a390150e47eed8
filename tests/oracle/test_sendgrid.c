/* Prism, with SendGrid's own description of v3 mail/send, judges the calls that our provider
 * builds: it stands in front of the double and lets only valid ones through. Needs
 * ../shared/reference (or $MILL_SHARED/reference) and Prism in the user cache; else skipped. */
#include "base/clock.h"
#include "cases.h"
#include "judge.h"

#include <stdio.h>
#include <string.h>

static struct judge judge;
static struct mill_address many[JUDGE_MANY];
static char many_text[JUDGE_MANY][32];

/* --- messages --------------------------------------------------------------------------------- */

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct mill_address one[] = {{S("a@example.com"), {0}}};
static const struct mill_address named[] = {{S("b@example.com"), S("Jos\xc3\xa9 \"Q\" \\ O'Neil")},
                                            {S("c@xn--bcher-kva.example"), {0}}};
static const struct mill_address copies[] = {{S("d@example.com"), {0}},
                                             {S("e@example.com"), S("E")}};
static const struct mill_str categories[] = {S("one"), S("two \xe2\x82\xac")};
static const struct mill_pair headers[] = {{S("X-Campaign"), S("42")}, {S("List-Id"), S("<l.x>")}};
static const struct mill_pair metadata[] = {{S("order"), S("17")},
                                            {S("empty"), S("")},
                                            {S("mill_message_id"), S("forged")},
                                            {S("quote\""), S("line\nbreak\x01\x7f")}};
static const struct mill_attachment attachments[] = {{.filename = S("a.txt"),
                                                      .type = S("text/plain"),
                                                      .disposition = S("attachment"),
                                                      .content = S("hello\0world")},
                                                     {.filename = S("logo.png"),
                                                      .type = S("image/png"),
                                                      .disposition = S("inline"),
                                                      .content_id = S("logo"),
                                                      .content = S("\x89PNG")},
                                                     {.filename = S("bare"), .content = S("x")}};

#define BASE      .tenant = S("t"), .from = {S("me@example.com"), {0}}, .to = {one, 1}
#define WITH_TEXT BASE, .subject = S("Hello"), .text = S("text")

static const struct row {
    const char *name;
    struct mill_message m;
} rows[] = {
    {"text", {WITH_TEXT}},
    {"html", {BASE, .subject = S("s"), .html = S("<p>&amp; \xe2\x82\xac</p>")}},
    {"both", {WITH_TEXT, .html = S("<p>x</p>")}},
    {"without tenant",
     {.from = {S("me@example.com"), S("Me")}, .to = {one, 1}, .subject = S("s"), .text = S("x")}},
    {"names",
     {.tenant = S("t"),
      .from = {S("me@example.com"), S("Me, Inc")},
      .to = {named, 2},
      .subject = S("\xf0\x9f\x98\x80"),
      .text = S("x")}},
    {"copies", {WITH_TEXT, .cc = {copies, 1}, .bcc = {copies + 1, 1}}},
    {"reply to one", {WITH_TEXT, .reply_to = {named, 1}}},
    {"reply to two", {WITH_TEXT, .reply_to = {named, 2}}},
    {"categories", {WITH_TEXT, .categories = {categories, 2}}},
    {"headers", {WITH_TEXT, .headers = {headers, 2}}},
    {"metadata", {WITH_TEXT, .metadata = {metadata, 4}}},
    {"attachments", {WITH_TEXT, .attachments = {attachments, 3}}},
    {"template", {BASE, .template_id = S("d-0123456789abcdef0123456789abcdef")}},
    {"template with data",
     {BASE, .subject = S("s"), .template_id = S("d-1"),
      .template_data = S("{\"name\":\"x\",\"list\":[1,{\"a\":null}]}")}},
    {"1000 recipients",
     {.from = {S("me@example.com"), {0}},
      .to = {many, JUDGE_MANY},
      .subject = S("s"),
      .text = S("x")}},
    {"everything",
     {WITH_TEXT, .html = S("<p>x</p>"), .cc = {copies, 1}, .bcc = {copies + 1, 1},
      .reply_to = {named, 1}, .categories = {categories, 2}, .headers = {headers, 2},
      .metadata = {metadata, 2}, .attachments = {attachments, 3}}},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* What the judge must refuse: it is of no use if it lets everything through. */
static const char *const refused[] = {
    "{}",
    "{\"personalizations\":[],\"from\":{\"email\":\"a@example.com\"},\"subject\":\"s\","
    "\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"not-an-email\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"a@example.com\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"\"}]}",
    "{\"personalizations\":[{\"to\":[{\"email\":\"a@example.com\"}]}],\"from\":{\"email\":"
    "\"a@example.com\"},\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}],"
    "\"unheard_of\":1}",
};

/* --- the judge -------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < JUDGE_MANY; i++) {
        snprintf(many_text[i], sizeof many_text[i], "r%d@example.com", i);
        many[i].email = mill_str(many_text[i]);
    }
    judge.d = (struct double_state){
        .listen = "127.0.0.1:0", .key = "SG.fake-key", .threads = 1, .flush_ms = 100};
    return judge_start(&judge);
}

static int teardown(void **state)
{
    (void)state;
    judge_stop(&judge);
    return 0;
}

/* --- cases ------------------------------------------------------------------------------------ */

static void test_built(void **state)
{
    const size_t i = (size_t)(uintptr_t)*state;
    const struct mill_account account = {.url = judge.url, .secret = "SG.fake-key"};
    struct mill_message m = rows[i].m;
    struct mill_outgoing out = {0};
    struct mill_arena mem = {0};
    struct judge_verdict v = {.provider = &mill_provider_sendgrid, .mem = &mem};
    struct mill_err err;
    char id[32];

    snprintf(id, sizeof id, "oracle/%zu", i);
    m.message_id = mill_str(id);
    if (mill_provider_sendgrid.build(&account, &m, mill_now_us(), &out, &err))
        fail_msg("%s: %s", err.where, err.text);
    judge_call(&judge, &out.http, &v);
    if (v.status != 202)
        fail_msg("%ld %s\nfor %.*s", v.status, v.body, MILL_FMT(out.http.body));
    assert_int_equal(v.answer.outcome, MILL_OUTCOME_ACCEPTED);
    assert_int_equal(v.answer.provider_id.n, 22); /* the double's, through the judge */
    pthread_mutex_lock(&judge.d.lock);            /* and the double knows it by our id */
    assert_int_equal(json_integer_value(json_object_get(judge.d.calls[DOUBLE_SENDGRID], id)), 1);
    pthread_mutex_unlock(&judge.d.lock);
    mill_arena_release(&mem);
    mill_arena_release(&out.mem);
    mill_buf_release(&out.body);
}

static void test_judge_refuses(void **state)
{
    const struct mill_pair h[] = {{MILL_STR("Authorization"), MILL_STR("Bearer SG.fake-key")},
                                  {MILL_STR("Content-Type"), MILL_STR("application/json")}};
    char url[128];

    (void)state;
    snprintf(url, sizeof url, "%s/v3/mail/send", judge.url);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct mill_arena mem = {0};
        struct judge_verdict v = {.provider = &mill_provider_sendgrid, .mem = &mem};
        struct mill_http_call c = {
            .method = "POST", .url = url, .headers = {h, 2}, .body = mill_str(refused[i])};

        judge_call(&judge, &c, &v);
        if (v.status != 422)
            fail_msg("%ld %s\nfor %s", v.status, v.body, refused[i]);
        mill_arena_release(&mem);
    }
}

/* The judge checks answers too: those of the double are as SendGrid describes them. */
static void test_double_answers(void **state)
{
#define MAIL(to)                                                                                   \
    "{\"personalizations\":[{\"to\":[" to "]}],\"from\":{\"email\":\"a@example.com\"},"            \
    "\"subject\":\"s\",\"content\":[{\"type\":\"text/plain\",\"value\":\"x\"}]}"
#define TO "{\"email\":\"a@example.com\"}"
    static const struct {
        const char *auth, *body;
        unsigned fault; /* status that is asked for */
        long status;
        enum mill_outcome outcome;
    } answers[] = {
        {"Bearer SG.other", MAIL(TO), 0, 401, MILL_OUTCOME_CREDENTIAL},
        {"Bearer SG.fake-key", MAIL(TO "," TO), 0, 400, MILL_OUTCOME_PERMANENT},
        {"Bearer SG.fake-key", MAIL(TO), 413, 413, MILL_OUTCOME_PERMANENT},
        {"Bearer SG.fake-key", MAIL(TO), 429, 429, MILL_OUTCOME_THROTTLED},
        {"Bearer SG.fake-key", MAIL(TO), 500, 500, MILL_OUTCOME_UNKNOWN},
    };
    char url[128];

    (void)state;
    snprintf(url, sizeof url, "%s/v3/mail/send", judge.url);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct mill_pair h[] = {{MILL_STR("Authorization"), mill_str(answers[i].auth)},
                                      {MILL_STR("Content-Type"), MILL_STR("application/json")}};
        struct mill_arena mem = {0};
        struct judge_verdict v = {.provider = &mill_provider_sendgrid, .mem = &mem};
        struct mill_http_call c = {
            .method = "POST", .url = url, .headers = {h, 2}, .body = mill_str(answers[i].body)};

        judge_fault(&judge, answers[i].fault);
        judge_call(&judge, &c, &v);
        if (v.status != answers[i].status || strstr(v.body, "prism"))
            fail_msg("%ld %s", v.status, v.body);
        assert_int_equal(v.answer.outcome, answers[i].outcome);
        mill_arena_release(&mem);
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 2];
    const char *missing = judge_find(&judge, "overlays/tsg_mail_v3.overlay.json");

    if (missing) {
        printf("SKIP: %s\n", missing);
        return 77;
    }
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_built, NULL, NULL, (void *)(uintptr_t)i};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_judge_refuses);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_double_answers);
    return cmocka_run_group_tests_name("sendgrid", tests, setup, teardown);
}
