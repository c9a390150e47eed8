/* Attachments by reference: what goes to S3, what the record says, and what happens without S3. */
#include "base/hash.h"
#include "ingest_edge.h"
#include "mail/records.h"
#include "unit/fake_s3.h"

#define KEY_17   "Idempotency-Key: order/17\r\n"
#define REQUESTS "mail.requests"

static struct {
    struct fake_s3 *s3;
    char endpoint[64];
    struct mill_buf body;
    char *bytes; /* of attachments: any, the same for the same size and seed */
} world;

enum { BYTES_MAX = 24 << 20 };

static int setup(void **state)
{
    if (edge_setup(state))
        return -1;
    unsetenv("http_proxy");
    setenv("AWS_ACCESS_KEY_ID", FAKE_S3_KEY, 1);
    setenv("AWS_SECRET_ACCESS_KEY", FAKE_S3_SECRET, 1);
    unsetenv("AWS_SESSION_TOKEN");
    world.s3 = fake_s3_start();
    snprintf(world.endpoint, sizeof world.endpoint, "http://127.0.0.1:%u",
             mill_server_port(world.s3->server));
    edge.conf.s3 = (struct mill_s3_opts){.endpoint = world.endpoint,
                                         .region = "eu-west-1",
                                         .bucket = "b",
                                         .prefix = "attachments/",
                                         .timeout_ms = 30000};
    edge.conf.inline_max_bytes = 256 << 10;
    edge.conf.mail_max_bytes = 41 << 20;
    edge.conf.large_threads = 2;
    edge.conf.in_flight_max_bytes = 256 << 20;
    mill_buf_init(&world.body, 64 << 20);
    world.bytes = malloc(BYTES_MAX);
    assert_non_null(world.bytes);
    return 0;
}

static int setup_started(void **state)
{
    if (setup(state))
        return -1;
    edge_start();
    return 0;
}

static int teardown(void **state)
{
    int rc = edge_teardown(state);

    fake_s3_stop(world.s3);
    mill_buf_release(&world.body);
    free(world.bytes);
    return rc;
}

static struct mill_str content(size_t n, char seed)
{
    for (size_t i = 0; i < n; i++)
        world.bytes[i] = (char)(i * 31 + i / 251 + (size_t)seed);
    return (struct mill_str){world.bytes, n};
}

static void mail_start(void)
{
    mill_buf_puts(&world.body, "{\"from\":\"s@example.com\",\"to\":\"a@example.net\","
                               "\"subject\":\"S\",\"text\":\"T\",\"attachments\":[");
}

static void mail_attach(const char *name, size_t n, char seed)
{
    if (world.body.p[world.body.n - 1] == '}')
        mill_buf_putc(&world.body, ',');
    mill_buf_printf(&world.body, "{\"filename\":\"%s\",\"content\":\"", name);
    assert_true(mill_base64_add(&world.body, content(n, seed)));
    mill_buf_puts(&world.body, "\"}");
}

/* A mail with one attachment. */
static void mail(size_t n, char seed)
{
    mill_buf_reset(&world.body);
    mail_start();
    mail_attach("a.bin", n, seed);
    mill_buf_puts(&world.body, "]}");
    assert_false(world.body.failed);
}

static json_t *post(const char *headers, unsigned status)
{
    char all[400];

    snprintf(all, sizeof all, JSON_TYPE "%s", headers);
    return edge_post("/v1/mail", all, mill_buf_view(&world.body), status);
}

struct decoded {
    struct mill_request request;
    struct mill_arena arena;
    struct mill_codec *codec;
};

static void decode(struct decoded *d)
{
    static struct fake_record r;

    *d = (struct decoded){.codec = NULL};
    fake_last_of(REQUESTS, &r);
    edge_decode(&mill_request_desc, &r, &d->arena, &d->codec, &d->request);
}

static void decoded_release(struct decoded *d)
{
    mill_codec_free(d->codec);
    mill_arena_release(&d->arena);
}

static const struct fake_object *object_of(const char *key)
{
    for (size_t i = 0; i < world.s3->n_objects; i++)
        if (!strcmp(world.s3->objects[i].key, key))
            return &world.s3->objects[i];
    return NULL;
}

static void assert_stored(const struct mill_attachment *a, size_t n, char seed)
{
    struct mill_str bytes = content(n, seed);
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1], key[200], day[32];
    const struct fake_object *o;

    assert_non_null(a->ref);
    assert_null(a->content.p);
    assert_true(mill_sha256(bytes, digest));
    assert_true(mill_str_is(a->ref->sha256, mill_hex(digest, sizeof digest, hex)));
    assert_int_equal(a->ref->bytes, n);
    mill_time_text(mill_now_us(), day, sizeof day);
    snprintf(key, sizeof key, "attachments/%.10s/%s", day, hex);
    assert_true(mill_str_is(a->ref->key, key));
    o = object_of(key);
    assert_non_null(o);
    assert_true(o->n == n && !memcmp(o->bytes, bytes.p, n));
}

/* 256 KiB stay in the record, a byte more goes to S3; the rest of the attachment is as it was. */
static void test_by_reference(void **state)
{
    const size_t limit = 256 << 10;
    struct decoded d;

    (void)state;
    mill_buf_reset(&world.body);
    mail_start();
    mail_attach("small.txt", 11, 1);
    mail_attach("large.pdf", limit + 1, 2);
    mill_buf_puts(&world.body, "]}");
    json_decref(post("", 202));
    decode(&d);
    assert_int_equal(d.request.attachments.n, 2);
    assert_null(d.request.attachments.v[0].ref);
    assert_true(mill_str_eq(d.request.attachments.v[0].content, content(11, 1)));
    assert_true(mill_str_is(d.request.attachments.v[1].filename, "large.pdf"));
    assert_true(mill_str_is(d.request.attachments.v[1].disposition, "attachment"));
    assert_stored(&d.request.attachments.v[1], limit + 1, 2);
    decoded_release(&d);
    assert_int_equal(atomic_load(&world.s3->puts), 1);
    assert_int_equal(atomic_load(&world.s3->bad_signatures), 0);
    assert_true(mill_metric_value(edge.app->metrics, M_BLOB_BYTES, 0) > (double)limit);
}

/* The same bytes again, of whoever: the object that is there serves. */
static void test_there_already(void **state)
{
    struct decoded d;

    (void)state;
    for (int i = 0; i < 2; i++) {
        mail(300 << 10, 3);
        json_decref(post("", 202));
        decode(&d);
        assert_stored(&d.request.attachments.v[0], 300 << 10, 3);
        decoded_release(&d);
    }
    assert_int_equal(world.s3->n_objects, 1);
    assert_true(mill_metric_value(edge.app->metrics, M_BLOBS, BLOBS_STORED) == 1.0);
    assert_true(mill_metric_value(edge.app->metrics, M_BLOBS, BLOBS_THERE) == 1.0);
}

/* Ten that are each small enough are too many for one record: the last ones go to S3. */
static void test_many_small(void **state)
{
    unsigned sent = fake_sent_of(REQUESTS);

    (void)state;
    mill_buf_reset(&world.body);
    mail_start();
    for (char i = 0; i < 15; i++)
        mail_attach("a.bin", 200 << 10, i);
    mill_buf_puts(&world.body, "]}");
    json_decref(post("", 202));
    assert_int_equal(fake_sent_of(REQUESTS), sent + 1);
    assert_int_equal(world.s3->n_objects, 15 - 5); /* 5 × 200 KiB fit into the 1 MiB */
}

static void test_limits(void **state)
{
    struct decoded d;
    json_t *json;

    (void)state;
    mail(20 << 20, 4);
    json_decref(post("", 202));
    decode(&d);
    assert_stored(&d.request.attachments.v[0], 20 << 20, 4);
    decoded_release(&d);
    mail(23 << 20, 5); /* over 30 MB as base64: no provider takes it */
    json = post("", 413);
    edge_assert_member(json, "type", "/problems/too-large");
    json_decref(json);
    mill_buf_reset(&world.body);
    for (int i = 0; i < 42; i++) { /* the body itself */
        char *room = mill_buf_reserve(&world.body, 1 << 20);
        assert_non_null(room);
        memset(room, ' ', 1 << 20);
        world.body.n += 1 << 20;
    }
    struct http_answer a;
    http_ask(edge.port, "POST", "/v1/mail", AS_SENDER JSON_TYPE "Expect: 100-continue\r\n",
             (struct mill_str){world.body.p, world.body.n}, &a);
    assert_true(a.status == 413 || a.status == 0); /* the server may end it before it is sent */
    http_answer_release(&a);
    /* A text has no other place than the record. */
    mill_buf_reset(&world.body);
    mill_buf_puts(&world.body, "{\"from\":\"s@example.com\",\"to\":\"a@example.net\","
                               "\"subject\":\"S\",\"text\":\"");
    for (int i = 0; i < (3 << 20) / 16; i++)
        mill_buf_puts(&world.body, "0123456789abcdef");
    mill_buf_puts(&world.body, "\"}");
    json = post("", 413);
    assert_non_null(strstr(json_string_value(json_object_get(json, "detail")), "record limit"));
    json_decref(json);
}

/* S3 is away, or refuses us: 503, nothing written, the key is not burnt. */
static void test_away(void **state)
{
    static const struct fake_fault rows[] = {
        {.status = 503, .code = "SlowDown"},
        {.status = 403, .code = "AccessDenied"},
        {.status = 404, .code = "NoSuchBucket"},
    };
    unsigned sent = fake_sent();
    json_t *json;

    (void)state;
    mail(300 << 10, 6);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        world.s3->next_fault = 0;
        for (size_t i = 0; i < FAKE_S3_FAULTS; i++)
            world.s3->faults[i] = rows[r];
        json = post(KEY_17, 503);
        edge_assert_member(json, "type", "/problems/unavailable");
        edge_assert_member(json, "detail", "attachments cannot be stored now");
        json_decref(json);
    }
    assert_int_equal(fake_sent(), sent);
    assert_int_equal(world.s3->n_objects, 0);
    assert_int_equal(ingest_keys_in_hand(edge.app->keys), 0);
    world.s3->next_fault = FAKE_S3_FAULTS; /* it is back */
    json_decref(post(KEY_17, 202));
    assert_int_equal(world.s3->n_objects, 1);
    json_decref(edge_post_mail("", SIMPLE, 202));
}

/* A repeated request is known by its bytes, wherever they lie: nothing is stored again. */
static void test_again(void **state)
{
    json_t *first, *again;
    int requests;

    (void)state;
    mail(300 << 10, 7);
    first = post(KEY_17, 202);
    requests = atomic_load(&world.s3->requests);
    again = post(KEY_17, 202);
    assert_true(json_equal(json_object_get(first, "id"), json_object_get(again, "id")));
    assert_int_equal(atomic_load(&world.s3->requests), requests);
    json_decref(first);
    json_decref(again);
    mail(300 << 10, 8);
    json_decref(post(KEY_17, 422));
    assert_int_equal(atomic_load(&world.s3->requests), requests);
}

/* Items of a batch that need no S3 are accepted while it is away; the others ask it once. */
static void test_batch(void **state)
{
    json_t *json, *results;
    int asked;

    (void)state;
    mill_buf_reset(&world.body);
    mill_buf_puts(&world.body, "[" SIMPLE);
    for (char i = 0; i < 3; i++) {
        mill_buf_putc(&world.body, ',');
        mail_start();
        mail_attach("a.bin", 300 << 10, (char)(9 + i));
        mill_buf_puts(&world.body, "]}");
    }
    mill_buf_puts(&world.body, "]");
    for (size_t i = 0; i < FAKE_S3_FAULTS; i++)
        world.s3->faults[i] = (struct fake_fault){.status = 403, .code = "AccessDenied"};
    asked = atomic_load(&world.s3->requests);
    json = edge_post("/v1/mail/batch", JSON_TYPE, mill_buf_view(&world.body), 200);
    results = json_object_get(json, "results");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_integer_value(json_object_get(json_array_get(results, i), "status")),
                         i ? 503 : 202);
    json_decref(json);
    assert_int_equal(atomic_load(&world.s3->requests), asked + 1);
    world.s3->next_fault = FAKE_S3_FAULTS;
    json_decref(edge_post("/v1/mail/batch", JSON_TYPE, mill_buf_view(&world.body), 202));
    assert_int_equal(world.s3->n_objects, 3);
}

/* Without a bucket the record is all there is. */
static void test_without(void **state)
{
    struct decoded d;
    json_t *json;

    (void)state;
    edge.conf.s3 = (struct mill_s3_opts){.bucket = NULL};
    edge_start();
    mail(30 << 10, 12);
    json_decref(post("", 202));
    decode(&d);
    assert_null(d.request.attachments.v[0].ref);
    decoded_release(&d);
    mail(2 << 20, 12);
    json = post("", 413);
    edge_assert_member(json, "type", "/problems/too-large");
    json_decref(json);
    assert_int_equal(atomic_load(&world.s3->requests), 0);
}

static void test_wrong_conf(void **state)
{
    struct mill_err err = {0};

    (void)state;
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_OK);
    edge.conf.s3.prefix = "no-slash";
    assert_int_equal(ingest_app_check(&edge.conf, &err), MILL_E_CONFIG);
    assert_int_equal(ingest_app_start(&edge.app, &edge.conf, &err), MILL_E_CONFIG);
    assert_null(edge.app);
}

/* The bucket's rule counts an object's days: a hash that is used again on another day is stored
 * again, under that day, so that it does not go before the later mail; on the same day it is there.
 */
static void test_another_day(void **state)
{
    enum { LARGE = 300 << 10 };
    static const int64_t noon = INT64_C(1795262400) * 1000000, day = INT64_C(86400) * 1000000;
    static const struct {
        int64_t at;
        const char *key;
        size_t objects;
    } uses[] = {{noon, "attachments/2026-11-21/", 1},
                {noon + day / 3, "attachments/2026-11-21/", 1},
                {noon + day, "attachments/2026-11-22/", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        const struct mill_attachment a = {.filename = MILL_STR("a"), .content = content(LARGE, 1)};
        struct mill_request r = {.attachments = {&a, 1}};
        struct mill_arena arena = {0};
        struct mill_err err = {0};

        assert_int_equal(ingest_blobs_store(edge.app->blobs, &r, &arena, uses[i].at, &err),
                         MILL_OK);
        assert_true(mill_str_starts(r.attachments.v[0].ref->key, uses[i].key));
        assert_int_equal(world.s3->n_objects, uses[i].objects);
        mill_arena_release(&arena);
    }
}

#define STARTED(f) cmocka_unit_test_setup_teardown(f, setup_started, teardown)
#define PLAIN(f)   cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTED(test_another_day), STARTED(test_by_reference), STARTED(test_there_already),
        STARTED(test_many_small),  STARTED(test_limits),       STARTED(test_away),
        STARTED(test_again),       STARTED(test_batch),        PLAIN(test_without),
        PLAIN(test_wrong_conf),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
