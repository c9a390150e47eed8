/* A broker that is late, away or unsure; 512 connections; rude clients; the drain. */
#include "ingest_edge.h"

#include <poll.h>
#include <pthread.h>

/* --- what the broker says ------------------------------------------------------------------- */

static void test_broker_outcomes(void **state)
{
    static const struct {
        enum fake_mode mode;
        unsigned status;
        const char *problem;
        const char *outcome;
    } rows[] = {
        {FAKE_UNDELIVERED, 503, "/problems/unavailable", NULL},
        {FAKE_DOUBTFUL, 503, "/problems/outcome-unknown", "unknown"},
        {FAKE_TOO_LARGE, 413, "/problems/too-large", NULL},
        {FAKE_FULL, 503, "/problems/unavailable", NULL},
        {FAKE_FORBIDDEN, 503, "/problems/unavailable", NULL},
        {FAKE_FATAL, 503, "/problems/unavailable", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_answer a;
        char retry[16];
        json_t *json = NULL;

        print_message("row %zu\n", i);
        fake_mode(rows[i].mode);
        http_ask(edge.port, "POST", "/v1/mail", AS_SENDER JSON_TYPE, MILL_STR(SIMPLE), &a);
        assert_int_equal(a.status, rows[i].status);
        if (a.status == 503)
            assert_string_equal(http_header(&a, "Retry-After", retry, sizeof retry), "5");
        assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &json, NULL),
                         MILL_OK);
        edge_assert_member(json, "type", rows[i].problem);
        if (rows[i].outcome)
            edge_assert_member(json, "outcome", rows[i].outcome);
        else
            assert_null(json_object_get(json, "outcome"));
        json_decref(json);
        http_answer_release(&a);
    }
    /* The producer said "never again": all that comes is refused, main ends the process. */
    assert_true(ingest_publisher_broken(edge.app->publisher));
    fake_mode(FAKE_DELIVER);
    json_decref(edge_post_mail("", SIMPLE, 503));
}

static void tick_until(bool ready)
{
    int64_t until = mill_tick_ms() + 10000;

    while (!ingest_publisher_why(edge.app->publisher) != ready && mill_tick_ms() < until) {
        usleep(20000);
        ingest_app_tick(edge.app, false);
    }
    assert_int_equal(!ingest_publisher_why(edge.app->publisher), ready);
}

static void test_broker_away(void **state)
{
    unsigned sent;
    int64_t since;

    (void)state;
    /* The registry is away at the start: the process is up and says so; then it comes. */
    fake_there(true, false);
    edge_start();
    assert_int_equal(edge_get("/healthz"), 200);
    assert_int_equal(edge_get("/readyz"), 503);
    json_decref(edge_post_mail("", SIMPLE, 503));
    fake_there(true, true);
    tick_until(true);
    assert_int_equal(edge_get("/readyz"), 200);
    json_decref(edge_post_mail("", SIMPLE, 202));

    /* The broker goes: 503 at once, nothing is attempted; it comes back: all by itself. */
    fake_there(false, true);
    tick_until(false);
    sent = fake_sent();
    since = mill_tick_ms();
    json_decref(edge_post_mail("", SIMPLE, 503));
    assert_true(mill_tick_ms() - since < (int64_t)edge.conf.ack_timeout_ms);
    assert_int_equal(fake_sent(), sent);
    assert_int_equal(edge_get("/readyz"), 503);
    assert_int_equal(edge_get("/healthz"), 200);
    fake_there(true, true);
    tick_until(true);
    json_decref(edge_post_mail("", SIMPLE, 202));
}

/* A 202 waits for the acknowledgement, and the tenant's quota for both. */
static void test_late_ack_and_quota(void **state)
{
    struct http_answer a;
    struct mill_str simple = MILL_STR(SIMPLE);
    char retry[16];
    int fd[3];

    (void)state;
    edge.conf.tenant_max = 3;
    edge_start();
    json_decref(edge_post_mail("", SIMPLE, 202)); /* the password is verified from here on */
    fake_mode(FAKE_HOLD);
    for (int i = 0; i < 3; i++) {
        fd[i] = http_open(edge.port);
        assert_true(http_request(fd[i], "POST", "/v1/mail", AS_SENDER JSON_TYPE, simple));
    }
    while (fake_held() < 3)
        usleep(1000);
    http_ask(edge.port, "POST", "/v1/mail", AS_SENDER JSON_TYPE, simple, &a);
    assert_int_equal(a.status, 429);
    assert_string_equal(http_header(&a, "Retry-After", retry, sizeof retry), "1");
    assert_non_null(strstr(a.body, "/problems/too-many-in-flight"));
    http_answer_release(&a);
    fake_mode(FAKE_DELIVER);
    for (int i = 0; i < 3; i++) {
        http_read(fd[i], &a);
        assert_int_equal(a.status, 202);
        http_answer_release(&a);
        close(fd[i]);
    }
    json_decref(edge_post_mail("", SIMPLE, 202));
}

enum { CROWD = 512 };

static void test_crowd(void **state)
{
    static int fd[CROWD];
    struct mill_str simple = MILL_STR(SIMPLE);

    (void)state;
    json_decref(edge_post_mail("", SIMPLE, 202));
    fake_mode(FAKE_HOLD);
    for (int i = 0; i < CROWD; i++) {
        fd[i] = http_open(edge.port);
        assert_true(fd[i] >= 0);
        assert_true(http_request(fd[i], "POST", "/v1/mail", AS_SENDER JSON_TYPE, simple));
    }
    while (fake_held() < CROWD)
        usleep(1000);
    fake_mode(FAKE_DELIVER);
    for (int i = 0; i < CROWD; i++) {
        struct http_answer a;
        http_read(fd[i], &a);
        assert_int_equal(a.status, 202);
        http_answer_release(&a);
        close(fd[i]);
    }
}

enum { GUESSES = 150 };

/* Wrong passwords by the dozen: bounded work, and who is known already does not wait for them. */
static void test_password_flood(void **state)
{
    static int fd[GUESSES];
    unsigned refused = 0, put_off = 0, waiting = 0;

    (void)state;
    json_decref(edge_post_mail("", SIMPLE, 202));
    for (int i = 0; i < GUESSES; i++) {
        fd[i] = http_open(edge.port);
        assert_true(http_request(fd[i], "POST", "/v1/mail",
                                 "Authorization: Basic YTpj\r\n" JSON_TYPE, MILL_STR(SIMPLE)));
    }
    json_decref(edge_post_mail("", SIMPLE, 202));
    for (int i = 0; i < GUESSES; i++)
        waiting += poll(&(struct pollfd){.fd = fd[i], .events = POLLIN}, 1, 0) == 0;
    assert_true(waiting > 0);
    for (int i = 0; i < GUESSES; i++) {
        struct http_answer a;
        http_read(fd[i], &a);
        refused += a.status == 401;
        put_off += a.status == 503;
        http_answer_release(&a);
        close(fd[i]);
    }
    assert_true(refused > 0 && put_off > 0);
    assert_int_equal(refused + put_off, GUESSES);
}

/* A client that left while its mail was on its way; one that sends a byte now and then. */
static void test_rude_clients(void **state)
{
    struct http_answer a;
    int fd;

    (void)state;
    edge.conf.idle_timeout_s = 1;
    edge_start();
    json_decref(edge_post_mail("", SIMPLE, 202));
    fake_mode(FAKE_HOLD);
    fd = http_open(edge.port);
    assert_true(http_request(fd, "POST", "/v1/mail", AS_SENDER JSON_TYPE, MILL_STR(SIMPLE)));
    while (fake_held() < 1)
        usleep(1000);
    close(fd);
    fake_mode(FAKE_DELIVER);
    json_decref(edge_post_mail("", SIMPLE, 202));

    fd = http_open(edge.port);
    assert_true(http_send(
        fd,
        MILL_STR("POST /v1/mail HTTP/1.1\r\nHost: t\r\nContent-Length: 20\r\n" AS_SENDER JSON_TYPE
                 "\r\n")));
    for (int i = 0; i < 20 && http_send(fd, MILL_STR(" ")); i++)
        usleep(300000);
    http_read(fd, &a);
    print_message("%u %s\n", a.status, a.body);
    assert_true(a.status == 408 || !a.status);
    http_answer_release(&a);
    close(fd);
    json_decref(edge_post_mail("", SIMPLE, 202));
}

static void test_bytes_in_flight(void **state)
{
    struct mill_str large;
    struct http_answer a;
    char retry[16];
    char *text = calloc(1, 1 << 20);

    (void)state;
    assert_non_null(text);
    memset(text, ' ', 1 << 20);
    large = (struct mill_str){text, 1 << 20};
    edge.conf.in_flight_max_bytes = 1 << 19;
    edge_start();
    http_ask(edge.port, "POST", "/v1/mail", AS_SENDER JSON_TYPE, large, &a);
    assert_int_equal(a.status, 503);
    assert_true(atoll(http_header(&a, "Retry-After", retry, sizeof retry)) > 0);
    assert_non_null(strstr(a.body, "/problems/unavailable"));
    http_answer_release(&a);
    json_decref(edge_post_mail("", SIMPLE, 202));
    free(text);
}

static void *stop_main(void *arg)
{
    (void)arg;
    ingest_app_stop(edge.app);
    return NULL;
}

/* SIGTERM with a request in hand: it gets its 202; a new one on an open connection gets 503. */
static void test_drain(void **state)
{
    struct mill_str simple = MILL_STR(SIMPLE);
    pthread_t stopper;
    struct http_answer a;
    int held, idle;

    (void)state;
    json_decref(edge_post_mail("", SIMPLE, 202));
    idle = http_open(edge.port);
    assert_true(http_request(idle, "GET", "/healthz", "", (struct mill_str){0}));
    http_read(idle, &a);
    assert_int_equal(a.status, 200);
    http_answer_release(&a);
    fake_mode(FAKE_HOLD);
    held = http_open(edge.port);
    assert_true(http_request(held, "POST", "/v1/mail", AS_SENDER JSON_TYPE, simple));
    while (fake_held() < 1)
        usleep(1000);
    assert_int_equal(pthread_create(&stopper, NULL, stop_main, NULL), 0);
    while (!atomic_load(&edge.app->draining))
        usleep(1000);
    assert_true(http_request(idle, "POST", "/v1/mail", AS_SENDER JSON_TYPE, simple));
    http_read(idle, &a);
    assert_int_equal(a.status, 503);
    http_answer_release(&a);
    fake_mode(FAKE_DELIVER);
    http_read(held, &a);
    assert_int_equal(a.status, 202);
    http_answer_release(&a);
    pthread_join(stopper, NULL);
    edge.app = NULL;
    close(held);
    close(idle);
}

/* The drain time is over and the broker still silent: nobody is left without an answer. */
static void test_drain_gives_up(void **state)
{
    struct http_answer a;
    pthread_t stopper;
    int held;

    (void)state;
    edge.conf.common.drain_ms = 200;
    edge_start();
    json_decref(edge_post_mail("", SIMPLE, 202));
    fake_mode(FAKE_HOLD);
    held = http_open(edge.port);
    assert_true(http_request(held, "POST", "/v1/mail", AS_SENDER JSON_TYPE, MILL_STR(SIMPLE)));
    while (fake_held() < 1)
        usleep(1000);
    assert_int_equal(pthread_create(&stopper, NULL, stop_main, NULL), 0);
    http_read(held, &a);
    assert_int_equal(a.status, 503);
    http_answer_release(&a);
    pthread_join(stopper, NULL);
    edge.app = NULL;
    close(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_STARTED(test_broker_outcomes),  EDGE_PLAIN(test_broker_away),
        EDGE_PLAIN(test_late_ack_and_quota), EDGE_STARTED(test_crowd),
        EDGE_STARTED(test_password_flood),   EDGE_PLAIN(test_rude_clients),
        EDGE_PLAIN(test_bytes_in_flight),    EDGE_STARTED(test_drain),
        EDGE_PLAIN(test_drain_gives_up),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
