/* http_server, driven by http_client and by bare sockets: routes, limits, late answers, load. */
#include "base/clock.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = 512, ROUNDS = 20, BODY_MAX = 1000 };

/* --- an application --------------------------------------------------------------------------- */

struct app {
    struct mill_server *server;
    /* requests kept for a later answer */
    pthread_mutex_t lock;
    struct mill_exchange *kept[MANY];
    size_t n_kept;
    atomic_size_t hold; /* the answerer waits for so many */
    atomic_bool stop;
    pthread_t answerer;
};

static void on_hello(void *arg, struct mill_exchange *x)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("text/plain")};
    struct mill_str name = mill_exchange_query(x, "name");
    struct mill_str text;

    (void)arg;
    text = mill_arena_printf(mill_exchange_arena(x), "%.*s %.*s q=%.*s h=%.*s",
                             MILL_FMT(mill_exchange_method(x)), MILL_FMT(mill_exchange_path(x)),
                             MILL_FMT(name), MILL_FMT(mill_exchange_header(x, "x-test")));
    mill_exchange_answer(x, 200, (struct mill_map){&type, 1}, text);
}

static void on_echo(void *arg, struct mill_exchange *x)
{
    (void)arg;
    mill_exchange_answer(x, 201, (struct mill_map){0}, mill_exchange_body(x));
}

static void on_later(void *arg, struct mill_exchange *x)
{
    struct app *app = arg;

    pthread_mutex_lock(&app->lock);
    app->kept[app->n_kept++] = x;
    pthread_mutex_unlock(&app->lock);
}

static void *answer_run(void *arg)
{
    const struct timespec pause = {.tv_nsec = 200000};
    struct app *app = arg;

    while (!atomic_load(&app->stop)) {
        struct mill_exchange *mine[MANY];
        size_t n = 0;
        pthread_mutex_lock(&app->lock);
        if (app->n_kept >= atomic_load(&app->hold)) {
            n = app->n_kept;
            memcpy(mine, app->kept, n * sizeof *mine);
            app->n_kept = 0;
        }
        pthread_mutex_unlock(&app->lock);
        for (size_t i = 0; i < n; i++)
            mill_exchange_answer(mine[i], 202, (struct mill_map){0}, mill_exchange_body(mine[i]));
        if (!n)
            nanosleep(&pause, NULL);
    }
    return NULL;
}

static void on_refuse(void *arg, unsigned status, const char *detail, struct mill_buf *body,
                      const char **media_type)
{
    (void)arg;
    *media_type = "application/problem+json";
    mill_buf_printf(body, "{\"status\":%u,\"detail\":", status);
    mill_buf_json(body, mill_str(detail));
    mill_buf_putc(body, '}');
}

static const struct mill_route routes[] = {
    {"GET", "/hello", on_hello, 0},
    {"GET", "/mail/*", on_hello, 0},
    {"POST", "/echo", on_echo, BODY_MAX},
    {"PUT", "/echo", on_echo, BODY_MAX},
    {"POST", "/later", on_later, 100},
    {"POST", "/big", on_echo, 1 << 20},
    {0},
};

static struct app *app_start(const struct mill_server_conf *extra)
{
    struct mill_server_conf conf = extra ? *extra : (struct mill_server_conf){0};
    struct app *app = calloc(1, sizeof *app);
    struct mill_err err;

    assert_non_null(app);
    atomic_store(&app->hold, 1);
    pthread_mutex_init(&app->lock, NULL);
    conf.listen = "127.0.0.1:0";
    conf.routes = routes;
    conf.app = app;
    assert_int_equal(mill_server_start(&app->server, &conf, &err), MILL_OK);
    assert_int_equal(pthread_create(&app->answerer, NULL, answer_run, app), 0);
    return app;
}

static void app_stop(struct app *app)
{
    mill_server_quiesce(app->server);
    atomic_store(&app->stop, true);
    pthread_join(app->answerer, NULL);
    assert_int_equal(mill_server_in_flight(app->server), 0);
    mill_server_stop(app->server);
    pthread_mutex_destroy(&app->lock);
    free(app);
}

/* --- routes and small limits ------------------------------------------------------------------ */

struct want {
    const char *name, *method, *target;
    size_t body_bytes;
    long status;
    const char *body;    /* NULL = any */
    const char *headers; /* "Name: value" the reply must have, NULL = none */
};

static const struct want wants[] = {
    {"get", "GET", "/hello?name=J%C3%B6%20x&b", 0, 200, "GET /hello q=J\xc3\xb6 x h=yes",
     "Content-Type: text/plain"},
    {"head", "HEAD", "/hello", 0, 200, "", NULL},
    {"empty parameter", "GET", "/hello?name", 0, 200, "GET /hello q= h=yes", NULL},
    {"prefix", "GET", "/mail/a%20b/0", 0, 200, "GET /mail/a b/0 q= h=yes", NULL},
    {"escapes", "GET", "/mail/%41%2f%2Fb%zz%4", 0, 200, "GET /mail/A//b%zz%4 q= h=yes", NULL},
    {"no NUL", "GET", "/mail/a%00b", 0, 200, "GET /mail/a%00b q= h=yes", NULL},
    {"not found", "GET", "/hello/", 0, 404, "{\"status\":404,\"detail\":\"no such path\"}",
     "Content-Type: application/problem+json"},
    {"not found, with body", "POST", "/none", 500, 404, NULL, NULL},
    {"wrong method", "DELETE", "/echo", 0, 405, NULL, "Allow: POST, PUT"},
    {"wrong method, with body", "POST", "/hello", 10, 405, NULL, "Allow: GET"},
    {"body at the limit", "POST", "/echo", BODY_MAX, 201, NULL, NULL},
    {"body over the limit", "POST", "/echo", BODY_MAX + 1, 413,
     "{\"status\":413,\"detail\":\"body too large\"}", NULL},
    {"body far over the limit", "POST", "/echo", 8 << 20, 413, NULL, NULL},
    {"no body allowed", "GET", "/hello", 1, 413, NULL, NULL},
    {"later", "POST", "/later", 3, 202, "xxx", NULL},
    {"later, no body", "POST", "/later", 0, 202, "", NULL},
};

struct got {
    bool done;
    enum mill_http_end end;
    long status;
    char body[BODY_MAX + 1], header[256], reason[256];
    const char *look_for;
};

static void on_got(void *arg, const struct mill_http_reply *r)
{
    struct got *g = arg;

    g->done = true;
    g->end = r->end;
    g->status = r->status;
    mill_str_cut(r->body, g->body, sizeof g->body);
    mill_str_cut(mill_str(r->reason), g->reason, sizeof g->reason);
    if (g->look_for)
        mill_str_cut(mill_http_header(r, g->look_for), g->header, sizeof g->header);
}

static void request(const struct app *app, struct mill_http_call *call, const char *target,
                    struct got *g)
{
    struct mill_http *h;
    struct mill_err err;
    char url[256];

    unsetenv("http_proxy");
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", mill_server_port(app->server), target);
    call->url = url;
    call->timeout_ms = 5000;
    call->done = on_got;
    call->arg = g;
    assert_int_equal(mill_http_new(&h, NULL, &err), MILL_OK);
    assert_int_equal(mill_http_submit(h, call, &err), MILL_OK);
    while (mill_http_poll(h, 1000))
        continue;
    assert_true(g->done);
    mill_http_free(h);
}

static void test_want(void **state)
{
    const struct want *w = *state;
    const struct mill_server_conf conf = {.refuse = on_refuse};
    const struct mill_pair header = {MILL_STR("X-Test"), MILL_STR("yes")};
    struct app *app = app_start(&conf);
    char *body = calloc(1, w->body_bytes + 1);
    struct mill_http_call call = {.method = w->method, .headers = {&header, 1}};
    struct got g = {0};
    char name[64] = "";

    assert_non_null(body);
    memset(body, 'x', w->body_bytes);
    call.body = (struct mill_str){body, w->body_bytes};
    if (w->headers) {
        mill_str_cut((struct mill_str){w->headers, strcspn(w->headers, ":")}, name, sizeof name);
        g.look_for = name;
    }
    request(app, &call, w->target, &g);
    assert_int_equal(g.end, MILL_HTTP_REPLIED);
    assert_int_equal(g.status, w->status);
    if (w->body)
        assert_string_equal(g.body, w->body);
    if (w->status == 201)
        assert_string_equal(g.body, body);
    if (w->headers)
        assert_string_equal(g.header, w->headers + strcspn(w->headers, ":") + 2);
    app_stop(app);
    free(body);
}

static void test_headers_too_large(void **state)
{
    struct app *app = app_start(NULL);
    char *value = calloc(1, 90001);
    struct mill_pair header = {MILL_STR("X-Test"), {value, 40000}};
    struct mill_http_call call = {.method = "GET", .headers = {&header, 1}};
    struct got g = {0};

    (void)state;
    assert_non_null(value);
    memset(value, 'v', 90000);
    request(app, &call, "/hello", &g);
    assert_int_equal(g.status, 431);
    assert_string_equal(g.body, "header fields too large\n");
    header.value.n = 90000; /* past the library's own memory for a request */
    memset(&g, 0, sizeof g);
    request(app, &call, "/hello", &g);
    assert_true(g.status == 431 || g.end != MILL_HTTP_REPLIED);
    app_stop(app);
    free(value);
}

static void test_too_much_in_hand(void **state)
{
    const struct mill_server_conf conf = {.max_in_flight_bytes = 150};
    struct app *app = app_start(&conf);
    struct mill_http_call call = {.method = "POST"};
    struct got first = {0}, second = {.look_for = "Retry-After"}, third = {0};
    struct mill_http *h;
    struct mill_err err;
    char url[128], body[100];

    (void)state;
    memset(body, 'x', sizeof body);
    call.body = (struct mill_str){body, sizeof body};
    atomic_store(&app->hold, 2); /* the first stays in hand */
    assert_int_equal(mill_http_new(&h, NULL, &err), MILL_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/later", mill_server_port(app->server));
    call.url = url;
    call.done = on_got;
    call.arg = &first;
    assert_int_equal(mill_http_submit(h, &call, &err), MILL_OK);
    while (!mill_server_in_flight(app->server))
        mill_http_poll(h, 10);
    request(app, &call, "/later", &second);
    assert_int_equal(second.status, 503);
    assert_string_equal(second.header, "1");
    atomic_store(&app->hold, 1);
    while (mill_http_poll(h, 100))
        continue;
    assert_int_equal(first.status, 202);
    request(app, &call, "/later", &third); /* what was held is free again */
    assert_int_equal(third.status, 202);
    mill_http_free(h);
    app_stop(app);
}

/* --- bare sockets ----------------------------------------------------------------------------- */

static int dial(const struct app *app)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(mill_server_port(app->server))};
    struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* Reads to the end of file or size. @return bytes; -1 when nothing came in 5 s */
static ssize_t drain(int fd, char *to, size_t size)
{
    size_t n = 0;
    ssize_t got = 0;

    while (n < size - 1 && (got = recv(fd, to + n, size - 1 - n, 0)) > 0)
        n += (size_t)got;
    to[n] = '\0';
    return got < 0 && !n ? -1 : (ssize_t)n;
}

static void test_chunked_over_limit(void **state)
{
    struct app *app = app_start(NULL);
    char text[4096];
    int fd = dial(app);

    (void)state;
    net_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n");
    memset(text, 'x', 600);
    memcpy(text, "258\r\n", 5); /* 600 bytes, three times: 1800 > 1000 */
    for (int i = 0; i < 3; i++) {
        char chunk[700];
        snprintf(chunk, sizeof chunk, "258\r\n%.*s\r\n", 600, text + 5);
        memset(chunk + 5, 'y', 600);
        memcpy(chunk + 605, "\r\n", 3);
        net_send(fd, chunk);
    }
    net_send(fd, "0\r\n\r\n");
    assert_true(drain(fd, text, sizeof text) > 0);
    assert_non_null(strstr(text, "HTTP/1.1 413 "));
    close(fd);
    app_stop(app);
}

/* With "Expect: 100-continue" the refusal comes before the body is sent. */
static void test_expect_refused(void **state)
{
    struct app *app = app_start(NULL);
    char text[4096];
    int fd = dial(app);

    (void)state;
    net_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n");
    assert_true(drain(fd, text, sizeof text) > 0);
    assert_memory_equal(text, "HTTP/1.1 413 ", 13);
    close(fd);
    app_stop(app);
}

static void test_idle_timeout(void **state)
{
    const struct mill_server_conf conf = {.idle_timeout_s = 1};
    struct app *app = app_start(&conf);
    char text[1024];
    int silent = dial(app), half = dial(app);

    (void)state;
    net_send(half, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    assert_true(drain(silent, text, sizeof text) >= 0); /* closed, not -1 */
    assert_true(drain(half, text, sizeof text) >= 0);
    assert_null(strstr(text, " 201 "));
    close(silent);
    close(half);
    app_stop(app);
}

/* A client that leaves takes nothing with it: neither while it sends nor while it waits. */
static void test_client_leaves(void **state)
{
    const struct mill_server_conf conf = {.max_in_flight_bytes = 20};
    struct app *app = app_start(&conf);
    struct mill_http_call call = {.method = "POST", .body = MILL_STR("0123456789")};
    struct got g = {0};
    int fd;

    (void)state;
    fd = dial(app);
    net_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789");
    close(fd);
    atomic_store(&app->hold, 2);
    fd = dial(app);
    net_send(fd, "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
    while (!mill_server_in_flight(app->server))
        usleep(1000);
    close(fd);
    usleep(20000);
    request(app, &call, "/later", &g); /* answers both */
    assert_int_equal(g.status, 202);
    memset(&g, 0, sizeof g);
    atomic_store(&app->hold, 1);
    call.body = MILL_STR("01234567890123456789");
    request(app, &call, "/later", &g);
    assert_int_equal(g.status, 202);
    app_stop(app);
}

static void test_connection_cap(void **state)
{
    const struct mill_server_conf conf = {.max_connections = 4};
    struct app *app = app_start(&conf);
    char text[1024];
    int fds[5];
    struct pollfd wait;

    (void)state;
    for (int i = 0; i < 5; i++)
        fds[i] = dial(app);
    usleep(50000);
    net_send(fds[4], "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    wait = (struct pollfd){.fd = fds[4], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 200), 0); /* in the backlog: not served */
    close(fds[0]);
    assert_true(drain(fds[4], text, sizeof text) > 0);
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
    for (int i = 1; i < 5; i++)
        close(fds[i]);
    app_stop(app);
}

static void test_quiesce(void **state)
{
    struct app *app = app_start(NULL);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons(mill_server_port(app->server))};
    char text[1024];
    int open_before = dial(app), after;

    (void)state;
    net_send(open_before, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(recv(open_before, text, sizeof text, 0) > 0);
    mill_server_quiesce(app->server);
    mill_server_quiesce(app->server);
    net_send(open_before, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(drain(open_before, text, sizeof text) > 0); /* ends: the server closes */
    assert_non_null(strstr(text, "Connection: close"));
    after = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(after, (struct sockaddr *)&addr, sizeof addr), 0);
    close(after);
    close(open_before);
    app_stop(app);
}

static void test_bad_conf(void **state)
{
    static const struct mill_server_conf bad[] = {
        {.listen = "nonsense"},
        {.listen = "127.0.0.1:"},
        {.listen = "127.0.0.1:http-nothing"},
        {.listen = "127.0.0.1:0", .tls_cert = "x.pem"},
        {.listen = "127.0.0.1:0", .tls_cert = "no/such.pem", .tls_key = "no/such.pem"},
        {0},
    };
    struct mill_server *s;
    struct mill_err err;
    struct app *app = app_start(NULL);
    char taken[64];
    struct mill_server_conf conf = {.listen = taken, .routes = routes};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mill_server_start(&s, &bad[i], &err), MILL_E_CONFIG);
        assert_null(s);
    }
    snprintf(taken, sizeof taken, "127.0.0.1:%u", mill_server_port(app->server));
    assert_int_equal(mill_server_start(&s, &conf, &err), MILL_E_IO);
    mill_server_stop(NULL);
    app_stop(app);
}

/* --- many at once ----------------------------------------------------------------------------- */

struct many {
    struct mill_http *http;
    struct mill_http_call call;
    size_t ended, ok;
    size_t to_submit;
};

static void on_many(void *arg, const struct mill_http_reply *r)
{
    struct many *m = arg;
    struct mill_err err;

    m->ended++;
    m->ok += r->end == MILL_HTTP_REPLIED && r->status == 202 && mill_str_is(r->body, "mail");
    if (m->to_submit) {
        m->to_submit--;
        assert_int_equal(mill_http_submit(m->http, &m->call, &err), MILL_OK);
    }
}

/* All 512 connections have a request in hand, suspended, before the first one is answered; twenty
 * times over, by one and by two server threads. This is where epoll mode stalls. */
static void test_many(void **state)
{
    const uint32_t threads = (uint32_t)(uintptr_t)*state;
    const struct mill_server_conf conf = {.threads = threads, .max_connections = 4 * MANY};
    const struct mill_http_conf http = {.max_connections = MANY};
    struct rlimit files;
    struct app *app = app_start(&conf);
    struct many m = {.to_submit = (size_t)MANY * (ROUNDS - 1)};
    struct mill_err err;
    char url[128];
    int64_t start = mill_tick_ms(), took;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    atomic_store(&app->hold, MANY);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/later", mill_server_port(app->server));
    assert_int_equal(mill_http_new(&m.http, &http, &err), MILL_OK);
    m.call = (struct mill_http_call){.method = "POST",
                                     .url = url,
                                     .body = MILL_STR("mail"),
                                     .timeout_ms = 40000,
                                     .connect_ms = 10000,
                                     .done = on_many,
                                     .arg = &m};
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mill_http_submit(m.http, &m.call, &err), MILL_OK);
    while (mill_http_poll(m.http, 1000))
        continue;
    took = mill_tick_ms() - start;
    print_message("%d connections, %u server threads: %zu requests in %lld ms\n", MANY, threads,
                  m.ended, (long long)took);
    assert_int_equal(m.ended, (size_t)MANY * ROUNDS);
    assert_int_equal(m.ok, m.ended);
    mill_http_free(m.http);
    app_stop(app);
}

int main(void)
{
    enum { WANTS = sizeof wants / sizeof *wants };
    struct CMUnitTest rows[WANTS];
    struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_too_large),
        cmocka_unit_test(test_too_much_in_hand),
        cmocka_unit_test(test_chunked_over_limit),
        cmocka_unit_test(test_expect_refused),
        cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_connection_cap),
        cmocka_unit_test(test_quiesce),
        cmocka_unit_test(test_bad_conf),
        {"512 connections, 1 thread", test_many, NULL, NULL, (void *)1},
        {"512 connections, 2 threads", test_many, NULL, NULL, (void *)2},
    };
    int failed;

    for (size_t i = 0; i < WANTS; i++) {
        union {
            const struct want *in;
            void *out;
        } row = {.in = &wants[i]};
        rows[i] = (struct CMUnitTest){wants[i].name, test_want, NULL, NULL, row.out};
    }
    failed = cmocka_run_group_tests_name("requests", rows, NULL, NULL);
    return failed + cmocka_run_group_tests_name("http_server", tests, NULL, NULL) ? 1 : 0;
}
