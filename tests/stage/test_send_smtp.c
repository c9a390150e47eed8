/**
 * @file test_send_smtp.c
 * @brief The stage `send` by SMTP: what becomes of a mail that some of its recipients are refused.
 */
#include "stage/send_case.h"

enum { OUT_EVENTS = 8 };

/** Refuses recipients by their first letters: "no" 550, "later" 450. */
static void serve_smtp(struct net_peer *p, int fd)
{
    char line[1024];

    net_send(fd, "220 double ESMTP\r\n");
    while (net_read_line(p, fd, line, sizeof line)) {
        if (!strncmp(line, "RCPT TO:<no", 11)) {
            net_send(fd, "550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n");
        } else if (!strncmp(line, "RCPT TO:<later", 14)) {
            net_send(fd, "450 4.2.0 later\r\n");
        } else if (!strncmp(line, "DATA", 4)) {
            net_send(fd, "354 go\r\n");
            while (net_read_line(p, fd, line, sizeof line) && strcmp(line, "."))
                ;
            atomic_fetch_add(&p->requests, 1);
            net_send(fd, "250 2.0.0 queued\r\n");
        } else if (!strncmp(line, "QUIT", 4)) {
            net_send(fd, "221 bye\r\n");
            return;
        } else {
            net_send(fd, "250 ok\r\n");
        }
    }
}

static const struct row {
    const char *name;
    const char *to[4];
    enum mill_verdict want;
    const char *cls;
    int mails;
    enum mill_outcome outcome;
    const char *events[3]; /**< recipients */
} rows[] = {
    {"all taken", {"a", "b"}, MILL_DONE, NULL, 1, MILL_OUTCOME_ACCEPTED, {NULL}},
    {"some refused",
     {"no1", "a", "later1"},
     MILL_DONE,
     NULL,
     1,
     MILL_OUTCOME_ACCEPTED,
     {"no1@x.example", "later1@x.example"}},
    {"all for good",
     {"no1", "no2"},
     MILL_REJECT,
     "permanent",
     0,
     MILL_OUTCOME_PERMANENT,
     {"no1@x.example", "no2@x.example"}},
    {"none, one for now",
     {"no1", "later1"},
     MILL_RETRY,
     "throttled",
     0,
     MILL_OUTCOME_THROTTLED,
     {NULL}},
};

static void refused(void **state)
{
    const struct row *row = *state;
    char url[64], text[4][32];
    struct mill_address to[4];
    struct mill_message m = message(to);
    struct mill_err err = {0};
    struct mill_ctx *ctx;
    size_t events = 0;

    snprintf(url, sizeof url, "--smtp-url=smtp://127.0.0.1:%u", peer.port);
    atomic_store(&peer.requests, 0);
    ctx = fake_new(&mill_stage_send, "--providers=smtp", url, NULL);
    for (m.to.n = 0; row->to[m.to.n]; m.to.n++) {
        snprintf(text[m.to.n], sizeof text[0], "%s@x.example", row->to[m.to.n]);
        to[m.to.n] = (struct mill_address){.email = mill_str(text[m.to.n])};
    }
    assert_int_equal(again(ctx, &m, &err), row->want);
    if (row->cls)
        assert_string_equal(err.cls, row->cls);
    assert_int_equal(calls(), row->mails);
    for (size_t i = 0; i < fake_emits(ctx); i++) {
        const struct fake_emit *e = fake_emit(ctx, i);
        const struct mill_ledger *l = e->value;
        const struct mill_callback_event *event = e->value;

        if (e->port == OUT_LEDGER && l->kind == MILL_LEDGER_OUTCOME)
            assert_int_equal(l->outcome, row->outcome);
        if (e->port != OUT_EVENTS)
            continue;
        assert_true(mill_str_is(e->key, "r-1/0") && mill_str_is(event->provider, "smtp"));
        assert_true(mill_str_is(event->message_id, "r-1/0"));
        assert_int_equal(event->index, events);
        assert_non_null(row->events[events]);
        assert_non_null(strstr(event->raw.p, row->events[events++]));
    }
    assert_null(row->events[events]);
    fake_free(ctx);
}

/** The bytes of all events, in order. @own the caller's buffer */
static size_t events_of(const struct mill_ctx *ctx, struct mill_buf *out)
{
    size_t n = 0;

    mill_buf_reset(out);
    for (size_t i = 0; i < fake_emits(ctx); i++)
        if (fake_emit(ctx, i)->port == OUT_EVENTS) {
            mill_buf_str_add(out, fake_emit(ctx, i)->bytes);
            n++;
        }
    return n;
}

/** Transaction B fails and the record comes again: nobody is called, and whoever was refused is
 * told of again, as the same events. Once it is committed, a copy tells of nobody. */
static void told_again(void **state)
{
    const struct mill_address to[] = {{.email = MILL_STR("no1@x.example")},
                                      {.email = MILL_STR("a@x.example")},
                                      {.email = MILL_STR("later1@x.example")}};
    struct mill_message m = message(to), next = message(to);
    struct mill_record in;
    struct mill_buf first, second;
    struct mill_err err = {0};
    struct mill_ctx *ctx;
    char url[64];

    (void)state;
    snprintf(url, sizeof url, "--smtp-url=smtp://127.0.0.1:%u", peer.port);
    atomic_store(&peer.requests, 0);
    ctx = fake_new(&mill_stage_send, "--providers=smtp", url, NULL);
    m.to.n = 3;
    in = fake_record(ctx, 0, "r-1/0", &m);
    mill_buf_init(&first, 1 << 16);
    mill_buf_init(&second, 1 << 16);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(events_of(ctx, &first), 2);
    fake_forget(ctx);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(events_of(ctx, &second), 2);
    assert_true(mill_str_eq(mill_buf_view(&first), mill_buf_view(&second)));
    assert_int_equal(calls(), 1);

    next.message_id = MILL_STR("r-1/1"); /* another batch: B is committed now */
    fake_forget(ctx);
    assert_int_equal(again(ctx, &next, &err), MILL_REJECT);
    fake_forget(ctx);
    in = fake_record(ctx, 0, "r-1/0", &m);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits_to(ctx, OUT_EVENTS), 0);
    assert_int_equal(calls(), 1);
    mill_buf_release(&first);
    mill_buf_release(&second);
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told_again)};
    int failed;

    net_peer_start(&peer, serve_smtp);
    failed = TABLE(rows, refused) + TESTS(tests);
    net_peer_stop(&peer);
    return failed;
}
