/* Which dead letters are meant, and what they go back with. */
#include "cases.h"
#include "letter.h"

#include <string.h>

static const struct mill_pair headers[] = {
    {MILL_STR_INIT("mill.origin"), MILL_STR_INIT("t/1/2/3")},
    {MILL_STR_INIT("mill.class"), MILL_STR_INIT("poison")},
    {MILL_STR_INIT("mill.stage"), MILL_STR_INIT("validate")},
    {MILL_STR_INIT("mill.attempt"), MILL_STR_INIT("7")},
    {MILL_STR_INIT("mill.redrives"), MILL_STR_INIT("2")},
    {MILL_STR_INIT("mill.due"), MILL_STR_INIT("1771034400000")},
    {MILL_STR_INIT("mill.kind"), MILL_STR_INIT("sink")},
    {MILL_STR_INIT("traceparent"), MILL_STR_INIT("00-abc")},
    {MILL_STR_INIT("__connect.errors.partition"), MILL_STR_INIT("3")},
    {MILL_STR_INIT("__connect.errors.exception.message"), MILL_STR_INIT("to[0]: no @ in it")},
};
enum { HEADERS_N = sizeof headers / sizeof *headers };

static const struct mill_record record = {
    .topic = "mail.dlq",
    .partition = 1,
    .offset = 17,
    .key = {"order-1", 7},
    .headers = {headers, HEADERS_N},
};

static const struct row {
    const char *name;
    struct letter_filter filter;
    bool wanted;
} rows[] = {
    {"any", {0}, true},
    {"class", {.cls = "poison"}, true},
    {"another class", {.cls = "transient"}, false},
    {"stage", {.stage = "validate"}, true},
    {"another stage", {.stage = "send"}, false},
    {"a part of the reason", {.reason = "no @"}, true},
    {"the whole reason", {.reason = "to[0]: no @ in it"}, true},
    {"another reason", {.reason = "no @ at all in this"}, false},
    {"an empty reason", {.reason = ""}, true},
    {"its place", {.places = {{0, 17}, {1, 17}}, .places_n = 2}, true},
    {"other places", {.places = {{0, 17}, {1, 16}}, .places_n = 2}, false},
    {"place and class", {.cls = "unknown", .places = {{1, 17}}, .places_n = 1}, false},
};

static void the_right_ones(void **state)
{
    const struct row *row = *state;
    struct letter l = letter_of(&record);

    assert_int_equal(letter_wanted(&row->filter, &record, &l), row->wanted);
}

static void a_record_without_headers(void **state)
{
    const struct mill_record bare = {.topic = "t"};
    const struct letter_filter any = {0}, poison = {.cls = "poison"}, reason = {.reason = "x"};
    struct mill_pair v[LETTER_OWN_HEADERS];
    struct letter l = letter_of(&bare);
    char count[24];

    (void)state;
    assert_true(letter_wanted(&any, &bare, &l));
    assert_false(letter_wanted(&poison, &bare, &l));
    assert_false(letter_wanted(&reason, &bare, &l));
    assert_int_equal(letter_redrive_headers(&bare, v, count), 1);
    assert_true(mill_str_is(v[0].key, "mill.redrives") && mill_str_is(v[0].value, "1"));
}

static void it_goes_back_as_it_came(void **state)
{
    struct mill_pair v[HEADERS_N + LETTER_OWN_HEADERS];
    char count[24];
    size_t n = letter_redrive_headers(&record, v, count);
    const struct mill_map m = {v, n};

    (void)state;
    assert_int_equal(n, HEADERS_N - 4 + 1); /* attempt, redrives, due, kind; redrives again */
    assert_true(mill_str_is(mill_map_get(m, "mill.redrives"), "3"));
    assert_true(mill_str_is(mill_map_get(m, "mill.origin"), "t/1/2/3"));
    assert_true(mill_str_is(mill_map_get(m, "traceparent"), "00-abc"));
    assert_null(mill_map_get(m, "mill.attempt").p);
    assert_null(mill_map_get(m, "mill.due").p);
    assert_null(mill_map_get(m, "mill.kind").p);
}

static void a_replay_says_where_it_stood(void **state)
{
    const struct mill_record bare = {
        .topic = "mail.requests", .partition = 2, .offset = 9, .timestamp_us = 5};
    struct mill_pair v[HEADERS_N + LETTER_REPLAY_HEADERS];
    struct mill_arena mem = {0};
    size_t n = letter_replay_headers(&bare, "TOPIC_ID", &mem, v);
    struct mill_map m = {v, n};

    (void)state;
    assert_int_equal(n, 4);
    assert_true(mill_str_is(mill_map_get(m, "mill.origin"), "TOPIC_ID/2/9/5"));
    assert_true(mill_str_is(mill_map_get(m, "__connect.errors.topic"), "mail.requests"));
    assert_true(mill_str_is(mill_map_get(m, "__connect.errors.offset"), "9"));
    /* An origin stays; an old failure's place does not, and nothing stands there twice. */
    n = letter_replay_headers(&record, "TOPIC_ID", &mem, v);
    m.n = n;
    assert_int_equal(n, HEADERS_N - 1 + 3);
    assert_true(mill_str_is(mill_map_get(m, "mill.origin"), "t/1/2/3"));
    assert_true(mill_str_is(mill_map_get(m, "__connect.errors.partition"), "1"));
    mill_arena_release(&mem);
}

static void where_it_failed(void **state)
{
    struct letter l = letter_of(&record);

    (void)state;
    assert_int_equal(letter_partition(&record, &l, 4), 3);
    /* A topic with fewer, or a header that makes no sense: by key. */
    assert_int_equal(letter_partition(&record, &l, 2), mill_partition(record.key, 2));
    l.partition = MILL_STR("-1");
    assert_int_equal(letter_partition(&record, &l, 4), mill_partition(record.key, 4));
}

static const struct place_row {
    const char *text;
    int32_t partition; /**< -1 = refused */
    int64_t offset;
} places[] = {
    {"0/17", 0, 17},  {"12/9223372036854775807", 12, INT64_MAX},
    {"", -1, 0},      {"/", -1, 0},
    {"0", -1, 0},     {"0/", -1, 0},
    {"-1/2", -1, 0},  {"1/-2", -1, 0},
    {"1/2/3", -1, 0}, {"4294967296/1", -1, 0},
    {"a/b", -1, 0},
};

static void a_place_as_ls_prints_it(void **state)
{
    const struct place_row *row = *state;
    struct letter_place at = {0};

    assert_int_equal(letter_place(row->text, &at), row->partition >= 0);
    if (row->partition >= 0)
        assert_true(at.partition == row->partition && at.offset == row->offset);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_without_headers),
        cmocka_unit_test(it_goes_back_as_it_came),
        cmocka_unit_test(a_replay_says_where_it_stood),
        cmocka_unit_test(where_it_failed),
    };

    return TABLE(rows, the_right_ones) + TABLE(places, a_place_as_ls_prints_it) + TESTS(tests);
}
