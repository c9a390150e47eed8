/** @file test_suppress.c  @brief The stage `suppress`: which events suppress whom. */
#include "mail/controls.h"
#include "mail/records.h"
#include "mail/suppression.h"
#include "stage_test.h"

extern const struct mill_stage mill_stage_suppress;

enum { NOBODY = -1 };
enum { M_EVENTS };

static const struct row {
    const char *name;
    int type;
    const char *cls, *reason, *recipient, *tenant;
    int want; /**< enum mill_suppression_reason, or NOBODY */
    const char *way;
} rows[] = {
    {"hard bounce", MILL_EVENT_BOUNCED, "Invalid Address", NULL, "Ann@Example.COM", "acme",
     MILL_SUPPRESSED_HARD_BOUNCE, "hard_bounce"},
    {"a bounce without a better word", MILL_EVENT_BOUNCED, "bounce", "550", "ann@example.com",
     "acme", MILL_SUPPRESSED_HARD_BOUNCE, "hard_bounce"},
    {"blocked is not for ever", MILL_EVENT_BOUNCED, "blocked", NULL, "ann@example.com", "acme",
     NOBODY, "ignored"},
    {"mailbox full", MILL_EVENT_BOUNCED, "Mailbox Unavailable", NULL, "ann@example.com", "acme",
     NOBODY, "ignored"},
    {"no class", MILL_EVENT_BOUNCED, NULL, NULL, "ann@example.com", "acme", NOBODY, "ignored"},
    {"complaint", MILL_EVENT_COMPLAINED, NULL, NULL, "ann@example.com", "acme",
     MILL_SUPPRESSED_COMPLAINT, "complaint"},
    {"unsubscribe", MILL_EVENT_UNSUBSCRIBED, NULL, NULL,
     "ann@b\xc3\xbc"
     "cher.example",
     "acme", MILL_SUPPRESSED_UNSUBSCRIBE, "unsubscribe"},
    {"dropped: SendGrid has it bounced", MILL_EVENT_DROPPED, NULL, "Bounced Address",
     "ann@example.com", "acme", MILL_SUPPRESSED_HARD_BOUNCE, "hard_bounce"},
    {"dropped: SendGrid has a complaint", MILL_EVENT_DROPPED, NULL, "Spam Reporting Address",
     "ann@example.com", "acme", MILL_SUPPRESSED_COMPLAINT, "complaint"},
    {"dropped: Mailgun has it unsubscribed", MILL_EVENT_DROPPED, "suppress-unsubscribe",
     "Not delivering", "ann@example.com", "acme", MILL_SUPPRESSED_UNSUBSCRIBE, "unsubscribe"},
    {"dropped for its content", MILL_EVENT_DROPPED, NULL, "Spam Content", "ann@example.com", "acme",
     NOBODY, "ignored"},
    {"delivered", MILL_EVENT_DELIVERED, NULL, NULL, "ann@example.com", "acme", NOBODY, "ignored"},
    {"subscribed again, and was not away", MILL_EVENT_RESUBSCRIBED, NULL, NULL, "ann@example.com",
     "acme", NOBODY, "ignored"},
    {"whose mail it was is not known", MILL_EVENT_COMPLAINED, NULL, NULL, "ann@example.com", NULL,
     NOBODY, "unmatched"},
    {"no recipient", MILL_EVENT_COMPLAINED, NULL, NULL, NULL, "acme", NOBODY, "ignored"},
};

static size_t label(const char *way)
{
    const char *const *labels = mill_stage_suppress.metrics[M_EVENTS].values;
    size_t i = 0;

    while (labels[i] && strcmp(labels[i], way))
        i++;
    return i;
}

static void check(const struct mill_ctx *ctx, const struct row *row)
{
    const struct fake_emit *e = fake_emit(ctx, 0);
    const struct mill_suppression *s = e->value;
    char key[MILL_SUPPRESSION_KEY_SIZE], address[MILL_SUPPRESSION_ADDRESS_SIZE];

    assert_true(
        mill_suppression_key(mill_str(row->tenant), mill_str(row->recipient), MILL_STR(""), key));
    assert_true(mill_str_is(e->key, key));
    assert_int_equal(s->reason, row->want);
    assert_true(
        mill_str_eq(s->address, mill_suppression_address(mill_str(row->recipient), address)));
    assert_true(mill_str_is(s->tenant, row->tenant));
    assert_int_equal(s->since, 1700000000000000);
    assert_true(mill_str_is(s->source, "sendgrid"));
    assert_true(mill_str_is(s->event_id, "e-1") && mill_str_is(s->message_id, "r-1/0"));
}

static void suppress_row(void **state)
{
    const struct row *row = *state;
    struct mill_ctx *ctx = fake_new(&mill_stage_suppress, NULL);
    const struct mill_event event = {
        .event_id = MILL_STR("e-1"),
        .message_id = MILL_STR("r-1/0"),
        .tenant = mill_str(row->tenant),
        .matched = row->tenant != NULL,
        .provider = MILL_STR("sendgrid"),
        .type = row->type,
        .recipient = row->recipient ? mill_str(row->recipient) : MILL_STR(""),
        .occurred_at = 1700000000000000,
        .received_at = 1700000001000000,
        .bounce_class = mill_str(row->cls),
        .reason = mill_str(row->reason),
    };
    struct mill_record in = fake_record(ctx, 0, "r-1/0", &event);
    struct mill_err err = {0};

    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), row->want == NOBODY ? 0 : 1);
    assert_true(fake_metric(ctx, M_EVENTS, label(row->way)) == 2);
    if (row->want != NOBODY)
        check(ctx, row);
    fake_free(ctx);
}

/** Which classes are for ever is the operator's word; a provider's clock may be missing. */
static void by_option(void **state)
{
    struct mill_ctx *ctx =
        fake_new(&mill_stage_suppress, "--hard-classes=dead , Mailbox Unavailable", NULL);
    struct mill_event event = {
        .event_id = MILL_STR("e-1"),
        .tenant = MILL_STR("acme"),
        .matched = true,
        .provider = MILL_STR("mailgun"),
        .type = MILL_EVENT_BOUNCED,
        .recipient = MILL_STR("ann@example.com"),
        .received_at = 1700000001000000,
        .bounce_class = MILL_STR("Mailbox Unavailable"),
    };
    struct mill_record in = fake_record(ctx, 0, "k", &event);
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    assert_int_equal(((const struct mill_suppression *)fake_emit(ctx, 0)->value)->since,
                     1700000001000000);
    event.bounce_class = MILL_STR("Invalid Address");
    in = fake_record(ctx, 0, "k", &event);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    fake_fail_emits(ctx, 0, MILL_E_NOMEM);
    event.bounce_class = MILL_STR("dead");
    in = fake_record(ctx, 0, "k", &event);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_STOP);
    fake_free(ctx);
}

/** A producer one version ahead: a field more, and a type that we do not know. */
static void newer_schema(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_suppress, NULL);
    const char *avsc = mill_event_desc.avsc, *fields = strstr(avsc, "\"fields\": [");
    const struct mill_event event = {
        .event_id = MILL_STR("e-1"),
        .tenant = MILL_STR("acme"),
        .matched = true,
        .provider = MILL_STR("sendgrid"),
        .type = MILL_EVENT_COMPLAINED,
        .recipient = MILL_STR("ann@example.com"),
    };
    static char newer[32768];
    struct mill_record in;
    struct mill_err err = {0};

    (void)state;
    assert_non_null(fields);
    snprintf(newer, sizeof(newer),
             "%.*s\"fields\": [{\"name\": \"mood\", \"type\": \"string\", "
             "\"default\": \"\"}, %s",
             (int)(fields - avsc), avsc, fields + strlen("\"fields\": ["));
    in = fake_record_of(ctx, 0, "k", &event, newer);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    fake_free(ctx);
}

/* --- a story: what is known, and what the next event makes of it -------------------------------
 */

static const struct chapter {
    const char *name;
    int type;
    const char *group, *category; /**< of the event, of its message */
    int hour;                     /**< when it happened */
    const char *want; /**< "reason category lifted" of what is written; NULL = nothing */
} story[] = {
    {"leaves a group", MILL_EVENT_UNSUBSCRIBED, "17", "news", 10, "3 news 0"},
    {"once more, told late", MILL_EVENT_UNSUBSCRIBED, "17", "news", 9, NULL},
    {"joins it again", MILL_EVENT_RESUBSCRIBED, "17", "news", 11, "3 news 1"},
    {"told twice", MILL_EVENT_RESUBSCRIBED, "17", "news", 11, NULL},
    {"a replay of the first", MILL_EVENT_UNSUBSCRIBED, "17", "news", 10, NULL},
    {"leaves a group that is no category of ours", MILL_EVENT_UNSUBSCRIBED, "18", "march", 12,
     "3  0"},
    {"leaves all mail by mail of a category", MILL_EVENT_UNSUBSCRIBED, NULL, "news", 13, "3  0"},
    {"joins a group: all mail stays off", MILL_EVENT_RESUBSCRIBED, "17", "news", 14, NULL},
    {"a complaint is worse", MILL_EVENT_COMPLAINED, NULL, "news", 15, "2  0"},
    {"unsubscribing does not make it better", MILL_EVENT_UNSUBSCRIBED, NULL, "news", 16, NULL},
    {"nor does joining", MILL_EVENT_RESUBSCRIBED, NULL, "news", 17, NULL},
};

static void known_before(void **state)
{
    struct mill_ctx *ctx =
        fake_new(&mill_stage_suppress, "--unsubscribe-categories=news,offers", NULL);

    (void)state;
    for (size_t i = 0; i < STAGE_ROWS(story); i++) {
        const struct chapter *c = &story[i];
        struct mill_str category = mill_str(c->category);
        const struct mill_event event = {
            .event_id = MILL_STR("e-1"),
            .tenant = MILL_STR("acme"),
            .matched = true,
            .provider = MILL_STR("sendgrid"),
            .type = c->type,
            .recipient = MILL_STR("ann@example.com"),
            .occurred_at = c->hour * INT64_C(3600000000),
            .categories = {&category, 1},
            .group = mill_str(c->group),
        };
        struct mill_record in = fake_record(ctx, 0, "k", &event);
        struct mill_err err = {0};
        const struct mill_suppression *s;
        char key[MILL_SUPPRESSION_KEY_SIZE], text[80] = "";

        fake_forget(ctx);
        assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
        if (fake_emits(ctx)) {
            s = fake_emit(ctx, 0)->value;
            assert_true(mill_suppression_key(s->tenant, s->address, s->category, key));
            assert_true(mill_str_is(fake_emit(ctx, 0)->key, key));
            snprintf(text, sizeof text, "%d %.*s %d", s->reason, MILL_FMT(s->category), s->lifted);
        }
        if (strcmp(text, c->want ? c->want : ""))
            fail_msg("%s: \"%s\"", c->name, text);
    }
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_option), cmocka_unit_test(known_before),
                                       cmocka_unit_test(newer_schema)};

    return TABLE(rows, suppress_row) + TESTS(tests);
}
