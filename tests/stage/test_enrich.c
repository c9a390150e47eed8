/** @file test_enrich.c  @brief The stage `enrich`: events joined to their mail, or said not to be.
 */
#include "mail/records.h"
#include "stage_test.h"

extern const struct mill_stage mill_stage_enrich;

enum { LEDGER };
enum { OUT_EVENTS, OUT_STATUS, OUT_LEDGER };
enum { M_SETTLED = 2 };

static const struct mill_str categories[] = {{"news", 4}};
static const struct mill_pair metadata[] = {{{"order", 5}, {"17", 2}}};

/** Accepted 1,513,299,560 s; the events of the rows happened nine seconds later. */
static const struct mill_ledger outcome = {
    .message_id = {"r-1/0", 5},
    .kind = MILL_LEDGER_OUTCOME,
    .attempt = 2,
    .provider = {"sendgrid", 8},
    .provider_id = {"xid", 3},
    .outcome = MILL_OUTCOME_ACCEPTED,
    .request_id = {"r-1", 3},
    .tenant = {"acme", 4},
    .categories = {categories, 1},
    .metadata = {metadata, 1},
    .accepted_at = INT64_C(1513299560000000),
};

#define OURS "\"mill_message_id\":\"r-1/0\",\"sg_message_id\":\"xid.filter1.0\""
#define JOIN                                                                                       \
    "\"message_id\":\"r-1/0\",\"request_id\":\"r-1\",\"tenant\":\"acme\",\"matched\":true,"        \
    "\"provider\":\"sendgrid\",\"provider_id\":\"xid\","
#define TIMES                                                                                      \
    "\"occurred_at\":1513299569000000,\"received_at\":1513299570000000,\"latency_ms\":9000,"
#define FACTS "\"categories\":[\"news\"],\"metadata\":{\"order\":\"17\"}}\n"
#define STATUS(state)                                                                              \
    "status r-1/0 {\"message_id\":\"r-1/0\",\"request_id\":\"r-1\",\"tenant\":\"acme\",\"state\":" \
    "\"" state "\","
#define STATUS_END "\"provider\":\"sendgrid\",\"attempt\":2,\"at\":\"now\"}\n"

static const struct row {
    const char *name, *raw;
    const char *out; /**< without the event_id, which has rows of its own */
} rows[] = {
    {"delivered",
     "{\"email\":\"a@b.example\",\"timestamp\":1513299569,\"event\":\"delivered\"," OURS
     ",\"sg_event_id\":\"e1\",\"response\":\"250 OK\",\"category\":\"ignored\"}",
     "events r-1/0 {" JOIN "\"provider_event_id\":\"e1\",\"type\":\"DELIVERED\",\"provider_event\":"
     "\"delivered\",\"recipient\":\"a@b.example\"," TIMES
     "\"reason\":\"250 OK\"," FACTS STATUS("DELIVERED") "\"reason\":\"250 OK\"," STATUS_END},
    {"bounced, classified",
     "{\"email\":\"a@b.example\",\"timestamp\":\"1513299569\",\"event\":\"bounce\"," OURS
     ",\"type\":\"blocked\",\"bounce_classification\":\"Invalid Address\",\"reason\":\"550 no\"}",
     "events r-1/0 {" JOIN "\"type\":\"BOUNCED\",\"provider_event\":\"bounce\",\"recipient\":"
     "\"a@b.example\"," TIMES
     "\"bounce_class\":\"Invalid Address\",\"reason\":\"550 no\"," FACTS STATUS(
         "BOUNCED") "\"class\":\"Invalid Address\",\"reason\":\"550 no\"," STATUS_END},
    {"bounced, only blocked; time in milliseconds",
     "{\"email\":\"a@b.example\",\"timestamp\":1513299569000,\"event\":\"bounce\"," OURS
     ",\"type\":\"blocked\"}",
     "events r-1/0 {" JOIN "\"type\":\"BOUNCED\",\"provider_event\":\"bounce\",\"recipient\":"
     "\"a@b.example\"," TIMES
     "\"bounce_class\":\"blocked\"," FACTS STATUS("BOUNCED") "\"class\":\"blocked\"," STATUS_END},
    {"dropped",
     "{\"timestamp\":1513299569,\"event\":\"dropped\"," OURS ",\"reason\":\"Bounced Address\"}",
     "events r-1/0 {" JOIN "\"type\":\"DROPPED\",\"provider_event\":\"dropped\"," TIMES
     "\"reason\":\"Bounced Address\"," FACTS STATUS(
         "FAILED") "\"reason\":\"Bounced Address\"," STATUS_END},
    {"opened by a machine",
     "{\"timestamp\":1513299569,\"event\":\"open\"," OURS ",\"sg_machine_open\":true,"
     "\"useragent\":\"Mozilla\",\"ip\":\"192.0.2.1\"}",
     "events r-1/0 {" JOIN "\"type\":\"OPENED\",\"provider_event\":\"open\"," TIMES
     "\"machine_open\":true,\"ip\":\"192.0.2.1\",\"user_agent\":\"Mozilla\"," FACTS},
    {"clicked",
     "{\"timestamp\":1513299569,\"event\":\"click\"," OURS ",\"url\":\"https://x.example/\"}",
     "events r-1/0 {" JOIN "\"type\":\"CLICKED\",\"provider_event\":\"click\"," TIMES
     "\"url\":\"https://x.example/\"," FACTS},
    {"fields of a wrong type are missing fields",
     "{\"timestamp\":1513299569,\"event\":\"open\"," OURS ",\"ip\":7,\"url\":null,\"email\":[],"
     "\"sg_machine_open\":\"perhaps\",\"reason\":{\"a\":1}}",
     "events r-1/0 {" JOIN "\"type\":\"OPENED\",\"provider_event\":\"open\"," TIMES FACTS},
    {"no time: when it was received", "{\"timestamp\":\"soon\",\"event\":\"processed\"," OURS "}",
     "events r-1/0 {" JOIN "\"type\":\"PROCESSED\",\"provider_event\":\"processed\","
     "\"occurred_at\":1513299570000000,\"received_at\":1513299570000000,\"latency_ms\":"
     "10000," FACTS},
    {"in the second of its request: not before it",
     "{\"timestamp\":1513299559,\"event\":\"processed\"," OURS "}",
     "events r-1/0 {" JOIN "\"type\":\"PROCESSED\",\"provider_event\":\"processed\","
     "\"occurred_at\":1513299559000000,\"received_at\":1513299570000000,\"latency_ms\":0," FACTS},
    {"an event of next year", "{\"timestamp\":1513299569,\"event\":\"teleported\"," OURS "}",
     "events r-1/0 {" JOIN "\"type\":\"OTHER\",\"provider_event\":\"teleported\"," TIMES FACTS},
};

static struct mill_callback_event callback_event(const char *raw, const char *message_id)
{
    return (struct mill_callback_event){
        .message_id = mill_str(message_id),
        .provider = MILL_STR("sendgrid"),
        .raw = mill_str(raw),
        .received_at = INT64_C(1513299570000000),
        .callback_topic = MILL_STR("mail.callbacks"),
    };
}

/** The golden text, with the event_id (32 hex digits) cut out. */
static void expect(const struct mill_ctx *ctx, const char *want)
{
    char got[8192];
    const char *text = stage_text(ctx, &mill_stage_enrich);
    const char *id = strstr(text, "\"event_id\":\"");
    size_t before = id ? (size_t)(id - text) : 0;

    assert_non_null(id);
    assert_int_equal(strspn(id + 12, "0123456789abcdef"), 32);
    snprintf(got, sizeof(got), "%.*s%s", (int)before, text, id + 12 + 32 + 2);
    if (strcmp(got, want))
        fail_msg("emitted:\n%sexpected:\n%s", got, want);
}

static void enrich_row(void **state)
{
    const struct row *row = *state;
    const struct mill_callback_event value = callback_event(row->raw, "r-1/0");
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &value);
    struct mill_err err = {0};

    fake_table_put(ctx, LEDGER, "r-1/0/2/send", &outcome);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    expect(ctx, row->out);
    assert_int_equal(fake_table_behind(ctx, LEDGER), 0); /* found: nothing was waited for */
    fake_free(ctx);
}

#define UNMATCHED "{\"timestamp\":1513299569,\"event\":\"open\",\"category\":[\"a\",7,\"b\"]}"

/** Names none of ours: goes out at once, under its own id. */
static void foreign(void **state)
{
    const struct mill_callback_event value = callback_event(UNMATCHED, NULL);
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_record in = fake_record(ctx, 0, NULL, &value);
    struct mill_err err = {0};
    const struct mill_event *e = NULL;

    (void)state;
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    e = fake_emit(ctx, 0)->value;
    assert_false(e->matched);
    assert_true(mill_str_eq(fake_emit(ctx, 0)->key, e->event_id));
    assert_int_equal(e->categories.n, 2);
    assert_false(e->latency_ms.has);
    fake_free(ctx);
}

/** A message that the ledger does not know: retried, and in the end emitted all the same. */
static void miss(void **state)
{
    const struct mill_callback_event value =
        callback_event("{\"timestamp\":1513299569,\"event\":\"delivered\","
                       "\"mill_message_id\":\"r-9/0\"}",
                       "r-9/0");
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, "--miss-attempts=2", NULL);
    struct mill_record in = fake_record(ctx, 0, "r-9/0", &value);
    struct mill_err err = {0};

    (void)state;
    fake_table_put(ctx, LEDGER, "r-90/0/1/send", &outcome); /* its prefix is not enough */
    for (in.attempt = 0; in.attempt < 2; in.attempt++) {
        assert_int_equal(fake_run(ctx, &in, &err), MILL_RETRY);
        assert_int_equal(err.code, MILL_E_NOENT);
        assert_null(err.cls);
        assert_int_equal(fake_emits(ctx), 0);
        assert_int_equal(fake_table_behind(ctx, LEDGER), in.attempt + 1);
    }
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1); /* no status of a mail that we do not know */
    assert_false(((const struct mill_event *)fake_emit(ctx, 0)->value)->matched);
    assert_true(mill_str_is(fake_emit(ctx, 0)->key, "r-9/0"));
    fake_free(ctx);
}

/** The INTENT is in the topic but not yet in our table: a catch-up finds it. */
static void overtaken(void **state)
{
    const struct mill_callback_event value = callback_event(rows[0].raw, "r-1/0");
    struct mill_ledger intent = outcome;
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &value);
    struct mill_err err = {0};

    (void)state;
    intent.kind = MILL_LEDGER_INTENT;
    intent.outcome = MILL_OUTCOME_NONE;
    fake_table_put(ctx, LEDGER, "r-1/0/2/send", &intent);
    fake_table_behind(ctx, LEDGER);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 1); /* it is proven before its reply came */
    assert_true(((const struct mill_event *)fake_emit(ctx, 2)->value)->matched);
    fake_free(ctx);
}

/* ---- evidence ---- */

#define EVIDENCE(n, id)                                                                            \
    "ledger r-1/0/" n "/evidence {\"message_id\":\"r-1/0\",\"kind\":\"EVIDENCE\",\"attempt\":" n   \
    ",\"provider\":\"sendgrid\"," id "\"outcome\":\"NONE\",\"at\":\"now\",\"request_id\":\"r-1\"," \
    "\"tenant\":\"acme\",\"categories\":[\"news\"],\"metadata\":{\"order\":\"17\"},"               \
    "\"accepted_at\":1513299560000000}\n"
#define SETTLED(n)                                                                                 \
    STATUS("SENT")                                                                                 \
    "\"reason\":\"settled by evidence\",\"provider\":\"sendgrid\",\"attempt\":" n                  \
    ",\"at\":\"now\"}\n"

enum { NONE, INTENT, UNKNOWN, REFUSED, ACCEPTED };

/** What the ledger knows of r-1/0, and what an event proves. */
static const struct proof {
    const char *name;
    int attempts[3]; /**< sendgrid's, from number 1 on */
    const char *id;  /**< the event's; the accepted attempt's is xid */
    int proven;      /**< number of the attempt; 0 = none */
} proofs[] = {
    {"the reply was lost", {UNKNOWN}, "new", 1},
    {"the caller died", {INTENT}, "new", 1},
    {"an event without the provider's id", {UNKNOWN}, NULL, 1},
    {"refused: it is no doubt", {REFUSED}, "new", 0},
    {"accepted: it is no doubt", {ACCEPTED}, "xid", 0},
    {"the newest of those in doubt", {UNKNOWN, UNKNOWN}, "new", 2},
    {"a refusal after the doubt", {UNKNOWN, REFUSED}, "new", 1},
    {"the event is the accepted one's", {ACCEPTED, UNKNOWN}, "xid", 0},
    {"the event is not the accepted one's", {ACCEPTED, UNKNOWN}, "new", 2},
    {"whose the event is cannot be told", {ACCEPTED, UNKNOWN}, NULL, 0},
};

static void put_attempt(struct mill_ctx *ctx, int number, int what)
{
    struct mill_ledger r = outcome;
    char key[32];

    if (what == NONE)
        return;
    r.attempt = number;
    r.kind = what == INTENT ? MILL_LEDGER_INTENT : MILL_LEDGER_OUTCOME;
    r.outcome = what == UNKNOWN    ? MILL_OUTCOME_UNKNOWN
                : what == REFUSED  ? MILL_OUTCOME_TRANSIENT
                : what == ACCEPTED ? MILL_OUTCOME_ACCEPTED
                                   : MILL_OUTCOME_NONE;
    if (what != ACCEPTED)
        r.provider_id = (struct mill_str){NULL, 0};
    snprintf(key, sizeof(key), "r-1/0/%d/send", number);
    fake_table_put(ctx, LEDGER, key, &r);
}

static void proof_row(void **state)
{
    const struct proof *row = *state;
    char raw[256];
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_callback_event value;
    struct mill_record in;
    struct mill_err err = {0};
    const struct mill_ledger *proof = NULL;

    snprintf(
        raw, sizeof(raw),
        "{\"timestamp\":1513299569,\"event\":\"processed\",\"mill_message_id\":\"r-1/0\"%s%s%s}",
        row->id ? ",\"sg_message_id\":\"" : "", row->id ? row->id : "", row->id ? "\"" : "");
    for (int i = 0; i < 3; i++)
        put_attempt(ctx, i + 1, row->attempts[i]);
    value = callback_event(raw, "r-1/0");
    in = fake_record(ctx, 0, "r-1/0", &value);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), row->proven ? 1 : 0);
    assert_int_equal(fake_emits_to(ctx, OUT_STATUS), row->proven ? 1 : 0);
    assert_int_equal(fake_metric(ctx, M_SETTLED, 0), row->proven ? 1 : 0);
    if (row->proven) {
        proof = fake_emit(ctx, 0)->value;
        assert_int_equal(proof->kind, MILL_LEDGER_EVIDENCE);
        assert_int_equal(proof->attempt, row->proven);
        assert_true(mill_str_eq(proof->provider_id, mill_str(row->id)));
    }
    fake_forget(ctx);
    in = fake_record(ctx, 0, "r-1/0", &value); /* the next event finds it settled */
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 0);
    fake_free(ctx);
}

/** What proves it is said before what it says itself, so that the mail's state only rises. */
static void settled_then_delivered(void **state)
{
    const struct mill_callback_event value = callback_event(rows[0].raw, "r-1/0");
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &value);
    struct mill_err err = {0};
    char want[4096];

    (void)state;
    put_attempt(ctx, 2, UNKNOWN);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    snprintf(want, sizeof(want), "%s%s%s", EVIDENCE("2", "\"provider_id\":\"xid\","), SETTLED("2"),
             rows[0].out);
    expect(ctx, want);
    fake_free(ctx);
}

static const struct reject {
    const char *name, *provider, *raw;
} rejects[] = {
    {"no JSON", "sendgrid", "{\"a\":"},         {"no object", "sendgrid", "[]"},
    {"two objects", "sendgrid", "{}{}"},        {"unknown provider", "pigeon", "{}"},
    {"an SMTP event of nothing", "smtp", "[]"},
};

static void rejected(void **state)
{
    const struct reject *row = *state;
    struct mill_callback_event value = callback_event(row->raw, NULL);
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_record in;
    struct mill_err err = {0};

    value.provider = mill_str(row->provider);
    in = fake_record(ctx, 0, NULL, &value);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_REJECT);
    assert_int_equal(fake_emits(ctx), 0);
    fake_free(ctx);
}

static const struct same {
    const char *name, *a, *b;
    bool same;
} sames[] = {
    {"reported again with another sg_event_id",
     "{\"event\":\"open\",\"timestamp\":1513299569,\"sg_message_id\":\"m\",\"sg_event_id\":\"1\"}",
     "{\"event\":\"open\",\"timestamp\":1513299569,\"sg_message_id\":\"m\",\"sg_event_id\":\"2\"}",
     true},
    {"the time as a string", "{\"event\":\"open\",\"timestamp\":1513299569}",
     "{\"timestamp\":\"1513299569\",\"event\":\"open\"}", true},
    {"another time", "{\"event\":\"open\",\"timestamp\":1513299569}",
     "{\"event\":\"open\",\"timestamp\":1513299570}", false},
    {"another link", "{\"event\":\"click\",\"timestamp\":1513299569,\"url\":\"a\"}",
     "{\"event\":\"click\",\"timestamp\":1513299569,\"url\":\"b\"}", false},
    {"another recipient", "{\"event\":\"open\",\"timestamp\":1513299569,\"email\":\"a\"}",
     "{\"event\":\"open\",\"timestamp\":1513299569,\"email\":\"b\"}", false},
};

static void identity(void **state)
{
    const struct same *row = *state;
    const char *const raw[] = {row->a, row->b};
    struct mill_ctx *ctx = fake_new(&mill_stage_enrich, NULL);
    struct mill_err err = {0};
    const struct mill_event *e[2];

    for (size_t i = 0; i < 2; i++) {
        const struct mill_callback_event value = callback_event(raw[i], NULL);
        struct mill_record in = fake_record(ctx, 0, NULL, &value);
        assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    }
    e[0] = fake_emit(ctx, 0)->value;
    e[1] = fake_emit(ctx, 1)->value;
    assert_int_equal(mill_str_eq(e[0]->event_id, e[1]->event_id), row->same);
    fake_free(ctx);
}

/** Every event of SendGrid's documentation is taken; those with a type are known. */
static void samples(void **state)
{
    json_t *doc = stage_reference("sendgrid-webhook/event-samples.json");
    const json_t *batch, *event;
    size_t i, j;
    struct mill_ctx *ctx = NULL;

    (void)state;
    if (!doc)
        skip();
    ctx = fake_new(&mill_stage_enrich, NULL);
    json_array_foreach(json_object_get(doc, "batches"), i, batch)
    {
        json_array_foreach(batch, j, event)
        {
            char *raw = json_dumps(event, 0);
            const struct mill_callback_event value = callback_event(raw, NULL);
            struct mill_record in = fake_record(ctx, 0, NULL, &value);
            struct mill_err err = {0};
            const struct mill_event *e = NULL;

            fake_forget(ctx);
            assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
            e = fake_emit(ctx, 0)->value;
            if (json_object_get(event, "event"))
                assert_int_not_equal(e->type, MILL_EVENT_OTHER);
            free(raw);
        }
    }
    json_decref(doc);
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign),   cmocka_unit_test(miss),
        cmocka_unit_test(overtaken), cmocka_unit_test(settled_then_delivered),
        cmocka_unit_test(samples),
    };

    return TABLE(rows, enrich_row) + TABLE(rejects, rejected) + TABLE(sames, identity) +
           TABLE(proofs, proof_row) + TESTS(tests);
}
