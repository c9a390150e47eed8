/* Unit tests of the edge's parsers and small parts: credentials, auth, headers, batches, quota. */
#include "auth.h"
#include "base/log.h"
#include "batch.h"
#include "header.h"
#include "later.h"
#include "quota.h"
#include "rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HEX64                                                                                      \
    "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" /* "hello world"            \
                                                                        */

static void test_credentials_rows(void **state)
{
    static const struct {
        const char *text;
        size_t n;          /* credentials; meaningless when it fails */
        const char *where; /* of the failure; NULL = none */
    } rows[] = {
        {"", 0, NULL},
        {"# nobody\n\n", 0, NULL},
        {"svc:sha256$$" HEX64 ":acme:mail:send\n", 1, NULL},
        {"svc:sha256$$" HEX64 ":acme:mail:send,mail:read\r\nb:sha256$$" HEX64 ":x:*", 2, NULL},
        {"svc:sha256$$" HEX64 ":acme:mail:fly", 0, "t:1"},
        {"svc:sha256$$" HEX64 ":acme:", 0, "t:1"},
        {"svc:sha256$$" HEX64 ":acme", 0, "t:1"},
        {"svc:sha256$$" HEX64, 0, "t:1"},
        {"svc:sha256$$1234:acme:*", 0, "t:1"},
        {"svc:sha256$salt$" HEX64 ":acme:*", 0, "t:1"},
        {"\n# x\nsvc:plain:acme:*", 0, "t:3"},
        {"svc:$6$abc$def:acme:*", 0, "t:1"},
        {"svc:$y$:acme:*", 0, "t:1"},
        {"svc:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7:x:*", 1,
         NULL},
        {"svc:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o:x:*", 0, "t:1"},
        {"svc:$y$j9T$$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7:x:*", 0, "t:1"},
        {":sha256$$" HEX64 ":acme:*", 0, "t:1"},
        {"a b:sha256$$" HEX64 ":acme:*", 0, "t:1"},
        {"a:sha256$$" HEX64 "::*", 0, "t:1"},
        {"a:sha256$$" HEX64 ":x:*\na:sha256$$" HEX64 ":x:*", 0, "t:2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ingest_credentials c;
        struct mill_err err = {0};
        enum mill_code rc = ingest_credentials_parse(&c, "t", mill_str(rows[i].text), &err);
        print_message("row %zu\n", i);
        assert_int_equal(rc, rows[i].where ? MILL_E_CONFIG : MILL_OK);
        if (rows[i].where)
            assert_string_equal(err.where, rows[i].where);
        else
            assert_int_equal(c.n, rows[i].n);
        ingest_credentials_release(&c);
        ingest_credentials_release(&c);
        assert_null(c.v);
    }
}

static void test_secrets(void **state)
{
    char hash[INGEST_HASH_MAX + 1], again[INGEST_HASH_MAX + 1], key[INGEST_API_KEY_TEXT];
    char line[512], long_one[INGEST_PASSWORD_MAX + 2];
    struct ingest_credentials c;
    const struct ingest_credential *one;

    (void)state;
    assert_int_equal(ingest_password_hash(MILL_STR("s3cret"), hash, NULL), MILL_OK);
    assert_int_equal(ingest_password_hash(MILL_STR("s3cret"), again, NULL), MILL_OK);
    assert_int_equal(strncmp(hash, "$y$", 3), 0);
    assert_string_not_equal(hash, again);
    assert_true(ingest_password_check(MILL_STR("s3cret"), hash));
    assert_false(ingest_password_check(MILL_STR("s3cret "), hash));
    assert_false(ingest_password_check(MILL_STR(""), hash));
    assert_false(ingest_password_check(MILL_STR("s3cret\0x"), hash));
    memset(long_one, 'x', sizeof long_one);
    assert_false(ingest_password_check((struct mill_str){long_one, sizeof long_one}, hash));
    assert_int_equal(
        ingest_password_hash((struct mill_str){long_one, sizeof long_one}, again, NULL),
        MILL_E_DATA);
    assert_int_equal(ingest_password_hash(MILL_STR(""), again, NULL), MILL_E_DATA);

    assert_int_equal(ingest_api_key_make(key, again, NULL), MILL_OK);
    assert_int_equal(strlen(key), INGEST_API_KEY_TEXT - 1);
    snprintf(line, sizeof line, "a:%s:acme:mail:read\nb:%s:acme:mail:send", hash, again);
    assert_int_equal(ingest_credentials_parse(&c, "t", mill_str(line), NULL), MILL_OK);
    one = ingest_credentials_key(&c, mill_str(key));
    assert_non_null(one);
    assert_string_equal(one->id, "b");
    assert_int_equal(one->scopes, INGEST_MAIL_SEND);
    assert_null(ingest_credentials_key(&c, MILL_STR("mill_")));
    assert_non_null(ingest_credentials_id(&c, MILL_STR("a")));
    assert_null(ingest_credentials_id(&c, MILL_STR("b"))); /* a key is no password */
    ingest_credentials_release(&c);
}

static void test_authorization(void **state)
{
    static const struct {
        const char *header;
        enum ingest_auth_scheme scheme;
        const char *id, *secret;
    } rows[] = {
        {NULL, INGEST_AUTH_NONE, NULL, NULL},
        {"", INGEST_AUTH_NONE, NULL, NULL},
        {"Basic", INGEST_AUTH_NONE, NULL, NULL},
        {"Basic !!!", INGEST_AUTH_NONE, NULL, NULL},
        {"Basic bm9jb2xvbg==", INGEST_AUTH_NONE, NULL, NULL},
        {"Digest YTpi", INGEST_AUTH_NONE, NULL, NULL},
        {"Basic YTpi", INGEST_AUTH_BASIC, "a", "b"},
        {"bASIC  YTpiOmM=", INGEST_AUTH_BASIC, "a", "b:c"},
        {"Basic Og==", INGEST_AUTH_BASIC, "", ""},
        {"Bearer mill_x", INGEST_AUTH_BEARER, NULL, "mill_x"},
        {"bearer   mill_x", INGEST_AUTH_BEARER, NULL, "mill_x"},
    };
    char room[INGEST_AUTH_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ingest_secret got;
        ingest_auth_split(mill_str(rows[i].header), room, &got);
        print_message("row %zu\n", i);
        assert_int_equal(got.scheme, rows[i].scheme);
        if (rows[i].id)
            assert_true(mill_str_is(got.id, rows[i].id));
        if (rows[i].secret)
            assert_true(mill_str_is(got.secret, rows[i].secret));
    }
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_auth_file(void **state)
{
    char path[] = P_tmpdir "/mill-credentials-XXXXXX", text[512], hash[INGEST_HASH_MAX + 1];
    int fd = mkstemp(path);
    struct ingest_auth auth;
    struct ingest_identity who;
    struct mill_err err = {0};

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ingest_password_hash(MILL_STR("b"), hash, NULL), MILL_OK);
    snprintf(text, sizeof text, "a:%s:acme:mail:send\n", hash);
    put_file(path, text);
    assert_int_equal(ingest_auth_file(&auth, path, &err), MILL_OK);

    struct mill_str good = MILL_STR("Basic YTpi"), wrong = MILL_STR("Basic YTpj"),
                    nobody = MILL_STR("Basic eDpi"), none = {0};
    assert_int_equal(auth.check(auth.self, none, false, &who), INGEST_AUTH_REFUSED);
    assert_int_equal(auth.check(auth.self, good, false, &who), INGEST_AUTH_LATER);
    assert_int_equal(auth.check(auth.self, nobody, false, &who), INGEST_AUTH_LATER);
    assert_int_equal(auth.check(auth.self, nobody, true, &who), INGEST_AUTH_REFUSED);
    assert_int_equal(auth.check(auth.self, wrong, true, &who), INGEST_AUTH_REFUSED);
    assert_int_equal(auth.check(auth.self, good, true, &who), INGEST_AUTH_OK);
    assert_string_equal(who.client, "a");
    assert_string_equal(who.tenant, "acme");
    assert_int_equal(who.scopes, INGEST_MAIL_SEND);
    /* Verified once: known from now on; a wrong password is not. */
    assert_int_equal(auth.check(auth.self, good, false, &who), INGEST_AUTH_OK);
    assert_int_equal(auth.check(auth.self, wrong, false, &who), INGEST_AUTH_LATER);

    /* A wrong file changes nothing; a good one takes effect at once, also on what was verified. */
    put_file(path, "rubbish");
    auth.reload(auth.self, false);
    assert_int_equal(auth.check(auth.self, good, false, &who), INGEST_AUTH_OK);
    put_file(path, "k:sha256$$" HEX64 ":acme:mail:read\n");
    auth.reload(auth.self, false);
    assert_int_equal(auth.check(auth.self, good, true, &who), INGEST_AUTH_REFUSED);
    assert_int_equal(auth.check(auth.self, MILL_STR("Bearer hello world"), false, &who),
                     INGEST_AUTH_OK);
    assert_string_equal(who.client, "k");
    assert_int_equal(auth.check(auth.self, MILL_STR("Bearer hello"), false, &who),
                     INGEST_AUTH_REFUSED);
    unlink(path);
    auth.reload(auth.self, true); /* gone: the old one stays */
    assert_int_equal(auth.check(auth.self, MILL_STR("Bearer hello world"), false, &who),
                     INGEST_AUTH_OK);
    auth.free(auth.self);
    assert_int_equal(ingest_auth_file(&auth, path, &err), MILL_E_CONFIG);
    assert_null(auth.self);
}

static void test_media(void **state)
{
    static const struct {
        const char *type;
        enum ingest_media media;
    } rows[] = {
        {NULL, INGEST_MEDIA_OTHER},
        {"", INGEST_MEDIA_OTHER},
        {"text/plain", INGEST_MEDIA_OTHER},
        {"application/json", INGEST_MEDIA_JSON},
        {"Application/JSON ; charset=UTF-8", INGEST_MEDIA_JSON},
        {"application/json;charset=\"utf-8\"", INGEST_MEDIA_JSON},
        {"application/json; charset=latin1", INGEST_MEDIA_OTHER},
        {"application/jsonx", INGEST_MEDIA_OTHER},
        {"application/x-ndjson; x=y", INGEST_MEDIA_NDJSON},
        {"application/jsonl", INGEST_MEDIA_NDJSON},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("row %zu\n", i);
        assert_int_equal(ingest_media_of(mill_str(rows[i].type)), rows[i].media);
    }
}

static void test_key(void **state)
{
    static const struct {
        const char *header, *key; /* NULL = refused */
    } rows[] = {
        {"abc", "abc"},
        {"  abc\t", "abc"},
        {"\"abc\"", "abc"}, /* bare and quoted give one key */
        {"order-paid/17", "order-paid/17"},
        {"\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c"},
        {"", NULL},
        {"   ", NULL},
        {"\"\"", NULL},
        {"\"", NULL},
        {"\"abc", NULL},
        {"ab\"c", NULL},
        {"\"a\"b\"", NULL},
        {"\"a\\n\"", NULL},
        {"\"a\\\"", NULL},
        {"a\x01", NULL},
        {"caf\xc3\xa9", NULL},
    };
    char out[INGEST_KEY_MAX + 1], text[INGEST_KEY_MAX + 4];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("row %zu\n", i);
        assert_int_equal(ingest_key_parse(mill_str(rows[i].header), out), rows[i].key != NULL);
        if (rows[i].key)
            assert_string_equal(out, rows[i].key);
    }
    memset(text, 'k', sizeof text);
    assert_true(ingest_key_parse((struct mill_str){text, INGEST_KEY_MAX}, out));
    assert_false(ingest_key_parse((struct mill_str){text, INGEST_KEY_MAX + 1}, out));
    text[0] = text[INGEST_KEY_MAX + 1] = '"';
    assert_true(ingest_key_parse((struct mill_str){text, INGEST_KEY_MAX + 2}, out));
    assert_int_equal(strlen(out), INGEST_KEY_MAX);
    text[INGEST_KEY_MAX + 1] = 'k';
    text[INGEST_KEY_MAX + 2] = '"';
    assert_false(ingest_key_parse((struct mill_str){text, INGEST_KEY_MAX + 3}, out));
}

static void test_trace(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false},
        {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"", false},
    };
    char a[INGEST_TRACE_TEXT], b[INGEST_TRACE_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("row %zu\n", i);
        assert_int_equal(ingest_trace_valid(mill_str(rows[i].text)), rows[i].ok);
    }
    assert_true(ingest_trace_make(a));
    assert_true(ingest_trace_make(b));
    assert_true(ingest_trace_valid(mill_str(a)));
    assert_string_not_equal(a, b);
}

static void test_batch(void **state)
{
    static const struct {
        const char *body;
        bool ndjson;
        enum ingest_batch rc;
        size_t n;
        const char *last;
    } rows[] = {
        {"", false, INGEST_BATCH_EMPTY, 0, NULL},
        {"[]", false, INGEST_BATCH_EMPTY, 0, NULL},
        {" [ ] ", false, INGEST_BATCH_EMPTY, 0, NULL},
        {"[1]", false, INGEST_BATCH_OK, 1, "1"},
        {"[{\"a\":[1,2]} , {\"b\":\"],}\\\"\"}]\r\n", false, INGEST_BATCH_OK, 2,
         "{\"b\":\"],}\\\"\"}"},
        {"[{},]", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[,{}]", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[{}", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[{}]]", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[] x", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[}]", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[\"abc]", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[\"abc\\", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"{}", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[", false, INGEST_BATCH_MALFORMED, 0, NULL},
        {"[{\"x\":}, {}]", false, INGEST_BATCH_OK, 2, "{}"}, /* the first item's own trouble */
        {"", true, INGEST_BATCH_EMPTY, 0, NULL},
        {"\n \r\n", true, INGEST_BATCH_EMPTY, 0, NULL},
        {"{\"a\":1}", true, INGEST_BATCH_OK, 1, "{\"a\":1}"},
        {"{}\r\n\n{\"b\":2}\n", true, INGEST_BATCH_OK, 2, "{\"b\":2}"},
        {"nonsense\n{}", true, INGEST_BATCH_OK, 2, "{}"},
    };
    static struct mill_str items[INGEST_BATCH_MAX];
    static char many[4 * INGEST_BATCH_MAX];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("row %zu\n", i);
        assert_int_equal(ingest_batch_split(mill_str(rows[i].body), rows[i].ndjson, items, &n),
                         rows[i].rc);
        if (rows[i].rc)
            continue;
        assert_int_equal(n, rows[i].n);
        assert_true(mill_str_is(items[n - 1], rows[i].last));
    }
    for (size_t i = 0; i < sizeof many; i += 2)
        memcpy(many + i, i ? ",1" : "[1", 2);
    many[2 * INGEST_BATCH_MAX] = ']';
    assert_int_equal(
        ingest_batch_split((struct mill_str){many, 2 * INGEST_BATCH_MAX + 1}, false, items, &n),
        INGEST_BATCH_OK);
    assert_int_equal(n, INGEST_BATCH_MAX);
    many[2 * INGEST_BATCH_MAX] = ',';
    many[2 * INGEST_BATCH_MAX + 2] = ']';
    assert_int_equal(
        ingest_batch_split((struct mill_str){many, 2 * INGEST_BATCH_MAX + 3}, false, items, &n),
        INGEST_BATCH_TOO_MANY);
}

static void test_quota(void **state)
{
    struct ingest_quota *q = ingest_quota_new(10);

    (void)state;
    assert_non_null(q);
    assert_true(ingest_quota_take(q, "a", 9));
    assert_true(ingest_quota_take(q, "a", 1000)); /* a batch is never split */
    assert_false(ingest_quota_take(q, "a", 1));
    for (char t = 'b'; t < 'z'; t++)
        assert_true(ingest_quota_take(q, (char[]){t, 0}, 10));
    assert_false(ingest_quota_take(q, "c", 1));
    ingest_quota_give(q, "a", 1000);
    assert_true(ingest_quota_take(q, "a", 1));
    assert_false(ingest_quota_take(q, "a", 1));
    ingest_quota_give(q, "a", 10);
    ingest_quota_give(q, "nobody", 1);
    assert_true(ingest_quota_take(q, "a", 1));
    ingest_quota_free(q);
    ingest_quota_free(NULL);
}

static atomic_int later_runs, later_go;

static void later_run(void *arg)
{
    (void)arg;
    while (!atomic_load(&later_go))
        usleep(1000);
    atomic_fetch_add(&later_runs, 1);
}

static void test_later(void **state)
{
    struct ingest_later *l = ingest_later_new(2, 1);
    int put = 0;

    (void)state;
    assert_non_null(l);
    for (int i = 0; i < 10; i++)
        put += ingest_later_put(l, later_run, NULL);
    assert_in_range(put, 2, 3); /* two wait, one may run already */
    atomic_store(&later_go, 1);
    ingest_later_free(l); /* runs what waits */
    assert_int_equal(atomic_load(&later_runs), put);
    ingest_later_free(NULL);
}

/* One second's worth at once, then as it fills; a clock that another thread read later harms not.
 */
static void test_rate(void **state)
{
    struct ingest_rate r;
    int64_t t;

    (void)state;
    ingest_rate_init(&r, 10);
    t = r.at_ms;
    for (int i = 0; i < 10; i++)
        assert_true(ingest_rate_take_at(&r, t));
    assert_false(ingest_rate_take_at(&r, t));
    assert_false(ingest_rate_take_at(&r, t + 99));
    assert_true(ingest_rate_take_at(&r, t + 101));
    assert_false(ingest_rate_take_at(&r, t)); /* earlier than the last look */
    for (int i = 0; i < 10; i++)
        assert_true(ingest_rate_take_at(&r, t + 3600000)); /* no more than it holds */
    assert_false(ingest_rate_take_at(&r, t + 3600000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),      cmocka_unit_test(test_credentials_rows),
        cmocka_unit_test(test_secrets),   cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_auth_file), cmocka_unit_test(test_media),
        cmocka_unit_test(test_key),       cmocka_unit_test(test_trace),
        cmocka_unit_test(test_batch),     cmocka_unit_test(test_quota),
        cmocka_unit_test(test_later),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
