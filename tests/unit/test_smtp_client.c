/* Mail by SMTP through http_client: which reply ends it, and when the peer may have taken it. */
#include "net_call.h"

static const char *smtp_verdict(const char *from)
{
    return !strncmp(from, "full", 4)   ? "452 4.3.1 full\r\n"
           : !strncmp(from, "spam", 4) ? "554 5.7.1 spam\r\n"
                                       : "250 2.0.0 queued as 77\r\n";
}

/* Refuses recipients by their first letters: "no" 550, "later" 450. What happens at the end of the
 * mail hangs on the sender: "lost" closes, "full" answers 452, "spam" 554, else 250. */
static void serve_smtp(struct net_peer *p, int fd)
{
    char line[1024], from[256] = "";
    size_t at = 0;

    net_send(fd, "220 double ESMTP\r\n");
    while (net_read_line(p, fd, line, sizeof line)) {
        if (!strncmp(line, "EHLO", 4)) {
            net_send(fd, "250-double\r\n250-AUTH PLAIN\r\n250 SIZE 1000000\r\n");
        } else if (!strncmp(line, "AUTH", 4)) {
            net_send(fd, "334 \r\n");
            net_read_line(p, fd, line, sizeof line);
            net_send(fd, strstr(line, "AGdvb2QAc2VjcmV0") ? "235 ok\r\n" : "535 5.7.8 no\r\n");
        } else if (!strncmp(line, "MAIL FROM:<", 11)) {
            snprintf(from, sizeof from, "%.200s", line + 11);
            net_send(fd, strncmp(from, "blocked", 7) ? "250 ok\r\n" : "550 5.7.1 blocked\r\n");
        } else if (!strncmp(line, "RCPT TO:<no", 11)) {
            net_send(fd, "550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n");
        } else if (!strncmp(line, "RCPT TO:<later", 14)) {
            net_send(fd, "450 4.2.0 later\r\n");
        } else if (!strncmp(line, "RCPT", 4)) {
            net_send(fd, "250 2.1.5 ok\r\n");
        } else if (!strncmp(line, "DATA", 4)) {
            net_send(fd, "354 go\r\n");
            while (net_read_line(p, fd, line, sizeof line) && strcmp(line, "."))
                at += (size_t)snprintf(p->seen + at, sizeof p->seen - at, "%s\n", line);
            atomic_fetch_add(&p->requests, 1);
            if (!strncmp(from, "lost", 4))
                return;
            net_send(fd, smtp_verdict(from));
        } else if (!strncmp(line, "QUIT", 4)) {
            net_send(fd, "221 bye\r\n");
            return;
        } else {
            net_send(fd, "502 what\r\n");
        }
    }
}

static const struct {
    const char *name, *from, *rcpt[4], *password;
    enum mill_http_end end;
    long status;
    int mails;
    const char *lines; /* must be in the reply's headers */
} mails[] = {
    {"sent",
     "me@example.com",
     {"a@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     250,
     1,
     "=220 double ESMTP\nEHLO=250-double\nEHLO=250-AUTH PLAIN\nEHLO=250 SIZE 1000000\n"
     "MAIL=250 ok\nRCPT=250 2.1.5 ok\nDATA=354 go\n.=250 2.0.0 queued as 77\n"},
    {"with password",
     "me@example.com",
     {"a@example.com"},
     "secret",
     MILL_HTTP_REPLIED,
     250,
     1,
     "AUTH=334\nAUTH=235 ok\n"},
    {"wrong password",
     "me@example.com",
     {"a@example.com"},
     "wrong",
     MILL_HTTP_REPLIED,
     535,
     0,
     "AUTH=535 5.7.8 no\n"},
    {"sender refused",
     "blocked@example.com",
     {"a@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     550,
     0,
     "MAIL=550 5.7.1 blocked\n"},
    {"some refused",
     "me@example.com",
     {"no@example.com", "a@example.com", "later@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     250,
     1,
     "RCPT=550-5.1.1 no such\nRCPT=550 5.1.1 mailbox\nRCPT=250 2.1.5 ok\nRCPT=450 4.2.0 later\n"
     "DATA=354 go\n"},
    {"all refused",
     "me@example.com",
     {"later@example.com", "no@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     550,
     0,
     "RCPT=450 4.2.0 later\nRCPT=550-5.1.1 no such\n"},
    {"refused after data",
     "spam@example.com",
     {"a@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     554,
     1,
     ".=554 5.7.1 spam\n"},
    {"throttled after data",
     "full@example.com",
     {"a@example.com"},
     NULL,
     MILL_HTTP_REPLIED,
     452,
     1,
     ".=452 4.3.1 full\n"},
    {"lost after the dot",
     "lost@example.com",
     {"a@example.com"},
     NULL,
     MILL_HTTP_LOST,
     0,
     1,
     "DATA=354 go\n"},
};

static void test_mail(void **state)
{
    const size_t i = (size_t)(uintptr_t)*state;
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {.url = url,
                                  .mail_from = mails[i].from,
                                  .rcpt = mails[i].rcpt,
                                  .user = mails[i].password ? "good" : NULL,
                                  .password = mails[i].password,
                                  .body = MILL_STR("Subject: x\r\n\r\n.dot\r\nend\r\n"),
                                  .timeout_ms = 20000};

    net_peer_start(&peer, serve_smtp);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u/localhost", peer.port);
    run(h, &call, &seen);
    mill_http_free(h);
    net_peer_stop(&peer);
    assert_int_equal(seen.end, mails[i].end);
    assert_int_equal(seen.status, mails[i].status);
    assert_int_equal(atomic_load(&peer.requests), mails[i].mails);
    if (!strstr(seen.headers, mails[i].lines))
        fail_msg("no %s in %s", mails[i].lines, seen.headers);
    assert_null(strstr(seen.headers, "AGdvb2QA")); /* the password is in no line */
    if (mails[i].mails)
        assert_string_equal(peer.seen, "Subject: x\n\n..dot\nend\n");
}

static void serve_smtp_down(struct net_peer *p, int fd)
{
    (void)p;
    net_send(fd, "421 4.3.2 going down\r\n");
}

static void serve_smtp_silent(struct net_peer *p, int fd)
{
    char line[256];

    net_send(fd, "220 hi\r\n");
    while (net_read_line(p, fd, line, sizeof line))
        continue;
}

static void test_mail_not_begun(void **state)
{
    const char *const rcpt[] = {"a@example.com", NULL};
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {.url = url,
                                  .mail_from = "me@example.com",
                                  .rcpt = rcpt,
                                  .body = MILL_STR("Subject: x\r\n\r\nx\r\n"),
                                  .timeout_ms = 20000};

    (void)state;
    net_peer_start(&peer, serve_smtp_down);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    run(h, &call, &seen);
    net_peer_stop(&peer);
    assert_int_equal(seen.end, MILL_HTTP_REPLIED);
    assert_int_equal(seen.status, 421);

    call.timeout_ms = 200;
    net_peer_start(&peer, serve_smtp_silent);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    mill_http_free(h);
    net_peer_stop(&peer);

    h = client();
    net_peer_start(&peer, serve_smtp);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    call.timeout_ms = 20000;
    call.tls_required = true; /* the peer has no STARTTLS */
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    mill_http_free(h);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 0);
}

int main(void)
{
    enum { MAILS = sizeof mails / sizeof *mails };
    struct CMUnitTest rows[MAILS];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mail_not_begun)};
    int failed;

    for (size_t i = 0; i < MAILS; i++)
        rows[i] = (struct CMUnitTest){mails[i].name, test_mail, NULL, NULL, (void *)(uintptr_t)i};
    failed = cmocka_run_group_tests_name("mails", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("smtp", tests, NULL, NULL) ? 1 : 0;
}
