/* The token of a one-click unsubscribe link: there and back, rotation, and nothing else gets in. */
#include "mail/unsubscribe.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEY_A "fake-unsubscribe-key-aaaaaaaaaaaaaaaa"
#define KEY_B "fake-unsubscribe-key-bbbbbbbbbbbbbbbb"

static struct mill_unsubscribe_keys keys_of(const char *text)
{
    struct mill_unsubscribe_keys keys;

    assert_int_equal(mill_unsubscribe_keys_read(&keys, mill_str(text), NULL), MILL_OK);
    return keys;
}

static void make(struct mill_buf *out, const struct mill_unsubscribe *u, const char *keys)
{
    const struct mill_unsubscribe_keys k = keys_of(keys);
    struct mill_err err = {0};

    mill_buf_init(out, MILL_UNSUBSCRIBE_TOKEN_MAX);
    assert_int_equal(mill_unsubscribe_make(u, &k, out, &err), MILL_OK);
}

static enum mill_code read_back(struct mill_unsubscribe *out, struct mill_str token,
                                const char *keys, struct mill_arena *arena)
{
    const struct mill_unsubscribe_keys k = keys_of(keys);
    struct mill_err err = {0};
    enum mill_code rc = mill_unsubscribe_read(out, token, &k, arena, &err);

    assert_int_equal(err.code, rc);
    return rc;
}

static const struct mill_unsubscribe ann = {
    .tenant = MILL_STR_INIT("acme"),
    .address = MILL_STR_INIT("Ann@example.net"),
    .category = MILL_STR_INIT("news/\xc3\xa4"),
    .message_id = MILL_STR_INIT("0191d8a2-0000-7000-8000-000000000001/0"),
    .issued = INT64_C(1771034400123456),
};

static void there_and_back(void **state)
{
    struct mill_unsubscribe got;
    struct mill_arena arena = {0};
    struct mill_buf token;

    (void)state;
    make(&token, &ann, KEY_A);
    assert_int_equal(strspn(token.p,
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "-_"),
                     token.n);
    assert_true(token.n < 140); /* with scheme, host and path well within one header line */
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_A, &arena), MILL_OK);
    assert_true(mill_str_eq(got.tenant, ann.tenant));
    assert_true(mill_str_eq(got.address, ann.address));
    assert_true(mill_str_eq(got.category, ann.category));
    assert_true(mill_str_eq(got.message_id, ann.message_id));
    assert_int_equal(got.issued, INT64_C(1771034400000000));
    mill_buf_release(&token);

    const struct mill_unsubscribe bare = {.address = MILL_STR("a@b.example")};
    make(&token, &bare, KEY_A);
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_A, &arena), MILL_OK);
    assert_true(mill_str_is(got.address, "a@b.example"));
    assert_int_equal(got.tenant.n + got.category.n + got.message_id.n, 0);
    mill_buf_release(&token);
    mill_arena_release(&arena);
}

/* The format is in mails that are out: it must never change. Made by another program:
 * python3 -c 'import hmac,base64,struct;
 *   p=b"\x01"+(1771034400).to_bytes(5,"big")+b"".join(struct.pack(">H",len(x))+x for x in (…));
 *   t=hmac.new(key,b"sendmill unsubscribe 1\n"+p,"sha256").digest()[:16];
 *   print(base64.urlsafe_b64encode(p+t).rstrip(b"="))' */
static void known_token(void **state)
{
    struct mill_buf token;

    (void)state;
    make(&token, &ann, KEY_A);
    assert_string_equal(token.p, "AQBpj9cgAARhY21lAA9Bbm5AZXhhbXBsZS5uZXQAB25ld3Mvw6QAJjAxOTFkOGEyL"
                                 "TAwMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMS8wcXGm2c3YIQBOwRJNcwr2aA");
    mill_buf_release(&token);
}

static void rotation(void **state)
{
    struct mill_unsubscribe got;
    struct mill_arena arena = {0};
    struct mill_buf token;

    (void)state;
    make(&token, &ann, KEY_A);
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_B "\n" KEY_A "\n", &arena),
                     MILL_OK);
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_B " , " KEY_A, &arena), MILL_OK);
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_B, &arena), MILL_E_AUTH);
    assert_null(got.address.p);
    assert_int_equal(read_back(&got, mill_buf_view(&token), "", &arena), MILL_E_AUTH);
    mill_buf_release(&token);
    mill_arena_release(&arena);
}

/* Each single bit of the token matters, but for those that base64 has beyond the last byte. */
static void nothing_else_gets_in(void **state)
{
    static const char *const rows[] = {
        "",    "A",        "====", "AAAA",    "../../etc", "a b", "AA+/", "AAAAAAAAAAAA",
        "%41", "\xff\xfe", "AQ==", "AQAAAAA", NULL};
    struct mill_unsubscribe got;
    struct mill_arena arena = {0};
    struct mill_buf token;

    (void)state;
    for (size_t i = 0; rows[i]; i++)
        assert_int_equal(read_back(&got, mill_str(rows[i]), KEY_A, &arena), MILL_E_AUTH);
    make(&token, &ann, KEY_A);
    for (size_t i = 0; i + 1 < token.n; i++) {
        char was = token.p[i];
        token.p[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_A, &arena), MILL_E_AUTH);
        token.p[i] = was;
    }
    for (size_t n = 0; n < token.n; n++)
        assert_int_equal(read_back(&got, (struct mill_str){token.p, n}, KEY_A, &arena),
                         MILL_E_AUTH);
    assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_A, &arena), MILL_OK);
    mill_buf_release(&token);
    mill_arena_release(&arena);
}

/* Signed, but not what make() writes: an older or newer version's, or a bug's. */
static void signed_rubbish(void **state)
{
    static const struct mill_str payloads[] = {
        MILL_STR_INIT("\x02\0\0\0\0\0\0\0\0\1a\0\0\0\0"),  /* another version */
        MILL_STR_INIT("\x01\0\0\0\0\0"),                   /* no parts */
        MILL_STR_INIT("\x01\0\0\0\0\0\0\0\0\0\0\0\0\0"),   /* no address */
        MILL_STR_INIT("\x01\0\0\0\0\0\0\0\0\1a\0\0\0"),    /* cut */
        MILL_STR_INIT("\x01\0\0\0\0\0\0\0\0\1a\0\0\0\0x"), /* more behind */
        MILL_STR_INIT("\x01\0\0\0\0\0\xff\xff\0\1a"),      /* a length beyond the end */
    };
    struct mill_unsubscribe got;
    struct mill_arena arena = {0};

    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        unsigned char mac[MILL_SHA256_BYTES];
        struct mill_buf raw, token;
        mill_buf_init(&raw, 256);
        mill_buf_init(&token, 512);
        mill_buf_puts(&raw, "sendmill unsubscribe 1\n");
        size_t label = raw.n;
        mill_buf_str_add(&raw, payloads[i]);
        assert_true(mill_hmac_sha256(MILL_STR(KEY_A), mill_buf_view(&raw), mac));
        mill_buf_add(&raw, mac, 16);
        assert_true(mill_base64_add(&token, (struct mill_str){raw.p + label, raw.n - label}));
        for (size_t k = 0; k < token.n; k++)
            token.p[k] = (char)(token.p[k] == '+' ? '-' : token.p[k] == '/' ? '_' : token.p[k]);
        while (token.n && token.p[token.n - 1] == '=')
            token.n--;
        assert_int_equal(read_back(&got, mill_buf_view(&token), KEY_A, &arena), MILL_E_AUTH);
        mill_buf_release(&raw);
        mill_buf_release(&token);
    }
    mill_arena_release(&arena);
}

static void limits(void **state)
{
    static char large[2000];
    const struct mill_unsubscribe_keys one = keys_of(KEY_A), none = {.n = 0};
    const struct mill_unsubscribe rows[] = {
        {.tenant = MILL_STR("acme")}, /* no address */
        {.address = {large, 321}},
        {.address = MILL_STR("a@b"), .category = {large, 1025}},
        {.address = MILL_STR("a@b"), .message_id = {large, 1025}},
        {.address = MILL_STR("a@b"), .tenant = {large, 1025}},
        {.address = MILL_STR("a@b"), .tenant = {large, 1000}, .category = {large, 1000}},
        {.address = MILL_STR("a@b"), .issued = -1},
    };
    struct mill_unsubscribe_keys keys;
    struct mill_arena arena = {0};
    struct mill_unsubscribe got;
    struct mill_err err = {0};
    struct mill_buf out;

    (void)state;
    memset(large, 'x', sizeof large);
    mill_buf_init(&out, MILL_UNSUBSCRIBE_TOKEN_MAX);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(mill_unsubscribe_make(&rows[i], &one, &out, &err), MILL_E_DATA);
    assert_int_equal(out.n, 0);
    assert_int_equal(mill_unsubscribe_make(&ann, &none, &out, &err), MILL_E_STATE);
    /* The longest that is made can be read. */
    const struct mill_unsubscribe longest = {
        .address = {large, 320}, .tenant = {large, 1024}, .category = {large, 442}};
    assert_int_equal(mill_unsubscribe_make(&longest, &one, &out, &err), MILL_OK);
    assert_int_equal(mill_unsubscribe_read(&got, mill_buf_view(&out), &one, &arena, &err), MILL_OK);
    assert_int_equal(got.category.n, 442);
    mill_buf_release(&out);

    assert_int_equal(mill_unsubscribe_keys_read(&keys, (struct mill_str){0}, &err), MILL_OK);
    assert_int_equal(keys.n, 0);
    assert_int_equal(mill_unsubscribe_keys_read(&keys, MILL_STR("short"), &err), MILL_E_CONFIG);
    mill_buf_init(&out, 1000);
    for (int i = 0; i < 9; i++)
        mill_buf_puts(&out, KEY_A "\n");
    assert_int_equal(mill_unsubscribe_keys_read(&keys, mill_buf_view(&out), &err), MILL_E_CONFIG);
    mill_buf_release(&out);
    mill_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(known_token),
        cmocka_unit_test(rotation),       cmocka_unit_test(nothing_else_gets_in),
        cmocka_unit_test(signed_rubbish), cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests_name("unsubscribe", t, NULL, NULL);
}
