/**
 * @file test_send_cancel.c
 * @brief The stage `send` and what people want otherwise: cancellations, paused categories,
 * send_at.
 */
#include "mail/controls.h"
#include "send/send.h"
#include "send_case.h"
#include "timer.h"

enum { CANCELLATIONS = 1, PAUSES };
enum { IN_CANCELLATIONS = 1 };

#define CANCELLED(n) STATUS(n, "CANCELLED", "")
#define TOO_LATE(id, n)                                                                            \
    "status " id " {\"message_id\":\"" id "\",\"request_id\":\"r-1\",\"tenant\":\"acme\","         \
    "\"state\":\"TOO_LATE\",\"reason\":\"the provider was called before the cancellation came\","  \
    "\"provider\":\"sendgrid\",\"attempt\":" n ",\"at\":\"now\"}\n"

static struct mill_cancellation cancellation(const char *id, const char *tenant)
{
    return (struct mill_cancellation){
        .id = mill_str(id), .tenant = mill_str(tenant), .at = mill_now_us()};
}

static enum mill_verdict cancel(struct mill_ctx *ctx, const char *id, const char *tenant)
{
    const struct mill_cancellation c = cancellation(id, tenant);
    struct mill_record in = fake_record(ctx, IN_CANCELLATIONS, id, &c);
    struct mill_err err = {0};

    return fake_run(ctx, &in, &err);
}

static const struct row {
    const char *name, *id, *tenant;
    bool counts;
} rows[] = {
    {"by message", "r-1/0", "acme", true},
    {"by request", "r-1", "acme", true},
    {"another message of the request", "r-1/1", "acme", false},
    {"a longer id", "r-1/01", "acme", false},
    {"another request", "r-10", "acme", false},
    {"another tenant's", "r-1/0", "evil", false},
};

/** The cancellation came first: the message is not called. */
static void before(void **state)
{
    const struct row *row = *state;
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    assert_int_equal(cancel(ctx, row->id, row->tenant), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0); /* not seen yet: nothing is said */
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    if (row->counts)
        expect(ctx, CANCELLED("0"));
    assert_int_equal(calls(), row->counts ? 0 : 1);
    fake_free(ctx);
}

/** The message was called: TOO_LATE, at once, for each message that was. */
static void after(void **state)
{
    const struct row *row = *state;
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    fake_forget(ctx); /* this life knows of the call, the topic not yet */
    assert_int_equal(cancel(ctx, row->id, row->tenant), MILL_DONE);
    expect(ctx, row->counts ? TOO_LATE("r-1/0", "1") : "");
    fake_forget(ctx);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* a replay stays a duplicate */
    assert_int_equal(fake_emits(ctx), 0);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/** Of a request of three: one called, one refused, one in doubt. */
static void whole_request(void **state)
{
    const struct {
        const char *key;
        int outcome;
    } has[] = {{"r-1/0/1/send", MILL_OUTCOME_ACCEPTED},
               {"r-1/1/1/send", MILL_OUTCOME_TRANSIENT},
               {"r-1/2/1/send", MILL_OUTCOME_UNKNOWN},
               {"r-1/2/2/send", MILL_OUTCOME_UNKNOWN}};
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_message m = message(TO("accept"));
    struct mill_err err = {0};

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(has); i++) {
        struct mill_ledger r = ledger(MILL_LEDGER_OUTCOME, has[i].outcome);
        r.message_id = (struct mill_str){has[i].key, 5};
        r.attempt = has[i].key[6] - '0';
        r.tenant = MILL_STR("acme");
        fake_table_put(ctx, LEDGER, has[i].key, &r);
    }
    assert_int_equal(cancel(ctx, "r-1", "acme"), MILL_DONE);
    expect(ctx, TOO_LATE("r-1/2", "1") TOO_LATE("r-1/0", "1"));
    fake_forget(ctx);
    m.message_id = MILL_STR("r-1/1"); /* the refused one comes back by the retry topic */
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(((const struct mill_status *)fake_emit(ctx, 0)->value)->state,
                     MILL_STATE_CANCELLED);
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

/** In one batch, the message first: the cancellation wins all the same, and one word is said. */
static void same_batch(void **state)
{
    const struct mill_message m = message(TO("accept"));
    const struct mill_cancellation c = cancellation("r-1", "acme");
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in[2] = {fake_record(ctx, 0, "r-1/0", &m),
                                fake_record(ctx, IN_CANCELLATIONS, "r-1", &c)};
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];

    (void)state;
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    expect(ctx, CANCELLED("0"));
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

static void cancel_second(struct mill_ctx *ctx)
{
    const struct mill_cancellation c = cancellation("r-1/1", "acme");

    fake_table_put(ctx, CANCELLATIONS, "r-1/1", &c);
}

/** It comes between INTENT and call: the second message waits behind a call that hangs. */
static void before_the_call(void **state)
{
    struct mill_message m[2] = {message(TO("hang")), message(TO("accept"))};
    struct mill_ctx *ctx = start_hurried(NULL);
    struct mill_record in[2];
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];
    const struct mill_ledger *r = NULL;

    (void)state;
    m[1].message_id = MILL_STR("r-1/1");
    for (size_t i = 0; i < 2; i++)
        in[i] = fake_record(ctx, 0, "r-1/0", &m[i]);
    fake_on_refresh(ctx, CANCELLATIONS, cancel_second);
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    assert_int_equal(calls(), 1);
    assert_int_equal(v[1], MILL_DONE);
    r = fake_emit(ctx, fake_emits(ctx) - 2)->value;
    assert_true(mill_str_is(r->message_id, "r-1/1"));
    assert_int_equal(r->outcome, MILL_OUTCOME_TRANSIENT); /* its INTENT does not stay open */
    assert_int_equal(
        ((const struct mill_status *)fake_emit(ctx, fake_emits(ctx) - 1)->value)->state,
        MILL_STATE_CANCELLED);
    fake_forget(ctx);
    assert_int_equal(cancel(ctx, "r-1/1", "acme"), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0); /* it was not called: not too late */
    fake_free(ctx);
}

/** An explicit resend is wanted, unless it is cancelled itself. */
static void resend(void **state)
{
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(cancel(ctx, "r-1", "acme"), MILL_DONE);
    m.resend_id = MILL_STR("again-1");
    m.resend_at = (struct mill_opt_i64){true, mill_now_us() + 1};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    m.resend_id = MILL_STR("again-2");
    m.resend_at.v = mill_now_us() - 60000000;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

static void nothing_of_ours(void **state)
{
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in = fake_record(ctx, IN_CANCELLATIONS, "r-1", NULL);
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE); /* a null value */
    assert_int_equal(cancel(ctx, "", "acme"), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0);
    fake_free(ctx);
}

/* ---- paused categories ---- */

static void set_pause(struct mill_ctx *ctx, bool paused, int64_t at)
{
    const struct mill_pause p = {
        .category = MILL_STR("news"), .paused = paused, .reason = MILL_STR("a bad list"), .at = at};

    fake_table_put(ctx, PAUSES, "news", &p);
}

/** Run it with mill.paused = ms since 1970; 0 = without. */
static enum mill_verdict run_paused(struct mill_ctx *ctx, const struct mill_message *m,
                                    int64_t since_ms)
{
    char text[32];
    struct mill_pair h = {MILL_STR("mill.paused"), {text, 0}};
    struct mill_record in = fake_record(ctx, 0, "r-1/0", m);
    struct mill_err err = {0};

    h.value.n = (size_t)snprintf(text, sizeof(text), "%lld", (long long)since_ms);
    if (since_ms)
        in.headers = (struct mill_map){&h, 1};
    fake_forget(ctx);
    return fake_run(ctx, &in, &err);
}

static void paused(void **state)
{
    const struct mill_str categories[] = {MILL_STR("receipts"), MILL_STR("news")};
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    int64_t now_ms = mill_now_us() / 1000, since = 0;
    const struct mill_status *said = NULL;

    (void)state;
    m.categories = (struct mill_strs){categories, 2};
    set_pause(ctx, true, mill_now_us() - 120000000);
    assert_int_equal(run_paused(ctx, &m, 0), MILL_DONE); /* it enters */
    assert_int_equal(fake_emits(ctx), 2);
    said = fake_emit(ctx, 0)->value;
    assert_int_equal(said->state, MILL_STATE_HELD);
    assert_true(mill_str_is(said->reason, "category news is paused: a bad list"));
    assert_true(mill_str_i64(mill_map_get(fake_emit(ctx, 1)->headers, "mill.paused"), &since));
    assert_waits(ctx, 1, now_ms, 10000);
    assert_int_equal(run_paused(ctx, &m, since), MILL_DONE); /* once more round */
    assert_int_equal(fake_emits(ctx), 1);
    assert_int_equal(run_paused(ctx, &m, now_ms - 61000), MILL_DONE); /* it takes longer */
    assert_int_equal(fake_emits(ctx), 1);
    assert_waits(ctx, 0, now_ms, 60000);
    assert_int_equal(run_paused(ctx, &m, now_ms - 3600000), MILL_DONE); /* of an earlier pause */
    assert_int_equal(fake_emits(ctx), 2);
    assert_int_equal(calls(), 0);

    set_pause(ctx, false, mill_now_us());
    assert_int_equal(run_paused(ctx, &m, since), MILL_DONE);
    assert_int_equal(calls(), 1);
    m.message_id = MILL_STR("r-1/1");
    m.categories.n = 1; /* receipts alone were never paused */
    set_pause(ctx, true, mill_now_us());
    assert_int_equal(run_paused(ctx, &m, 0), MILL_DONE);
    assert_int_equal(calls(), 2);
    fake_free(ctx);
}

/** Cancelled or expired while it is paused: that is said, not HELD. */
static void paused_and_more(void **state)
{
    const struct mill_str category = MILL_STR("news");
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);

    (void)state;
    m.categories = (struct mill_strs){&category, 1};
    set_pause(ctx, true, 1);
    m.expires_at = (struct mill_opt_i64){true, mill_now_us() - 1};
    assert_int_equal(run_paused(ctx, &m, 5), MILL_REJECT);
    assert_int_equal(cancel(ctx, "r-1", "acme"), MILL_DONE);
    assert_int_equal(run_paused(ctx, &m, 5), MILL_DONE);
    expect(ctx, CANCELLED("0"));
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_request),   cmocka_unit_test(same_batch),
        cmocka_unit_test(before_the_call), cmocka_unit_test(resend),
        cmocka_unit_test(nothing_of_ours), cmocka_unit_test(paused),
        cmocka_unit_test(paused_and_more),
    };
    int failed = 0;

    setenv(KEY, "SG.fake", 1);
    net_peer_start(&peer, serve);
    failed = TABLE(rows, before) + TABLE(rows, after) + TESTS(tests);
    net_peer_stop(&peer);
    return failed;
}
