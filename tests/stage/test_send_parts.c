/** @file test_send_parts.c  @brief What send remembers: its own life, and the fold over the ledger.
 */
#include "send/ledger.h"
#include "send/life.h"
#include "stage_test.h"

enum { LIMIT = 8 };

/* ---- life ---- */

static struct mill_message message;
static struct mill_record record;
static struct send_route route = {.provider = &mill_provider_sendgrid};

static struct send_job job(const char *id)
{
    message = (struct mill_message){.message_id = mill_str(id), .fingerprint = MILL_STR("f")};
    record = (struct mill_record){.topic = "mail.messages", .partition = 1, .offset = 7};
    return (struct send_job){.in = &record, .msg = &message, .route = &route, .attempt = 1};
}

static struct send_deed *done(struct send_life *l, const char *id)
{
    struct send_job j = job(id);

    j.deed = send_life_begin(l, &j);
    assert_non_null(j.deed);
    j.answer.outcome = MILL_OUTCOME_ACCEPTED;
    j.answer.provider_id = MILL_STR("xid");
    send_life_end(l, &j);
    return j.deed;
}

static void tell_all(struct send_life *l)
{
    for (struct send_deed *d = send_life_take_ended(l); d; d = d->next) {
        d->told = true;
    }
}

static void remembers(void **state)
{
    struct send_life *l = send_life_new(LIMIT);
    struct send_job j = job("r/1");
    struct send_deed *deed = send_life_begin(l, &j);
    struct mill_record other = record;

    (void)state;
    assert_true(deed->running);
    assert_ptr_equal(send_life_find(l, MILL_STR("r/1")), deed);
    assert_null(send_life_find(l, MILL_STR("r/2")));
    assert_true(send_deed_of(deed, &record));
    other.offset++;
    assert_false(send_deed_of(deed, &other));
    other = record;
    other.partition++;
    assert_false(send_deed_of(deed, &other));
    other = record;
    other.topic = "mail.retry.send";
    assert_false(send_deed_of(deed, &other));
    send_deed_forget(deed);
    assert_null(send_life_find(l, MILL_STR("r/1")));
    assert_null(send_life_find(l, MILL_STR("")));
    send_life_free(l);
    send_life_free(NULL);
}

/** What is told may be forgotten when there is much to remember; the rest may not. */
static void generations(void **state)
{
    struct send_life *l = send_life_new(LIMIT);
    struct send_job j = job("r/running");
    const struct send_deed *running = send_life_begin(l, &j);
    struct send_deed *untold = done(l, "r/untold");
    char id[32];

    (void)state;
    assert_ptr_equal(send_life_take_ended(l), untold);
    send_life_list(l, untold); /* its record has come again */
    for (int i = 0; i < 10 * LIMIT; i++) {
        struct send_deed *d = NULL;
        snprintf(id, sizeof(id), "r/%d", i);
        d = done(l, id);
        (void)!send_life_take_ended(l);
        d->told = true;
        send_life_list(l, untold);
    }
    assert_ptr_equal(send_life_find(l, MILL_STR("r/running")), running);
    assert_ptr_equal(send_life_find(l, MILL_STR("r/untold")), untold);
    assert_true(mill_str_is(mill_str(untold->provider_id), "xid"));
    assert_null(send_life_find(l, MILL_STR("r/0")));
    assert_non_null(send_life_find(l, mill_str(id)));
    tell_all(l);
    send_life_free(l);
}

/** Never more than it can hold: a batch larger than that is refused, not forgotten. */
static void full(void **state)
{
    struct send_life *l = send_life_new(LIMIT);
    char id[32];
    size_t n = 0;

    (void)state;
    for (; n < 100; n++) {
        struct send_job j;
        snprintf(id, sizeof(id), "r/%zu", n);
        j = job(id);
        if (!send_life_begin(l, &j)) {
            break;
        }
    }
    assert_in_range(n, LIMIT, 99);
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "r/%zu", i);
        assert_non_null(send_life_find(l, mill_str(id)));
    }
    send_life_free(l);
}

/* ---- the fold ---- */

enum { I = MILL_LEDGER_INTENT, O = MILL_LEDGER_OUTCOME, E = MILL_LEDGER_EVIDENCE };
enum { C = MILL_LEDGER_CLAIM };

static const struct fold {
    const char *name;
    struct {
        int kind, attempt, outcome;
    } r[3];
    int attempts;
    bool accepted, doubt;
    int facts; /**< attempt whose facts are kept */
} folds[] = {
    {"a claim is no call", {{C, 0, 0}}, 0, false, false, 0},
    {"intent", {{I, 1, 0}}, 1, false, true, 1},
    {"refused", {{O, 1, MILL_OUTCOME_PERMANENT}}, 1, false, false, 1},
    {"unknown", {{O, 1, MILL_OUTCOME_UNKNOWN}}, 1, false, true, 1},
    {"accepted", {{O, 1, MILL_OUTCOME_ACCEPTED}}, 1, true, false, 1},
    {"accepted beats a later refusal",
     {{O, 1, MILL_OUTCOME_ACCEPTED}, {O, 2, MILL_OUTCOME_PERMANENT}},
     2,
     true,
     false,
     1},
    {"evidence beats unknown", {{E, 1, 0}, {O, 1, MILL_OUTCOME_UNKNOWN}}, 1, true, true, 1},
    {"evidence of the first, the second open", {{E, 1, 0}, {I, 2, 0}}, 2, true, true, 1},
    {"a doubt of old is a doubt",
     {{O, 1, MILL_OUTCOME_UNKNOWN}, {O, 2, MILL_OUTCOME_PERMANENT}},
     2,
     false,
     true,
     2},
    {"keys are in the order of their text: 10 comes before 9",
     {{O, 1, MILL_OUTCOME_TRANSIENT}, {I, 10, 0}, {O, 9, MILL_OUTCOME_TRANSIENT}},
     10,
     false,
     true,
     10},
};

static void fold_row(void **state)
{
    const struct fold *row = *state;
    struct mill_ledger_view view = {0};
    struct mill_arena mem = {0};
    char provider[8];

    for (size_t i = 0; i < 3 && (row->r[i].kind || row->r[i].attempt); i++) {
        struct mill_ledger r = {
            .kind = row->r[i].kind,
            .attempt = row->r[i].attempt,
            .outcome = row->r[i].outcome,
        };
        snprintf(provider, sizeof(provider), "p%d", row->r[i].attempt);
        r.provider = mill_str(provider); /* overwritten by the next: the view must have copied it */
        assert_true(mill_ledger_fold(&view, &r, (struct mill_str){NULL, 0}, &mem));
    }
    assert_int_equal(view.attempts, row->attempts);
    assert_int_equal(view.accepted, row->accepted);
    assert_int_equal(view.doubt, row->doubt);
    snprintf(provider, sizeof(provider), "p%d", row->facts);
    assert_true(!row->facts || mill_str_is(view.facts.provider, provider));
    mill_arena_release(&mem);
}

static void keys(void **state)
{
    char key[MILL_LEDGER_KEY_MAX + 1], id[MILL_MESSAGE_ID_MAX + 1];

    (void)state;
    assert_true(mill_str_is(mill_ledger_key(key, MILL_STR("r/0"), 12, "send"), "r/0/12/send"));
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    assert_int_equal(mill_ledger_key(key, mill_str(id), INT32_MAX, "evidence").n,
                     MILL_MESSAGE_ID_MAX + 1 + 10 + 1 + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers),
        cmocka_unit_test(generations),
        cmocka_unit_test(full),
        cmocka_unit_test(keys),
    };

    return TABLE(folds, fold_row) + TESTS(tests);
}
