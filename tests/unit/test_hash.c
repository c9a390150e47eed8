#include "cases.h"

#include "base/hash.h"

static void hash_digests(void **state)
{
    unsigned char a[MILL_SHA256_BYTES], b[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];
    const struct mill_str joined[] = {MILL_STR("ab"), MILL_STR("c")};
    const struct mill_str moved[] = {MILL_STR("a"), MILL_STR("bc")};
    const struct mill_str absent[] = {MILL_STR("x"), {NULL, 0}},
                          empty[] = {MILL_STR("x"), MILL_STR("")};

    (void)state;
    assert_true(mill_sha256(MILL_STR("abc"), a)); /* FIPS 180-4's example */
    assert_string_equal(mill_hex(a, sizeof a, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(mill_sha256((struct mill_str){0}, a));
    assert_string_equal(mill_hex(a, sizeof a, hex),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(mill_hmac_sha256(MILL_STR("Jefe"), MILL_STR("what do ya want for nothing?"), a));
    assert_string_equal(mill_hex(a, sizeof a, hex), /* RFC 4231, case 2 */
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(mill_sha256_parts(joined, 2, a) && mill_sha256_parts(moved, 2, b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(mill_sha256_parts(absent, 2, a) && mill_sha256_parts(empty, 2, b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(mill_sha256_parts(joined, 2, b) && mill_sha256_parts(joined, 2, a));
    assert_memory_equal(a, b, sizeof a);
}

static void hash_secret(void **state)
{
    (void)state;
    assert_true(mill_equal_secret(MILL_STR("abc"), MILL_STR("abc")));
    assert_false(mill_equal_secret(MILL_STR("abc"), MILL_STR("abd")));
    assert_false(mill_equal_secret(MILL_STR("abc"), MILL_STR("ab")));
    assert_false(
        mill_equal_secret((struct mill_str){0}, (struct mill_str){0})); /* none is no match */
}

static void hash_random(void **state)
{
    unsigned char a[32] = {0}, b[32] = {0};

    (void)state;
    assert_true(mill_random(a, sizeof a) && mill_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(mill_random(a, 0));
    assert_false(mill_random(a, SIZE_MAX));
}

static void hash_uuid(void **state)
{
    const struct mill_str parts[] = {MILL_STR("a"), MILL_STR("b")};
    char one[MILL_UUID_TEXT], two[MILL_UUID_TEXT];

    (void)state;
    /* Python: uuid.uuid5(uuid.UUID("92b135ce-1167-43b6-ba7b-7639c032ff51"), "a\0b") */
    assert_true(mill_uuid5(parts, 2, one));
    assert_string_equal(one, "066eb74a-6418-56f9-83e2-8fb3ae47755e");
    assert_true(mill_uuid7(one) && mill_uuid7(two));
    assert_int_equal(strlen(one), MILL_UUID_TEXT - 1);
    assert_string_not_equal(one, two);
    assert_int_equal(one[14], '7');
    assert_non_null(strchr("89ab", one[19]));
    assert_true(strncmp(one, two, 13) <= 0); /* the time part never goes back */
}

static const struct base64_row {
    const char *name;
    struct mill_str plain, text;
    bool ok; /* of decoding; false: only the text matters */
} base64_rows[] = {
    {"empty", MILL_STR_INIT(""), MILL_STR_INIT(""), true},
    {"one", MILL_STR_INIT("f"), MILL_STR_INIT("Zg=="), true},
    {"two", MILL_STR_INIT("fo"), MILL_STR_INIT("Zm8="), true},
    {"three", MILL_STR_INIT("foo"), MILL_STR_INIT("Zm9v"), true},
    {"four", MILL_STR_INIT("foob"), MILL_STR_INIT("Zm9vYg=="), true},
    {"all high", MILL_STR_INIT("\xFB\xFF\xFE\xFF"), MILL_STR_INIT("+//+/w=="), true},
    {"nul bytes", MILL_STR_INIT("\0\0\0"), MILL_STR_INIT("AAAA"), true},
    {"no padding", {0}, MILL_STR_INIT("Zg"), false},
    {"half a padding", {0}, MILL_STR_INIT("Zg="), false},
    {"only padding", {0}, MILL_STR_INIT("===="), false},
    {"three paddings", {0}, MILL_STR_INIT("Z==="), false},
    {"padding in the middle", {0}, MILL_STR_INIT("Zg==Zm9v"), false},
    {"text between paddings", {0}, MILL_STR_INIT("Zg=v"), false},
    {"newline", {0}, MILL_STR_INIT("Zm9v\nZm9v"), false},
    {"newline, length fits", {0}, MILL_STR_INIT("Zm9vZm\n="), false},
    {"url alphabet", {0}, MILL_STR_INIT("-__-"), false},
    {"stray bits, one byte", {0}, MILL_STR_INIT("Zh=="), false},
    {"stray bits, two bytes", {0}, MILL_STR_INIT("Zm9="), false},
    {"nul byte", {0}, MILL_STR_INIT("Zm9\0"), false},
    {"high byte", {0}, MILL_STR_INIT("Zm9\xFF"), false},
};

static void base64_case(void **state)
{
    const struct base64_row *row = *state;
    struct mill_buf b;

    mill_buf_init(&b, 64);
    assert_int_equal(mill_base64_decode(&b, row->text), row->ok);
    if (row->ok) {
        assert_true(mill_str_eq(mill_buf_view(&b), row->plain));
        mill_buf_reset(&b);
        assert_true(mill_base64_add(&b, row->plain));
        assert_true(mill_str_eq(mill_buf_view(&b), row->text));
    }
    mill_buf_release(&b);
}

static void base64_cap(void **state)
{
    struct mill_buf b;

    (void)state;
    mill_buf_init(&b, 3);
    assert_true(mill_base64_decode(&b, MILL_STR("Zm9v")));
    assert_false(mill_base64_decode(&b, MILL_STR("Zg==")));
    mill_buf_reset(&b);
    assert_false(mill_base64_add(&b, MILL_STR("f")));
    mill_buf_reset(&b);
    assert_false(mill_base64_add(&b, (struct mill_str){"", SIZE_MAX}));
    mill_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest hash_tests[] = {
        cmocka_unit_test(hash_digests), cmocka_unit_test(hash_secret),
        cmocka_unit_test(hash_random),  cmocka_unit_test(hash_uuid),
        cmocka_unit_test(base64_cap),
    };

    return TESTS(hash_tests) + TABLE(base64_rows, base64_case);
}
