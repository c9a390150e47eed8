/* When a partition counts as stalled: the log goes on, the position does not, for 30 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kafka/stall.h"

/* Looks once a second from *now on, for seconds. @return how often the alarm began */
static int look(struct run_stall *s, int64_t position, int64_t high, int64_t *now, int seconds)
{
    int began = 0;

    for (int i = 0; i < seconds; i++, *now += 1000)
        began += run_stall_look(s, position, high, *now);
    return began;
}

static void a_position_that_stays_behind_the_end_is_an_alarm_once(void **state)
{
    struct run_stall s = {0};
    int64_t now = 1000000;

    (void)state;
    assert_int_equal(look(&s, 10, 15, &now, 30), 0);
    assert_int_equal(look(&s, 10, 16, &now, 1), 1); /* the end may move on meanwhile */
    assert_true(s.alarm);
    assert_int_equal(look(&s, 10, 20, &now, 60), 0);
    assert_true(s.alarm);
    assert_int_equal(look(&s, 20, 20, &now, 1), 0);
    assert_false(s.alarm);
    assert_int_equal(look(&s, 20, 21, &now, 40), 1);
}

static void what_moves_or_is_at_the_end_is_none(void **state)
{
    struct run_stall s = {0};
    int64_t now = 1000000;

    (void)state;
    assert_int_equal(look(&s, 10, 10, &now, 100), 0);
    for (int64_t at = 10; at < 30; at++)
        assert_int_equal(look(&s, at, 1000, &now, 29), 0);
    assert_false(s.alarm);
}

/* A batch whose calls take a minute: nothing was read, for nobody asked. */
static void a_time_without_looks_says_nothing(void **state)
{
    struct run_stall s = {0};
    int64_t now = 1000000;

    (void)state;
    for (int i = 0; i < 10; i++, now += 60000)
        assert_false(run_stall_look(&s, 10, 500, now));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_that_stays_behind_the_end_is_an_alarm_once),
        cmocka_unit_test(what_moves_or_is_at_the_end_is_none),
        cmocka_unit_test(a_time_without_looks_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
