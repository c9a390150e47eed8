/* Idempotency-Key: the same answer again, whatever happened between; and no key burnt for nothing.
 * Each row of keys.h's table of deaths is here. */
#include "ingest_edge.h"
#include "mail/ids.h"
#include "mail/records.h"

#include <time.h>

#define KEY_17   "Idempotency-Key: order/17\r\n"
#define REQUESTS "mail.requests"
#define KEYS     "mail.idempotency"
#define OTHER                                                                                      \
    "{\"from\":\"shop@example.com\",\"to\":\"bob@example.net\",\"subject\":\"Hi\",\"text\":"       \
    "\"Hi\"}"

struct answer {
    unsigned status;
    bool replayed;
    char type[64], id[64], accepted_at[40], retry_after[8];
    size_t messages;
};

static void take(struct answer *out, const struct http_answer *a)
{
    json_t *json = NULL;
    char value[16];

    out->status = a->status;
    out->replayed = !strcmp(http_header(a, "Idempotent-Replayed", value, sizeof value), "true");
    http_header(a, "Retry-After", out->retry_after, sizeof out->retry_after);
    assert_int_equal(mill_json_parse((struct mill_str){a->body, a->body_n}, &json, NULL), MILL_OK);
    mill_str_cut(mill_json_str(json, "type"), out->type, sizeof out->type);
    mill_str_cut(mill_json_str(json, "id"), out->id, sizeof out->id);
    mill_str_cut(mill_json_str(json, "accepted_at"), out->accepted_at, sizeof out->accepted_at);
    out->messages = json_array_size(json_object_get(json, "message_ids"));
    json_decref(json);
}

static struct answer post(const char *headers, const char *body)
{
    struct http_answer a;
    struct answer out = {0};
    char all[512];

    snprintf(all, sizeof all, AS_SENDER JSON_TYPE "%s", headers);
    http_ask(edge.port, "POST", "/v1/mail", all, mill_str(body), &a);
    print_message("%u %s\n", a.status, a.body);
    take(&out, &a);
    http_answer_release(&a);
    return out;
}

static void assert_same(const struct answer *first, const struct answer *again)
{
    assert_int_equal(again->status, 202);
    assert_true(again->replayed);
    assert_string_equal(again->id, first->id);
    assert_string_equal(again->accepted_at, first->accepted_at);
    assert_int_equal(again->messages, first->messages);
}

static void assert_refused(struct answer a, unsigned status, const char *name)
{
    char type[64];

    snprintf(type, sizeof type, "/problems/%s", name);
    assert_int_equal(a.status, status);
    assert_string_equal(a.type, type);
    assert_false(a.replayed);
}

static void last_key(char *key, size_t size, struct mill_idempotency *out, struct mill_arena *arena,
                     struct mill_codec **codec)
{
    static struct fake_record r;

    fake_last_of(KEYS, &r);
    mill_str_cut(mill_str(r.key), key, size);
    edge_decode(&mill_idempotency_desc, &r, arena, codec, out);
}

/* --- again ----------------------------------------------------------------------------------- */

static void test_again(void **state)
{
    static const char *const same[] = {
        /* order, white space, the full form: the same mail */
        "{\"text\":\"Hi\", \"subject\":\"Hi\",\n\"to\":[\"ann@example.net\"], "
        "\"from\":{\"email\":\"shop@example.com\"}}",
        "{\"from\":\"shop@example.com\",\"subject\":\"Hi\",\"text\":\"Hi\",\"html\":null,"
        "\"personalizations\":[{\"to\":\"ann@example.net\"}]}",
        SIMPLE,
    };
    unsigned requests = fake_sent_of(REQUESTS), keys = fake_sent_of(KEYS);
    static struct fake_record r;
    struct mill_idempotency record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct answer first, again;
    char key[64];

    (void)state;
    first = post(KEY_17, SIMPLE);
    assert_int_equal(first.status, 202);
    assert_false(first.replayed);
    assert_int_equal(fake_sent_of(REQUESTS), requests + 1);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
    last_key(key, sizeof key, &record, &arena, &codec);
    fake_last_of(REQUESTS, &r);
    assert_string_equal(key, first.id);
    assert_string_equal(r.key, first.id);
    assert_true(mill_str_is(record.request_id, first.id));
    assert_true(mill_str_is(record.client, "a"));
    assert_int_equal(record.messages, 1);
    assert_int_equal(record.fingerprint.n, 64);
    mill_codec_free(codec);
    mill_arena_release(&arena);

    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        again = post("Idempotency-Key: \"order/17\"\r\n", same[i]);
        assert_same(&first, &again);
    }
    /* Another body is refused, and harms nothing. */
    assert_refused(post(KEY_17, OTHER), 422, "idempotency-key-reused");
    assert_refused(post(KEY_17, "{\"from\":1}"), 422, "invalid-request");
    again = post(KEY_17, SIMPLE);
    assert_same(&first, &again);
    assert_int_equal(fake_sent_of(REQUESTS), requests + 1);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
    /* Without a key there is no record of one. */
    assert_int_equal(post("", SIMPLE).status, 202);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
    assert_int_equal(ingest_keys_in_hand(edge.app->keys), 0);
}

/* Keys are the client's own: another client's are others. */
static void test_clients(void **state)
{
    struct answer first, other;

    (void)state;
    edge_put_credentials("a:sha256$$" HELLO_HASH ":acme:mail:send\n"
                         "c:sha256$$936a185caaa266bb9cbe981e9e05cb78cd732b0b3280eb944412bb6f8f8f07a"
                         "f:acme:mail:send\n");
    ingest_app_tick(edge.app, true);
    for (int i = 0; i < 2; i++) {
        struct http_answer a;
        http_ask(edge.port, "POST", "/v1/mail",
                 i ? "Authorization: Bearer helloworld\r\n" JSON_TYPE KEY_17
                   : "Authorization: Bearer hello world\r\n" JSON_TYPE KEY_17,
                 MILL_STR(SIMPLE), &a);
        take(i ? &other : &first, &a);
        http_answer_release(&a);
        assert_int_equal((i ? &other : &first)->status, 202);
        assert_false((i ? &other : &first)->replayed);
    }
    assert_string_not_equal(first.id, other.id);
}

/* What a rule says of the time is as it was when the request was new. */
static void test_again_after_its_time(void **state)
{
    struct answer first = {0}, again;
    int64_t expires_s = 0;
    char body[400], key[64];

    (void)state;
    for (int s = 2; s <= 64 && first.status != 202; s *= 2) { /* time to be accepted at all */
        expires_s = mill_now_us() / 1000000 + s;
        snprintf(key, sizeof key, "Idempotency-Key: expires-in/%d\r\n", s);
        snprintf(body, sizeof body,
                 "{\"from\":\"s@example.com\",\"to\":\"a@example.net\",\"subject\":\"S\","
                 "\"text\":\"T\",\"expires_at\":%lld}",
                 (long long)expires_s);
        first = post(key, body);
    }
    assert_int_equal(first.status, 202);
    while (mill_now_us() < expires_s * 1000000)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_refused(post("", body), 422, "invalid-request");
    again = post(key, body);
    assert_same(&first, &again);
}

/* --- at the same moment ---------------------------------------------------------------------- */

enum { CROWD = 24 };

static void test_in_hand(void **state)
{
    unsigned keys = fake_sent_of(KEYS);
    struct answer first = {0}, again;
    struct http_answer a;
    int fd = http_open(edge.port);

    (void)state;
    fake_mode(FAKE_HOLD);
    assert_true(http_request(fd, "POST", "/v1/mail", AS_SENDER JSON_TYPE KEY_17, MILL_STR(SIMPLE)));
    for (int i = 0; i < 500 && !fake_held(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(fake_held(), 1);
    again = post(KEY_17, SIMPLE);
    assert_refused(again, 409, "idempotency-key-in-hand");
    assert_string_equal(again.retry_after, "1");
    assert_refused(post(KEY_17, OTHER), 409, "idempotency-key-in-hand");
    /* Acknowledged is the request, not yet its key's record: still in hand. */
    fake_mode_of(KEYS, FAKE_HOLD);
    fake_mode(FAKE_DELIVER);
    for (int i = 0; i < 500 && fake_sent_of(KEYS) == keys; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
    assert_refused(post(KEY_17, SIMPLE), 409, "idempotency-key-in-hand");
    fake_mode_of(NULL, FAKE_DELIVER);
    http_read(fd, &a);
    take(&first, &a);
    http_answer_release(&a);
    close(fd);
    assert_int_equal(first.status, 202);
    again = post(KEY_17, SIMPLE);
    assert_same(&first, &again);
}

static void test_crowd(void **state)
{
    unsigned requests = fake_sent_of(REQUESTS), accepted = 0, replayed = 0, in_hand = 0;
    int fds[CROWD];

    (void)state;
    for (int i = 0; i < CROWD; i++)
        fds[i] = http_open(edge.port);
    for (int i = 0; i < CROWD; i++)
        assert_true(
            http_request(fds[i], "POST", "/v1/mail", AS_SENDER JSON_TYPE KEY_17, MILL_STR(SIMPLE)));
    for (int i = 0; i < CROWD; i++) {
        struct http_answer a;
        struct answer one = {0};
        http_read(fds[i], &a);
        take(&one, &a);
        http_answer_release(&a);
        close(fds[i]);
        accepted += one.status == 202 && !one.replayed;
        replayed += one.status == 202 && one.replayed;
        in_hand += one.status == 409;
    }
    assert_int_equal(accepted, 1);
    assert_int_equal(accepted + replayed + in_hand, CROWD);
    assert_int_equal(fake_sent_of(REQUESTS), requests + 1);
    assert_int_equal(ingest_keys_in_hand(edge.app->keys), 0);
}

/* --- what does not burn a key ---------------------------------------------------------------- */

static void test_refused_burns_nothing(void **state)
{
    static char large[(2 << 20) + 100];
    static const struct {
        enum fake_mode mode;
        unsigned status;
        const char *problem;
    } rows[] = {
        {FAKE_UNDELIVERED, 503, "unavailable"},  {FAKE_FULL, 503, "unavailable"},
        {FAKE_DOUBTFUL, 503, "outcome-unknown"}, {FAKE_TOO_LARGE, 413, "too-large"},
        {FAKE_FORBIDDEN, 503, "unavailable"},
    };
    unsigned keys = fake_sent_of(KEYS);
    struct answer first, again;

    (void)state;
    assert_refused(post(KEY_17, "{"), 400, "malformed-body");
    assert_refused(post(KEY_17, "{\"from\":\"x\"}"), 422, "invalid-request");
    memset(large, ' ', sizeof large - 1);
    assert_refused(post(KEY_17, large), 413, "too-large");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fake_mode(rows[i].mode);
        assert_refused(post(KEY_17, OTHER), rows[i].status, rows[i].problem);
        assert_int_equal(ingest_keys_in_hand(edge.app->keys), 0);
    }
    assert_int_equal(fake_sent_of(KEYS), keys);
    assert_int_equal(fake_table_puts(), 0);
    fake_mode(FAKE_DELIVER);
    first = post(KEY_17, SIMPLE);
    assert_int_equal(first.status, 202);
    assert_false(first.replayed);
    again = post(KEY_17, SIMPLE);
    assert_same(&first, &again);
}

static void test_quota_burns_nothing(void **state)
{
    struct http_answer a;
    int fd;

    (void)state;
    edge.conf.tenant_max = 1;
    edge_start();
    fd = http_open(edge.port);
    fake_mode(FAKE_HOLD);
    assert_true(http_request(fd, "POST", "/v1/mail", AS_SENDER JSON_TYPE, MILL_STR(OTHER)));
    for (int i = 0; i < 500 && !fake_held(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_refused(post(KEY_17, OTHER), 429, "too-many-in-flight");
    fake_mode(FAKE_DELIVER);
    http_read(fd, &a);
    http_answer_release(&a);
    close(fd);
    assert_int_equal(post(KEY_17, SIMPLE).status, 202);
}

/* --- deaths, other processes (the table in keys.h) ------------------------------------------- */

/* The key's record is never written before the request is acknowledged: no death leaves it alone.
 */
static void test_order(void **state)
{
    unsigned keys = fake_sent_of(KEYS);
    struct http_answer a;
    int fd = http_open(edge.port);

    (void)state;
    fake_mode(FAKE_HOLD);
    assert_true(http_request(fd, "POST", "/v1/mail", AS_SENDER JSON_TYPE KEY_17, MILL_STR(SIMPLE)));
    for (int i = 0; i < 500 && !fake_held(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_int_equal(fake_sent_of(KEYS), keys);
    fake_mode(FAKE_DELIVER);
    http_read(fd, &a);
    assert_int_equal(a.status, 202);
    http_answer_release(&a);
    close(fd);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
}

/* The broker seems to go while it acknowledges: the key's record waits for it all the same, or the
 * 202 would not be known to the other processes. */
static void test_broker_seems_away(void **state)
{
    unsigned keys = fake_sent_of(KEYS);
    struct http_answer a;
    int fd = http_open(edge.port);

    (void)state;
    fake_mode(FAKE_HOLD);
    assert_true(http_request(fd, "POST", "/v1/mail", AS_SENDER JSON_TYPE KEY_17, MILL_STR(SIMPLE)));
    for (int i = 0; i < 500 && !fake_held(); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    fake_there(false, true);
    for (int i = 0; i < 500 && !ingest_publisher_why(edge.app->publisher); i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        ingest_app_tick(edge.app, false);
    }
    assert_non_null(ingest_publisher_why(edge.app->publisher));
    assert_refused(post("", SIMPLE), 503, "unavailable");
    fake_mode(FAKE_DELIVER);
    http_read(fd, &a);
    assert_int_equal(a.status, 202);
    http_answer_release(&a);
    close(fd);
    assert_int_equal(fake_sent_of(KEYS), keys + 1);
}

/* Rows 1 and 2: the request is written or not, its key's record is not. The same again is written
 * again, under the same id and fingerprint, for the ledger to drop. */
static void test_death_before_key_record(void **state)
{
    static struct fake_record one, two;
    static const enum fake_mode modes[] = {FAKE_UNDELIVERED, FAKE_DOUBTFUL, FAKE_TOO_LARGE,
                                           FAKE_FULL};
    struct mill_request first, second;
    struct mill_arena arena = {0};
    struct mill_codec *codec[2] = {NULL, NULL};
    struct answer a, b;

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        fake_mode_of(KEYS, modes[i]);
        fake_table_reset();
        a = post(KEY_17, SIMPLE);
        assert_int_equal(a.status, 202); /* the request is the broker's: anything else were a lie */
        fake_last_of(REQUESTS, &one);
        b = post(KEY_17, SIMPLE); /* this process remembers */
        assert_same(&a, &b);
        assert_refused(post(KEY_17, OTHER), 422, "idempotency-key-reused");
        fake_table_forget_own(); /* it is dead; the topic has nothing */
        b = post(KEY_17, SIMPLE);
        assert_int_equal(b.status, 202);
        assert_false(b.replayed);
        assert_string_equal(a.id, b.id);
        fake_last_of(REQUESTS, &two);
        edge_decode(&mill_request_desc, &one, &arena, &codec[0], &first);
        edge_decode(&mill_request_desc, &two, &arena, &codec[1], &second);
        assert_true(mill_str_eq(first.fingerprint, second.fingerprint));
        assert_true(mill_str_eq(first.request_id, second.request_id));
        mill_codec_free(codec[0]);
        mill_codec_free(codec[1]);
        fake_table_forget_own();
        assert_int_equal(post(KEY_17, OTHER).status, 202); /* send's claim record decides */
    }
    mill_arena_release(&arena);
    assert_true(mill_metric_value(edge.app->metrics, M_KEYS_NOT_WRITTEN, 0) >= 4);
}

/* Rows 3 and 4: the key's record is in the topic, whoever wrote it. */
static void test_other_process(void **state)
{
    struct mill_idempotency record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct answer first, again;
    unsigned requests;
    char key[64];

    (void)state;
    first = post(KEY_17, SIMPLE);
    last_key(key, sizeof key, &record, &arena, &codec);
    fake_table_reset(); /* another process, which has read the topic */
    fake_table_bring(key, &record);
    requests = fake_sent_of(REQUESTS);
    again = post(KEY_17, SIMPLE);
    assert_same(&first, &again);
    assert_refused(post(KEY_17, OTHER), 422, "idempotency-key-reused");
    assert_int_equal(fake_sent_of(REQUESTS), requests);
    record.messages = 3;
    fake_table_bring(key, &record);
    assert_int_equal(post(KEY_17, SIMPLE).messages, 3);
    mill_codec_free(codec);
    mill_arena_release(&arena);
}

/* An expired key makes a new request, which any process names alike; then that one is remembered.
 */
static void test_lifetime(void **state)
{
    struct mill_idempotency record;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    struct answer first, next, again;
    char key[64], now_key[64];

    (void)state;
    first = post(KEY_17, SIMPLE);
    last_key(key, sizeof key, &record, &arena, &codec);
    record.accepted_at -= INT64_C(7) * 86400 * 1000000 - 60000000; /* a minute is left */
    fake_table_reset();
    fake_table_bring(key, &record);
    assert_true(post(KEY_17, SIMPLE).replayed);
    record.accepted_at -= 61000000;
    for (int i = 0; i < 2; i++) {
        struct answer one;
        fake_table_reset();
        fake_table_bring(key, &record);
        one = post(KEY_17, i ? OTHER : SIMPLE);
        assert_int_equal(one.status, 202);
        assert_false(one.replayed);
        assert_string_not_equal(one.id, first.id);
        if (i)
            assert_string_equal(one.id, next.id);
        next = one;
    }
    mill_codec_free(codec);
    last_key(now_key, sizeof now_key, &record, &arena, &codec);
    assert_string_equal(now_key, key);
    assert_true(mill_str_is(record.request_id, next.id));
    again = post(KEY_17, OTHER);
    assert_same(&next, &again);
    assert_refused(post(KEY_17, SIMPLE), 422, "idempotency-key-reused");
    mill_codec_free(codec);
    mill_arena_release(&arena);
}

/* --- not ready ------------------------------------------------------------------------------- */

static void test_not_caught_up(void **state)
{
    unsigned sent;

    (void)state;
    fake_table_caught_up(false);
    sent = fake_sent();
    assert_int_equal(edge_get("/readyz"), 503);
    assert_int_equal(edge_get("/healthz"), 200);
    assert_refused(post(KEY_17, SIMPLE), 503, "unavailable");
    assert_int_equal(fake_sent(), sent);
    assert_int_equal(post("", SIMPLE).status, 202);
    fake_table_caught_up(true);
    assert_int_equal(edge_get("/readyz"), 200);
    fake_table_fail(true);
    assert_refused(post(KEY_17, SIMPLE), 503, "unavailable");
    fake_table_fail(false);
    assert_int_equal(post(KEY_17, SIMPLE).status, 202);
}

static void test_required(void **state)
{
    (void)state;
    edge.conf.require_key = true;
    edge_start();
    assert_refused(post("", SIMPLE), 400, "missing-idempotency-key");
    assert_refused(post("Idempotency-Key: \r\n", SIMPLE), 400, "invalid-idempotency-key");
    assert_int_equal(post(KEY_17, SIMPLE).status, 202);
}

/* --- batches --------------------------------------------------------------------------------- */

static json_t *batch(const char *body, unsigned status, bool replayed)
{
    struct http_answer a;
    char value[16];
    json_t *json = NULL;

    http_ask(edge.port, "POST", "/v1/mail/batch", AS_SENDER JSON_TYPE KEY_17, mill_str(body), &a);
    print_message("%u %s\n", a.status, a.body);
    assert_int_equal(a.status, status);
    assert_string_equal(http_header(&a, "Idempotent-Replayed", value, sizeof value),
                        replayed ? "true" : "");
    assert_int_equal(mill_json_parse((struct mill_str){a.body, a.body_n}, &json, NULL), MILL_OK);
    http_answer_release(&a);
    return json;
}

static json_t *result(const json_t *json, size_t i)
{
    return json_array_get(json_object_get(json, "results"), i);
}

static void test_batch(void **state)
{
    unsigned requests = fake_sent_of(REQUESTS);
    json_t *first, *again, *mixed;

    (void)state;
    first = batch("[" SIMPLE ",{\"from\":1}," OTHER "]", 200, false);
    assert_int_equal(fake_sent_of(REQUESTS), requests + 2);
    again = batch("[" SIMPLE ",{\"from\":1}," OTHER "]", 200, false); /* one is no replay */
    assert_int_equal(fake_sent_of(REQUESTS), requests + 2);
    for (size_t i = 0; i < 3; i += 2) {
        static const char *const members[] = {"id", "accepted_at", "message_ids", "status"};
        for (size_t m = 0; m < sizeof members / sizeof *members; m++)
            assert_true(json_equal(json_object_get(result(first, i), members[m]),
                                   json_object_get(result(again, i), members[m])));
        assert_true(json_is_true(json_object_get(result(again, i), "replayed")));
        assert_null(json_object_get(result(first, i), "replayed"));
    }
    json_decref(again);
    /* The item that was refused burnt nothing: it may be mended. The one that changed is refused.
     */
    mixed = batch("[" OTHER "," SIMPLE "," OTHER "]", 200, false);
    assert_int_equal(json_integer_value(json_object_get(result(mixed, 0), "status")), 422);
    edge_assert_member(json_object_get(result(mixed, 0), "problem"), "type",
                       "/problems/idempotency-key-reused");
    assert_int_equal(json_integer_value(json_object_get(result(mixed, 1), "status")), 202);
    assert_int_equal(json_integer_value(json_object_get(result(mixed, 2), "status")), 202);
    assert_int_equal(fake_sent_of(REQUESTS), requests + 3);
    json_decref(mixed);
    json_decref(batch("[" SIMPLE "," SIMPLE "," OTHER "]", 202, true));
    assert_int_equal(fake_sent_of(REQUESTS), requests + 3);
    json_decref(first);
    /* A single mail's key is another one than that of a batch. */
    assert_false(post(KEY_17, SIMPLE).replayed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_STARTED(test_again),
        EDGE_STARTED(test_clients),
        EDGE_STARTED(test_again_after_its_time),
        EDGE_STARTED(test_in_hand),
        EDGE_STARTED(test_crowd),
        EDGE_STARTED(test_refused_burns_nothing),
        EDGE_PLAIN(test_quota_burns_nothing),
        EDGE_STARTED(test_order),
        EDGE_STARTED(test_broker_seems_away),
        EDGE_STARTED(test_death_before_key_record),
        EDGE_STARTED(test_other_process),
        EDGE_STARTED(test_lifetime),
        EDGE_STARTED(test_not_caught_up),
        EDGE_PLAIN(test_required),
        EDGE_STARTED(test_batch),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
