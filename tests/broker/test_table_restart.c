/* A table's file over restarts: what is read again, what makes it be made anew, and kill -9. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kafka/table_store_int.h"
#include "loop_stage.h"
#include "table_lab.h"

enum { KEYS = 12, MANY = 40000, KILLS = 6, LIVES = 20, MORE = 2500, WAIT_MS = 20000 };

static void put_keys(void)
{
    char key[16];

    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        table_lab_put(key, "one");
    }
}

/* Starts a table, and ends it. @return how many records it read from the topic */
static uint64_t life(const char *key, const char *text)
{
    struct mill_table *t = table_lab_started();
    struct mill_table_stats stats;

    assert_string_equal(table_lab_found(t, key), text);
    mill_table_stats(t, &stats);
    mill_table_stop(t);
    return stats.read;
}

static void only_the_rest_is_read_after_a_restart(void **state)
{
    struct mill_table *t;
    struct mill_table_stats stats;

    (void)state;
    put_keys();
    assert_int_equal(life("k03", "one"), KEYS);
    assert_int_equal(life("k03", "one"), 0);
    table_lab_put("k03", "two");
    table_lab_put("k04", NULL);
    assert_int_equal(life("k03", "two"), 2);
    t = table_lab_started();
    assert_string_equal(table_lab_found(t, "k04"), "");
    assert_string_equal(table_lab_found(t, "k05"), "one");
    mill_table_stats(t, &stats);
    assert_int_equal(stats.records, KEYS - 1);
    assert_int_equal(stats.read, 0);
    mill_table_stop(t);
}

static void path(char *out, size_t size, const char *end)
{
    snprintf(out, size, "%s/things.mdb%s", lab.dir, end);
}

/* ---- each mismatch ---- */

/* All of the topic has to be read again, and what only the file knew is gone. */
static void is_made_anew(const char *why)
{
    uint64_t read = life("k03", "one");

    if (read < KEYS)
        fail_msg("%s: only %d records were read", why, (int)read);
}

static void change_text(const char *from, const char *to)
{
    char name[256], text[512], *at;
    size_t n;
    FILE *f;

    path(name, sizeof name, ".life");
    f = fopen(name, "r+");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    at = strstr(text, from);
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    rewind(f);
    fwrite(text, 1, n, f);
    fclose(f);
}

static void another_boot_format_or_topic_is_made_anew(void **state)
{
    static const char *const changes[][2] = {
        {"boot ", "boot x"}, {"table ", "table 0"}, {"topic thi", "topic tho"}};
    char name[256];

    (void)state;
    put_keys();
    assert_int_equal(life("k03", "one"), KEYS);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        change_text(changes[i][0], changes[i][1]);
        is_made_anew(changes[i][0]);
        assert_int_equal(life("k03", "one"), 0);
    }
    path(name, sizeof name, ".life");
    assert_int_equal(unlink(name), 0);
    is_made_anew("no text");
    path(name, sizeof name, "");
    assert_int_equal(unlink(name), 0);
    is_made_anew("no file");
    assert_int_equal(truncate(name, 100), 0);
    is_made_anew("no LMDB file");
}

/* Lets change() alter every partition's mark in the file. */
static void change_marks(void (*change)(struct run_store_mark *m))
{
    struct run_store *s = NULL;
    struct mill_err err = {0};

    assert_int_equal(run_store_open(&s, lab.dir, "things", "things", 64 << 20, &err), MILL_OK);
    for (int32_t p = 0; p < 4; p++) {
        struct run_store_mark m;
        assert_true(run_store_mark(s, p, &m));
        change(&m);
        assert_int_equal(run_store_read_to(s, p, &m, &err), MILL_OK);
    }
    assert_int_equal(run_store_commit(s, &err), MILL_OK);
    run_store_free(s);
}

static void of_another_topic(struct run_store_mark *m)
{
    m->topic_id[0] ^= 1;
}

static void past_the_end(struct run_store_mark *m)
{
    m->next += 1;
}

static void before_the_start(struct run_store_mark *m)
{
    m->next = -1;
}

static void older_than_tombstones(struct run_store_mark *m)
{
    m->end_us -= INT64_C(25) * 3600 * 1000000;
}

static void of_tomorrow(struct run_store_mark *m)
{
    m->end_us += INT64_C(25) * 3600 * 1000000;
}

static void nearly_as_old(struct run_store_mark *m)
{
    m->end_us -= INT64_C(23) * 3600 * 1000000;
}

static void a_mark_that_does_not_fit_the_topic_is_made_anew(void **state)
{
    static const struct {
        const char *why;
        void (*change)(struct run_store_mark *m);
    } rows[] = {
        {"another topic", of_another_topic},    {"past the end", past_the_end},
        {"before the start", before_the_start}, {"older", older_than_tombstones},
        {"of tomorrow", of_tomorrow},
    };

    (void)state;
    put_keys();
    assert_int_equal(life("k03", "one"), KEYS);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        change_marks(rows[i].change);
        is_made_anew(rows[i].why);
    }
    change_marks(nearly_as_old);
    assert_int_equal(life("k03", "one"), 0);
}

/* An unclean election cut the log below what the table had read, and it grew past it again: the
 * offset alone looks right. */
static size_t of_the_second_n;

static void of_the_first_epoch(struct run_store_mark *m)
{
    of_the_second_n += m->epoch == 1;
    m->epoch = 0;
}

static void a_log_that_was_cut_is_found_by_its_leader_epoch(void **state)
{
    (void)state;
    put_keys();
    rd_kafka_mock_partition_set_leader(lab.mock, "things", mill_partition(MILL_STR("k03"), 4),
                                       1); /* epoch + 1 */
    table_lab_put("k03", "two");
    table_lab_put("k03", "three");
    assert_int_equal(life("k03", "three"), KEYS + 2);
    assert_int_equal(life("k03", "three"), 0);
    of_the_second_n = 0;
    change_marks(of_the_first_epoch);
    assert_int_equal(of_the_second_n, 1); /* the file knew where its last record was from */
    if (life("k03", "three") < KEYS + 2)
        fail_msg("the cut was not found out");
}

/* ---- other processes ---- */

static void a_file_that_another_process_has_is_left_to_it(void **state)
{
    struct mill_table *one, *two;
    struct mill_table_stats stats;

    (void)state;
    put_keys();
    one = table_lab_started();
    two = table_lab_started();
    mill_table_stats(two, &stats);
    assert_int_equal(stats.read, KEYS);
    table_lab_put("k03", "two");
    assert_true(table_lab_becomes(one, "k03", "two"));
    assert_true(table_lab_becomes(two, "k03", "two"));
    mill_table_stop(one);
    assert_string_equal(table_lab_found(two, "k03"), "two");
    mill_table_stop(two);
    assert_int_equal(life("k03", "two"), 0);
}

static void put_many(int from, int to)
{
    char key[16], b[16] = "\0\0\0\0\1";

    for (int i = from; i < to; i++) {
        int32_t p;
        rd_kafka_resp_err_t e;
        snprintf(key, sizeof key, "m%05d", i);
        b[5] = 12; /* zigzag length */
        memcpy(b + 6, key, 6);
        p = mill_partition(mill_str(key), 4);
        e = rd_kafka_producev(lab.rk, RD_KAFKA_V_TOPIC("things"), RD_KAFKA_V_PARTITION(p),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, 6),
                              RD_KAFKA_V_VALUE(b, 12), RD_KAFKA_V_END);
        assert_int_equal(e, 0);
    }
    assert_int_equal(rd_kafka_flush(lab.rk, WAIT_MS), 0);
}

/* Filled by processes that are killed while they read: in the end nothing is missing, and what was
 * committed before a kill was not read again. */
static void killed_while_it_is_filled_it_is_right_in_the_end(void **state)
{
    struct mill_table *t;
    struct mill_table_stats stats;
    unsigned kills = 0;
    int n = MANY;
    char key[16];

    (void)state;
    put_many(0, n);
    for (int lives = 0; kills < KILLS && lives < LIVES; lives++) {
        if (lab_wait(&lab, lab_stage(&lab, "fill")) == -SIGKILL) {
            kills++;
        } else { /* it was at the end before it killed itself */
            put_many(n, n + MORE);
            n += MORE;
        }
    }
    assert_true(kills >= 2);
    t = table_lab_started();
    mill_table_stats(t, &stats);
    assert_int_equal(stats.records, n);
    assert_true(stats.read + kills <= (uint64_t)n);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "m%05d", i);
        assert_string_equal(table_lab_found(t, key), key);
    }
    mill_table_stop(t);
}

/* The process: kills itself in the midst of a batch. argv as lab_stage gives it. */
static int fill(char **argv)
{
    const struct mill_table_conf conf = {
        .kafka = {.brokers = argv[4], .client_id = "fill"},
        .registry = argv[6],
        .state_dir = argv[8],
        .name = "things",
        .topic = "things",
        .desc = &note_desc,
        .max_bytes = 64 << 20,
    };
    struct mill_table_stats stats = {0};
    struct mill_table *t = NULL;
    struct mill_err err = {0};

    if (mill_table_start(&t, &conf, &err))
        return 1;
    while (!stats.read) {
        if (mill_table_caught_up(t))
            return 2; /* there was nothing left to read */
        usleep(200);
        mill_table_stats(t, &stats);
    }
    usleep((useconds_t)(mill_now_us() % 3000));
    return raise(SIGKILL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, table_lab_setup, table_lab_teardown)
        T(only_the_rest_is_read_after_a_restart),
        T(another_boot_format_or_topic_is_made_anew),
        T(a_mark_that_does_not_fit_the_topic_is_made_anew),
        T(a_log_that_was_cut_is_found_by_its_leader_epoch),
        T(a_file_that_another_process_has_is_left_to_it),
        T(killed_while_it_is_filled_it_is_right_in_the_end),
    };

    if (argc > 8 && !strcmp(argv[1], "stage"))
        return fill(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
