/* The S3 client against an S3 of the test's own, which checks each signature by itself. */
#include "base/clock.h"
#include "fake_s3_world.h"
#include "net/s3_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* AWS's published example of a signed GET: our checker must agree with it before it judges. */
static void test_checker(void **state)
{
    const char *canonical =
        "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    char hex[65];

    (void)state;
    fake_s3_sign(FAKE_S3_SECRET, "20130524", "20130524T000000Z", "us-east-1", mill_str(canonical),
                 hex);
    assert_string_equal(hex, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

#define KEY "lake/topic=mail.events/dt=2026-01-02/mail.events+AbC_-d+3+0-99.parquet"

static const struct mill_pair plan[] = {{{"plan", 4}, {"S=0 E=100", 9}}};

static enum mill_code put(struct world *w, const char *key, struct mill_str body,
                          enum mill_s3_put *how, struct mill_err *err)
{
    return mill_s3_put_new(w->s3, key, body, (struct mill_map){plan, 1}, how, err);
}

static void test_object(void **state)
{
    struct world *w = *state;
    struct mill_err err;
    struct mill_buf got;
    struct mill_s3_head head;
    enum mill_s3_put how;

    mill_buf_init(&got, 100);
    assert_int_equal(mill_s3_head(w->s3, KEY, &head, &err), MILL_E_NOENT);
    assert_int_equal(mill_s3_get(w->s3, KEY, &got, &err), MILL_E_NOENT);
    if (put(w, KEY, MILL_STR("0123456789"), &how, &err))
        fail_msg("%s", err.text);
    assert_int_equal(how, MILL_S3_CREATED);
    assert_int_equal(put(w, KEY, MILL_STR("other"), &how, &err), MILL_OK);
    assert_int_equal(how, MILL_S3_EXISTS);
    assert_int_equal(mill_s3_get(w->s3, KEY, &got, &err), MILL_OK);
    assert_string_equal(got.p, "0123456789");
    assert_int_equal(mill_s3_head(w->s3, KEY, &head, &err), MILL_OK);
    assert_int_equal(head.bytes, 10);
    assert_string_equal(head.etag, "\"etag\"");
    assert_int_equal(head.meta.n, 1);
    assert_true(mill_str_is(head.meta.v[0].key, "plan"));
    assert_true(mill_str_is(head.meta.v[0].value, "S=0 E=100"));
    mill_buf_reset(&got);
    assert_int_equal(mill_s3_get_range(w->s3, KEY, 2, 3, &got, &err), MILL_OK);
    assert_string_equal(got.p, "234");
    assert_int_equal(mill_s3_get_range(w->s3, KEY, 8, 3, &got, &err), MILL_E_DATA);
    assert_int_equal(mill_s3_get_range(w->s3, KEY, 10, 3, &got, &err), MILL_E_DATA);
    assert_int_equal(mill_s3_get_range(w->s3, KEY, 0, 0, &got, &err), MILL_E_CONFIG);
    assert_int_equal(mill_s3_delete(w->s3, KEY, &err), MILL_OK);
    assert_int_equal(mill_s3_delete(w->s3, KEY, &err), MILL_OK);
    assert_int_equal(mill_s3_head(w->s3, KEY, &head, &err), MILL_E_NOENT);
    assert_int_equal(atomic_load(&w->fake->bad_signatures), 0);
    mill_buf_release(&got);
}

/* Names that are hard to sign, an empty body, one above libcurl's 1 MiB mark. */
static void test_signatures(void **state)
{
    static const char *const keys[] = {"a b",  "a+b=c&d", "\xc3\xa9/~-._", "%25",
                                       "a//b", "a/../b",  "x*y'(z)"};
    struct world *w = *state;
    struct mill_err err;
    struct mill_buf got;
    enum mill_s3_put how;
    char *big = calloc(1, 3 << 20);

    assert_non_null(big);
    mill_buf_init(&got, 4 << 20);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (put(w, keys[i], MILL_STR("x"), &how, &err))
            fail_msg("%s: %s", keys[i], err.text);
        assert_int_equal(how, MILL_S3_CREATED);
        assert_int_equal(mill_s3_get(w->s3, keys[i], &got, &err), MILL_OK);
    }
    assert_int_equal(put(w, "empty", MILL_STR(""), &how, &err), MILL_OK);
    assert_int_equal(put(w, "big", (struct mill_str){big, 3 << 20}, &how, &err), MILL_OK);
    mill_buf_reset(&got);
    assert_int_equal(mill_s3_get(w->s3, "big", &got, &err), MILL_OK);
    assert_int_equal(got.n, 3 << 20);
    assert_int_equal(mill_s3_get(w->s3, "big", &got, &err), MILL_E_DATA); /* no room */
    setenv("AWS_SESSION_TOKEN", "fake+token/==", 1); /* signed too; read again after a refusal */
    w->fake->faults[w->fake->next_fault] = (struct fake_fault){400, false, false, "ExpiredToken"};
    mill_buf_reset(&got);
    assert_int_equal(mill_s3_get(w->s3, "a b", &got, &err), MILL_OK);
    assert_int_equal(atomic_load(&w->fake->bad_signatures), 0);
    mill_buf_release(&got);
    free(big);
}

static const struct {
    const char *name;
    struct fake_fault faults[FAKE_S3_FAULTS];
    const char *there; /* an object that was there before, its bytes */
    enum mill_code code;
    enum mill_s3_put how;
    int puts; /* objects written */
} doubts[] = {
    {"slow down",
     {{503, false, false, "SlowDown"}, {429, false, false, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1},
    {"conflict",
     {{409, false, false, "ConditionalRequestConflict"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1},
    {"500, nothing written", {{500, false, false, NULL}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"500, written all the same", {{500, true, false, NULL}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"503, written all the same", {{503, true, false, NULL}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"keys expired", {{400, false, false, "ExpiredToken"}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"reply lost, written", {{200, true, true, NULL}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"reply lost, not written", {{200, false, true, NULL}}, NULL, MILL_OK, MILL_S3_CREATED, 1},
    {"reply lost, somebody else's is there",
     {{200, false, true, NULL}},
     "other bytes",
     MILL_OK,
     MILL_S3_EXISTS,
     1},
    {"down",
     {{503, false, false, NULL},
      {503, false, false, NULL},
      {503, false, false, NULL},
      {503, false, false, NULL},
      {503, false, false, NULL}},
     NULL,
     MILL_E_IO,
     MILL_S3_EXISTS,
     0},
    {"forbidden", {{403, false, false, "AccessDenied"}}, NULL, MILL_E_AUTH, MILL_S3_EXISTS, 0},
    {"refused", {{400, false, false, "InvalidRequest"}}, NULL, MILL_E_CONFIG, MILL_S3_EXISTS, 0},
};

static void test_doubt(void **state)
{
    struct world *w = *state;
    struct mill_err err;
    enum mill_s3_put how = MILL_S3_EXISTS;

    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        char key[32];

        snprintf(key, sizeof key, "object-%zu", i);
        w->fake->next_fault = FAKE_S3_FAULTS;
        atomic_store(&w->fake->puts, 0);
        if (doubts[i].there)
            assert_int_equal(put(w, key, mill_str(doubts[i].there), &how, &err), MILL_OK);
        memcpy(w->fake->faults, doubts[i].faults, sizeof w->fake->faults);
        w->fake->next_fault = 0;
        how = MILL_S3_EXISTS;
        if (put(w, key, MILL_STR("bytes"), &how, &err) != doubts[i].code)
            fail_msg("%s: %s", doubts[i].name, err.text);
        if (how != doubts[i].how || atomic_load(&w->fake->puts) != doubts[i].puts)
            fail_msg("%s: how %d, %d puts", doubts[i].name, (int)how, atomic_load(&w->fake->puts));
    }
}

/* Keys that were good and are no more: the chain is asked anew, and what it gives is used at once.
 */
static void test_keys_expire(void **state)
{
    static const struct fake_fault refusals[] = {{403, false, false, "InvalidAccessKeyId"},
                                                 {401, false, false, "InvalidToken"}};
    struct world *w = *state;
    struct mill_s3_head head;
    struct mill_err err;
    enum mill_s3_put how;

    for (size_t i = 0; i < 2; i++) {
        char key[32];

        assert_int_equal(put(w, "first", MILL_STR("bytes"), &how, &err), MILL_OK);
        snprintf(key, sizeof key, "renewed-%zu", i);
        setenv("AWS_SESSION_TOKEN", i ? "third" : "second", 1);
        memset(w->fake->faults, 0, sizeof w->fake->faults);
        w->fake->faults[0] = refusals[i];
        w->fake->next_fault = 0;
        if (put(w, key, MILL_STR("bytes"), &how, &err))
            fail_msg("%s: %s", refusals[i].code, err.text);
        assert_int_equal(how, MILL_S3_CREATED);
        setenv("AWS_SESSION_TOKEN", i ? "fifth" : "fourth", 1);
        w->fake->next_fault = 0; /* a HEAD's refusal has no code that could say why */
        assert_int_equal(mill_s3_head(w->s3, key, &head, &err), MILL_OK);
        w->fake->next_fault = 0; /* no others are there: refused, once, until there are */
        atomic_store(&w->fake->requests, 0);
        assert_int_equal(put(w, "never", MILL_STR("bytes"), &how, &err), MILL_E_AUTH);
        assert_int_equal(atomic_load(&w->fake->requests), 1);
    }
    unsetenv("AWS_SESSION_TOKEN");
}

/* A server that takes all and answers nothing: a call gives up while its caller is still in time.
 */
static void test_hanging(void **state)
{
    struct world *w = *state;
    int64_t began = mill_tick_ms();
    struct mill_err err;
    enum mill_s3_put how;

    w->fake->hangs = true;
    assert_int_equal(put(w, "hangs", MILL_STR("bytes"), &how, &err), MILL_E_IO);
    assert_true(mill_tick_ms() - began >= 400);
    assert_in_range(atomic_load(&w->fake->requests), 1, 3); /* it, and what became of it */
}

/* --- listings -------------------------------------------------------------------------------- */

struct walk {
    size_t n, stop_at;
    uint64_t bytes;
    char last[256];
};

static bool on_key(void *arg, const char *key, uint64_t bytes)
{
    struct walk *walk = arg;

    walk->n++;
    walk->bytes += bytes;
    snprintf(walk->last, sizeof walk->last, "%s", key);
    return walk->n != walk->stop_at;
}

static void test_list(void **state)
{
    struct world *w = *state;
    struct walk all = {0}, some = {.stop_at = 1200}, none = {0};
    struct mill_err err;
    int before;

    for (size_t i = 0; i < 2500; i++) {
        struct fake_object *o = &w->fake->objects[w->fake->n_objects++];
        snprintf(o->key, sizeof o->key, "%s/dt=2026/o&%05zu", i < 2400 ? "a b" : "c", i);
        o->bytes = calloc(1, 10);
        o->n = 10;
    }
    if (mill_s3_list(w->s3, "a b/dt=", on_key, &all, &err))
        fail_msg("%s", err.text);
    assert_int_equal(all.n, 2400);
    assert_int_equal(all.bytes, 24000);
    assert_string_equal(all.last, "a b/dt=2026/o&02399");
    assert_string_equal(w->fake->list_token, "+/= 2000"); /* came back as it was given */
    before = atomic_load(&w->fake->requests);
    assert_int_equal(mill_s3_list(w->s3, "a b/dt=", on_key, &some, &err), MILL_OK);
    assert_int_equal(some.n, 1200);
    assert_int_equal(atomic_load(&w->fake->requests), before + 2); /* no page too many */
    assert_int_equal(mill_s3_list(w->s3, "zzz", on_key, &none, &err), MILL_OK);
    assert_int_equal(none.n, 0);
    w->fake->faults[0] = (struct fake_fault){503, false, false, "SlowDown"};
    assert_int_equal(mill_s3_list(w->s3, "c/", on_key, &none, &err), MILL_OK);
    assert_int_equal(none.n, 100);
    assert_int_equal(atomic_load(&w->fake->bad_signatures), 0);
}

static void test_bad_listings(void **state)
{
    static const char *const bad[] = {
        "",
        "<Error><Code>x</Code></Error>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>&bad;</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult>",
    };
    struct mill_buf next;
    struct mill_err err;
    struct walk walk = {0};
    bool more;

    (void)state;
    mill_buf_init(&next, 100);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (mill_s3_list_page(mill_str(bad[i]), on_key, &walk, &next, &more, &err) != MILL_E_DATA)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(walk.n, 0);
    assert_int_equal(
        mill_s3_list_page(MILL_STR("<ListBucketResult><Contents><Key>a&amp;b</Key><Size>7</Size>"
                                   "</Contents></ListBucketResult>"),
                          on_key, &walk, &next, &more, &err),
        MILL_OK);
    assert_string_equal(walk.last, "a&b");
    mill_buf_release(&next);
}

static void test_set_up(void **state)
{
    static const struct {
        struct mill_s3_conf conf;
        enum mill_code code;
        const char *base;
    } rows[] = {
        {{.bucket = "b", .region = "eu-west-1"}, MILL_OK, "https://s3.eu-west-1.amazonaws.com/b"},
        {{.bucket = "b", .region = "cn-north-1", .virtual_host = true},
         MILL_OK,
         "https://b.s3.cn-north-1.amazonaws.com.cn"},
        {{.bucket = "b", .endpoint = "http://host:1//"}, MILL_OK, "http://host:1/b"},
        {{.bucket = "b", .endpoint = "http://host", .virtual_host = true},
         MILL_OK,
         "http://b.host"},
        {{.bucket = "", .endpoint = "http://host"}, MILL_E_CONFIG, NULL},
        {{.endpoint = "http://host"}, MILL_E_CONFIG, NULL},
        {{.bucket = "b", .endpoint = "http://"}, MILL_E_CONFIG, NULL},
    };
    struct world *w = *state;
    struct mill_s3 *s;
    struct mill_err err;
    struct mill_buf got;
    struct mill_s3_conf other = {.bucket = "elsewhere", .timeout_ms = 20000};
    char endpoint[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(mill_s3_new(&s, &rows[i].conf, &err), rows[i].code);
        if (rows[i].base)
            assert_string_equal(s->base.p, rows[i].base);
        mill_s3_free(s);
    }
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", mill_server_port(w->fake->server));
    other.endpoint = endpoint;
    mill_buf_init(&got, 10);
    assert_int_equal(mill_s3_new(&s, &other, &err), MILL_OK);
    assert_int_equal(mill_s3_get(s, "x", &got, &err), MILL_E_CONFIG); /* NoSuchBucket */
    mill_s3_free(s);
    mill_buf_release(&got);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_copy(void **state)
{
    struct world *w = *state;
    struct mill_err err;
    struct mill_s3_head head;
    enum mill_s3_put how;

    assert_int_equal(put(w, "merging/" KEY, MILL_STR("rows"), &how, &err), MILL_OK);
    assert_int_equal(mill_s3_copy(w->s3, "merging/" KEY, KEY, &err), MILL_OK);
    assert_int_equal(mill_s3_head(w->s3, KEY, &head, &err), MILL_OK);
    assert_int_equal(head.bytes, 4);
    assert_true(mill_str_is(mill_map_get(head.meta, "plan"), "S=0 E=100"));
    assert_int_equal(head.modified_ms, INT64_C(1795910401000));
    assert_true(head.now_ms > head.modified_ms - INT64_C(86400000) * 400);
    assert_int_equal(mill_s3_copy(w->s3, KEY "x", KEY, &err), MILL_E_NOENT);
    /* A lost reply: again is the same. */
    w->fake->faults[0] = (struct fake_fault){.status = 500, .act_first = true};
    assert_int_equal(mill_s3_copy(w->s3, "merging/" KEY, KEY, &err), MILL_OK);
    assert_int_equal(atomic_load(&w->fake->bad_signatures), 0);
}

/* Whoever slept writes nothing: neither a first attempt nor a second one. */
static void test_until(void **state)
{
    struct world *w = *state;
    struct mill_err err;
    enum mill_s3_put how;

    mill_s3_until(w->s3, mill_tick_ms() + 60000);
    assert_int_equal(put(w, "in/time", MILL_STR("x"), &how, &err), MILL_OK);
    mill_s3_until(w->s3, mill_tick_ms() - 1);
    assert_int_equal(put(w, "too/late", MILL_STR("x"), &how, &err), MILL_E_IO);
    assert_int_equal(mill_s3_copy(w->s3, "in/time", "too/late", &err), MILL_E_IO);
    assert_int_equal(w->fake->n_objects, 1);
    mill_s3_until(w->s3, mill_tick_ms() + 20); /* a quick retry would come 100 ms later */
    w->fake->faults[0] = (struct fake_fault){.status = 503};
    assert_int_equal(put(w, "too/late", MILL_STR("x"), &how, &err), MILL_E_IO);
    assert_int_equal(w->fake->n_objects, 1);
    mill_s3_until(w->s3, 0);
    assert_int_equal(put(w, "too/late", MILL_STR("x"), &how, &err), MILL_OK);
    assert_int_equal(atomic_load(&w->fake->bad_signatures), 0);
}

static void test_delete_many(void **state)
{
    enum { MANY = 1003 };
    struct world *w = *state;
    struct mill_err err;
    struct mill_str keys[MANY];
    static char names[MANY][32];
    enum mill_s3_put how;
    int before;

    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "many/<%d>&+", i);
        keys[i] = mill_str(names[i]);
        if (i % 500 == 0 || i == MANY - 1)
            assert_int_equal(put(w, names[i], MILL_STR("x"), &how, &err), MILL_OK);
    }
    assert_int_equal(put(w, "many/kept", MILL_STR("x"), &how, &err), MILL_OK);
    before = atomic_load(&w->fake->requests);
    assert_int_equal(mill_s3_delete_many(w->s3, keys, MANY, &err), MILL_OK);
    assert_int_equal(atomic_load(&w->fake->requests) - before, 2);
    assert_int_equal(w->fake->n_objects, 1);
    assert_string_equal(w->fake->objects[0].key, "many/kept");
    assert_int_equal(mill_s3_delete_many(w->s3, keys, 0, &err), MILL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checker),
        ROW(test_object),
        ROW(test_copy),
        ROW(test_delete_many),
        ROW(test_until),
        ROW(test_signatures),
        ROW(test_doubt),
        ROW(test_keys_expire),
        cmocka_unit_test_setup_teardown(test_hanging, setup_hurried, teardown),
        ROW(test_list),
        cmocka_unit_test(test_bad_listings),
        ROW(test_set_up),
    };

    return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
