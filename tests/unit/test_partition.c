/* Where a key goes: the Java clients' murmur2, over what stands before the first '/'. The hashes
 * are those of the Java client's own tests, masked to 31 bits. */
#include "cases.h"
#include "kafka/client.h"

struct row {
    const char *key;
    uint32_t hash;
};

static const struct row rows[] = {
    {"21", (uint32_t)-973932308 & 0x7fffffffu},
    {"foobar", (uint32_t)-790332482 & 0x7fffffffu},
    {"a-little-bit-long-string", (uint32_t)-985981536 & 0x7fffffffu},
    {"a-little-bit-longer-string", (uint32_t)-1486304829 & 0x7fffffffu},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", (uint32_t)-58897971 & 0x7fffffffu},
    {"abc", 479470107u},
    {"foobar/0", (uint32_t)-790332482 & 0x7fffffffu},
    {"abc/17/send", 479470107u},
    {"abc/", 479470107u},
};

static void a_key_goes_where_java_puts_it(void **state)
{
    const struct row *row = *state;

    assert_int_equal(mill_partition(mill_str(row->key), INT32_MAX), row->hash % INT32_MAX);
    assert_int_equal(mill_partition(mill_str(row->key), 4), row->hash % 4);
    assert_int_equal(mill_partition(mill_str(row->key), 1), 0);
}

static void no_key_and_no_partitions_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(mill_partition((struct mill_str){0}, 4), mill_partition(MILL_STR("/x"), 4));
    assert_int_equal(mill_partition(MILL_STR("a"), 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_and_no_partitions_do_no_harm)};

    return TABLE(rows, a_key_goes_where_java_puts_it) + TESTS(tests);
}
