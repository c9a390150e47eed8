/* The key of mail.suppressions: the same for the same mailbox however it is written. */
#include "mail/suppression.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void addresses(void **state)
{
    static const struct {
        const char *given, *want;
    } rows[] = {
        {"ann@example.net", "ann@example.net"},
        {"Ann@Example.NET", "ann@example.net"},
        {"ann@b\xc3\xbc"
         "cher.example",
         "ann@xn--bcher-kva.example"},
        {"ann@B\xc3\x9c"
         "CHER.example",
         "ann@xn--bcher-kva.example"},
        {"ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"},
        {"\"A b\"@example.net", "\"a b\"@example.net"},
        {"\xc3\x84nn@example.net", "\xc3\x84nn@example.net"}, /* other letters stay */
        {"No Mailbox", "no mailbox"},
        {"", NULL},
        {NULL, NULL},
    };
    char out[MILL_SUPPRESSION_ADDRESS_SIZE], large[600];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_str got = mill_suppression_address(mill_str(rows[i].given), out);
        print_message("row %zu: %.*s\n", i, MILL_FMT(got));
        assert_true(mill_str_eq(got, mill_str(rows[i].want)));
    }
    memset(large, 'x', sizeof large);
    assert_null(mill_suppression_address((struct mill_str){large, 513}, out).p);
    assert_int_equal(mill_suppression_address((struct mill_str){large, 512}, out).n, 512);
}

static void keys(void **state)
{
    char a[MILL_SUPPRESSION_KEY_SIZE], b[MILL_SUPPRESSION_KEY_SIZE];

    (void)state;
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("Ann@example.net"), MILL_STR(""), a));
    /* printf '\0\0\0\0\0\0\0\5acme\0\0\0\0\0\0\0\20ann@example.net' | sha256sum: it names records
     * that are there, and must never change. */
    assert_string_equal(a, "a227c0eb495d3bfa8a78c2af9e2cfe626aa0d0c83ccb9f75548eb08d0b3c5945");
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("ANN@example.NET"), MILL_STR(""), b));
    assert_string_equal(a, b);
    assert_true(
        mill_suppression_key(MILL_STR("other"), MILL_STR("ann@example.net"), MILL_STR(""), b));
    assert_string_not_equal(a, b);
    assert_true(mill_suppression_key(MILL_STR(""), MILL_STR("ann@example.net"), MILL_STR(""), a));
    assert_true(
        mill_suppression_key((struct mill_str){0}, MILL_STR("ann@example.net"), MILL_STR(""), b));
    assert_string_equal(a, b);
    /* A category's is its own, and no tenant's or address' parts make the same. */
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("ann@example.net"), MILL_STR("news"), a));
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("ann@example.net"), MILL_STR(""), b));
    assert_string_not_equal(a, b);
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("ann@example.net"), MILL_STR("new"), b));
    assert_string_not_equal(a, b);
    assert_true(mill_suppression_key(MILL_STR("acme"), MILL_STR("ann@example.net"),
                                     (struct mill_str){0}, a));
    assert_true(
        mill_suppression_key(MILL_STR("acme"), MILL_STR("ann@example.net"), MILL_STR(""), b));
    assert_string_equal(a, b);
    assert_false(mill_suppression_key(MILL_STR("acme"), MILL_STR(""), MILL_STR(""), a));
}

int main(void)
{
    const struct CMUnitTest t[] = {cmocka_unit_test(addresses), cmocka_unit_test(keys)};

    return cmocka_run_group_tests_name("suppression", t, NULL, NULL);
}
