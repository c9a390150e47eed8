/* Tables on a mock cluster: what a global one holds, who wins over whom, many readers at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "loop_stage.h"
#include "table_lab.h"

enum { WAIT_MS = 15000, KEYS = 500 };

static void a_global_table_holds_every_partition(void **state)
{
    struct mill_table_stats stats;
    struct mill_table *t;
    char key[16];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d/0", i);
        table_lab_put(key, i == 7 ? "old" : "v");
    }
    table_lab_put("k07/0", "new");
    table_lab_put("k08/0", NULL);
    t = table_lab_started();
    assert_string_equal(table_lab_found(t, "k07/0"), "new");
    assert_string_equal(table_lab_found(t, "k08/0"), "");
    assert_string_equal(table_lab_found(t, "k0"), "");
    for (int i = 9; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d/0", i);
        assert_string_equal(table_lab_found(t, key), "v");
    }
    table_lab_put("k08/0", "again");
    assert_true(table_lab_becomes(t, "k08/0", "again"));
    mill_table_stats(t, &stats);
    assert_int_equal(stats.records, 20);
    assert_true(stats.bytes > 0 && stats.lag >= 0 && stats.rebuild_seconds > 0);
    mill_table_stop(t);
}

static bool seen_each(void *arg, struct mill_str key, const void *value)
{
    const struct note *note = value;
    char *seen = arg;

    snprintf(seen + strlen(seen), 256 - strlen(seen), "%.*s=%.*s ", MILL_FMT(key),
             MILL_FMT(note->text));
    return true;
}

static const char *seen(struct mill_table *t, struct mill_str prefix)
{
    static char text[256];
    struct mill_err err = {0};

    text[0] = 0;
    assert_int_equal(
        mill_table_each(t, mill_partition(MILL_STR("r"), 4), prefix, seen_each, text, &err),
        MILL_OK);
    return text;
}

/* INTENT and OUTCOME of one key: the table's owner puts OUTCOME while INTENT is still on its way.
 */
static void an_older_record_does_not_overwrite_an_own_one(void **state)
{
    struct mill_table *t;

    (void)state;
    table_lab_put("r/1/send", "topic");
    t = table_lab_started();
    table_lab_own(t, "r/2/send", "outcome");
    table_lab_put("r/2/send", "intent");
    table_lab_put("r/3/send",
                  "mark"); /* behind it, in the same partition: once it is there, intent was read */
    assert_true(table_lab_becomes(t, "r/3/send", "mark"));
    assert_string_equal(table_lab_found(t, "r/2/send"), "outcome");
    assert_string_equal(seen(t, MILL_STR("r/")), "r/1/send=topic r/2/send=outcome r/3/send=mark ");
    assert_string_equal(seen(t, (struct mill_str){0}),
                        "r/1/send=topic r/2/send=outcome r/3/send=mark ");
    assert_string_equal(seen(t, MILL_STR("r/2/")), "r/2/send=outcome ");
    /* It comes: from now on the topic's word counts again. */
    table_lab_put("r/2/send", "outcome");
    table_lab_put("r/2/send", "newer");
    assert_true(table_lab_becomes(t, "r/2/send", "newer"));
    /* An own record that never came dies with its process. */
    table_lab_own(t, "r/4/send", "never");
    assert_string_equal(table_lab_found(t, "r/4/send"), "never");
    mill_table_stop(t);
    t = table_lab_started();
    assert_string_equal(seen(t, MILL_STR("r/")), "r/1/send=topic r/2/send=newer r/3/send=mark ");
    mill_table_stop(t);
}

static atomic_bool done;

static void *read_all_the_time(void *arg)
{
    struct mill_table *t = arg;
    size_t looks = 0;
    char key[16];

    while (!atomic_load(&done)) {
        snprintf(key, sizeof key, "k%03zu", looks++ % KEYS);
        const char *text = table_lab_found(t, key);
        if (*text && strcmp(text, key) != 0)
            return NULL;
        usleep(100);
    }
    return arg;
}

static void many_threads_look_while_it_is_filled(void **state)
{
    pthread_t threads[4];
    struct mill_table *t;
    char key[16];
    void *ok;

    (void)state;
    t = table_lab_started();
    atomic_store(&done, false);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, t), 0);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        table_lab_put(key, key);
        table_lab_own(t, key, key);
    }
    assert_true(table_lab_becomes(t, "k499", "k499"));
    atomic_store(&done, true);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &ok);
        assert_ptr_equal(ok, t);
    }
    mill_table_stop(t);
}

static void a_table_waits_for_its_topic_and_its_broker(void **state)
{
    struct mill_table *t = NULL;
    struct mill_err err = {0};

    (void)state;
    rd_kafka_mock_broker_set_down(lab.mock, 1);
    assert_int_equal(mill_table_start(&t, &table_conf, &err), MILL_OK);
    usleep(300000);
    assert_false(mill_table_caught_up(t));
    rd_kafka_mock_broker_set_up(lab.mock, 1);
    for (int64_t until = mill_tick_ms() + WAIT_MS;
         !mill_table_caught_up(t) && mill_tick_ms() < until;)
        usleep(10000);
    assert_true(mill_table_caught_up(t));
    mill_table_stop(t);
    mill_table_stop(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, table_lab_setup, table_lab_teardown)
        T(a_global_table_holds_every_partition),
        T(an_older_record_does_not_overwrite_an_own_one),
        T(many_threads_look_while_it_is_filled),
        T(a_table_waits_for_its_topic_and_its_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
