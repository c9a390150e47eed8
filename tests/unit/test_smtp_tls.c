/* The SMTP client and TLS: STARTTLS where it is offered, smtps, and what happens where the server's
 * certificate is nobody's. The password goes over TLS alone. */
#include "net/http_client.h"
#include "net_call.h"
#include "net_peer.h"
#include "net_tls.h"

static struct net_tls world;

static int setup(void **state)
{
    (void)state;
    return net_tls_start(&world);
}

static int teardown(void **state)
{
    (void)state;
    return net_tls_stop(&world);
}

static void say(SSL *ssl, const char *text)
{
    SSL_write(ssl, text, (int)strlen(text));
}

static bool hear(struct net_peer *p, SSL *ssl, char *line, size_t size)
{
    size_t n = 0;
    char c;

    while ((SSL_pending(ssl) || net_peer_wait(p, SSL_get_fd(ssl))) && SSL_read(ssl, &c, 1) == 1) {
        if (c == '\n') {
            line[n] = '\0';
            return true;
        }
        if (n < size - 1 && c != '\r')
            line[n++] = c;
    }
    return false;
}

/* The talk inside TLS; what is said in it goes into seen. */
static void serve_inside(struct net_peer *p, int fd, bool greet)
{
    SSL *ssl = SSL_new(world.ctx);
    char line[512];
    size_t at = 0;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && greet)
        say(ssl, "220 double\r\n");
    while (hear(p, ssl, line, sizeof line)) {
        at += (size_t)snprintf(p->seen + at, sizeof p->seen - at, "%.400s\n", line);
        if (!strncmp(line, "EHLO", 4)) {
            say(ssl, "250-double\r\n250 AUTH PLAIN\r\n");
        } else if (!strncmp(line, "AUTH", 4)) {
            say(ssl, "334 \r\n");
            hear(p, ssl, line, sizeof line);
            say(ssl, "235 ok\r\n");
        } else if (!strncmp(line, "DATA", 4)) {
            say(ssl, "354 go\r\n");
            while (hear(p, ssl, line, sizeof line) && strcmp(line, "."))
                continue;
            atomic_fetch_add(&p->requests, 1);
            say(ssl, "250 queued\r\n");
        } else {
            say(ssl, "250 ok\r\n");
        }
    }
    SSL_free(ssl);
}

static void serve_smtps(struct net_peer *p, int fd)
{
    serve_inside(p, fd, true);
}

static void serve_starttls(struct net_peer *p, int fd)
{
    char line[512];

    net_send(fd, "220 double\r\n");
    while (net_read_line(p, fd, line, sizeof line)) {
        if (!strncmp(line, "EHLO", 4)) {
            net_send(fd, "250-double\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
        } else if (!strncmp(line, "STARTTLS", 8)) {
            net_send(fd, "220 go\r\n");
            serve_inside(p, fd, false);
            return;
        } else { /* in the clear: nothing but the hello may be said */
            snprintf(p->seen, sizeof p->seen, "CLEAR %.400s", line);
            net_send(fd, "250 ok\r\n");
        }
    }
}

static const struct row {
    const char *name, *scheme;
    void (*serve)(struct net_peer *, int);
    bool known_ca, required;
    enum mill_http_end end;
    int mails;
} rows[] = {
    {"starttls, as it is offered", "smtp", serve_starttls, true, false, MILL_HTTP_REPLIED, 1},
    {"starttls, required", "smtp", serve_starttls, true, true, MILL_HTTP_REPLIED, 1},
    {"starttls, nobody's certificate", "smtp", serve_starttls, false, false, MILL_HTTP_UNSENT, 0},
    {"smtps", "smtps", serve_smtps, true, false, MILL_HTTP_REPLIED, 1},
    {"smtps, nobody's certificate", "smtps", serve_smtps, false, false, MILL_HTTP_UNSENT, 0},
};

static void test_row(void **state)
{
    const struct row *row = &rows[(size_t)(uintptr_t)*state];
    const char *const rcpt[] = {"a@example.com", NULL};
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {.url = url,
                                  .mail_from = "me@example.com",
                                  .rcpt = rcpt,
                                  .user = "good",
                                  .password = "secret",
                                  .tls_ca = row->known_ca ? world.ca : NULL,
                                  .tls_required = row->required,
                                  .body = MILL_STR("Subject: x\r\n\r\nx\r\n"),
                                  .timeout_ms = 20000};

    net_peer_start(&peer, row->serve);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/me", row->scheme, peer.port);
    run(h, &call, &seen);
    mill_http_free(h);
    net_peer_stop(&peer);
    if (seen.end != row->end)
        fail_msg("end %d: %s\n%s", (int)seen.end, seen.reason, seen.headers);
    assert_int_equal(atomic_load(&peer.requests), row->mails);
    assert_null(strstr(peer.seen, "CLEAR"));
    if (row->mails) {
        assert_int_equal(seen.status, 250);
        assert_non_null(strstr(seen.headers, "AUTH=235 ok\n"));
        assert_non_null(strstr(peer.seen, "MAIL FROM:<me@example.com>"));
    }
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof *rows };
    struct CMUnitTest tests[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, (void *)(uintptr_t)i};
    return cmocka_run_group_tests_name("smtp_tls", tests, setup, teardown);
}
