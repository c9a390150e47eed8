#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lake/object.h"
#include "lake/plan.h"

static struct mill_object object_of(int32_t day, int hour)
{
    return (struct mill_object){.topic = MILL_STR("mail.events"),
                                .topic_id = MILL_STR("Ab-_0123456789abcdefgh"),
                                .partition = 3,
                                .start = 17,
                                .end = 1234567890123,
                                .day = day,
                                .hour = hour};
}

static void test_name(void **state)
{
    static const struct {
        int32_t day;
        int hour;
        enum mill_object_kind kind;
        const char *prefix, *want;
    } rows[] = {
        {0, -1, MILL_OBJECT_ROWS, "", "topic=mail.events/dt=1970-01-01/"},
        {59, -1, MILL_OBJECT_ROWS, "", "topic=mail.events/dt=1970-03-01/"},
        {11016, -1, MILL_OBJECT_ROWS, "a/b/", "a/b/topic=mail.events/dt=2000-02-29/"},
        {19782, 7, MILL_OBJECT_ROWS, "", "topic=mail.events/dt=2024-02-29/hour=07/"},
        {20819, -1, MILL_OBJECT_REJECTED, "", "rejected=mail.events/dt=2027-01-01/"},
        {2932896, -1, MILL_OBJECT_ROWS, "", "topic=mail.events/dt=9999-12-31/"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mill_object o = object_of(rows[i].day, rows[i].hour), back;
        struct mill_buf name;

        o.kind = rows[i].kind;
        mill_buf_init(&name, 4096);
        assert_int_equal(mill_object_name(&o, mill_str(rows[i].prefix), &name, NULL), MILL_OK);
        assert_int_equal(name.n, strlen(name.p));
        assert_memory_equal(name.p, rows[i].want, strlen(rows[i].want));
        assert_string_equal(name.p + strlen(rows[i].want),
                            "mail.events+Ab-_0123456789abcdefgh+3+17-1234567890123.parquet");
        assert_true(mill_object_parse(mill_buf_view(&name), mill_str(rows[i].prefix), &back));
        assert_true(back.kind == o.kind && back.partition == 3 && back.start == 17 &&
                    back.end == o.end && back.day == o.day && back.hour == o.hour);
        assert_true(mill_str_eq(back.topic, o.topic) && mill_str_eq(back.topic_id, o.topic_id));
        mill_buf_release(&name);
    }
}

static void test_every_day(void **state)
{
    struct mill_buf name;
    struct mill_object back;
    (void)state;

    mill_buf_init(&name, 4096);
    for (int32_t day = 0; day <= 2932896; day += day < 60000 ? 1 : 997) {
        struct mill_object o = object_of(day, -1);
        mill_buf_reset(&name);
        assert_int_equal(mill_object_name(&o, MILL_STR(""), &name, NULL), MILL_OK);
        assert_true(mill_object_parse(mill_buf_view(&name), MILL_STR(""), &back));
        assert_int_equal(back.day, day);
    }
    mill_buf_release(&name);
}

static void test_no_name(void **state)
{
    struct mill_object bad[8];
    struct mill_buf name;
    (void)state;

    for (size_t i = 0; i < 8; i++)
        bad[i] = object_of(1, -1);
    bad[0].topic = MILL_STR("a/b");
    bad[1].topic = MILL_STR("");
    bad[2].topic_id = MILL_STR("a+b");
    bad[3].partition = -1;
    bad[4].end = 16;
    bad[5].day = -1;
    bad[6].hour = 24;
    bad[7].topic_id = (struct mill_str){0};
    mill_buf_init(&name, 4096);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(mill_object_name(&bad[i], MILL_STR(""), &name, NULL), MILL_E_DATA);
    mill_buf_release(&name);
}

static void test_foreign_names(void **state)
{
    static const char *const names[] = {
        "",
        "topic=t/dt=2024-01-01/",
        "topic=t/dt=2024-01-01/t+i+0+0-1.parquet.tmp",
        "topic=t/dt=2024-01-01/t+i+0+0-1.csv",
        "topic=t/dt=2024-01-01/x+i+0+0-1.parquet", /* another topic in the name */
        "topic=t/dt=2024-02-30/t+i+0+0-1.parquet", /* no such day */
        "topic=t/dt=2024-1-01/t+i+0+0-1.parquet",  /* not as we write it */
        "topic=t/dt=1969-12-31/t+i+0+0-1.parquet",
        "topic=t/dt=2024-01-01/hour=24/t+i+0+0-1.parquet",
        "topic=t/dt=2024-01-01/t+i+0+5-1.parquet",  /* ends before it starts */
        "topic=t/dt=2024-01-01/t+i+0+00-1.parquet", /* a second name for the same range */
        "topic=t/dt=2024-01-01/t+i+-1+0-1.parquet",
        "topic=t/dt=2024-01-01/t+i+0+0-99999999999999999999.parquet",
        "topic=t/dt=2024-01-01/t+i+0+0-1.parquet/x",
        "topics=t/dt=2024-01-01/t+i+0+0-1.parquet",
        "other/topic=t/dt=2024-01-01/t+i+0+0-1.parquet",
    };
    struct mill_object o;
    (void)state;

    assert_true(
        mill_object_parse(MILL_STR("topic=t/dt=2024-01-01/t+i+0+0-1.parquet"), MILL_STR(""), &o));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(mill_object_parse(mill_str(names[i]), MILL_STR(""), &o));
    assert_false(mill_object_parse(MILL_STR("topic=t/dt=2024-01-01/t+i+0+0-1.parquet"),
                                   MILL_STR("lake/"), &o));
}

static void test_swept(void **state)
{
    static const char *const ours[] = {
        "topic=mail.events/dt=2026-11-21/"
        "swept+mail.dlq+Ab-_0123456789abcdefgh+3+2026-11-22+0-100000.parquet",
        "topic=mail.events/dt=2026-11-21/hour=07/"
        "swept+mail.dlq+i+0+2026-11-22+100000-200000.parquet",
        "swept=mail.dlq/dt=2026-11-22/swept+mail.dlq+i+0+2026-11-22+0-100000.parquet",
    };
    static const char *const foreign[] = {
        "topic=t/dt=2024-01-01/t+i+0+0-1.parquet", /* the sink's */
        "topic=t/dt=2024-01-01/swept+t+i+0+2024-02-30+0-1.parquet",
        "topic=t/dt=2024-01-01/swept+t+i+0+2024-02-03+0-1.csv",
        "topic=t/dt=2024-01-01/swept+t+i+0+0-1.parquet",
        "topic=t/dt=2024-01-01/swept.parquet",
        "rejected=t/dt=2024-01-01/swept+t+i+0+2024-02-03+0-1.parquet",
        "topic=a b/dt=2024-01-01/swept+t+i+0+2024-02-03+0-1.parquet",
        "topic=t/dt=2024-01-01/swept+a b+i+0+2024-02-03+0-1.parquet",
    };
    struct mill_object o;
    (void)state;

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_true(mill_object_swept(mill_str(ours[i]), MILL_STR("")));
        assert_false(mill_object_swept(mill_str(ours[i]), MILL_STR("lake/")));
        assert_false(mill_object_parse(mill_str(ours[i]), MILL_STR(""), &o)); /* no range */
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (mill_object_swept(mill_str(foreign[i]), MILL_STR("")))
            fail_msg("%s is not the sweeper's", foreign[i]);
}

static void test_day(void **state)
{
    static const struct {
        int64_t us;
        int32_t day;
        int hour;
    } rows[] = {
        {-1, 0, 0}, /* the broker's "no timestamp" */
        {INT64_MIN, 0, 0},
        {0, 0, 0},
        {INT64_C(86399999999), 0, 23},
        {INT64_C(86400000000), 1, 0},
        {INT64_C(1700000000000000), 19675, 22},
        {INT64_MAX, 2932896, 23},
    };
    int hour;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(mill_object_day(rows[i].us, &hour), rows[i].day);
        assert_int_equal(hour, rows[i].hour);
    }
}

static void test_plan(void **state)
{
    struct mill_plan p = {.end = 1234567890123, .rows = 77, .schemas = {1, 2147483647}, .n = 2};
    struct mill_plan done = {.done = true}, back;
    char text[MILL_PLAN_TEXT_MAX];
    (void)state;

    mill_str_cut(MILL_STR("Ab-_0123456789abcdefgh"), p.topic_id, sizeof p.topic_id);
    mill_str_cut(MILL_STR("0123456789abcdef"), p.policy, sizeof p.policy);
    memcpy(done.topic_id, p.topic_id, sizeof p.topic_id);
    memcpy(done.policy, p.policy, sizeof p.policy);
    assert_true(mill_plan_parse(mill_plan_text(&p, text, sizeof text), &back));
    assert_false(back.done);
    assert_true(back.end == p.end && back.rows == 77 && back.n == 2 && back.schemas[0] == 1 &&
                back.schemas[1] == INT32_MAX);
    assert_string_equal(back.topic_id, p.topic_id);
    assert_string_equal(back.policy, p.policy);
    assert_true(mill_plan_parse(mill_plan_text(&done, text, sizeof text), &back));
    assert_true(back.done);
    p.n = MILL_PLAN_SCHEMAS;
    for (size_t i = 0; i < p.n; i++)
        p.schemas[i] = INT32_MAX;
    assert_true(mill_plan_text(&p, text, sizeof text).n > 0); /* the largest one fits */
    assert_true(mill_plan_parse(mill_str(text), &back));
    assert_false(back.layout.known);
    p.layout = (struct mill_plan_layout){.known = true, .hours = true, .meta = 5, .time = "a\"t"};
    memset(p.layout.rules, 'r', sizeof p.layout.rules - 1);
    assert_true(mill_plan_text(&p, text, sizeof text).n > 2048);
    assert_true(mill_plan_parse(mill_str(text), &back));
    assert_memory_equal(&back.layout, &p.layout, sizeof p.layout);
    memset(p.layout.rules, '"', sizeof p.layout.rules - 1); /* escaped, it does not fit: left out */
    assert_true(mill_plan_text(&p, text, sizeof text).n > 0);
    assert_true(mill_plan_parse(mill_str(text), &back));
    assert_false(back.layout.known);
    assert_int_equal(mill_plan_text(&p, text, 50).n, 0);
}

static void test_plan_foreign(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "{}",
        "[1]",
        "{\"mill\":2,\"topic_id\":\"a\",\"policy\":\"b\",\"done\":true}",
        "{\"mill\":1,\"policy\":\"b\",\"done\":true}",
        "{\"mill\":1,\"topic_id\":\"a\",\"policy\":\"0123456789abcdefg\",\"done\":true}",
        "{\"mill\":1,\"topic_id\":\"a\",\"policy\":\"b\"}",
        "{\"mill\":1,\"topic_id\":\"a\",\"policy\":\"b\",\"end\":0,\"rows\":1,\"schemas\":[]}",
        "{\"mill\":1,\"topic_id\":\"a\",\"policy\":\"b\",\"end\":1,\"rows\":1,\"schemas\":[-1]}",
        "{\"mill\":1,\"topic_id\":\"a\",\"policy\":\"b\",\"end\":1.5,\"rows\":1,\"schemas\":[]}",
    };
    struct mill_plan p;
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(mill_plan_parse(mill_str(texts[i]), &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),    cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_no_name), cmocka_unit_test(test_foreign_names),
        cmocka_unit_test(test_swept),   cmocka_unit_test(test_day),
        cmocka_unit_test(test_plan),    cmocka_unit_test(test_plan_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
