/**
 * @file test_send.c
 * @brief The stage `send` against a scripted provider: what is called, how often, and what is said.
 *
 * The first recipient's local part tells the provider what to do; each row counts its calls.
 */
#include "send_case.h"

static const struct row {
    const char *name;
    const char *to;
    enum mill_verdict want;
    const char *cls;
    int calls;
    const char *out;
} rows[] = {
    {"accepted", "accept@x.example", MILL_DONE, NULL, 1,
     FIRST L("1", "OUTCOME", "\"provider_id\":\"xid\",\"outcome\":\"ACCEPTED\",")
         STATUS("1", "SENT", "\"provider\":\"sendgrid\",")},
    {"refused for good", "bad@x.example", MILL_REJECT, "permanent", 1,
     FIRST OUTCOME("1", "PERMANENT")
         STATUS("1", "FAILED", WHY("permanent", "HTTP 400 from.email: is not  verified"))},
    {"credentials", "key@x.example", MILL_RETRY, "credential", 1,
     FIRST OUTCOME("1", "CREDENTIAL") STATUS("1", "RETRYING", WHY("credential", "HTTP 401"))},
    {"too many", "many@x.example", MILL_RETRY, "throttled", 1,
     FIRST OUTCOME("1", "THROTTLED") STATUS("1", "RETRYING", WHY("throttled", "HTTP 429"))},
    {"their fault, which proves nothing", "fault@x.example", MILL_DONE, NULL, 1,
     FIRST OUTCOME("1", "UNKNOWN") STATUS("1", "UNKNOWN", WHY("unknown", "HTTP 500")) WAITS("10m")},
    {"busy, and says so", "busy@x.example", MILL_RETRY, "transient", 1,
     FIRST OUTCOME("1", "TRANSIENT") STATUS("1", "RETRYING", WHY("transient", "HTTP 503"))},
    {"redirected: not followed", "moved@x.example", MILL_RETRY, "transient", 1,
     FIRST OUTCOME("1", "TRANSIENT") STATUS("1", "RETRYING", WHY("transient", "HTTP 302"))},
    {"an answer that proves nothing", "strange@x.example", MILL_DONE, NULL, 1,
     FIRST OUTCOME("1", "UNKNOWN") STATUS("1", "UNKNOWN", WHY("unknown", "HTTP 204")) WAITS("10m")},
};

static void outcome_row(void **state)
{
    const struct row *row = *state;
    const struct mill_address to = {.email = mill_str(row->to)};
    const struct mill_message m = message(&to);
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &m);
    struct mill_err err = {0};

    assert_int_equal(fake_run(ctx, &in, &err), row->want);
    expect(ctx, row->out);
    for (size_t i = 0; i < fake_emits(ctx); i++) /* claim and INTENT: committed before the call */
        assert_int_equal(fake_emit(ctx, i)->in_on_batch, i < 2);
    if (row->cls)
        assert_string_equal(err.cls, row->cls);
    assert_int_equal(calls(), row->calls);
    fake_free(ctx);
}

/** @param ctx freed. @return the state that was said; the texts are libcurl's and not looked at */
static int run_lost(struct mill_ctx *ctx, const struct mill_address *to, enum mill_verdict want)
{
    const struct mill_message m = message(to);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &m);
    struct mill_err err = {0};
    const struct mill_status *said = NULL;
    int said_state;

    assert_int_equal(fake_run(ctx, &in, &err), want);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 3);
    assert_int_equal(fake_emits_to(ctx, OUT_STATUS), 1);
    said = fake_emit(ctx, 3)->value;
    said_state = said->state;
    fake_free(ctx);
    return said_state;
}

static void lost(void **state)
{
    (void)state;
    assert_int_equal(run_lost(start(NULL, NULL), TO("reset"), MILL_DONE), MILL_STATE_UNKNOWN);
    assert_int_equal(calls(), 1);
    assert_int_equal(run_lost(start_hurried(NULL), TO("hang"), MILL_DONE), MILL_STATE_UNKNOWN);
    assert_int_equal(calls(), 1);
    assert_int_equal(
        run_lost(start("--sendgrid-url=http://127.0.0.1:1", NULL), TO("accept"), MILL_RETRY),
        MILL_STATE_RETRYING);
    assert_int_equal(calls(), 0);
}

/* ---- the same message again ---- */

static void replay(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &m);
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    fake_forget(ctx);
    /* The very same record: the group refused our transaction. The outcome is told again. */
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    expect(ctx, L("1", "OUTCOME", "\"provider_id\":\"xid\",\"outcome\":\"ACCEPTED\",")
                    STATUS("1", "SENT", "\"provider\":\"sendgrid\","));
    fake_forget(ctx);
    /* Another copy of the message: nothing is said over what it is. */
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 0);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

static void other_life(void **state)
{
    struct mill_message m = message(TO("accept"));
    struct mill_ledger r = ledger(MILL_LEDGER_OUTCOME, MILL_OUTCOME_ACCEPTED);

    (void)state;
    assert_int_equal(next_life(&r, "r-1/0/1/send", &m, "", NULL), MILL_DONE);
    assert_int_equal(calls(), 0);
    r = ledger(MILL_LEDGER_EVIDENCE, MILL_OUTCOME_NONE);
    assert_int_equal(next_life(&r, "r-1/0/1/evidence", &m, "", NULL), MILL_DONE);
    assert_int_equal(calls(), 0);
    /* Proven refusals may be tried again, under the next number. */
    r = ledger(MILL_LEDGER_OUTCOME, MILL_OUTCOME_TRANSIENT);
    assert_int_equal(
        next_life(&r, "r-1/0/1/send", &m,
                  CLAIM INTENT("2")
                      L("2", "OUTCOME", "\"provider_id\":\"xid\",\"outcome\":\"ACCEPTED\",")
                          STATUS("2", "SENT", "\"provider\":\"sendgrid\","),
                  NULL),
        MILL_DONE);
    assert_int_equal(calls(), 1);
}

/** A refusal, then corrected content under the same id: goes; the attempts are counted on. */
static void refused_then_sent(void **state)
{
    struct mill_message m = message(TO("bad"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    commit(ctx);
    m = message(TO("accept"));
    m.fingerprint = MILL_STR("f2");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_true(mill_str_is(fake_emit(ctx, 1)->key, "r-1/0/2/send")); /* behind its CLAIM */
    assert_int_equal(calls(), 2);
    fake_free(ctx);
}

/** The very content that was refused for good is refused again without a call, also by a later
 * life, until a person redrives its letter. */
static void refused_again(void **state)
{
    const struct mill_pair redriven = {MILL_STR("mill.redrives"), MILL_STR("1")};
    const struct mill_message m = message(TO("accept"));
    struct mill_ledger r = ledger(MILL_LEDGER_OUTCOME, MILL_OUTCOME_PERMANENT);
    struct mill_ctx *ctx = NULL;
    struct mill_record in;
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(
        next_life(&r, "r-1/0/1/send", &m,
                  STATUS("1", "FAILED",
                         "\"class\":\"permanent\",\"reason\":\"a provider has refused it for good: "
                         "redrive or resend it\","),
                  "permanent"),
        MILL_REJECT);
    assert_int_equal(calls(), 0);
    ctx = start(NULL, NULL);
    fake_table_put(ctx, LEDGER, "r-1/0/1/send", &r);
    in = fake_record(ctx, 0, "r-1/0", &m);
    in.headers = (struct mill_map){&redriven, 1};
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/** Transaction A was refused: no INTENT, no call; the record comes again and is called then. */
static void refused_intent(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &m);
    const struct mill_record *one = &in;
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(mill_stage_send.on_batch(ctx, &one, 1, &err), MILL_DONE);
    fake_forget(ctx);
    assert_int_equal(calls(), 0);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_true(mill_str_is(fake_emit(ctx, 1)->key, "r-1/0/1/send"));
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/* ---- batches ---- */

static void batch(void **state)
{
    struct mill_message m[4];
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in[4];
    const struct mill_record *at[4];
    enum mill_verdict v[4];
    struct mill_err errs[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        m[i] = message(i == 2 ? TO("bad") : TO("accept"));
        m[i].message_id = i == 1   ? MILL_STR("r-1/0") /* a copy of the first */
                          : i == 2 ? MILL_STR("r-1/2")
                          : i == 3 ? MILL_STR("r-1/3")
                                   : MILL_STR("r-1/0");
        in[i] = fake_record(ctx, 0, "r-1/0", &m[i]);
        at[i] = &in[i];
    }
    assert_int_equal(fake_batch(ctx, at, 4, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_DONE);
    assert_int_equal(v[1], MILL_DONE);
    assert_int_equal(v[2], MILL_REJECT);
    assert_int_equal(v[3], MILL_DONE);
    assert_int_equal(calls(), 3);
    fake_free(ctx);
}

/** The connection is kept; the provider closes it behind the second body. One call, unknown. */
static void reset_on_reuse(void **state)
{
    struct mill_message m[2] = {message(TO("accept")), message(TO("reset"))};
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_record in[2];
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];

    (void)state;
    atomic_store(&most_on_one, 0);
    m[1].message_id = MILL_STR("r-1/1");
    in[0] = fake_record(ctx, 0, "r-1/0", &m[0]);
    in[1] = fake_record(ctx, 0, "r-1/1", &m[1]);
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_DONE);
    assert_int_equal(v[1], MILL_DONE); /* unknown: it waits */
    assert_int_equal(calls(), 2);
    assert_int_equal(atomic_load(&most_on_one), 2); /* it was a reuse */
    fake_free(ctx);
}

/** A call that hangs makes the next one's INTENT too old: that is not called. */
static void old_intent(void **state)
{
    struct mill_message m[2] = {message(TO("hang")), message(TO("accept"))};
    struct mill_ctx *ctx = start_hurried("--intent-max-ms=100ms");
    struct mill_record in[2];
    const struct mill_record *at[2] = {&in[0], &in[1]};
    enum mill_verdict v[2];
    struct mill_err errs[2];

    (void)state;
    m[1].message_id = MILL_STR("r-1/1");
    in[0] = fake_record(ctx, 0, "r-1/0", &m[0]);
    in[1] = fake_record(ctx, 0, "r-1/1", &m[1]);
    assert_int_equal(fake_batch(ctx, at, 2, v, errs), MILL_DONE);
    assert_int_equal(v[0], MILL_DONE); /* unknown: it waits */
    assert_int_equal(v[1], MILL_DONE); /* not called: it comes round, with no attempt counted */
    assert_non_null(strstr(stage_text(ctx, &mill_stage_send), "not called: its intent"));
    assert_string_equal(fake_emit(ctx, fake_emits(ctx) - 1)->topic, "mail.delay.1s");
    assert_int_equal(calls(), 1);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 5); /* its INTENT does not stay open */
    fake_free(ctx);
}

static void draining(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    fake_drain(ctx, true);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_string_equal(fake_emit(ctx, fake_emits(ctx) - 1)->topic, "mail.delay.1s");
    assert_int_equal(calls(), 0);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 3);
    fake_free(ctx);
}

/** What is provably not accepted goes to the next provider at once, each once; then it waits. */
static void failover(void **state)
{
    const struct mill_message m = message(TO("moved"));
    struct mill_ctx *ctx = start("--providers=sendgrid,smtp", "--smtp-url=smtp://127.0.0.1:1");
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_string_equal(fake_emit(ctx, fake_emits(ctx) - 1)->topic, "mail.retry.send");
    assert_int_equal(calls(), 1);
    commit(ctx);
    assert_int_equal(again(ctx, &m, &err), MILL_RETRY); /* SMTP cannot be reached */
    assert_string_equal(err.cls, "transient");
    assert_string_equal(err.where, "smtp");
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

/* ---- not called at all ---- */

static void credentials(void **state)
{
    struct mill_message m = message(TO("key"));
    struct mill_ctx *ctx = start("--credential-pause-ms=200ms", NULL);
    struct mill_err err = {0};

    (void)state;
    assert_null(fake_unready(ctx));
    assert_int_equal(again(ctx, &m, &err), MILL_RETRY);
    assert_non_null(fake_unready(ctx));
    commit(ctx);
    /* While it is left alone: held, then round by the retry topic; nothing is called or said. */
    m = message(TO("accept"));
    m.message_id = MILL_STR("r-1/5");
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    assert_string_equal(fake_emit(ctx, 0)->topic, "mail.retry.send");
    fake_forget(ctx);
    assert_int_equal(calls(), 1);
    /* The pause is over: one call finds out that somebody has mended it. */
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_null(fake_unready(ctx));
    assert_int_equal(calls(), 2);
    fake_free(ctx);
}

static void by_the_clock(void **state)
{
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start("--max-age-ms=1h", NULL);
    struct mill_err err = {0};
    int64_t now = mill_now_us();

    (void)state;
    m.expires_at = (struct mill_opt_i64){true, now - 1};
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "expired");
    m.expires_at.has = false;
    m.accepted_at = now - INT64_C(3601000000);
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "expired");
    assert_int_equal(fake_emits_to(ctx, OUT_STATUS), 2);
    fake_forget(ctx);
    m.accepted_at = now;
    m.send_at = (struct mill_opt_i64){true, now + 59 * 1000000};
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 2);
    assert_int_equal(((const struct mill_status *)fake_emit(ctx, 0)->value)->state,
                     MILL_STATE_SCHEDULED);
    assert_string_equal(fake_emit(ctx, 1)->topic, "mail.delay.10s");
    assert_true(
        mill_str_is(mill_map_get(fake_emit(ctx, 1)->headers, "mill.target"), "mail.retry.send"));
    assert_int_equal(calls(), 0);
    m.accepted_at = now - INT64_C(86400000000); /* a scheduled one's age begins at its time */
    m.send_at.v = now - 1;
    assert_int_equal(again(ctx, &m, &err), MILL_DONE);
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

static void broken(void **state)
{
    struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    m.message_id = MILL_STR("not/an/id");
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_null(err.cls);
    m.message_id = MILL_STR("r-1/0");
    m.template_id = MILL_STR("d-1");
    m.template_data = MILL_STR("[1]"); /* no object: SendGrid would not take it either */
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_string_equal(err.cls, "permanent");
    assert_int_equal(calls(), 0);
    fake_free(ctx);
}

/** What cannot be written: an INTENT, no call; a status, no harm; for want of memory, stop. */
static void unwritable(void **state)
{
    const struct mill_message m = message(TO("accept"));
    struct mill_ctx *ctx = start(NULL, NULL);
    struct mill_err err = {0};

    (void)state;
    fake_fail_emits(ctx, OUT_LEDGER, MILL_E_DATA);
    assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
    assert_null(err.cls);
    assert_int_equal(calls(), 0);
    fake_fail_emits(ctx, OUT_LEDGER, MILL_E_NOMEM);
    assert_int_equal(again(ctx, &m, &err), MILL_STOP);
    assert_int_equal(calls(), 0);
    fake_fail_emits(ctx, OUT_STATUS, MILL_E_DATA);
    assert_int_equal(again(ctx, &m, &err), MILL_DONE); /* it was not called before: it is now */
    assert_int_equal(calls(), 1);
    fake_free(ctx);
}

static const struct config {
    const char *name, *option, *key;
} configs[] = {
    {"no key", "--providers=sendgrid", NULL},
    {"no such provider", "--providers=pigeon", "SG.fake"},
    {"none", "--providers=", "SG.fake"},
    {"an empty name", "--providers=sendgrid,,smtp", "SG.fake"},
    {"smtp without a server", "--providers=smtp", NULL},
    {"no weight", "--providers=sendgrid:0", "SG.fake"},
    {"a weight that is none", "--providers=sendgrid:much", "SG.fake"},
    {"twice", "--providers=sendgrid,sendgrid:1", "SG.fake"},
    {"a tenant's without a server", "--tenant.acme=smtp", "SG.fake"},
    {"a tenant's that is none", "--tenant.acme=pigeon", "SG.fake"},
};

static void config_row(void **state)
{
    const struct config *row = *state;
    struct mill_ctx *ctx = NULL;
    struct mill_err err = {0};

    if (row->key)
        setenv(KEY, row->key, 1);
    else
        unsetenv(KEY);
    ctx = fake_new_closed(&mill_stage_send, row->option, NULL);
    setenv(KEY, "SG.fake", 1);
    assert_int_equal(mill_stage_send.open(ctx, &err), MILL_E_CONFIG);
    assert_true(err.text[0] != '\0');
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost),          cmocka_unit_test(replay),
        cmocka_unit_test(other_life),    cmocka_unit_test(refused_then_sent),
        cmocka_unit_test(refused_again), cmocka_unit_test(refused_intent),
        cmocka_unit_test(batch),         cmocka_unit_test(reset_on_reuse),
        cmocka_unit_test(old_intent),    cmocka_unit_test(draining),
        cmocka_unit_test(failover),      cmocka_unit_test(credentials),
        cmocka_unit_test(by_the_clock),  cmocka_unit_test(broken),
        cmocka_unit_test(unwritable),
    };
    int failed = 0;

    setenv(KEY, "SG.fake", 1);
    net_peer_start(&peer, serve);
    failed = TABLE(rows, outcome_row) + TABLE(configs, config_row) + TESTS(tests);
    net_peer_stop(&peer);
    return failed;
}
