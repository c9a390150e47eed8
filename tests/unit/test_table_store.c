/* A table's file: whose record is seen, and what goes when the topic's start has moved on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kafka/table_store_int.h"

static char folder[64];
static struct run_store *store;
static struct mill_err err;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/mill-store-XXXXXX", P_tmpdir);
    if (!mkdtemp(folder))
        return -1;
    return (int)run_store_open(&store, folder, "s", "topic", 1 << 20, &err);
}

static int teardown(void **state)
{
    static const char *const names[] = {"s.mdb", "s.mdb.life"};
    char path[128];

    (void)state;
    run_store_free(store);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void take(int64_t offset, const char *key, const char *value)
{
    assert_int_equal(run_store_take(store, 0, offset, mill_str(key), mill_str(value), &err),
                     MILL_OK);
    assert_int_equal(run_store_commit(store, &err), MILL_OK);
}

static bool add(void *arg, struct mill_str key, struct mill_str value)
{
    char *text = arg;

    snprintf(text + strlen(text), 200 - strlen(text), "%.*s=%.*s ", MILL_FMT(key), MILL_FMT(value));
    return true;
}

static void holds(const char *prefix, const char *want)
{
    char text[200] = "";

    assert_int_equal(run_store_each(store, 0, mill_str(prefix), add, text, &err), MILL_OK);
    assert_string_equal(text, want);
}

static void what_lies_before_the_topics_start_goes(void **state)
{
    (void)state;
    assert_int_equal(run_store_hold(store, 0, false, &err), MILL_OK);
    take(5, "a", "12345a");
    take(6, "b", "12345b");
    take(7, "c", "12345c");
    take(8, "a", "12345A"); /* newer: it stays */
    take(9, "d", NULL);
    assert_int_equal(run_store_expire(store, 0, 7, &err), MILL_OK);
    holds("", "a=12345A c=12345c ");
    assert_int_equal(run_store_expire(store, 0, 7, &err), MILL_OK);
    assert_int_equal(run_store_expire(store, 0, 100, &err), MILL_OK);
    holds("", "");
    assert_int_equal(run_store_expire(store, 1, 7, &err), MILL_E_STATE);
}

static void an_own_record_wins_until_it_has_come_back(void **state)
{
    static const char *const own = "12345own", *const back = "54321own"; /* frame, body */

    (void)state;
    assert_int_equal(run_store_hold(store, 0, false, &err), MILL_OK);
    take(1, "k/1", "12345old");
    assert_int_equal(run_store_own(store, 0, MILL_STR("k/2"), mill_str(own), &err), MILL_OK);
    assert_int_equal(run_store_own(store, 0, MILL_STR("k/1"), mill_str(own), &err), MILL_OK);
    holds("k/", "k/1=12345own k/2=12345own ");
    take(2, "k/1", "12345older");
    take(3, "k/1", NULL);
    holds("k/", "k/1=12345own k/2=12345own ");
    take(4, "k/1", back);
    take(5, "k/1", "12345new");
    holds("k/", "k/1=12345new k/2=12345own ");
    holds("k/2", "k/2=12345own ");
    /* Held again, as by another assignment: what never came is gone, the rest is kept. */
    run_store_let_go(store, 0);
    assert_int_equal(run_store_hold(store, 0, true, &err), MILL_OK);
    holds("", "k/1=12345new ");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_lies_before_the_topics_start_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(an_own_record_wins_until_it_has_come_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
