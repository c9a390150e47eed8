#include "cases.h"

#include "avro/codec.h"

static void test_frame(void **state)
{
    struct mill_str body;
    struct mill_err err;
    struct mill_buf b;
    int32_t id = 0;

    (void)state;
    mill_buf_init(&b, 100);
    assert_true(mill_frame_add(&b, 0x01020304));
    mill_buf_puts(&b, "rest");
    assert_memory_equal(b.p, "\0\1\2\3\4rest", 9);
    assert_int_equal(mill_frame_split(mill_buf_view(&b), &id, &body, &err), MILL_OK);
    assert_int_equal(id, 0x01020304);
    assert_true(mill_str_is(body, "rest"));
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(mill_frame_split((struct mill_str){b.p, n}, &id, &body, &err),
                         MILL_E_DATA);
    assert_int_equal(mill_frame_split(MILL_STR("\1\0\0\0\1x"), &id, &body, &err), MILL_E_DATA);
    assert_int_equal(mill_frame_split(MILL_STR("\0\xff\0\0\1x"), &id, &body, &err), MILL_E_DATA);
    assert_int_equal(mill_frame_split((struct mill_str){0}, &id, &body, &err), MILL_E_DATA);
    assert_int_equal(mill_frame_split(MILL_STR("\0\0\0\0\1"), &id, &body, &err), MILL_OK);
    assert_int_equal(body.n, 0);
    mill_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest frame_tests[] = {cmocka_unit_test(test_frame)};

    return TESTS(frame_tests);
}
