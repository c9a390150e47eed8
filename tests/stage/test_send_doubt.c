/**
 * @file test_send_doubt.c
 * @brief The stage `send` when nobody knows whether the provider took a mail; whose content an id
 * is.
 */
#include "mail/ids.h"
#include "send/send.h"
#include "send_case.h"
#include "timer.h"

#define LOST "\"class\":\"unknown\",\"reason\":\"a call was begun and nobody knows how it ended\","
#define HELD                                                                                       \
    STATUS("1", "HELD",                                                                            \
           "\"class\":\"unknown\",\"reason\":\"a call was begun, and nothing has come that tells " \
           "how it ended\",\"provider\":\"sendgrid\",")
#define HELD_AT(redrives)                                                                          \
    "ledger r-1/0/1/doubt {\"message_id\":\"r-1/0\",\"kind\":\"DOUBT\",\"attempt\":1,"             \
    "\"provider\":\"sendgrid\",\"outcome\":\"UNKNOWN\",\"fingerprint\":\"f1\",\"at\":\"now\","     \
    "\"request_id\":\"r-1\",\"tenant\":\"acme\",\"held\":" redrives "}\n"

static int64_t ago(int64_t minutes)
{
    return mill_now_us() - minutes * 60000000;
}

/** Another life's INTENT: UNKNOWN is said once, however often the message comes by. */
static void told_once(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ledger r = ledger(MILL_LEDGER_INTENT, MILL_OUTCOME_NONE);
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    r.at = ago(3);
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    expect(ctx, DOUBT("1") STATUS("1", "UNKNOWN", LOST "\"provider\":\"sendgrid\",") WAITS("1m"));
    assert_int_equal(waits_until_ms(ctx, 2), r.at / 1000 + 10 * 60000);
    commit(ctx);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* by a copy, or too early */
    expect(ctx, WAITS("1m"));
    fake_free(ctx);

    /* Another life again, which has the topic only. */
    ctx = start(NULL, NULL);
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    r.kind = MILL_LEDGER_DOUBT;
    fake_table_put(ctx, LEDGER, "r-1/0/1/doubt", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    expect(ctx, WAITS("1m"));
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

/** On assignment, whether the record comes again or not. */
static void told_on_assignment(void **state)
{
    static const struct {
        const char *key;
        int kind, outcome;
    } has[] = {
        {"r-1/0/1/send", MILL_LEDGER_INTENT, MILL_OUTCOME_NONE},
        {"r-2/0/1/send", MILL_LEDGER_OUTCOME, MILL_OUTCOME_UNKNOWN},
        {"r-3/0/1/evidence", MILL_LEDGER_EVIDENCE, MILL_OUTCOME_NONE},
        {"r-3/0/1/send", MILL_LEDGER_INTENT, MILL_OUTCOME_NONE},
        {"r-4/0/1/doubt", MILL_LEDGER_DOUBT, MILL_OUTCOME_UNKNOWN},
        {"r-4/0/1/send", MILL_LEDGER_INTENT, MILL_OUTCOME_NONE},
        {"r-5/claim", MILL_LEDGER_CLAIM, MILL_OUTCOME_NONE},
    };
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(has); i++) {
        struct mill_ledger r = ledger(has[i].kind, has[i].outcome);
        r.message_id = (struct mill_str){has[i].key, 5};
        r.request_id = (struct mill_str){has[i].key, 3};
        r.tenant = MILL_STR("acme");
        r.at = mill_now_us();
        fake_table_put(ctx, LEDGER, has[i].key, &r);
    }
    assert_int_equal(mill_stage_send.on_assigned(ctx, 0, &err), MILL_OK);
    expect(ctx, DOUBT("1") STATUS("1", "UNKNOWN", LOST "\"provider\":\"sendgrid\","));
    fake_forget(ctx);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* its record comes again: told already */
    expect(ctx, WAITS("10m"));
    fake_forget(ctx);
    assert_int_equal(mill_stage_send.on_assigned(ctx, 0, &err), MILL_OK);
    assert_int_equal(fake_emits(ctx), 0);
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

/** After an outage of everything the evidence may be behind: it gets a minute all the same. */
static void told_late(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ledger r = ledger(MILL_LEDGER_INTENT, MILL_OUTCOME_NONE);
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    r.at = ago(60);
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    expect(ctx, DOUBT("1") STATUS("1", "UNKNOWN", LOST "\"provider\":\"sendgrid\",") WAITS("1m"));
    fake_free(ctx);
}

/** What is committed is, and the wait for proof is over: our call ended long ago. */
static void commit_and_wait(struct mill_ctx *ctx)
{
    const struct send_state *st = mill_state(ctx);
    struct send_deed *deed = send_life_find(st->life, MILL_STR("r-1/0"));

    commit(ctx);
    assert_non_null(deed);
    deed->at -= 60 * INT64_C(60000000);
}

/** Our own lost reply, and what becomes of it when the wait is over. */
static struct mill_ctx *lost_and_back(struct mill_message *m)
{
    static const struct mill_address to = {.email = MILL_STR_INIT("reset@x.example")};
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    *m = message(&to);
    assert_int_equal(again(ctx, m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 5);
    assert_string_equal(fake_emit(ctx, 4)->topic, "mail.delay.10m");
    commit_and_wait(ctx);
    return ctx;
}

/** A copy that has been redriven so often comes. @param redrives NULL: never */
static enum mill_verdict redriven(struct mill_ctx *ctx, const struct mill_message *m,
                                  const char *redrives, struct mill_err *err)
{
    const struct mill_pair often = {MILL_STR("mill.redrives"), mill_str(redrives)};
    struct mill_record in = fake_record(ctx, 0, "r-1/0", m);

    if (redrives)
        in.headers = (struct mill_map){&often, 1};
    *err = (struct mill_err){0};
    return fake_run(ctx, &in, err);
}

/** One dead letter for each time that it is held, however many copies there are. */
static void held(void **state)
{
    static const struct {
        const char *redrives;
        enum mill_verdict want;
        const char *emits;
    } rows[] = {
        {NULL, MILL_REJECT, HELD_AT("0") HELD},
        {NULL, MILL_DONE, ""}, /* a second copy that waited; a replay */
        {"0", MILL_DONE, ""},
        {"1", MILL_REJECT, HELD_AT("1") HELD}, /* the letter, redriven: only evidence counts */
        {"1", MILL_DONE, ""},
        {NULL, MILL_DONE, ""},
        {"no number", MILL_DONE, ""},
        {"3", MILL_REJECT, HELD_AT("3") HELD},
    };
    struct mill_message m;
    struct mill_ctx *ctx = lost_and_back(&m);
    struct mill_err err = {0};

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(rows); i++) {
        assert_int_equal(redriven(ctx, &m, rows[i].redrives, &err), rows[i].want);
        if (rows[i].want == MILL_REJECT)
            assert_string_equal(err.cls, "unknown");
        expect(ctx, rows[i].emits);
        commit(ctx);
    }
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/** Copies that come back in one batch: they were planned before the first of them was held. */
static void held_in_one_batch(void **state)
{
    struct mill_message m;
    struct mill_ctx *ctx = lost_and_back(&m);
    struct mill_record in[3];
    const struct mill_record *at[3] = {&in[0], &in[1], &in[2]};
    enum mill_verdict v[3];
    struct mill_err errs[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        in[i] = fake_record(ctx, 0, "r-1/0", &m);
    assert_int_equal(fake_batch(ctx, at, 3, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_REJECT);
    assert_int_equal(v[1], MILL_DONE);
    assert_int_equal(v[2], MILL_DONE);
    expect(ctx, HELD_AT("0") HELD);
    fake_free(ctx);
}

/** As the ledger alone tells it to another life; an older attempt's letter says nothing of a newer
 *  one, and the mail's own copy knows whose attempt it was. */
static void held_by_another_life(void **state)
{
    struct mill_ledger open = ledger(MILL_LEDGER_OUTCOME, MILL_OUTCOME_UNKNOWN), letter;
    const struct mill_message m = message(TO("accept"));
    struct mill_message resend = m;
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    open.at = ago(60);
    letter = open;
    letter.kind = MILL_LEDGER_DOUBT;
    letter.held = (struct mill_opt_i64){true, 0};
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &open);
    fake_table_put(ctx, LEDGER, "r-1/0/1/doubt", &letter);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0);

    open.attempt = 2;
    open.resend_id = MILL_STR("again-1");
    fake_table_put(ctx, LEDGER, "r-1/0/2/send", &open);
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_true(mill_str_is(fake_emit(ctx, 0)->key, "r-1/0/2/doubt"));
    commit(ctx);
    resend.resend_id = open.resend_id;
    resend.resend_at = (struct mill_opt_i64){true, mill_now_us()};
    assert_int_equal(again(ctx, &resend, &err), MILL_DONE); /* that letter is there */
    assert_int_equal(fake_emits(ctx), 0);
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

static void settled(void **state)
{
    struct mill_message m;
    struct mill_ledger r = ledger(MILL_LEDGER_EVIDENCE, MILL_OUTCOME_NONE);
    struct mill_ctx *ctx = lost_and_back(&m);
    struct mill_err err = {0};

    (void)state;
    fake_table_put(ctx, LEDGER, "r-1/0/1/evidence", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0); /* enrich has said SENT */
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/** Evidence that is in the topic, but not in the table: read before the policy acts. */
static void settled_late(void **state)
{
    struct mill_message m;
    struct mill_ledger r = ledger(MILL_LEDGER_EVIDENCE, MILL_OUTCOME_NONE);
    struct mill_ctx *ctx = lost_and_back(&m);
    struct mill_err err = {0};

    (void)state;
    fake_table_put(ctx, LEDGER, "r-1/0/1/evidence", &r);
    assert_int_equal(again(ctx, &(struct mill_message){.message_id = MILL_STR("none")}, &err),
                     MILL_REJECT); /* tells the table of the call */
    fake_forget(ctx);
    fake_table_behind(ctx, LEDGER);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0);
    fake_free(ctx);
}

/** on_unknown = resend: the next attempt, but not for ever. */
static void resent(void **state)
{
    struct mill_message m;
    struct mill_ctx *ctx = lost_and_back(&m);
    struct mill_err err = {0};

    (void)state;
    m.on_unknown = MILL_UNKNOWN_RESEND;
    for (int i = 2; i <= 4; i++) {
        assert_int_equal(again(ctx, &m, &err), MILL_DONE);
        assert_int_equal(calls(), i);
        commit_and_wait(ctx);
    }
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "unknown");
    assert_int_equal(calls(), 4);
    fake_free(ctx);

    ctx = lost_and_back(&m);
    m = message(TO("accept"));
    m.on_unknown = MILL_UNKNOWN_RESEND;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    expect(ctx, INTENT("2") L("2", "OUTCOME", "\"provider_id\":\"xid\",\"outcome\":\"ACCEPTED\",")
                    STATUS("2", "SENT", "\"provider\":\"sendgrid\","));
    fake_free(ctx);
}

/* ---- explicit resends ---- */

static void resend_id(void **state)
{
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start("--max-age-ms=1h", NULL);
    struct mill_err err = {0};
    const struct mill_ledger *r = NULL;

    (void)state;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    commit(ctx);
    m.accepted_at = ago(100 * 60); /* its own age is the resend's */
    m.resend_id = MILL_STR("again-1");
    m.resend_at = (struct mill_opt_i64){true, mill_now_us()};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 2);
    r = fake_emit(ctx, 0)->value;
    assert_true(mill_str_is(fake_emit(ctx, 0)->key, "r-1/0/2/send"));
    assert_true(mill_str_is(r->resend_id, "again-1"));
    commit(ctx);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* a replay of the resend */
    m.resend_id = (struct mill_str){NULL, 0};
    m.accepted_at = mill_now_us();
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* a replay of the mail */
    assert_int_equal(fake_emits(ctx), 0);
    m.resend_id = MILL_STR("again-2");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 3);
    fake_forget(ctx);
    m.accepted_at = ago(100 * 60);
    m.resend_id = MILL_STR("again-3");
    m.resend_at.v = ago(61); /* a resend ages like any other */
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "expired");
    assert_int_equal(calls(), 3);
    fake_free(ctx);
}

/** A resend that comes while the mail itself is being called goes after it. */
static void resend_meanwhile(void **state)
{
    struct mill_message m[2] = {message(TO("accept")), message(TO("accept"))};
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in[2];
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];

    (void)state;
    m[1].resend_id = MILL_STR("again-1");
    m[1].resend_at = (struct mill_opt_i64){true, mill_now_us()};
    for (size_t i = 0; i < 2; i++)
        in[i] = fake_record(ctx, 0, "r-1/0", &m[i]);
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_DONE);
    assert_int_equal(v[1], MILL_RETRY);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/* ---- whose content it is ---- */

/** A message of r-1 with other content, at an index. @return its verdict; the class in err */
static enum mill_verdict other_content(struct mill_ctx *ctx, const char *id, struct mill_err *err)
{
    struct mill_message m = message(TO("accept"));

    m.message_id = mill_str(id);
    m.fingerprint = MILL_STR("f2");
    return again(ctx, &m, err);
}

static void refused_conflict(struct mill_ctx *ctx, const char *id)
{
    struct mill_err err = {0};
    const struct mill_status *said = NULL;
    char own[MILL_UUID_TEXT];

    fake_forget(ctx);
    assert_int_equal(other_content(ctx, id, &err), MILL_REJECT);
    assert_string_equal(err.cls, "idempotency-conflict");
    assert_int_equal(fake_emits(ctx), 1);
    said = fake_emit(ctx, 0)->value;
    assert_int_equal(said->state, MILL_STATE_REJECTED);
    /* Under an id of its own: r-1 stays what it is. */
    assert_true(mill_request_id_of_origin(fake_emit(ctx, 0)->from->origin, own));
    assert_true(mill_str_is(said->request_id, own));
    assert_false(mill_str_starts(fake_emit(ctx, 0)->key, "r-1"));
}

static void conflict(void **state)
{
    static const struct {
        int kind, outcome;
    } standing[] = {
        {MILL_LEDGER_OUTCOME, MILL_OUTCOME_ACCEPTED},
        {MILL_LEDGER_INTENT, MILL_OUTCOME_NONE},
        {MILL_LEDGER_OUTCOME, MILL_OUTCOME_UNKNOWN},
        {MILL_LEDGER_EVIDENCE, MILL_OUTCOME_NONE},
    };

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(standing); i++) {
        struct mill_ledger r = ledger(standing[i].kind, standing[i].outcome);
        struct mill_ctx *ctx = start(NULL, NULL);
        fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
        refused_conflict(ctx, "r-1/0");
        assert_int_equal(calls(), 0);
        fake_free(ctx);
    }
}

/** The claim is the request's: other content is refused for a message that nobody called yet. */
static void claimed(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};
    struct mill_message second = m;

    (void)state;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    fake_forget(ctx); /* not in the table yet: this life knows */
    refused_conflict(ctx, "r-1/1");
    assert_int_equal(calls(), 1);
    fake_forget(ctx);
    second.message_id = MILL_STR("r-1/1"); /* ours again: no second claim */
    assert_int_equal(again(ctx, &second, &err), MILL_DONE);
    assert_true(mill_str_is(fake_emit(ctx, 0)->key, "r-1/1/1/send"));
    fake_free(ctx);
}

static void claimed_in_batch(void **state)
{
    struct mill_message m[2] = {message(TO("accept")), message(TO("accept"))};
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in[2];
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];

    (void)state;
    m[1].message_id = MILL_STR("r-1/1");
    m[1].fingerprint = MILL_STR("f2");
    for (size_t i = 0; i < 2; i++)
        in[i] = fake_record(ctx, 0, "r-1/0", &m[i]);
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_DONE);
    assert_int_equal(v[1], MILL_REJECT);
    assert_string_equal(errs[1].cls, "idempotency-conflict");
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/** All calls for the first content were proven refusals: the corrected one takes the claim over. */
static void claim_taken_over(void **state)
{
    const struct mill_message bad = message(TO("bad"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};
    const struct mill_ledger *claim = NULL;

    (void)state;
    assert_int_equal(again(ctx, &bad, &err), MILL_REJECT);
    assert_string_equal(err.cls, "permanent");
    commit(ctx);
    assert_int_equal(other_content(ctx, "r-1/0", &err), MILL_DONE);
    claim = fake_emit(ctx, 0)->value;
    assert_int_equal(claim->kind, MILL_LEDGER_CLAIM);
    assert_true(mill_str_is(claim->fingerprint, "f2"));
    assert_int_equal(calls(), 2);
    commit(ctx);
    assert_int_equal(again(ctx, &bad, &err),
                     MILL_REJECT); /* and now the first one is in conflict */
    assert_string_equal(err.cls, "idempotency-conflict");
    fake_free(ctx);
}

/* ---- a provider that detects duplicates ---- */

static void duplicate_proof(void **state)
{
    struct mill_provider idem = mill_provider_sendgrid;
    struct mill_message m;
    struct mill_ctx *ctx = start("--unknown-wait-ms=1m", NULL);
    struct send_state *st = mill_state(ctx);
    struct mill_ledger r = ledger(MILL_LEDGER_OUTCOME, MILL_OUTCOME_UNKNOWN);
    struct mill_err err = {0};
    int64_t began_ms = mill_now_us() / 1000;

    (void)state;
    idem.idem = MILL_IDEM_REPLAYS;
    idem.idem_window_s = 3600;
    st->routes.v[0].provider = &idem;
    m = message(TO("reset"));
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_waits(ctx, 4, began_ms, 10000); /* not a minute */
    fake_free(ctx);

    ctx = start(NULL, NULL);
    st = mill_state(ctx);
    st->routes.v[0].provider = &idem;
    m = message(TO("accept"));
    r.at = ago(20);
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    fake_free(ctx);

    ctx = start(NULL, NULL); /* less than two calls are left of the window */
    st = mill_state(ctx);
    st->routes.v[0].provider = &idem;
    r.at = ago(60) + 50 * 1000000;
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "unknown");
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_once),
        cmocka_unit_test(told_late),
        cmocka_unit_test(told_on_assignment),
        cmocka_unit_test(held),
        cmocka_unit_test(held_in_one_batch),
        cmocka_unit_test(held_by_another_life),
        cmocka_unit_test(settled),
        cmocka_unit_test(settled_late),
        cmocka_unit_test(resent),
        cmocka_unit_test(resend_id),
        cmocka_unit_test(resend_meanwhile),
        cmocka_unit_test(conflict),
        cmocka_unit_test(claimed),
        cmocka_unit_test(claimed_in_batch),
        cmocka_unit_test(claim_taken_over),
        cmocka_unit_test(duplicate_proof),
    };
    int failed = 0;

    setenv(KEY, "SG.fake", 1);
    net_peer_start(&peer, serve);
    failed = TESTS(tests);
    net_peer_stop(&peer);
    return failed;
}
