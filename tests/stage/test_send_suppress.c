/** @file test_send_suppress.c  @brief send: suppressed recipients, exempt mail, one-click links. */
#include "mail/controls.h"
#include "mail/suppression.h"
#include "mail/unsubscribe.h"
#include "send_case.h"
#include "stage/send_peer.h"

enum { SUPPRESSIONS = 3 };

#define LINK_KEY  "fake-unsubscribe-key-aaaaaaaaaaaaaaaa"
#define OTHER_KEY "fake-unsubscribe-key-bbbbbbbbbbbbbbbb"

static const struct mill_address ann = {.email = MILL_STR_INIT("Ann.accept@X.example")};
static const struct mill_address bob = {.email = MILL_STR_INIT("bob.accept@x.example")};
static const struct mill_address cat = {.email = MILL_STR_INIT("cat.accept@x.example")};

static void suppress_as(struct mill_ctx *ctx, const char *tenant, const char *address, int reason,
                        const char *of, bool lifted)
{
    char key[MILL_SUPPRESSION_KEY_SIZE];
    const struct mill_suppression record = {
        .address = mill_str(address),
        .tenant = mill_str(tenant),
        .reason = reason,
        .source = MILL_STR("sendgrid"),
        .category = mill_str(of),
        .lifted = lifted,
    };

    assert_true(mill_suppression_key(mill_str(tenant), mill_str(address), mill_str(of), key));
    fake_table_put(ctx, SUPPRESSIONS, key, &record);
}

static void suppress(struct mill_ctx *ctx, const char *tenant, const char *address, int reason)
{
    suppress_as(ctx, tenant, address, reason, "", false);
}

static const struct row {
    const char *name;
    const char *tenant, *address; /**< suppressed */
    const char *category, *option;
    size_t to, cc; /**< recipients of the mail: ann, bob, cat; then bob */
    int calls;
    const char *in_body, *not_in_body, *reason;
} rows[] = {
    {"nobody is suppressed", "acme", "dan@x.example", NULL, NULL, 1, 0, 1, "Ann.accept@X.example",
     NULL, NULL},
    {"the only one is", "acme", "ann.accept@x.example", NULL, NULL, 1, 0, 0, NULL, NULL,
     "left out: Ann.accept@X.example (hard bounce)"},
    {"for every tenant", "", "ann.accept@x.example", NULL, NULL, 1, 0, 0, NULL, NULL,
     "left out: Ann.accept@X.example (hard bounce)"},
    {"for another tenant", "umbrella", "ann.accept@x.example", NULL, NULL, 1, 0, 1, "Ann.accept",
     NULL, NULL},
    {"one of three", "acme", "bob.accept@x.example", NULL, NULL, 3, 0, 1, "cat.accept",
     "bob.accept", "left out: bob.accept@x.example (hard bounce)"},
    {"one in Cc", "acme", "bob.accept@x.example", NULL, NULL, 1, 1, 1, "Ann.accept", "bob.accept",
     "left out: bob.accept@x.example (hard bounce)"},
    {"the only one in To: those in Cc alone get nothing", "acme", "ann.accept@x.example", NULL,
     NULL, 1, 1, 0, NULL, NULL, "left out: Ann.accept@X.example (hard bounce)"},
    {"an exempt category", "acme", "ann.accept@x.example", "transactional", NULL, 1, 0, 1,
     "Ann.accept", NULL, NULL},
    {"another category", "acme", "ann.accept@x.example", "news", NULL, 1, 0, 0, NULL, NULL,
     "left out: Ann.accept@X.example (hard bounce)"},
    {"exempt by option", "acme", "ann.accept@x.example", "receipt",
     "--exempt-categories=receipt, alarm", 1, 0, 1, "Ann.accept", NULL, NULL},
    {"the option replaces the default", "acme", "ann.accept@x.example", "transactional",
     "--exempt-categories=receipt", 1, 0, 0, NULL, NULL,
     "left out: Ann.accept@X.example (hard bounce)"},
};

static const struct fake_emit *last_status(const struct mill_ctx *ctx)
{
    const struct fake_emit *last = NULL;

    for (size_t i = 0; i < fake_emits(ctx); i++)
        if (fake_emit(ctx, i)->port == OUT_STATUS)
            last = fake_emit(ctx, i);
    assert_non_null(last);
    return last;
}

static void suppress_row(void **state)
{
    const struct row *row = *state;
    const struct mill_address to[] = {ann, bob, cat};
    struct mill_str category = mill_str(row->category);
    struct mill_message m = message(to);
    struct mill_ctx *ctx = start(row->option, NULL);
    struct mill_err err = {0};
    const struct mill_status *status;

    m.to.n = row->to;
    m.cc = (struct mill_addresses){&bob, row->cc};
    m.categories = (struct mill_strs){&category, row->category ? 1 : 0};
    suppress(ctx, row->tenant, row->address, MILL_SUPPRESSED_HARD_BOUNCE);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), row->calls);
    status = last_status(ctx)->value;
    assert_int_equal(status->state, row->calls ? MILL_STATE_SENT : MILL_STATE_SUPPRESSED);
    assert_true(row->reason ? mill_str_is(status->reason, row->reason) : !status->reason.n);
    if (!row->calls) {
        assert_true(mill_str_is(status->cls, "suppressed"));
        assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 0);
    } else {
        assert_non_null(strstr(last_body, row->in_body));
        assert_true(!row->not_in_body || !strstr(last_body, row->not_in_body));
    }
    fake_free(ctx);
}

/** Of one category only; and what was lifted counts no more. */
static void of_a_category(void **state)
{
    struct mill_str categories[] = {MILL_STR("shoes"), MILL_STR("news")};
    struct mill_message m = message(&ann);
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    suppress_as(ctx, "acme", "ann.accept@x.example", MILL_SUPPRESSED_UNSUBSCRIBE, "news", false);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* mail of no category */
    assert_int_equal(calls(), 1);
    m.message_id = MILL_STR("r-1/1");
    m.categories = (struct mill_strs){categories, 1};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 2);
    m.message_id = MILL_STR("r-1/2");
    m.categories.n = 2;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 2);
    assert_true(mill_str_is(((const struct mill_status *)last_status(ctx)->value)->reason,
                            "left out: Ann.accept@X.example (unsubscribed, only news)"));
    suppress_as(ctx, "acme", "ann.accept@x.example", MILL_SUPPRESSED_UNSUBSCRIBE, "news", true);
    suppress_as(ctx, "acme", "ann.accept@x.example", MILL_SUPPRESSED_MANUAL, "", true);
    m.message_id = MILL_STR("r-1/3");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 3);
    suppress_as(ctx, "", "ann.accept@x.example", MILL_SUPPRESSED_MANUAL, "news", false);
    m.message_id = MILL_STR("r-1/4");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 3);
    fake_free(ctx);
}

/** Many are left out: what is said of them has an end. */
static void many(void **state)
{
    enum { MANY = 200 };
    static struct mill_address to[MANY];
    static char names[MANY][40];
    struct mill_message m = message(to);
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "user%zu.accept@x.example", i);
        to[i].email = mill_str(names[i]);
        if (i)
            suppress(ctx, "acme", names[i], MILL_SUPPRESSED_UNSUBSCRIBE);
    }
    m.to.n = MANY;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    assert_non_null(strstr(last_body, "user0.accept"));
    assert_null(strstr(last_body, "user199.accept"));
    assert_in_range(((const struct mill_status *)last_status(ctx)->value)->reason.n, 300, 400);
    fake_free(ctx);
}

/** The link's token in the provider's body. @own static; "" = no link */
static const char *link_in_body(void)
{
    static char token[1000];
    const char *at = strstr(last_body, "<http://127.0.0.1:19000/v1/unsubscribe/");
    size_t n;

    token[0] = '\0';
    if (at) {
        assert_non_null(
            strstr(last_body, "\"List-Unsubscribe-Post\":\"List-Unsubscribe=One-Click\""));
        at += strlen("<http://127.0.0.1:19000/v1/unsubscribe/");
        n = strcspn(at, ">");
        assert_true(n < sizeof(token));
        memcpy(token, at, n);
        token[n] = '\0';
    }
    return token;
}

static void one_click(void **state)
{
    static const struct mill_pair own[] = {
        {MILL_STR_INIT("list-unsubscribe"), MILL_STR_INIT("<mailto:stop@x.example>")}};
    const struct mill_address two[] = {ann, bob};
    struct mill_str category = MILL_STR("transactional");
    struct mill_message m = message(&ann);
    struct mill_unsubscribe_keys keys = {.v = {MILL_STR(LINK_KEY)}, .n = 1};
    struct mill_unsubscribe u;
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    struct mill_ctx *ctx;

    (void)state;
    setenv("MILL_SEND_UNSUBSCRIBE_KEY", LINK_KEY "," OTHER_KEY, 1);
    ctx = start("--unsubscribe-url=http://127.0.0.1:19000/", "--unsubscribe-categories=news, x");
    unsetenv("MILL_SEND_UNSUBSCRIBE_KEY");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(mill_unsubscribe_read(&u, mill_str(link_in_body()), &keys, &mem, &err),
                     MILL_OK);
    assert_true(mill_str_is(u.tenant, "acme") && mill_str_is(u.message_id, "r-1/0"));
    assert_true(mill_str_is(u.address, "Ann.accept@X.example"));
    assert_int_equal(u.category.n, 0);
    assert_int_equal(u.issued, m.accepted_at / 1000000 * 1000000);

    m.message_id = MILL_STR("r-1/1"); /* its own header stands */
    m.headers = (struct mill_map){own, 1};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_string_equal(link_in_body(), "");
    assert_non_null(strstr(last_body, "mailto:stop@x.example"));

    m.message_id = MILL_STR("r-1/2"); /* for everybody: nobody's link */
    m.headers.n = 0;
    m.to = (struct mill_addresses){two, 2};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_string_equal(link_in_body(), "");

    m.message_id = MILL_STR("r-1/3");
    m.to.n = 1;
    m.categories = (struct mill_strs){&category, 1};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_string_equal(link_in_body(), "");

    m.message_id = MILL_STR("r-1/4"); /* one is left */
    m.categories.n = 0;
    m.to.n = 2;
    suppress(ctx, "acme", "ann.accept@x.example", MILL_SUPPRESSED_COMPLAINT);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(mill_unsubscribe_read(&u, mill_str(link_in_body()), &keys, &mem, &err),
                     MILL_OK);
    assert_true(mill_str_is(u.address, "bob.accept@x.example"));
    assert_int_equal(calls(), 5);

    m.message_id = MILL_STR("r-1/5"); /* of a category that may be left alone */
    category = MILL_STR("news");
    m.categories.n = 1;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(mill_unsubscribe_read(&u, mill_str(link_in_body()), &keys, &mem, &err),
                     MILL_OK);
    assert_true(mill_str_is(u.category, "news"));
    mill_arena_release(&mem);
    fake_free(ctx);
}

static void options(void **state)
{
    static const struct {
        const char *url, *key;
    } bad[] = {
        {"https://m.example", NULL},        {NULL, LINK_KEY},
        {"http://m.example", LINK_KEY},     {"https://m.example/a b", LINK_KEY},
        {"https://m.example/?x", LINK_KEY}, {"https://m.example", "short"},
    };
    char option[64];

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(bad); i++) {
        struct mill_err err = {0};
        struct mill_ctx *ctx;
        snprintf(option, sizeof(option), "--unsubscribe-url=%s", bad[i].url ? bad[i].url : "");
        if (bad[i].key)
            setenv("MILL_SEND_UNSUBSCRIBE_KEY", bad[i].key, 1);
        ctx = fake_new_closed(&mill_stage_send, option, NULL);
        unsetenv("MILL_SEND_UNSUBSCRIBE_KEY");
        assert_int_equal(mill_stage_send.open(ctx, &err), MILL_E_CONFIG);
        assert_non_null(strstr(err.where, "unsubscribe"));
        fake_free(ctx);
    }
}

static int begin(void **state)
{
    (void)state;
    setenv(KEY, "SG.fake", 1);
    net_peer_start(&peer, serve);
    return 0;
}

static int end(void **state)
{
    (void)state;
    net_peer_stop(&peer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_category),
        cmocka_unit_test(many),
        cmocka_unit_test(one_click),
        cmocka_unit_test(options),
    };
    int failed = 0;

    begin(NULL);
    failed = TABLE(rows, suppress_row) + TESTS(tests);
    end(NULL);
    return failed;
}
