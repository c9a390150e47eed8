/* Rows of a table as cmocka tests: each row starts with its name and is the test's *state. */
#ifndef MILL_TEST_CASES_H
#define MILL_TEST_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TABLE(rows, fn) table_run(#rows, rows, sizeof(rows) / sizeof *(rows), sizeof *(rows), fn)
#define TESTS(tests)                                                                               \
    _cmocka_run_group_tests(#tests, tests, sizeof(tests) / sizeof *(tests), NULL, NULL)

/** @return how many rows failed */
static inline int table_run(const char *group, const void *rows, size_t n, size_t size,
                            CMUnitTestFunction fn)
{
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    int failed = -1;

    if (!tests)
        return failed;
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows + i * size;
        tests[i].name = *(const char *const *)(const void *)row;
        tests[i].test_func = fn;
        tests[i].initial_state = (void *)(uintptr_t)row;
    }
    failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return failed;
}

#endif
