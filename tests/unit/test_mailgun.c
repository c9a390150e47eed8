/** @file test_mailgun.c  @brief What Mailgun is asked, what its answers and its events mean. */
#include "cases.h"
#include "send/provider.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define S(lit) MILL_STR_INIT(lit)

/* ---- the form ---- */

static const struct mill_address to[] = {{S("a@x.example"), S("Ann \"A\", Inc")},
                                         {S("b@x.example"), S("")}};
static const struct mill_address cc[] = {{S("c@x.example"), {NULL, 0}}};
static const struct mill_address bcc[] = {{S("d@x.example"), {NULL, 0}}};
static const struct mill_address reply[] = {{S("r@x.example"), S("R")},
                                            {S("s@x.example"), {NULL, 0}}};
static const struct mill_str categories[] = {S("news"), S("weekly")};
static const struct mill_pair headers[] = {{S("X-Shop"), S("7")}};
static const struct mill_pair metadata[] = {{S("order"), S("17")},
                                            {S("empty"), S("")},
                                            {S("mill_tenant"), S("forged")},
                                            {S("a\"b\r\n"), S("x\r\ny")}};
static const struct mill_attachment attachments[] = {
    {.filename = S("a\"1.bin"), .type = S("application/x-a"), .content = S("\0\1--mill-")},
    {.filename = S("p.png"),
     .type = S("image/png"),
     .disposition = S("inline"),
     .content_id = S("pic"),
     .content = S("png")},
    {.filename = S("bare"), .content = S("")},
};

static struct mill_message full(void)
{
    return (struct mill_message){
        .message_id = S("r-1/0"),
        .tenant = S("acme"),
        .from = {S("from@x.example"), S("Fr\xc3\xb6m")},
        .to = {to, 2},
        .cc = {cc, 1},
        .bcc = {bcc, 1},
        .reply_to = {reply, 2},
        .subject = S("Gr\xc3\xbc\xc3\x9f"
                     "e"),
        .text = S("Text\r\n"),
        .html = S("<p>Html</p>"),
        .categories = {categories, 2},
        .headers = {headers, 1},
        .metadata = {metadata, 4},
        .attachments = {attachments, 3},
    };
}

static struct mill_message templated(void)
{
    struct mill_message m = {
        .message_id = S("r-1/1"),
        .from = {S("from@x.example"), {NULL, 0}},
        .to = {cc, 1},
        .html = S("<p>not beside a template</p>"),
        .template_id = S("welcome"),
        .template_data = S("{\"n\":1}"),
    };
    return m;
}

/** An account as the options fill it: behind the base, the domain. */
static const struct mill_account *account(void)
{
    static union mill_account_room room;
    const struct mill_provider *p = &mill_provider_mailgun;

    room.base = (struct mill_account){.url = "http://127.0.0.1:1", .secret = "key-fake"};
    for (const struct mill_opt *o = p->opts; o->name; o++)
        if (!strcmp(o->name, "mailgun-domain"))
            *(const char **)(void *)(room.bytes + o->off) = "mg.example";
    return &room.base;
}

static void release(struct mill_outgoing *out)
{
    mill_buf_release(&out->body);
    mill_arena_release(&out->mem);
}

/** The body with its boundary as "B", and CR, NUL as visible letters. */
static void form_text(const struct mill_outgoing *out, char *text, size_t size)
{
    struct mill_str type = mill_map_get(out->http.headers, "Content-Type"), body = out->http.body;
    const char *boundary = strstr(type.p, "boundary=") + 9;
    size_t n = 0, len = strlen(boundary);

    assert_in_range(len, 20, 70);
    for (size_t i = 0; i < body.n && n + 1 < size;) {
        if (i + len <= body.n && !memcmp(body.p + i, boundary, len)) {
            text[n++] = 'B';
            i += len;
            continue;
        }
        text[n] = body.p[i] == '\r' ? '~' : body.p[i] == '\0' ? '0' : body.p[i];
        n++;
        i++;
    }
    text[n] = '\0';
}

#define FIELD(name, value)                                                                         \
    "--B~\nContent-Disposition: form-data; name=\"" name "\"~\n~\n" value "~\n"
#define FILE_(name, file, type, value)                                                             \
    "--B~\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" file                    \
    "\"~\nContent-Type: " type "~\n~\n" value "~\n"

static void forms(void **state)
{
    static const char want[] = FIELD("from", "\"Fr\xc3\xb6m\" <from@x.example>")
        FIELD("to", "\"Ann \\\"A\\\", Inc\" <a@x.example>") FIELD("to", "b@x.example")
            FIELD("cc", "c@x.example") FIELD("bcc", "d@x.example")
                FIELD("subject", "Gr\xc3\xbc\xc3\x9f"
                                 "e") FIELD("text", "Text~\n") FIELD("html", "<p>Html</p>")
                    FIELD("h:Reply-To", "\"R\" <r@x.example>, s@x.example") FIELD("h:X-Shop", "7")
                        FIELD("v:mill_message_id", "r-1/0") FIELD("v:mill_tenant", "acme") FIELD(
                            "v:order", "17") FIELD("v:empty", "") FIELD("v:a%22b%0D%0A", "x~\ny")
                            FIELD("o:tag", "news") FIELD("o:tag", "weekly")
                                FILE_("attachment", "a%221.bin", "application/x-a", "0\1--mill-")
                                    FILE_("inline", "pic", "image/png", "png")
                                        FILE_("attachment", "bare", "application/octet-stream",
                                              "") "--B--~\n";
    static const char want_template[] =
        FIELD("from", "from@x.example") FIELD("to", "c@x.example") FIELD("template", "welcome")
            FIELD("t:variables", "{\"n\":1}") FIELD("v:mill_message_id", "r-1/1") "--B--~\n";
    static char got[8192];
    struct mill_message m = full();
    struct mill_outgoing out = {0}, again = {0};
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_provider_mailgun.check(account(), &err), MILL_OK);
    assert_int_equal(mill_provider_mailgun.build(account(), &m, 0, &out, &err), MILL_OK);
    assert_string_equal(out.http.url, "http://127.0.0.1:1/v3/mg.example/messages");
    assert_string_equal(out.http.user, "api");
    assert_string_equal(out.http.password, "key-fake");
    form_text(&out, got, sizeof got);
    assert_string_equal(got, want);
    /* Nobody can know the boundary beforehand. */
    assert_int_equal(mill_provider_mailgun.build(account(), &m, 0, &again, &err), MILL_OK);
    assert_int_equal(out.http.body.n, again.http.body.n);
    assert_memory_not_equal(out.http.body.p, again.http.body.p, 40);
    release(&again);
    release(&out);
    m = templated();
    out = (struct mill_outgoing){0};
    assert_int_equal(mill_provider_mailgun.build(account(), &m, 0, &out, &err), MILL_OK);
    form_text(&out, got, sizeof got);
    assert_string_equal(got, want_template);
    release(&out);
}

/** What cannot be put into the form is refused before a call. */
static void unbuildable(void **state)
{
    static const struct mill_attachment away[] = {{.filename = S("a")}};
    static const struct mill_address evil[] = {{S("a@x.example"), S("A\r\nBcc: z@x.example")}};
    static char large[26 << 20], much[17 << 10];
    const struct mill_attachment big[] = {{.filename = S("a"), .content = {large, sizeof large}}};
    const struct mill_pair wide[] = {{S("k"), {much, sizeof much}}};
    struct mill_message m[8];

    (void)state;
    memset(large, 'x', sizeof large);
    memset(much, 'x', sizeof much);
    for (size_t i = 0; i < 8; i++)
        m[i] = full();
    m[0].attachments = (struct mill_attachments){away, 1};
    m[1].to = (struct mill_addresses){evil, 1};
    m[2].subject = (struct mill_str)S("a\nBcc: z@x.example");
    m[3].template_id = (struct mill_str)S("t");
    m[3].template_data = (struct mill_str)S("[]");
    m[4].attachments = (struct mill_attachments){big, 1};
    m[5].metadata = (struct mill_map){wide, 1};
    m[6].headers = (struct mill_map){metadata + 3, 1};
    m[7].reply_to = (struct mill_addresses){evil, 1};
    for (size_t i = 0; i < 8; i++) {
        struct mill_outgoing out = {0};
        struct mill_err err = {0};
        if (mill_provider_mailgun.build(account(), &m[i], 0, &out, &err) != MILL_E_DATA)
            fail_msg("number %zu was built", i);
        assert_true(err.text[0] != '\0');
        release(&out);
    }
}

/* ---- answers ---- */

static const struct mill_pair after_7[] = {{S("Retry-After"), S("7")}};

static const struct answer {
    const char *name;
    struct mill_http_reply reply;
    enum mill_outcome want;
    const char *id, *reason;
    int64_t wait_ms;
} answers[] = {
#define REPLY(s, text)                                                                             \
    {                                                                                              \
        .end = MILL_HTTP_REPLIED, .status = (s), .body = S(text)                                   \
    }
    {"taken", REPLY(200, "{\"id\":\"<1.2@mg.example>\",\"message\":\"Queued. Thank you.\"}"),
     MILL_OUTCOME_ACCEPTED, "1.2@mg.example", NULL, 0},
    {"taken, without brackets", REPLY(200, "{\"id\":\"1.2@mg.example\"}"), MILL_OUTCOME_ACCEPTED,
     "1.2@mg.example", NULL, 0},
    {"taken, no JSON", REPLY(200, "OK"), MILL_OUTCOME_ACCEPTED, NULL, NULL, 0},
    {"refused", REPLY(400, "{\"message\":\"to parameter is not a valid address\"}"),
     MILL_OUTCOME_PERMANENT, NULL, "HTTP 400 to parameter is not a valid address", 0},
    {"too large", REPLY(413, ""), MILL_OUTCOME_PERMANENT, NULL, "HTTP 413", 0},
    {"not for this recipient", REPLY(403, "{}"), MILL_OUTCOME_PERMANENT, NULL, "HTTP 403", 0},
    {"refused key", REPLY(401, "Forbidden"), MILL_OUTCOME_CREDENTIAL, NULL, "HTTP 401", 0},
    {"unpaid", REPLY(402, ""), MILL_OUTCOME_CREDENTIAL, NULL, "HTTP 402", 0},
    {"no such domain", REPLY(404, "{\"message\":\"Domain not found\"}"), MILL_OUTCOME_CREDENTIAL,
     NULL, "HTTP 404 Domain not found", 0},
    {"too many, in words",
     REPLY(429, "{\"message\":\"Domain x is not allowed to send: account-requests-per-sec limit "
                "exceeded, try again after 120 seconds\"}"),
     MILL_OUTCOME_THROTTLED, NULL,
     "HTTP 429 Domain x is not allowed to send: account-requests-per-sec limit exceeded, try again "
     "after 120 seconds",
     120000},
    {"too many, by a header",
     {.end = MILL_HTTP_REPLIED, .status = 429, .headers = {after_7, 1}},
     MILL_OUTCOME_THROTTLED,
     NULL,
     "HTTP 429",
     7000},
    {"too many, no time", REPLY(429, "slow down"), MILL_OUTCOME_THROTTLED, NULL, "HTTP 429", 0},
    {"their fault: it may have gone out", REPLY(500, "{\"message\":\"Internal Server Error\"}"),
     MILL_OUTCOME_UNKNOWN, NULL, "HTTP 500 Internal Server Error", 0},
    {"503", REPLY(503, ""), MILL_OUTCOME_UNKNOWN, NULL, "HTTP 503", 0},
    {"204", REPLY(204, ""), MILL_OUTCOME_UNKNOWN, NULL, "HTTP 204", 0},
    {"moved", REPLY(307, ""), MILL_OUTCOME_TRANSIENT, NULL, "HTTP 307", 0},
    {"sent, no reply",
     {.end = MILL_HTTP_LOST, .reason = "gone"},
     MILL_OUTCOME_UNKNOWN,
     NULL,
     "gone",
     0},
    {"not connected",
     {.end = MILL_HTTP_UNSENT, .reason = "refused"},
     MILL_OUTCOME_TRANSIENT,
     NULL,
     "refused",
     0},
};

static void answer_row(void **state)
{
    const struct answer *row = *state;
    struct mill_arena mem = {0};
    struct mill_answer got = {0};

    mill_provider_mailgun.classify(&row->reply, &mem, &got);
    assert_int_equal(got.outcome, row->want);
    assert_int_equal(got.wait_ms, row->wait_ms);
    if (row->reason) {
        assert_true(mill_str_is(got.reason, row->reason));
    } else {
        assert_null(got.reason.p);
    }
    if (row->id)
        assert_true(mill_str_is(got.provider_id, row->id));
    mill_arena_release(&mem);
}

/* ---- events ---- */

#define DATA(more)                                                                                 \
    "{\"id\":\"e1\",\"timestamp\":1529692199.626182,\"recipient\":\"j@x.example\"" more "}"
#define OURS ",\"user-variables\":{\"mill_message_id\":\"r-1/0\"}"
#define MID  ",\"message\":{\"headers\":{\"message-id\":\"2@mg.example\"}}"

static const struct event {
    const char *name, *data;
    enum mill_event_type type;
    const char *cls, *reason;
} events[] = {
    {"delivered",
     DATA(",\"event\":\"delivered\",\"delivery-status\":{\"code\":250,\"message\":\"OK\"}"),
     MILL_EVENT_DELIVERED, NULL, "OK"},
    {"for now", DATA(",\"event\":\"failed\",\"severity\":\"temporary\",\"reason\":\"generic\""),
     MILL_EVENT_DEFERRED, NULL, "generic"},
    {"for good",
     DATA(",\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"bounce\","
          "\"delivery-status\":{\"message\":\"\",\"description\":\"no\",\"enhanced-code\":\"5.1."
          "1\"}"),
     MILL_EVENT_BOUNCED, "Invalid Address", "no"},
    {"for good, another code",
     DATA(",\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"bounce\","
          "\"delivery-status\":{\"bounce-code\":\"5.2.2\"}"),
     MILL_EVENT_BOUNCED, "Mailbox Unavailable", "bounce"},
    {"for good, no code", DATA(",\"event\":\"failed\",\"reason\":\"old\""), MILL_EVENT_BOUNCED,
     "old", "old"},
    {"suppressed",
     DATA(",\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"suppress-bounce\""),
     MILL_EVENT_DROPPED, "suppress-bounce", "suppress-bounce"},
    {"rejected", DATA(",\"event\":\"rejected\",\"reject\":{\"reason\":\"spam\"}"),
     MILL_EVENT_DROPPED, NULL, "spam"},
    {"a name that nobody knows", DATA(",\"event\":\"abducted\""), MILL_EVENT_OTHER, NULL, NULL},
    {"fields of strange types",
     DATA(",\"event\":\"delivered\",\"delivery-status\":[],\"tags\":{},\"client-info\":7"),
     MILL_EVENT_DELIVERED, NULL, NULL},
};

static void event_row(void **state)
{
    const struct event *row = *state;
    struct mill_arena mem = {0};
    struct mill_event e;
    struct mill_err err = {0};

    assert_int_equal(mill_provider_mailgun.parse_event(mill_str(row->data), &mem, &e, &err),
                     MILL_OK);
    assert_int_equal(e.type, row->type);
    assert_true(mill_str_eq(e.bounce_class, mill_str(row->cls)));
    assert_true(mill_str_eq(e.reason, mill_str(row->reason)));
    assert_int_equal(e.occurred_at, 1529692199626182);
    assert_true(mill_str_is(e.recipient, "j@x.example"));
    mill_arena_release(&mem);
}

static void event_fields(void **state)
{
    static const char data[] =
        DATA(OURS MID ",\"event\":\"clicked\",\"url\":\"https://x.example/\","
                      "\"ip\":\"192.0.2.1\",\"tags\":[\"a\",1,\"b\"],"
                      "\"client-info\":{\"user-agent\":\"UA\",\"bot\":\"\"}");
    static const char opened[] = DATA(",\"event\":\"opened\",\"client-info\":{\"bot\":\"apple\"}");
    struct mill_arena mem = {0};
    struct mill_event e, again;
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_provider_mailgun.parse_event(mill_str(data), &mem, &e, &err), MILL_OK);
    assert_true(mill_str_is(e.message_id, "r-1/0") && mill_str_is(e.provider_id, "2@mg.example"));
    assert_true(mill_str_is(e.provider_event_id, "e1") && mill_str_is(e.user_agent, "UA"));
    assert_true(mill_str_is(e.url, "https://x.example/") && mill_str_is(e.ip, "192.0.2.1"));
    assert_int_equal(e.categories.n, 2);
    assert_false(e.machine_open.has); /* a click is none */
    assert_int_equal(mill_provider_mailgun.parse_event(mill_str(data), &mem, &again, &err),
                     MILL_OK);
    assert_true(mill_str_eq(e.event_id, again.event_id)); /* reported again: the same event */
    assert_int_equal(mill_provider_mailgun.parse_event(mill_str(opened), &mem, &e, &err), MILL_OK);
    assert_true(e.machine_open.has && e.machine_open.v);
    assert_false(mill_str_eq(e.event_id, again.event_id));
    mill_arena_release(&mem);
}

struct caught {
    int n;
    struct mill_split one;
};

static enum mill_code catch_one(void *arg, const struct mill_split *one, struct mill_err *err)
{
    struct caught *c = arg;

    (void)err;
    c->one = *one; /* ids are gone with the JSON; the text is the body's */
    c->one.message_id.p = one->message_id.p ? "set" : NULL;
    c->n++;
    return MILL_OK;
}

static const struct split {
    const char *name, *body;
    const char *raw; /**< NULL = refused */
    bool ours;
} splits[] = {
    {"a post", "{\"signature\":{\"token\":\"t\"},\"event-data\":" DATA(OURS) "}", DATA(OURS), true},
    {"in the other order", " {\"event-data\" : " DATA("") " , \"signature\":{}} \r\n", DATA(""),
     false},
    {"with more members", "{\"a\":1,\"b\":\"x\",\"c\":null,\"event-data\":{},\"d\":[1]}", "{}",
     false},
    {"somebody else's id", "{\"event-data\":{\"user-variables\":{\"mill_message_id\":\"x y/0\"}}}",
     "{\"user-variables\":{\"mill_message_id\":\"x y/0\"}}", false},
    {"twice", "{\"event-data\":{},\"event-data\":{}}", NULL, false},
    {"none", "{\"signature\":{}}", NULL, false},
    {"empty object", "{}", NULL, false},
    {"no object", "[{\"event-data\":{}}]", NULL, false},
    {"event-data is no object", "{\"event-data\":[]}", NULL, false},
    {"cut", "{\"event-data\":{}", NULL, false},
    {"more behind it", "{\"event-data\":{}}x", NULL, false},
    {"no colon", "{\"event-data\" {}}", NULL, false},
    {"no name", "{1:{}}", NULL, false},
    {"nothing", "", NULL, false},
};

static void split_row(void **state)
{
    const struct split *row = *state;
    struct caught c = {0};
    struct mill_err err = {0};
    enum mill_code rc = mill_provider_mailgun.split(mill_str(row->body), catch_one, &c, &err);

    if (!row->raw) {
        assert_int_equal(rc, MILL_E_DATA);
        assert_true(err.text[0] != '\0');
        return;
    }
    assert_int_equal(rc, MILL_OK);
    assert_int_equal(c.n, 1);
    assert_true(mill_str_is(c.one.raw, row->raw));
    assert_int_equal(c.one.message_id.p != NULL, row->ours);
}

/* Mailgun's own samples, where they are there. */
static void samples(void **state)
{
    static const struct {
        const char *name;
        enum mill_event_type type;
        const char *cls;
    } want[] = {
        {"Accepted", MILL_EVENT_PROCESSED, NULL},
        {"Accepted (Routed)", MILL_EVENT_PROCESSED, NULL},
        {"Delivered", MILL_EVENT_DELIVERED, NULL},
        {"Failed (Permanent)", MILL_EVENT_DROPPED, "suppress-bounce"},
        {"Failed (Permanent, Delayed Bounce)", MILL_EVENT_BOUNCED, "Invalid Address"},
        {"Failed (Temporary)", MILL_EVENT_DEFERRED, NULL},
        {"Opened", MILL_EVENT_OPENED, NULL},
        {"Clicked", MILL_EVENT_CLICKED, NULL},
        {"Unsubscribed", MILL_EVENT_UNSUBSCRIBED, NULL},
        {"Complained", MILL_EVENT_COMPLAINED, NULL},
        {"Stored", MILL_EVENT_OTHER, NULL},
    };
    const char *shared = getenv("MILL_SHARED");
    char path[1024];
    json_t *root, *v;
    size_t i;

    (void)state;
    snprintf(path, sizeof path, "%s/reference/mailgun-webhook/event-samples.json",
             shared ? shared : "../../shared");
    root = json_load_file(path, 0, NULL);
    if (!root) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    json_array_foreach(json_object_get(root, "events"), i, v)
    {
        struct mill_arena mem = {0};
        struct mill_event e;
        struct mill_err err = {0};
        char *data = json_dumps(json_object_get(v, "event-data"), JSON_COMPACT);

        assert_true(i < sizeof want / sizeof *want);
        assert_string_equal(json_string_value(json_object_get(v, "name")), want[i].name);
        assert_int_equal(mill_provider_mailgun.parse_event(mill_str(data), &mem, &e, &err),
                         MILL_OK);
        if (e.type != (int)want[i].type || !mill_str_eq(e.bounce_class, mill_str(want[i].cls)))
            fail_msg("%s: %d %.*s", want[i].name, e.type, MILL_FMT(e.bounce_class));
        assert_true(e.event_id.n == 32 && e.provider_event_id.n == 22);
        assert_true(e.recipient.n || e.type == MILL_EVENT_OTHER);
        assert_true(e.occurred_at > INT64_C(1377000000000000));
        assert_true(e.type == MILL_EVENT_OPENED || e.type == MILL_EVENT_CLICKED ||
                    e.type == MILL_EVENT_UNSUBSCRIBED || e.provider_id.n > 10);
        free(data);
        mill_arena_release(&mem);
    }
    assert_int_equal(i, sizeof want / sizeof *want);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(unbuildable),
        cmocka_unit_test(event_fields),
        cmocka_unit_test(samples),
    };

    return TABLE(answers, answer_row) + TABLE(events, event_row) + TABLE(splits, split_row) +
           TESTS(tests);
}
