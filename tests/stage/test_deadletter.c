/** @file test_deadletter.c  @brief The stage `deadletter`: which way a failed record goes. */
#include "base/clock.h"
#include "mail/records.h"
#include "stage_test.h"

extern const struct mill_stage mill_stage_deadletter;

/* clang-format off */
#define H(k, v) {{(k), sizeof(k) - 1}, {(v), sizeof(v) - 1}}
#define PLACE H("__connect.errors.partition", "3"), H("mill.stage", "send")
/* clang-format on */

static const struct row {
    const char *name;
    struct mill_pair h[8];
    const char *out; /**< up to the headers; mill.due is checked apart */
} rows[] = {
    {"poison", {PLACE, H("mill.class", "poison"), H("mill.attempt", "1")}, "> mail.dlq -1 k"},
    {"transient", {PLACE, H("mill.class", "transient"), H("mill.attempt", "1")}, "> mail.delay."},
    {"transient, last but one",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "199")},
     "> mail.delay."},
    {"transient, exhausted",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "200")},
     "> mail.dlq -1 k"},
    {"throttled has more patience",
     {PLACE, H("mill.class", "throttled"), H("mill.attempt", "200")},
     "> mail.delay."},
    {"throttled, exhausted",
     {PLACE, H("mill.class", "throttled"), H("mill.attempt", "500")},
     "> mail.dlq -1 k"},
    {"transient, for too long",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "2"),
      H("mill.first-failed-at", "2020-01-01T00:00:00.000000Z")},
     "> mail.dlq -1 k"},
    {"transient, first failed at no time",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "2"),
      H("mill.first-failed-at", "once")},
     "> mail.delay."},
    {"credential is never exhausted",
     {PLACE, H("mill.class", "credential"), H("mill.attempt", "999999"),
      H("mill.first-failed-at", "2020-01-01T00:00:00.000000Z")},
     "> mail.delay."},
    {"unknown", {PLACE, H("mill.class", "unknown"), H("mill.attempt", "1")}, "> mail.dlq -1 k"},
    {"permanent", {PLACE, H("mill.class", "permanent"), H("mill.attempt", "1")}, "> mail.dlq -1 k"},
    {"expired", {PLACE, H("mill.class", "expired"), H("mill.attempt", "1")}, "> mail.dlq -1 k"},
    {"conflict",
     {PLACE, H("mill.class", "idempotency-conflict"), H("mill.attempt", "1")},
     "> mail.dlq -1 k"},
    {"a class of next year",
     {PLACE, H("mill.class", "mauve"), H("mill.attempt", "1")},
     "> mail.dlq -1 k"},
    {"no headers", {{{0}, {0}}}, "> mail.dlq -1 k"},
    {"no attempt", {PLACE, H("mill.class", "transient")}, "> mail.dlq -1 k"},
    {"attempt is no number",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "one")},
     "> mail.dlq -1 k"},
    {"no partition",
     {H("mill.stage", "send"), H("mill.class", "transient"), H("mill.attempt", "1")},
     "> mail.dlq -1 k"},
    {"a stage that is no name",
     {H("__connect.errors.partition", "3"), H("mill.stage", "../x"), H("mill.class", "transient"),
      H("mill.attempt", "1")},
     "> mail.dlq -1 k"},
    {"redriven five times",
     {PLACE, H("mill.class", "poison"), H("mill.attempt", "1"), H("mill.redrives", "5")},
     "> mail.dlq -1 k"},
    {"redriven too often",
     {PLACE, H("mill.class", "transient"), H("mill.attempt", "1"), H("mill.redrives", "6")},
     "> mail.parked -1 k"},
};

static struct mill_map pairs(const struct mill_pair *h, size_t most)
{
    size_t n = 0;

    while (n < most && h[n].key.p)
        n++;
    return (struct mill_map){h, n};
}

static struct mill_str header(const struct fake_emit *e, const char *name)
{
    return mill_map_get(e->headers, name);
}

static void check_delay(const struct fake_emit *e, int64_t before_ms)
{
    int64_t due = 0;

    assert_true(mill_str_i64(header(e, "mill.due"), &due));
    assert_in_range(due, before_ms, mill_now_us() / 1000 + 600000);
    assert_true(mill_str_is(header(e, "mill.target"), "mail.retry.send"));
    assert_true(mill_str_is(header(e, "mill.target-partition"), "3"));
}

static void deadletter_row(void **state)
{
    const struct row *row = *state;
    const struct mill_str value = MILL_STR("\0\1original");
    struct mill_ctx *ctx = fake_new(&mill_stage_deadletter, NULL);
    struct mill_record in = fake_record(ctx, 0, "k", &value);
    struct mill_err err = {0};
    int64_t before_ms = mill_now_us() / 1000;
    char way[64];

    in.headers = pairs(row->h, STAGE_ROWS(row->h));
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    snprintf(way, sizeof(way), "> %s %d %.*s", fake_emit(ctx, 0)->topic,
             fake_emit(ctx, 0)->partition, MILL_FMT(fake_emit(ctx, 0)->key));
    if (strstr(row->out, "delay")) /* which tier: see waits */
        assert_memory_equal(way, row->out, strlen(row->out));
    else
        assert_string_equal(way, row->out);
    assert_true(mill_str_eq(fake_emit(ctx, 0)->bytes, value));
    for (size_t i = 0; i < in.headers.n; i++) { /* what it came with, it goes with */
        struct mill_str was = in.headers.v[i].value;
        char name[64];
        mill_str_cut(in.headers.v[i].key, name, sizeof(name));
        assert_true(mill_str_eq(header(fake_emit(ctx, 0), name), was));
    }
    if (strstr(row->out, "delay"))
        check_delay(fake_emit(ctx, 0), before_ms);
    fake_free(ctx);
}

static const struct {
    const char *cls, *attempt;
    int64_t least_ms, most_ms;
} waits[] = {
    {"transient", "0", 500, 1000},        {"transient", "1", 500, 1000},
    {"transient", "2", 1500, 3000},       {"transient", "3", 4500, 9000},
    {"transient", "4", 13500, 27000},     {"transient", "5", 40500, 81000},
    {"transient", "6", 121500, 243000},   {"transient", "7", 300000, 600000},
    {"transient", "199", 300000, 600000}, {"throttled", "1", 1500, 3000},
    {"throttled", "2", 4500, 9000},       {"throttled", "400", 300000, 600000},
    {"credential", "1", 4500, 9000},      {"credential", "77", 4500, 9000},
};

/** @return how long the record is to wait, from before it came; checked: from then and from now */
static int64_t waited(struct mill_ctx *ctx, size_t row, const char *origin)
{
    const struct mill_pair h[] = {
        PLACE,
        {MILL_STR("mill.class"), mill_str(waits[row].cls)},
        {MILL_STR("mill.attempt"), mill_str(waits[row].attempt)},
    };
    struct mill_record in = fake_record(ctx, 0, "k", &MILL_STR("v"));
    struct mill_err err = {0};
    int64_t due = 0, before = mill_now_us() / 1000;

    in.origin = mill_str(origin);
    in.headers = (struct mill_map){h, STAGE_ROWS(h)};
    fake_forget(ctx);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_true(mill_str_i64(header(fake_emit(ctx, 0), "mill.due"), &due));
    assert_in_range(due, before + waits[row].least_ms, mill_now_us() / 1000 + waits[row].most_ms);
    return due - before;
}

/** Each wait is within its bounds, grows, and is not the same for all that fail together. */
static void waits_grow_and_spread(void **state)
{
    enum { RECORDS = 64 };
    struct mill_ctx *ctx = fake_new(&mill_stage_deadletter, NULL);

    (void)state;
    for (size_t row = 0; row < STAGE_ROWS(waits); row++) {
        int64_t least = INT64_MAX, most = 0, span = waits[row].most_ms - waits[row].least_ms;
        for (int i = 0; i < RECORDS; i++) {
            char origin[40];
            snprintf(origin, sizeof(origin), "topic-id/%d/%d/17", i % 4, i);
            int64_t ms = waited(ctx, row, origin);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_true(most - least > span / 3);
    }
    fake_free(ctx);
}

/** A record that was delayed before carries the old delay's headers: replaced, never appended. */
static void replaced(void **state)
{
    const struct mill_pair h[] = {
        PLACE,
        H("mill.class", "transient"),
        H("mill.attempt", "2"),
        H("mill.due", "1"),
        H("mill.target", "old"),
        H("mill.target-partition", "0"),
        H("mine", "kept"),
    };
    struct mill_ctx *ctx = fake_new(&mill_stage_deadletter, "--retry-prefix=again.", NULL);
    struct mill_record in = fake_record(ctx, 0, "k", &MILL_STR("v"));
    struct mill_err err = {0};
    size_t dues = 0;

    (void)state;
    in.headers = (struct mill_map){h, STAGE_ROWS(h)};
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    for (size_t i = 0; i < fake_emit(ctx, 0)->headers.n; i++)
        dues += mill_str_is(fake_emit(ctx, 0)->headers.v[i].key, "mill.due");
    assert_int_equal(dues, 1);
    assert_int_equal(fake_emit(ctx, 0)->headers.n, STAGE_ROWS(h));
    assert_true(mill_str_is(header(fake_emit(ctx, 0), "mill.target"), "again.send"));
    assert_true(mill_str_is(header(fake_emit(ctx, 0), "mine"), "kept"));
    fake_free(ctx);
}

/* --- what mail.status is told ------------------------------------------------------------------
 */

/* clang-format off */
#define OF(topic) H("__connect.errors.topic", topic), H("__connect.errors.partition", "3")
#define WHY H("__connect.errors.exception.message", "sendgrid: 503")
/* clang-format on */
#define MESSAGE "01a1fd52-e7b6-7018-8f00-c83adaad66b2/0"
#define REQUEST "01a1fd52-e7b6-7018-8f00-c83adaad66b2"

static const struct told {
    const char *name, *key;
    struct mill_pair h[9];
    const char *reason; /**< NULL: nothing is said */
    bool poison;
} told[] = {
    {"given up",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "transient"),
      H("mill.attempt", "200"), H("mill.emitted", "ledger,status"), H("mill.tenant", "acme"), WHY},
     "tried too often, or for too long: sendgrid: 503",
     false},
    {"tried again",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "transient"),
      H("mill.attempt", "199"), H("mill.emitted", "status"), WHY},
     NULL,
     false},
    {"given up, came by the timer",
     MESSAGE,
     {OF("mail.retry.send"), H("mill.stage", "send"), H("mill.class", "throttled"),
      H("mill.attempt", "500"), WHY},
     "tried too often, or for too long: sendgrid: 503",
     false},
    {"poison that nobody could read",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "poison"),
      H("mill.attempt", "1"), H("mill.emitted", ""), WHY},
     "sendgrid: 503",
     true},
    {"a request that nobody could read",
     REQUEST,
     {OF("mail.requests"), H("mill.stage", "validate"), H("mill.class", "poison"),
      H("mill.attempt", "1"), WHY},
     "sendgrid: 503",
     true},
    {"the stage has said REJECTED",
     REQUEST,
     {OF("mail.requests"), H("mill.stage", "validate"), H("mill.class", "poison"),
      H("mill.attempt", "1"), H("mill.emitted", "status"), WHY},
     NULL,
     false},
    {"a conflict is somebody else's id",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "idempotency-conflict"),
      H("mill.attempt", "1"), H("mill.emitted", "status"), WHY},
     NULL,
     false},
    {"what the sink could not store",
     REQUEST,
     {OF("mail.requests"), H("mill.stage", "sink-parquet"), H("mill.class", "poison"),
      H("mill.attempt", "1"), H("mill.emitted", ""), H("mill.kind", "sink"), WHY},
     NULL,
     false},
    {"a stage of one's own",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "screen"), H("mill.class", "poison"),
      H("mill.attempt", "1"), H("mill.emitted", "screened"), WHY},
     "sendgrid: 503",
     true},
    {"parked",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "transient"),
      H("mill.attempt", "1"), H("mill.redrives", "6"), H("mill.emitted", "status"), WHY},
     "redriven too often: sendgrid: 503",
     false},
    {"an event is no mail",
     MESSAGE,
     {OF("mail.callbacks.events"), H("mill.stage", "enrich"), H("mill.class", "transient"),
      H("mill.attempt", "200"), WHY},
     NULL,
     false},
    {"nor is a cancellation",
     MESSAGE,
     {OF("mail.cancellations"), H("mill.stage", "send"), H("mill.class", "poison"),
      H("mill.attempt", "1"), WHY},
     NULL,
     false},
    {"no id of ours",
     "a b",
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "poison"),
      H("mill.attempt", "1"), WHY},
     NULL,
     false},
    {"a reason of bytes",
     MESSAGE,
     {OF("mail.messages"), H("mill.stage", "send"), H("mill.class", "poison"),
      H("mill.attempt", "1"), H("__connect.errors.exception.message", "\xff")},
     "no reason",
     true},
};

static void status_told(void **state)
{
    enum { OUT_STATUS = 8 };
    const struct told *row = *state;
    struct mill_ctx *ctx = fake_new(&mill_stage_deadletter, NULL);
    struct mill_record in = fake_record(ctx, 0, row->key, &MILL_STR("v"));
    struct mill_err err = {0};
    const struct mill_status *s;

    in.headers = pairs(row->h, STAGE_ROWS(row->h));
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_string_equal(mill_stage_deadletter.out[OUT_STATUS].name, "status");
    assert_int_equal(fake_emits_to(ctx, OUT_STATUS), row->reason ? 1 : 0);
    if (row->reason) {
        s = fake_emit(ctx, 1)->value;
        assert_true(mill_str_is(s->message_id, row->key));
        assert_true(mill_str_is(s->request_id, REQUEST));
        assert_true(mill_str_is(s->tenant, mill_header(&in, "mill.tenant").n ? "acme" : ""));
        assert_int_equal(s->state, MILL_STATE_DEAD_LETTER);
        assert_true(mill_str_eq(s->cls, mill_header(&in, "mill.class")));
        assert_true(row->poison == mill_str_is(s->cls, "poison"));
        assert_true(mill_str_is(s->reason, row->reason));
        /* When it failed: another copy may have been sent since then. */
        assert_int_equal(s->at, in.timestamp_us);
    }
    fake_free(ctx);
}

/** What it cannot pass on goes nowhere, least of all back to mail.failures: the process ends, and
 * its next life tries again. */
static void what_it_cannot_pass_on_stops_it(void **state)
{
    enum { OUT_STATUS = 8 };
    const struct mill_pair h[] = {PLACE, H("mill.class", "transient"), H("mill.attempt", "1")};
    const struct mill_pair poison[] = {OF("mail.messages"), H("mill.stage", "send"),
                                       H("mill.class", "poison"), H("mill.attempt", "1")};
    char prefix[320] = "--retry-prefix=";
    struct mill_ctx *ctx;
    struct mill_record in;
    struct mill_err err = {0};

    (void)state;
    memset(prefix + strlen(prefix), 'a', 300); /* of a topic that no broker has */
    ctx = fake_new(&mill_stage_deadletter, prefix, NULL);
    in = fake_record(ctx, 0, MESSAGE, &MILL_STR("v"));
    in.headers = (struct mill_map){h, STAGE_ROWS(h)};
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_STOP);
    assert_int_equal(fake_emits(ctx), 0);
    fake_free(ctx);
    ctx = fake_new(&mill_stage_deadletter, NULL);
    fake_fail_emits(ctx, OUT_STATUS, MILL_E_IO);
    in = fake_record(ctx, 0, MESSAGE, &MILL_STR("v"));
    in.headers = (struct mill_map){poison, STAGE_ROWS(poison)};
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_STOP);
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replaced),
                                       cmocka_unit_test(waits_grow_and_spread),
                                       cmocka_unit_test(what_it_cannot_pass_on_stops_it)};

    return TABLE(rows, deadletter_row) + TABLE(told, status_told) + TESTS(tests);
}
