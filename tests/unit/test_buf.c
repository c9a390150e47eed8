#include "cases.h"

#include "alloc_fail.h"
#include "base/arena.h"
#include "base/buf.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void buf_grows(void **state)
{
    struct mill_buf b;

    (void)state;
    mill_buf_init(&b, 1000);
    assert_true(mill_str_is(mill_buf_view(&b), ""));
    for (int i = 0; i < 100; i++)
        assert_true(mill_buf_printf(&b, "%02d,", i));
    assert_int_equal(b.n, 300);
    assert_int_equal(b.p[300], '\0');
    assert_memory_equal(b.p + 297, "99,", 3);
    mill_buf_reset(&b);
    assert_true(mill_buf_puts(&b, "again") && mill_buf_putc(&b, '!'));
    assert_string_equal(b.p, "again!");
    mill_buf_release(&b);
    mill_buf_release(&b);
    mill_buf_release(NULL);
    assert_int_equal(b.cap, 1000);
    assert_int_equal(b.n, 0);
}

static const struct cap_row {
    const char *name;
    size_t cap, add;
    bool ok;
} cap_rows[] = {
    {"one below", 8, 7, true},
    {"exactly", 8, 8, true},
    {"one above", 8, 9, false},
    {"nothing in nothing", 0, 0, true},
    {"cap 0", 0, 1, false},
    {"above the first size", 65, 65, true},
    {"far above", 8, SIZE_MAX, false},
    {"no cap, no memory", SIZE_MAX, SIZE_MAX, false},
};

static void cap_case(void **state)
{
    const struct cap_row *row = *state;
    struct mill_buf b;
    char *to;

    mill_buf_init(&b, row->cap);
    to = mill_buf_reserve(&b, row->add);
    assert_int_equal(to != NULL, row->ok);
    assert_int_equal(b.failed, !row->ok);
    if (to) {
        memset(to, 'x', row->add);
        b.n += row->add;
        assert_true(mill_buf_add(&b, "", 0));
        assert_int_equal(mill_buf_putc(&b, 'y'), row->add < row->cap);
    }
    mill_buf_release(&b);
    assert_false(b.failed);
}

static void buf_stays_failed(void **state)
{
    struct mill_buf b;
    size_t n = 99;

    (void)state;
    mill_buf_init(&b, 4);
    assert_false(mill_buf_puts(&b, "12345"));
    assert_false(mill_buf_puts(&b, "1")); /* would fit: a chain of adds must not lose its middle */
    assert_false(mill_buf_printf(&b, "%d", 1));
    assert_null(mill_buf_reserve(&b, 0));
    assert_null(mill_buf_detach(&b, &n));
    assert_int_equal(n, 0);
    assert_true(mill_buf_puts(&b, "1"));
    mill_buf_release(&b);
}

static void buf_detach(void **state)
{
    struct mill_buf b;
    size_t n;
    char *p;

    (void)state;
    mill_buf_init(&b, 10);
    p = mill_buf_detach(&b, &n);
    assert_string_equal(p, "");
    assert_int_equal(n, 0);
    free(p);
    assert_true(mill_buf_str_add(&b, MILL_STR("abc")) &&
                mill_buf_str_add(&b, (struct mill_str){0}));
    p = mill_buf_detach(&b, NULL);
    assert_string_equal(p, "abc");
    assert_null(b.p);
    free(p);
}

static const struct json_row {
    const char *name;
    struct mill_str in;
    const char *want;
} json_rows[] = {
    {"empty", MILL_STR_INIT(""), "\"\""},
    {"absent", {NULL, 0}, "\"\""},
    {"quote and backslash", MILL_STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\""},
    {"named controls", MILL_STR_INIT("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
    {"other controls", MILL_STR_INIT("\x01\x1F\x7F"), "\"\\u0001\\u001f\\u007f\""},
    {"nul", MILL_STR_INIT("a\0b"), "\"a\\u0000b\""},
    {"utf-8 stays", MILL_STR_INIT("\xE2\x82\xAC"), "\"\xE2\x82\xAC\""},
    {"bad byte", MILL_STR_INIT("a\xFFz"), "\"a\xEF\xBF\xBDz\""},
    {"cut character", MILL_STR_INIT("a\xE2\x82"), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\""},
};

static void json_case(void **state)
{
    const struct json_row *row = *state;
    struct mill_buf b;

    mill_buf_init(&b, 100);
    assert_true(mill_buf_json(&b, row->in));
    assert_string_equal(b.p, row->want);
    mill_buf_release(&b);
}

static void buf_no_memory(void **state)
{
    struct mill_buf b;

    (void)state;
    mill_buf_init(&b, 1 << 20);
    assert_true(mill_buf_puts(&b, "kept"));
    alloc_fail_in = 1;
    assert_null(mill_buf_reserve(&b, 1000));
    assert_int_equal(alloc_fail_in, 0);
    assert_true(b.failed);
    assert_memory_equal(b.p, "kept", 4);
    mill_buf_release(&b);
}

static void arena_items(void **state)
{
    struct mill_arena a = {0};
    char *first = mill_arena_alloc(&a, 3), *zeroed;
    struct mill_str text;

    (void)state;
    assert_non_null(first);
    memset(first, 'a', 3);
    for (size_t i = 0; i < 2000; i++) {
        char *p = mill_arena_alloc(&a, i);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 'b', i);
    }
    assert_memory_equal(first, "aaa", 3); /* growth moved nothing */
    zeroed = mill_arena_calloc(&a, 100, 7);
    for (size_t i = 0; i < 700; i++)
        assert_int_equal(zeroed[i], 0);
    text = mill_arena_dup(&a, (struct mill_str){"abcdef", 3});
    assert_string_equal(text.p, "abc");
    text = mill_arena_printf(&a, "%s/%d", "x", 7);
    assert_string_equal(text.p, "x/7");
    assert_int_equal(text.n, 3);
    mill_arena_release(&a);
    mill_arena_release(&a);
    mill_arena_release(NULL);
    assert_int_equal(a.used, 0);
}

/* Texts of all lengths, also where a chunk ends in their middle. */
static void arena_prints(void **state)
{
    struct mill_arena a;
    struct mill_str texts[300];
    char want[320];

    (void)state;
    mill_arena_init(&a);
    for (int i = 0; i < 300; i++) {
        texts[i] = mill_arena_printf(&a, "%d/%0*d", i, i, 7);
        assert_non_null(texts[i].p);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(want, sizeof want, "%d/%0*d", i, i, 7);
        assert_string_equal(texts[i].p, want);
        assert_int_equal(texts[i].n, strlen(want));
    }
    mill_arena_release(&a);
}

static void arena_limits(void **state)
{
    struct mill_arena a;

    (void)state;
    mill_arena_init(&a);
    assert_null(mill_arena_alloc(&a, SIZE_MAX));
    assert_null(mill_arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_null(mill_arena_dup(&a, (struct mill_str){0}).p);
    for (int fail = 1; fail <= 1; fail++) {
        alloc_fail_in = fail;
        assert_null(mill_arena_printf(&a, "x").p);
        alloc_fail_in = fail;
        assert_null(mill_arena_dup(&a, MILL_STR("x")).p);
        alloc_fail_in = fail;
        assert_null(mill_arena_calloc(&a, 1, 1));
    }
    assert_int_equal(alloc_fail_in, 0);
    assert_non_null(mill_arena_alloc(&a, 0));
    mill_arena_release(&a);
}

static void arena_steady(void **state)
{
    struct mill_arena a = {0};

    (void)state;
    for (int round = 0; round < 20; round++) {
        alloc_fail_in = round < 10 ? 0 : 1; /* by now it must not allocate any more */
        for (int i = 0; i < 1000; i++)
            assert_non_null(mill_arena_alloc(&a, 100));
        mill_arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    alloc_fail_in = 0;
    assert_non_null(mill_arena_alloc(&a, 64 << 20)); /* one outsize batch */
    mill_arena_reset(&a);
    assert_null(a.head); /* and its memory is not kept */
    mill_arena_release(&a);
}

static void buf_files(void **state)
{
    char path[] = "test_buf.XXXXXX";
    int fd = mkstemp(path);
    struct mill_buf b;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    close(fd);
    mill_buf_init(&b, 10);
    assert_int_equal(mill_buf_add_file(&b, path), 0);
    assert_true(mill_str_is(mill_buf_view(&b), "0123456789"));
    assert_int_equal(mill_buf_add_file(&b, path), EFBIG); /* over the cap by now */
    mill_buf_release(&b);
    assert_int_equal(mill_buf_add_file(&b, "."), EIO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mill_buf_add_file(&b, path), ENOENT);
    mill_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest buf_tests[] = {
        cmocka_unit_test(buf_grows),    cmocka_unit_test(buf_stays_failed),
        cmocka_unit_test(buf_detach),   cmocka_unit_test(buf_no_memory),
        cmocka_unit_test(arena_items),  cmocka_unit_test(arena_prints),
        cmocka_unit_test(arena_limits), cmocka_unit_test(arena_steady),
        cmocka_unit_test(buf_files),
    };

    return TESTS(buf_tests) + TABLE(cap_rows, cap_case) + TABLE(json_rows, json_case);
}
