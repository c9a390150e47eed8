/* http_client against scripted peers: what counts as REPLIED, UNSENT, LOST; and that no call with a
 * body is ever made twice. */
#include "net_call.h"

#include <time.h>

#define OK_EMPTY "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

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
    struct mill_http_call call = {.method = ends[i].method,
                                  .url = url,
                                  .timeout_ms = ends[i].serve == serve_hang ? 300 : 20000};

    assert_non_null(body);
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
                                  .timeout_ms = 20000};

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
    struct mill_http_call call = {.method = "GET", .url = url, .timeout_ms = 20000};

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
        .method = "POST", .url = url, .body = MILL_STR("mail"), .timeout_ms = 20000};

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
        .method = "POST", .url = url, .body = MILL_STR("mail"), .timeout_ms = 20000};

    (void)state;
    net_peer_start(&peer, serve_one_each);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    for (int i = 0; i < 3; i++) {
        run(h, &call, &seen);
        assert_int_equal(seen.end, MILL_HTTP_REPLIED);
        while (atomic_load(&peer.closed) <= i)
            usleep(1000);
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
    struct mill_http_call call = {.method = "GET", .url = url, .timeout_ms = 20000};

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

int main(void)
{
    enum { ENDS = sizeof ends / sizeof *ends };
    struct CMUnitTest rows[ENDS];
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
    };
    int failed;

    for (size_t i = 0; i < ENDS; i++)
        rows[i] = (struct CMUnitTest){ends[i].name, test_end, NULL, NULL, (void *)(uintptr_t)i};
    failed = cmocka_run_group_tests_name("ends", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("http_client", tests, NULL, NULL) ? 1 : 0;
}
