/** @file test_providers.c  @brief What each provider is asked, and what its answers mean. */
#include "cases.h"
#include "send/message_id.h"
#include "send/provider.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define S(lit)                                                                                     \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

static const struct mill_address to[] = {{S("a@x.example"), S("Ann \"A\"")},
                                         {S("b@x.example"), S("")}};
static const struct mill_address cc[] = {{S("c@x.example"), {NULL, 0}}};
static const struct mill_address bcc[] = {{S("d@x.example"), {NULL, 0}},
                                          {S("a@x.example"), {NULL, 0}}};
static const struct mill_address reply[] = {{S("r@x.example"), {NULL, 0}},
                                            {S("s@x.example"), {NULL, 0}}};
static const struct mill_str categories[] = {S("news"), S("weekly")};
static const struct mill_pair headers[] = {{S("X-Shop"), S("7")}};
static const struct mill_pair metadata[] = {{S("order"), S("17")}, {S("mill_tenant"), S("forged")}};
static const struct mill_attachment attachments[] = {
    {.filename = S("a.bin"), .type = S("application/x-a"), .content = S("\0\1\2")},
    {.filename = S("p.png"),
     .type = S("image/png"),
     .disposition = S("inline"),
     .content_id = S("pic"),
     .content = S("png")},
};

static struct mill_message full(void)
{
    return (struct mill_message){
        .message_id = S("r-1/0"),
        .request_id = S("r-1"),
        .tenant = S("acme"),
        .from = {S("from@x.example"), S("Fr\xc3\xb6m")},
        .to = {to, 2},
        .cc = {cc, 1},
        .bcc = {bcc, 2},
        .reply_to = {reply, 2},
        .subject = S("Gr\xc3\xbc\xc3\x9f"
                     "e"),
        .text = S("Text\n"),
        .html = S("<p>Html</p>"),
        .template_id = S("d-1"),
        .template_data = S("{\"n\":1}"),
        .categories = {categories, 2},
        .headers = {headers, 1},
        .metadata = {metadata, 2},
        .attachments = {attachments, 2},
    };
}

static struct mill_message small(void)
{
    return (struct mill_message){
        .message_id = S("r-1/0"),
        .from = {S("from@x.example"), {NULL, 0}},
        .to = {cc, 1},
        .reply_to = {reply, 1},
        .subject = S("Hi"),
        .html = S("<p>"),
    };
}

static void release(struct mill_outgoing *out)
{
    mill_buf_release(&out->body);
    mill_arena_release(&out->mem);
}

static const struct mill_account account = {
    .url = "http://127.0.0.1:1", .user = "u", .secret = "SG.fake"};

static void sendgrid_body(const struct mill_message *m, const char *want)
{
    struct mill_outgoing out = {0};
    struct mill_err err = {0};
    char *got = NULL;
    json_t *v = NULL;

    assert_int_equal(mill_provider_sendgrid.build(&account, m, 0, &out, &err), MILL_OK);
    assert_string_equal(out.http.url, "http://127.0.0.1:1/v3/mail/send");
    assert_true(mill_str_is(mill_map_get(out.http.headers, "Authorization"), "Bearer SG.fake"));
    v = json_loadb(out.http.body.p, out.http.body.n, JSON_REJECT_DUPLICATES, NULL);
    got = json_dumps(v, JSON_COMPACT);
    assert_string_equal(got, want);
    free(got);
    json_decref(v);
    release(&out);
}

static void sendgrid_bodies(void **state)
{
    struct mill_message m = full();

    (void)state;
    sendgrid_body(
        &m,
        "{\"personalizations\":[{\"to\":[{\"email\":\"a@x.example\",\"name\":\"Ann \\\"A\\\"\"},"
        "{\"email\":\"b@x.example\"}],\"cc\":[{\"email\":\"c@x.example\"}],"
        "\"bcc\":[{\"email\":\"d@x.example\"},{\"email\":\"a@x.example\"}],"
        "\"custom_args\":{\"mill_message_id\":\"r-1/0\",\"mill_tenant\":\"acme\","
        "\"order\":\"17\"},\"dynamic_template_data\":{\"n\":1}}],"
        "\"from\":{\"email\":\"from@x.example\",\"name\":\"Fr\xc3\xb6m\"},"
        "\"reply_to_list\":[{\"email\":\"r@x.example\"},{\"email\":\"s@x.example\"}],"
        "\"subject\":\"Gr\xc3\xbc\xc3\x9f"
        "e\","
        "\"content\":[{\"type\":\"text/plain\",\"value\":\"Text\\n\"},"
        "{\"type\":\"text/html\",\"value\":\"<p>Html</p>\"}],"
        "\"attachments\":[{\"content\":\"AAEC\",\"filename\":\"a.bin\","
        "\"type\":\"application/x-a\"},{\"content\":\"cG5n\",\"filename\":\"p.png\","
        "\"type\":\"image/png\",\"disposition\":\"inline\",\"content_id\":\"pic\"}],"
        "\"template_id\":\"d-1\",\"headers\":{\"X-Shop\":\"7\"},"
        "\"categories\":[\"news\",\"weekly\"]}");
    m = small();
    sendgrid_body(&m, "{\"personalizations\":[{\"to\":[{\"email\":\"c@x.example\"}],"
                      "\"custom_args\":{\"mill_message_id\":\"r-1/0\"}}],"
                      "\"from\":{\"email\":\"from@x.example\"},"
                      "\"reply_to\":{\"email\":\"r@x.example\"},\"subject\":\"Hi\","
                      "\"content\":[{\"type\":\"text/html\",\"value\":\"<p>\"}]}");
}

/** What cannot be put into the provider's form is refused before a call. */
static void unbuildable(void **state)
{
    static const struct mill_attachment away[] = {{.filename = S("a")}};
    struct mill_message m[5] = {full(), full(), full(), full(), full()};
    const struct mill_provider *const p[5] = {&mill_provider_sendgrid, &mill_provider_sendgrid,
                                              &mill_provider_smtp, &mill_provider_smtp,
                                              &mill_provider_smtp};
    static const struct mill_address evil[] = {{S("a@x\r\nRCPT TO:<z@x>"), {NULL, 0}}};

    (void)state;
    m[0].template_data = (struct mill_str)S("[]");
    m[1].attachments = (struct mill_attachments){away, 1};
    m[3].template_id = m[4].template_id = (struct mill_str){NULL, 0};
    m[3].cc = (struct mill_addresses){evil, 1};
    m[4].attachments = (struct mill_attachments){away, 1};
    for (size_t i = 0; i < 5; i++) {
        struct mill_outgoing out = {0};
        struct mill_err err = {0};
        assert_int_equal(p[i]->build(&account, &m[i], 0, &out, &err), MILL_E_DATA);
        assert_true(err.text[0] != '\0');
        release(&out);
    }
}

static const struct mill_pair retry_after[] = {{S("Retry-After"), S("5")}};
static const struct answer {
    const char *name;
    const struct mill_provider *provider;
    struct mill_http_reply reply;
    enum mill_outcome want;
    const char *id, *reason;
} answers[] = {
    {"200, the sandbox",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 200},
     MILL_OUTCOME_ACCEPTED,
     NULL,
     NULL},
    {"413",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 413},
     MILL_OUTCOME_PERMANENT,
     NULL,
     "HTTP 413"},
    {"403",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 403},
     MILL_OUTCOME_PERMANENT,
     NULL,
     "HTTP 403"},
    {"408",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 408},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "HTTP 408"},
    {"503",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 503},
     MILL_OUTCOME_UNKNOWN,
     NULL,
     "HTTP 503"},
    {"503 with a time to come back at",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 503, .headers = {retry_after, 1}},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "HTTP 503"},
    {"a body that is no JSON",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 400, .body = S("<html>")},
     MILL_OUTCOME_PERMANENT,
     NULL,
     "HTTP 400"},
    {"errors of a strange shape",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_REPLIED, .status = 400, .body = S("{\"errors\":{\"message\":[]}}")},
     MILL_OUTCOME_PERMANENT,
     NULL,
     "HTTP 400"},
    {"sent, no reply",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_LOST, .reason = "gone"},
     MILL_OUTCOME_UNKNOWN,
     NULL,
     "gone"},
    {"lost with a status",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_LOST, .status = 202, .reason = "cut"},
     MILL_OUTCOME_UNKNOWN,
     NULL,
     "cut"},
    {"not connected",
     &mill_provider_sendgrid,
     {.end = MILL_HTTP_UNSENT, .reason = "refused"},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "refused"},
    {"smtp 250",
     &mill_provider_smtp,
     {.end = MILL_HTTP_REPLIED, .status = 250},
     MILL_OUTCOME_ACCEPTED,
     NULL,
     NULL},
    {"smtp 550",
     &mill_provider_smtp,
     {.end = MILL_HTTP_REPLIED, .status = 550, .reason = "no\xff\n"},
     MILL_OUTCOME_PERMANENT,
     NULL,
     "SMTP 550 no? "},
    {"smtp 451",
     &mill_provider_smtp,
     {.end = MILL_HTTP_REPLIED, .status = 451, .reason = "later"},
     MILL_OUTCOME_THROTTLED,
     NULL,
     "SMTP 451 later"},
    {"smtp 421",
     &mill_provider_smtp,
     {.end = MILL_HTTP_REPLIED, .status = 421, .reason = "busy"},
     MILL_OUTCOME_THROTTLED,
     NULL,
     "SMTP 421 busy"},
    {"smtp 454",
     &mill_provider_smtp,
     {.end = MILL_HTTP_REPLIED, .status = 454, .reason = "tls"},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "SMTP 454 tls"},
    {"smtp 535",
     &mill_provider_smtp,
     {.end = MILL_HTTP_UNSENT, .status = 535, .reason = "auth"},
     MILL_OUTCOME_CREDENTIAL,
     NULL,
     "SMTP 535 auth"},
    {"smtp not connected",
     &mill_provider_smtp,
     {.end = MILL_HTTP_UNSENT, .reason = "no route"},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "SMTP 0 no route"},
    {"smtp lost behind the dot",
     &mill_provider_smtp,
     {.end = MILL_HTTP_LOST, .status = 354, .reason = "reset"},
     MILL_OUTCOME_UNKNOWN,
     NULL,
     "SMTP 354 reset"},
};

static void answer_row(void **state)
{
    const struct answer *row = *state;
    struct mill_arena mem = {0};
    struct mill_answer got = {0};

    row->provider->classify(&row->reply, &mem, &got);
    assert_int_equal(got.outcome, row->want);
    if (row->reason) {
        assert_true(mill_str_is(got.reason, row->reason));
    } else {
        assert_null(got.reason.p);
    }
    mill_arena_release(&mem);
}

/** Answers to RCPT one after another ("2" taken; else the reply), and how the mail ended. */
static const struct smtp {
    const char *name;
    const char *rcpt[4];
    enum mill_http_end end;
    long status;
    enum mill_outcome want;
    size_t refused; /**< reported */
    const char *reason;
    int64_t wait_ms;
} smtps[] = {
    {"all taken", {"2", "2"}, MILL_HTTP_REPLIED, 250, MILL_OUTCOME_ACCEPTED, 0, NULL, 0},
    {"one refused",
     {"2", "550 5.1.1 no such user", "2"},
     MILL_HTTP_REPLIED,
     250,
     MILL_OUTCOME_ACCEPTED,
     1,
     "1 of 3 recipients refused, the first with: 550 5.1.1 no such user",
     0},
    {"one refused for now, one for good",
     {"450 full", "2", "550 no"},
     MILL_HTTP_REPLIED,
     250,
     MILL_OUTCOME_ACCEPTED,
     2,
     "2 of 3 recipients refused, the first with: 450 full",
     0},
    {"all for good",
     {"550 no", "553 no"},
     MILL_HTTP_REPLIED,
     553,
     MILL_OUTCOME_PERMANENT,
     2,
     "2 of 2 recipients refused, the first with: 550 no",
     0},
    {"all for now",
     {"450 later", "452 later"},
     MILL_HTTP_REPLIED,
     452,
     MILL_OUTCOME_THROTTLED,
     0,
     "2 of 2 recipients refused, the first with: 450 later",
     -1},
    {"one for now, the last for good: nobody has it",
     {"450 later", "550 no"},
     MILL_HTTP_REPLIED,
     550,
     MILL_OUTCOME_THROTTLED,
     0,
     "2 of 2 recipients refused, the first with: 450 later",
     -1},
    {"one refused, then the mail",
     {"2", "550 no"},
     MILL_HTTP_REPLIED,
     554,
     MILL_OUTCOME_PERMANENT,
     0,
     "1 of 2 recipients refused, the first with: 550 no",
     0},
    {"one refused, then lost",
     {"2", "550 no"},
     MILL_HTTP_LOST,
     354,
     MILL_OUTCOME_UNKNOWN,
     0,
     "1 of 2 recipients refused, the first with: 550 no",
     0},
    {"busy for all",
     {NULL},
     MILL_HTTP_UNSENT,
     421,
     MILL_OUTCOME_THROTTLED,
     0,
     "SMTP 421 no reply",
     0},
};

static void smtp_row(void **state)
{
    const struct smtp *row = *state;
    struct mill_pair lines[16];
    struct mill_http_reply r = {.end = row->end, .status = row->status};
    struct mill_arena mem = {0};
    struct mill_answer got = {0};
    size_t n = 0, at = 0;

    lines[n++] = (struct mill_pair){MILL_STR("MAIL"), MILL_STR("250 ok")};
    for (size_t i = 0; row->rcpt[i]; i++) {
        if (row->rcpt[i][0] != '2') /* answers of several lines count once */
            lines[n++] = (struct mill_pair){MILL_STR("RCPT"), MILL_STR("550-more to come\r\n")};
        lines[n++] = (struct mill_pair){MILL_STR("RCPT"),
                                        mill_str(row->rcpt[i][0] == '2' ? "250 ok" : row->rcpt[i])};
    }
    r.headers = (struct mill_map){lines, n};
    mill_provider_smtp.classify(&r, &mem, &got);
    assert_int_equal(got.outcome, row->want);
    assert_int_equal(got.refusals_n, row->refused);
    assert_int_equal(got.wait_ms, row->wait_ms);
    assert_true(mill_str_eq(got.reason, mill_str(row->reason)));
    for (size_t i = 0; i < got.refusals_n; i++) {
        while (row->rcpt[at][0] == '2')
            at++;
        assert_int_equal(got.refusals[i].rcpt, at);
        assert_true(mill_str_is(got.refusals[i].reply, row->rcpt[at++]));
    }
    mill_arena_release(&mem);
}

static const struct refusal {
    const char *name, *reply;
    enum mill_event_type type;
    const char *cls;
} refusals[] = {
    {"no such user", "550 5.1.1 no such user", MILL_EVENT_BOUNCED, "Invalid Address"},
    {"full", "552 5.2.2 full", MILL_EVENT_BOUNCED, "Mailbox Unavailable"},
    {"no code", "550 no such user", MILL_EVENT_BOUNCED, "refused"},
    {"three digits", "550", MILL_EVENT_BOUNCED, "refused"},
    {"for now", "450 4.2.1 \"later\"", MILL_EVENT_DROPPED, "refused for now"},
};

/** A refusal as an event, and back. */
static void refusal_row(void **state)
{
    const struct refusal *row = *state;
    struct mill_buf raw;
    struct mill_arena mem = {0};
    struct mill_event e;
    struct mill_err err = {0};

    mill_buf_init(&raw, 4096);
    assert_true(mill_provider_smtp.refusal_event(&raw, MILL_STR("r-1/0"), MILL_STR("c@x.example"),
                                                 mill_str(row->reply), 1529692199626182));
    assert_int_equal(mill_provider_smtp.parse_event(mill_buf_view(&raw), &mem, &e, &err), MILL_OK);
    assert_int_equal(e.type, row->type);
    assert_true(mill_str_is(e.bounce_class, row->cls) && mill_str_is(e.reason, row->reply));
    assert_true(mill_str_is(e.message_id, "r-1/0") && mill_str_is(e.recipient, "c@x.example"));
    assert_int_equal(e.occurred_at, 1529692199626182);
    mill_arena_release(&mem);
    mill_buf_release(&raw);
}

static void smtp_envelope(void **state)
{
    const char *const want[] = {"a@x.example", "b@x.example", "c@x.example", "d@x.example", NULL};
    struct mill_message m = full();
    struct mill_outgoing out = {0};
    struct mill_err err = {0};
    size_t i = 0;

    (void)state;
    m.template_id = (struct mill_str){NULL, 0};
    assert_int_equal(mill_provider_smtp.build(&account, &m, 0, &out, &err), MILL_OK);
    assert_string_equal(out.http.mail_from, "from@x.example");
    for (; want[i]; i++) { /* each address once, hidden ones too */
        assert_string_equal(out.http.rcpt[i], want[i]);
    }
    assert_null(out.http.rcpt[i]);
    assert_string_equal(out.http.password, "SG.fake");
    release(&out);
}

static const struct id {
    const char *name, *id;
    bool ok;
} ids[] = {
    {"ours", "0190c5b2-7f6a-7a3c-8f3e-1d2c3b4a5968/0", true},
    {"of a foreign producer", "order:17~a.b_c-d/999", true},
    {"no index", "r-1/", false},
    {"no request", "/0", false},
    {"no slash", "r-1", false},
    {"two slashes", "r/1/0", false},
    {"an index that is none", "r/1a", false},
    {"an index too long", "r/12345678901", false},
    {"space", "r 1/0", false},
    {"not ASCII", "r\xc3\xbc/0", false},
    {"empty", "", false},
};

static void id_row(void **state)
{
    const struct id *row = *state;

    assert_int_equal(mill_message_id_ok(mill_str(row->id)), row->ok);
    assert_false(mill_message_id_ok((struct mill_str){NULL, 0}));
}

/** Cut between characters, never in one. */
static void answer_texts(void **state)
{
    struct mill_arena mem = {0};
    char long_text[700];
    struct mill_str got;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(long_text); i += 2) {
        memcpy(long_text + i, "\xc3\xbc", 2);
    }
    for (size_t skip = 0; skip < 2; skip++) { /* at an even and at an odd place */
        long_text[0] = 'x';
        long_text[1] = 'y';
        got = mill_answer_text(&mem, (struct mill_str){long_text + skip, sizeof(long_text) - skip});
        assert_in_range(got.n, 299, 300);
        assert_true(mill_str_utf8(got));
    }
    got = mill_answer_text(&mem, (struct mill_str){NULL, 0});
    assert_true(got.n > 0);
    mill_arena_release(&mem);
}

/** Its keys are an option of its name, the first; a post is verified; no key fits nothing. */
static void webhook_whole(const struct mill_provider *p)
{
    const struct mill_webhook *w = p->webhook;
    const struct mill_webhook_keys none = {.conf = &(struct mill_webhook_conf){0}};
    const struct mill_webhook_post post = {.body = MILL_STR("{}")};
    struct mill_err err = {0};

    assert_non_null(w->verify);
    assert_true(w->verify(&none, &post, &err) == MILL_E_AUTH ||
                w->verify(&none, &post, &err) == MILL_E_DATA);
    assert_int_equal(w->opts->off, offsetof(struct mill_webhook_conf, keys));
    for (const struct mill_opt *o = w->opts; o->name; o++) {
        assert_true(mill_str_starts(mill_str(o->name), p->name));
        assert_true(o->off + sizeof(void *) <= sizeof(union mill_webhook_room) && o->help);
    }
}

/** Which of its groups was left or joined; other events name their mail's group too. */
static void sendgrid_groups(void **state)
{
    static const char *const texts[][2] = {
        {"{\"event\":\"group_unsubscribe\",\"asm_group_id\":17}", "17"},
        {"{\"event\":\"group_resubscribe\",\"asm_group_id\":\"17\"}", "17"},
        {"{\"event\":\"group_unsubscribe\"}", "?"},
        {"{\"event\":\"unsubscribe\",\"asm_group_id\":17}", ""},
        {"{\"event\":\"delivered\",\"asm_group_id\":17}", ""},
    };
    struct mill_arena mem = {0};
    struct mill_event event;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(
            mill_provider_sendgrid.parse_event(mill_str(texts[i][0]), &mem, &event, NULL), MILL_OK);
        assert_true(texts[i][1][0] ? mill_str_is(event.group, texts[i][1]) : !event.group.p);
    }
    mill_arena_release(&mem);
}

/** Each row of the table is whole: what the README promises of a new one. */
static void provider_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILL_PROVIDERS_N; i++) {
        const struct mill_provider *p = mill_providers[i];
        struct mill_err err = {0};
        const union mill_account_room none = {0};
        bool url = false, rate = false, burst = false;

        assert_string_equal(p->name, mill_provider_names[i]);
        assert_ptr_equal(mill_provider_find(mill_str(p->name)), p);
        assert_true(p->opts && p->check && p->build && p->classify && p->max_recipients);
        assert_true(!p->split || p->parse_event);
        assert_int_equal(!p->split, !p->webhook); /* what is taken in must be verified */
        if (p->webhook)
            webhook_whole(p);
        assert_true(!p->refusal_event || p->parse_event);
        for (const struct mill_opt *o = p->opts; o->name; o++) {
            size_t n = strlen(p->name);
            assert_true(mill_str_starts(mill_str(o->name), p->name) && o->name[n] == '-');
            assert_true(o->off + sizeof(void *) <= sizeof(union mill_account_room) && o->help);
            url |= !strcmp(o->name + n, "-url");
            rate |= !strcmp(o->name + n, "-rate");
            burst |= !strcmp(o->name + n, "-burst");
        }
        assert_true(url && rate && burst);
        assert_int_equal(p->check(&none.base, &err), MILL_E_CONFIG);
    }
    assert_null(mill_providers[MILL_PROVIDERS_N]);
    assert_null(mill_provider_names[MILL_PROVIDERS_N]);
    assert_null(mill_provider_find(MILL_STR("pigeon")));
    assert_null(mill_provider_find((struct mill_str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(provider_table), cmocka_unit_test(sendgrid_bodies),
        cmocka_unit_test(unbuildable),    cmocka_unit_test(smtp_envelope),
        cmocka_unit_test(answer_texts),   cmocka_unit_test(sendgrid_groups),
    };

    return TABLE(answers, answer_row) + TABLE(smtps, smtp_row) + TABLE(refusals, refusal_row) +
           TABLE(ids, id_row) + TESTS(tests);
}
