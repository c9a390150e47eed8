/* http_client against scripted peers: what counts as REPLIED, UNSENT, LOST; and that no call with a
 * body is ever made twice. */
#include "net/http_client.h"
#include "net_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#define OK_EMPTY "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

struct seen {
    int n;
    enum mill_http_end end;
    long status;
    char body[256];
    char headers[2048]; /* "name=value\n" each */
    char reason[256];
};

static void on_done(void *arg, const struct mill_http_reply *r)
{
    struct seen *s = arg;

    s->n++;
    s->end = r->end;
    s->status = r->status;
    mill_str_cut(r->body, s->body, sizeof s->body);
    mill_str_cut(mill_str(r->reason), s->reason, sizeof s->reason);
    s->headers[0] = '\0';
    for (size_t i = 0; i < r->headers.n; i++) {
        size_t at = strlen(s->headers);
        snprintf(s->headers + at, sizeof s->headers - at, "%.*s=%.*s\n",
                 MILL_FMT(r->headers.v[i].key), MILL_FMT(r->headers.v[i].value));
    }
}

static struct mill_http *client(void)
{
    struct mill_http *h;
    struct mill_err err;

    unsetenv("http_proxy");
    assert_int_equal(mill_http_new(&h, NULL, &err), MILL_OK);
    return h;
}

static void run(struct mill_http *h, struct mill_http_call *call, struct seen *seen)
{
    struct mill_err err;

    memset(seen, 0, sizeof *seen);
    call->done = on_done;
    call->arg = seen;
    assert_int_equal(mill_http_submit(h, call, &err), MILL_OK);
    while (mill_http_poll(h, 1000))
        continue;
    assert_int_equal(seen->n, 1);
}

/* --- one call, one end ----------------------------------------------------------------------- */

static void serve_ok(struct net_peer *p, int fd)
{
    while (net_read_request(p, fd, p->seen, sizeof p->seen))
        net_send(fd, "HTTP/1.1 202 Accepted\r\nX-Message-Id: abc\r\nContent-Length: 2\r\n\r\nhi");
}

static void serve_early_hints(struct net_peer *p, int fd)
{
    if (net_read_request(p, fd, NULL, 0))
        net_send(fd, "HTTP/1.1 103 Early Hints\r\nX-Old: 1\r\n\r\n" OK_EMPTY);
}

static void serve_redirect(struct net_peer *p, int fd)
{
    while (net_read_request(p, fd, NULL, 0))
        net_send(fd, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /other\r\n"
                     "Content-Length: 0\r\n\r\n");
}

static void serve_close_after_body(struct net_peer *p, int fd)
{
    net_read_request(p, fd, NULL, 0);
}

static void serve_half_reply(struct net_peer *p, int fd)
{
    if (net_read_request(p, fd, NULL, 0))
        net_send(fd, "HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nhalf");
}

static void serve_hang(struct net_peer *p, int fd)
{
    net_read_request(p, fd, NULL, 0);
    net_peer_wait(p, fd);
}

/* Reads the head only, refuses, and leaves. */
static void serve_refuse_early(struct net_peer *p, int fd)
{
    char c[4096];

    if (net_peer_wait(p, fd) && recv(fd, c, sizeof c, 0) > 0)
        net_send(fd, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

/* Reads the head only, and resets. */
static void serve_reset_early(struct net_peer *p, int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    char c[1024];

    if (net_peer_wait(p, fd))
        (void)!recv(fd, c, sizeof c, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void serve_garbage(struct net_peer *p, int fd)
{
    if (net_read_request(p, fd, NULL, 0))
        net_send(fd, "\x01\x02 what is this\r\n\r\n");
}

static const struct {
    const char *name;
    void (*serve)(struct net_peer *, int);
    const char *scheme, *method;
    size_t body_bytes;
    enum mill_http_end end;
    long status;
    int requests; /* whole ones the peer saw */
} ends[] = {
    {"reply", serve_ok, "http", "POST", 10, MILL_HTTP_REPLIED, 202, 1},
    {"reply to GET", serve_ok, "http", "GET", 0, MILL_HTTP_REPLIED, 202, 1},
    {"reply to PUT of 2 MiB", serve_ok, "http", "PUT", 2 << 20, MILL_HTTP_REPLIED, 202, 1},
    {"empty POST", serve_ok, "http", "POST", 0, MILL_HTTP_REPLIED, 202, 1},
    {"informational first", serve_early_hints, "http", "POST", 10, MILL_HTTP_REPLIED, 202, 1},
    {"redirect is an answer", serve_redirect, "http", "POST", 10, MILL_HTTP_REPLIED, 307, 1},
    {"closed after body", serve_close_after_body, "http", "POST", 10, MILL_HTTP_LOST, 0, 1},
    {"closed after empty POST", serve_close_after_body, "http", "POST", 0, MILL_HTTP_LOST, 0, 1},
    {"half a reply", serve_half_reply, "http", "POST", 10, MILL_HTTP_LOST, 202, 1},
    {"no reply", serve_hang, "http", "POST", 10, MILL_HTTP_LOST, 0, 1},
    {"garbage", serve_garbage, "http", "POST", 10, MILL_HTTP_LOST, 0, 1},
    {"refused before the body", serve_refuse_early, "http", "POST", 32 << 20, MILL_HTTP_REPLIED,
     413, 0},
    {"reset before the body", serve_reset_early, "http", "POST", 32 << 20, MILL_HTTP_UNSENT, 0, 0},
    {"no TLS there", serve_refuse_early, "https", "POST", 10, MILL_HTTP_UNSENT, 0, 0},
};

static void test_end(void **state)
{
    const size_t i = (size_t)(uintptr_t)*state;
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    char *body = calloc(1, ends[i].body_bytes + 1);
    struct mill_http_call call = {.method = ends[i].method, .url = url, .timeout_ms = 300};

    assert_non_null(body);
    if (ends[i].body_bytes > 1000)
        call.timeout_ms = 5000;
    memset(body, 'x', ends[i].body_bytes);
    call.body = (struct mill_str){body, ends[i].body_bytes};
    net_peer_start(&peer, ends[i].serve);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/v3", ends[i].scheme, peer.port);
    run(h, &call, &seen);
    net_peer_stop(&peer);
    /* A refusal that meets a client still writing may be lost with the connection: UNSENT then. */
    if (ends[i].serve == serve_refuse_early && ends[i].body_bytes && seen.end != ends[i].end)
        assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    else {
        assert_int_equal(seen.end, ends[i].end);
        assert_int_equal(seen.status, ends[i].status);
    }
    assert_int_equal(atomic_load(&peer.requests), ends[i].requests);
    if (seen.end != MILL_HTTP_REPLIED)
        assert_true(strlen(seen.reason) > 3);
    mill_http_free(h);
    free(body);
}

static void test_nobody_listens(void **state)
{
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    unsigned port;
    struct mill_http_call call = {.method = "POST", .url = url, .body = MILL_STR("x")};

    (void)state;
    close(net_listen(&port));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    assert_int_equal(seen.status, 0);
    mill_http_free(h);
}

/* --- what goes over the wire ----------------------------------------------------------------- */

static void test_request_and_reply(void **state)
{
    const struct mill_pair headers[] = {
        {MILL_STR("Authorization"), MILL_STR("Bearer fake")},
        {MILL_STR("X-Empty"), MILL_STR("")},
    };
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {.method = "PATCH",
                                  .url = url,
                                  .headers = {headers, 2},
                                  .body = MILL_STR("body"),
                                  .timeout_ms = 2000};

    (void)state;
    net_peer_start(&peer, serve_ok);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a?b=c", peer.port);
    run(h, &call, &seen);
    run(h, &call, &seen);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.accepted), 1); /* kept alive */
    assert_int_equal(atomic_load(&peer.requests), 2);
    assert_string_equal(seen.body, "hi");
    assert_non_null(strstr(seen.headers, "X-Message-Id=abc\n"));
    assert_non_null(strstr(peer.seen, "PATCH /a?b=c HTTP/1.1\r\n"));
    assert_non_null(strstr(peer.seen, "\r\nAuthorization: Bearer fake\r\n"));
    assert_non_null(strstr(peer.seen, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(peer.seen, "\r\nContent-Length: 4\r\n"));
    assert_null(strstr(peer.seen, "Expect"));
    assert_null(strstr(peer.seen, "Content-Type"));
    mill_http_free(h);
}

static void test_refused_input(void **state)
{
    static const struct {
        const char *name, *value;
    } bad[] = {{"X", "a\r\nY: b"}, {"X\n", "a"}, {"X:", "a"}, {"", "a"}, {"X", "a\x7f"}};
    const char *const nobody[] = {NULL};
    const char *const evil[] = {"a@b\r\nDATA", NULL};
    const char *const good[] = {"a@b", NULL};
    const struct mill_http_call calls[] = {
        {.method = "GET", .url = ""},
        {.method = "GET"},
        {.url = "smtp://127.0.0.1:1", .mail_from = "a@b", .rcpt = nobody, .body = MILL_STR("x")},
        {.url = "smtp://127.0.0.1:1", .mail_from = "a@b", .rcpt = evil, .body = MILL_STR("x")},
        {.url = "smtp://127.0.0.1:1", .mail_from = "a\n@b", .rcpt = good, .body = MILL_STR("x")},
        {.url = "smtp://127.0.0.1:1", .mail_from = "a@b", .rcpt = good},
    };
    struct mill_http *h = client();
    struct mill_err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct mill_pair pair = {mill_str(bad[i].name), mill_str(bad[i].value)};
        const struct mill_http_call call = {
            .method = "GET", .url = "http://127.0.0.1:1/", .headers = {&pair, 1}};
        assert_int_equal(mill_http_submit(h, &call, &err), MILL_E_CONFIG);
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        assert_int_equal(mill_http_submit(h, &calls[i], &err), MILL_E_CONFIG);
    assert_int_equal(mill_http_poll(h, 0), 0);
    mill_http_free(h);
    mill_http_free(NULL);
}

static void test_reply_limit(void **state)
{
    const struct mill_http_conf conf = {.reply_max_bytes = 1};
    struct net_peer peer;
    struct mill_http *h;
    struct seen seen;
    struct mill_err err;
    char url[64];
    struct mill_http_call call = {.method = "GET", .url = url, .timeout_ms = 2000};

    (void)state;
    assert_int_equal(mill_http_new(&h, &conf, &err), MILL_OK);
    net_peer_start(&peer, serve_ok);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_REPLIED);
    assert_string_equal(seen.body, "h");
    mill_http_free(h);
    net_peer_stop(&peer);
}

/* --- never twice ----------------------------------------------------------------------------- */

/* Answers the first request, takes the second one of the connection whole, and closes. */
static void serve_close_second(struct net_peer *p, int fd)
{
    if (atomic_load(&p->accepted) > 1) {
        if (net_peer_wait(p, fd))
            (void)!recv(fd, p->seen, sizeof p->seen - 1, 0);
    } else if (net_read_request(p, fd, NULL, 0)) {
        net_send(fd, OK_EMPTY);
        net_read_request(p, fd, NULL, 0);
    }
}

static void test_reused_connection_dies(void **state)
{
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {
        .method = "POST", .url = url, .body = MILL_STR("mail"), .timeout_ms = 2000};

    (void)state;
    net_peer_start(&peer, serve_close_second);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_REPLIED);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_LOST);
    /* Time for a silent repeat to show up. */
    for (int i = 0; i < 5; i++)
        mill_http_poll(h, 20);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 2);
    /* libcurl does open another connection, and sends nothing on it. */
    assert_string_equal(peer.seen, "");
    mill_http_free(h);
}

/* A connection that the peer closed while nobody used it is no reason to lose a call. */
static void serve_one_each(struct net_peer *p, int fd)
{
    if (net_read_request(p, fd, NULL, 0))
        net_send(fd, OK_EMPTY);
}

static void test_idle_connection_closed(void **state)
{
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {
        .method = "POST", .url = url, .body = MILL_STR("mail"), .timeout_ms = 2000};
    const struct timespec pause = {.tv_nsec = 30000000};

    (void)state;
    net_peer_start(&peer, serve_one_each);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    for (int i = 0; i < 3; i++) {
        run(h, &call, &seen);
        assert_int_equal(seen.end, MILL_HTTP_REPLIED);
        nanosleep(&pause, NULL);
    }
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 3);
    mill_http_free(h);
}

/* --- waking, ending, waiting ----------------------------------------------------------------- */

static void *wake_soon(void *arg)
{
    const struct timespec pause = {.tv_nsec = 50000000};

    nanosleep(&pause, NULL);
    mill_http_wake(arg);
    return NULL;
}

static void test_wake(void **state)
{
    struct mill_http *h = client();
    pthread_t thread;
    struct timespec a, b;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, h), 0);
    mill_http_poll(h, 10000);
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec < 5);
    pthread_join(thread, NULL);
    mill_http_free(h);
}

static void test_free_ends_calls(void **state)
{
    struct net_peer peer;
    struct mill_http *h = client();
    struct seen seen = {0};
    struct mill_err err;
    char url[64];
    const struct mill_http_call call = {.method = "POST",
                                        .url = url,
                                        .body = MILL_STR("x"),
                                        .timeout_ms = 5000,
                                        .done = on_done,
                                        .arg = &seen};

    (void)state;
    net_peer_start(&peer, serve_hang);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mill_http_submit(h, &call, &err), MILL_OK);
    assert_int_equal(mill_http_poll(h, 50), 3);
    mill_http_free(h);
    assert_int_equal(seen.n, 0);
    net_peer_stop(&peer);
}

static void test_wait(void **state)
{
    struct net_peer peer;
    struct mill_http *h = client();
    struct mill_err err;
    struct mill_buf body;
    char url[64];
    long status = 0;
    struct mill_http_call call = {.method = "GET", .url = url, .timeout_ms = 1000};

    (void)state;
    mill_buf_init(&body, 3);
    net_peer_start(&peer, serve_ok);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    assert_int_equal(mill_http_wait(h, &call, &status, &body, &err), MILL_OK);
    assert_int_equal(status, 202);
    assert_true(mill_str_is(mill_buf_view(&body), "hi"));
    assert_int_equal(mill_http_wait(h, &call, NULL, &body, &err), MILL_E_DATA);
    assert_int_equal(mill_http_wait(h, &call, NULL, NULL, &err), MILL_OK);
    net_peer_stop(&peer);
    assert_int_equal(mill_http_wait(h, &call, &status, NULL, &err), MILL_E_IO);
    assert_int_equal(status, 0);
    mill_buf_release(&body);
    mill_http_free(h);
}

/* --- SMTP ------------------------------------------------------------------------------------ */

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
            net_send(fd, !strncmp(from, "full", 4)   ? "452 4.3.1 full\r\n"
                         : !strncmp(from, "spam", 4) ? "554 5.7.1 spam\r\n"
                                                     : "250 2.0.0 queued as 77\r\n");
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
                                  .timeout_ms = 2000};

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
                                  .timeout_ms = 200};

    (void)state;
    net_peer_start(&peer, serve_smtp_down);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    run(h, &call, &seen);
    net_peer_stop(&peer);
    assert_int_equal(seen.end, MILL_HTTP_REPLIED);
    assert_int_equal(seen.status, 421);

    net_peer_start(&peer, serve_smtp_silent);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    mill_http_free(h);
    net_peer_stop(&peer);

    h = client();
    net_peer_start(&peer, serve_smtp);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%u", peer.port);
    call.tls_required = true; /* the peer has no STARTTLS */
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    mill_http_free(h);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 0);
}

int main(void)
{
    enum { ENDS = sizeof ends / sizeof *ends, MAILS = sizeof mails / sizeof *mails };
    struct CMUnitTest rows[ENDS + MAILS];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_request_and_reply),
        cmocka_unit_test(test_refused_input),
        cmocka_unit_test(test_reply_limit),
        cmocka_unit_test(test_reused_connection_dies),
        cmocka_unit_test(test_idle_connection_closed),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_free_ends_calls),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_mail_not_begun),
    };
    int failed;

    for (size_t i = 0; i < ENDS; i++)
        rows[i] = (struct CMUnitTest){ends[i].name, test_end, NULL, NULL, (void *)(uintptr_t)i};
    for (size_t i = 0; i < MAILS; i++)
        rows[ENDS + i] =
            (struct CMUnitTest){mails[i].name, test_mail, NULL, NULL, (void *)(uintptr_t)i};
    failed = cmocka_run_group_tests_name("ends", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("http_client", tests, NULL, NULL) ? 1 : 0;
}
