#include "cases.h"

#include "base/err.h"
#include <errno.h>

static void err_fill(void **state)
{
    struct mill_err err = {.cls = "old"};
    char many[600];

    (void)state;
    assert_int_equal(mill_fail(&err, MILL_E_DATA, "to[0].email", "no %c in\naddress\t", '@'),
                     MILL_E_DATA);
    assert_int_equal(err.code, MILL_E_DATA);
    assert_string_equal(err.where, "to[0].email");
    assert_string_equal(err.text, "no @ in address ");
    assert_null(err.cls);
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = '\0';
    assert_int_equal(mill_fail(&err, MILL_E_IO, many, "%s", many), MILL_E_IO);
    assert_int_equal(strlen(err.where), sizeof err.where - 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(mill_fail(NULL, MILL_E_NOMEM, "x", "y"), MILL_E_NOMEM);
}

static void err_self(void **state)
{
    struct mill_err err;

    (void)state;
    mill_fail(&err, MILL_E_IO, "a", "inner");
    mill_fail(&err, MILL_E_KAFKA, err.where, "outer: %s", err.text); /* wrapping its own text */
    assert_string_equal(err.text, "outer: inner");
}

static const struct code_row {
    const char *name;
    enum mill_code code;
    int exit;
} code_rows[] = {
    {"ok", MILL_OK, 0},
    {"nomem", MILL_E_NOMEM, 71},
    {"config", MILL_E_CONFIG, 78},
    {"schema", MILL_E_SCHEMA, 78},
    {"data", MILL_E_DATA, 78},
    {"io", MILL_E_IO, 69},
    {"kafka", MILL_E_KAFKA, 75},
    {"state", MILL_E_STATE, 70},
    {"noent", MILL_E_NOENT, 66},
    {"auth", MILL_E_AUTH, 77},
    {"unknown", (enum mill_code)99, 70},
};

static void code_case(void **state)
{
    const struct code_row *row = *state;
    assert_string_equal(mill_code_name(row->code), row->name);
    assert_int_equal(mill_exit_of(row->code), row->exit);
}

static void err_errno(void **state)
{
    char buf[128];

    (void)state;
    assert_string_equal(mill_errno_text(ENOENT, buf, sizeof buf), "No such file or directory");
    assert_non_null(strstr(mill_errno_text(99999, buf, sizeof buf), "99999"));
}

int main(void)
{
    const struct CMUnitTest err_tests[] = {cmocka_unit_test(err_fill), cmocka_unit_test(err_self),
                                           cmocka_unit_test(err_errno)};

    return TESTS(err_tests) + TABLE(code_rows, code_case);
}
