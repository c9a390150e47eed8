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

#include "avro/registry.h"
#include "base/clock.h"
#include "lab.h"
#include "loop_stage.h"
#include "table.h"

enum { WAIT_MS = 15000, KEYS = 500 };

static struct lab lab;
static struct mill_table_conf conf;

/* A framed note; text under 60 bytes. @own static buffer */
static struct mill_str framed(const char *text)
{
    static char b[80];
    size_t n = strlen(text);

    memcpy(b, "\0\0\0\0\1", 5);
    b[5] = (char)(n * 2); /* zigzag length, one byte */
    memcpy(b + 6, text, n);
    return (struct mill_str){b, n + 6};
}

static void put(const char *key, const char *text)
{
    int32_t partition = mill_partition(mill_str(key), 4);

    lab_produce(&lab, "things", partition, mill_str(key),
                text ? framed(text) : (struct mill_str){0}, NULL);
}

static int setup(void **state)
{
    struct mill_registry *r = NULL;
    struct mill_err err = {0};
    int32_t id;

    (void)state;
    lab_open(&lab);
    lab_topic(&lab, "things", 4);
    if (mill_registry_new(&r, lab.registry_url, 5000, &err) ||
        mill_registry_register(r, "things-value", mill_str(note_desc.avsc), &id, &err))
        return -1;
    mill_registry_free(r);
    conf = (struct mill_table_conf){
        .kafka = {.brokers = lab.brokers, .client_id = "test"},
        .registry = lab.registry_url,
        .state_dir = lab.dir,
        .name = "things",
        .topic = "things",
        .desc = &note_desc,
        .max_bytes = 64 << 20,
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static struct mill_table *started(void)
{
    struct mill_table *t = NULL;
    struct mill_err err = {0};
    int64_t until = mill_tick_ms() + WAIT_MS;

    assert_int_equal(mill_table_start(&t, &conf, &err), MILL_OK);
    while (!mill_table_caught_up(t) && mill_tick_ms() < until)
        usleep(10000);
    assert_true(mill_table_caught_up(t));
    return t;
}

/* What the table says of a key; "" for none. @own static buffer */
static const char *found(struct mill_table *t, const char *key)
{
    static _Thread_local char text[64];
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    struct note note = {0};
    enum mill_code code = mill_table_get(t, mill_str(key), &mem, &note, &err);

    text[0] = 0;
    if (!code)
        mill_str_cut(note.text, text, sizeof text);
    else
        assert_int_equal(code, MILL_E_NOENT);
    mill_arena_release(&mem);
    return text;
}

static bool becomes(struct mill_table *t, const char *key, const char *text)
{
    int64_t until = mill_tick_ms() + WAIT_MS;

    while (strcmp(found(t, key), text) != 0 && mill_tick_ms() < until)
        usleep(10000);
    return !strcmp(found(t, key), text);
}

static void own(struct mill_table *t, const char *key, const char *text)
{
    struct mill_err err = {0};
    struct note note = {mill_str(text)};

    assert_int_equal(mill_table_put(t, MILL_TABLE_BY_KEY, mill_str(key), &note, &err), MILL_OK);
}

static void a_global_table_holds_every_partition(void **state)
{
    struct mill_table_stats stats;
    struct mill_table *t;
    char key[16];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d/0", i);
        put(key, i == 7 ? "old" : "v");
    }
    put("k07/0", "new");
    put("k08/0", NULL);
    t = started();
    assert_string_equal(found(t, "k07/0"), "new");
    assert_string_equal(found(t, "k08/0"), "");
    assert_string_equal(found(t, "k0"), "");
    for (int i = 9; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d/0", i);
        assert_string_equal(found(t, key), "v");
    }
    put("k08/0", "again");
    assert_true(becomes(t, "k08/0", "again"));
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
    put("r/1/send", "topic");
    t = started();
    own(t, "r/2/send", "outcome");
    put("r/2/send", "intent");
    put("r/3/send",
        "mark"); /* behind it, in the same partition: once it is there, intent was read */
    assert_true(becomes(t, "r/3/send", "mark"));
    assert_string_equal(found(t, "r/2/send"), "outcome");
    assert_string_equal(seen(t, MILL_STR("r/")), "r/1/send=topic r/2/send=outcome r/3/send=mark ");
    assert_string_equal(seen(t, (struct mill_str){0}),
                        "r/1/send=topic r/2/send=outcome r/3/send=mark ");
    assert_string_equal(seen(t, MILL_STR("r/2/")), "r/2/send=outcome ");
    /* It comes: from now on the topic's word counts again. */
    put("r/2/send", "outcome");
    put("r/2/send", "newer");
    assert_true(becomes(t, "r/2/send", "newer"));
    /* An own record that never came dies with its process. */
    own(t, "r/4/send", "never");
    assert_string_equal(found(t, "r/4/send"), "never");
    mill_table_stop(t);
    t = started();
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
        const char *text = found(t, key);
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
    t = started();
    atomic_store(&done, false);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, t), 0);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%03d", i);
        put(key, key);
        own(t, key, key);
    }
    assert_true(becomes(t, "k499", "k499"));
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
    assert_int_equal(mill_table_start(&t, &conf, &err), MILL_OK);
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
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_global_table_holds_every_partition),
        T(an_older_record_does_not_overwrite_an_own_one),
        T(many_threads_look_while_it_is_filled),
        T(a_table_waits_for_its_topic_and_its_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
