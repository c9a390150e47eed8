#include "cases.h"

#include "base/json.h"
#include "base/log.h"
#include <unistd.h>

enum { LINE = 4096 };

/* What the call wrote to stderr, NUL-terminated; it must be whole lines. */
static char *captured(void (*call)(void), char *out, size_t size)
{
    int saved = dup(STDERR_FILENO);
    FILE *f = tmpfile();
    size_t n;

    assert_non_null(f);
    assert_true(saved >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
    call();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(f);
    n = fread(out, 1, size - 1, f);
    fclose(f);
    out[n] = '\0';
    return out;
}

static json_t *line_of(void (*call)(void))
{
    static char text[4 * LINE];
    struct mill_err err = {0};
    json_t *v = NULL;
    char *end = strchr(captured(call, text, sizeof text), '\n');

    assert_non_null(end);
    assert_int_equal(end[1], '\0'); /* one call, one line */
    assert_true(end - text < LINE);
    if (mill_json_parse((struct mill_str){text, (size_t)(end - text)}, &v, &err))
        fail_msg("%s: %s: %s", err.where, err.text, text);
    return v;
}

static void log_plain(void)
{
    mill_log(MILL_INFO, "batch_committed",
             MILL_KV(MILL_KI("records", -3), MILL_KS("topic", "mail.requests"),
                     MILL_KSTR("key", ((struct mill_str){"ab\x01\x7F\xFF", 5})),
                     MILL_KS("none", NULL)),
             "%d of \"%s\"", 7, "a\nb");
}

static void log_fields(void **state)
{
    static const char *const keys[] = {"ts", "lvl", "stage", "ev", "msg", "records"};
    json_t *v;
    const char *key;
    json_t *item;
    size_t i = 0;

    (void)state;
    mill_log_setup("validate", MILL_INFO);
    v = line_of(log_plain);
    json_object_foreach(v, key, item)
    {
        if (i < sizeof keys / sizeof *keys)
            assert_string_equal(key, keys[i]);
        i++;
    }
    assert_int_equal(i, 9);
    assert_string_equal(json_string_value(json_object_get(v, "lvl")), "info");
    assert_string_equal(json_string_value(json_object_get(v, "stage")), "validate");
    assert_string_equal(json_string_value(json_object_get(v, "ev")), "batch_committed");
    assert_string_equal(json_string_value(json_object_get(v, "msg")), "7 of \"a\nb\"");
    assert_int_equal(json_integer_value(json_object_get(v, "records")), -3);
    assert_true(json_is_null(json_object_get(v, "none")));
    assert_int_equal(json_string_length(json_object_get(v, "ts")), 27);
    json_decref(v);
}

static char big[3 * LINE];
static size_t big_n;

static void log_big_field(void)
{
    mill_log(MILL_WARN, "big",
             MILL_KV(MILL_KSTR("body", ((struct mill_str){big, big_n})), MILL_KI("n", 1)), "x");
}

static void log_big_text(void)
{
    mill_log(MILL_WARN, "big", MILL_KV(MILL_KI("n", 1)), "%.*s", (int)big_n, big);
}

static void log_big_key(void)
{
    mill_log(MILL_WARN, "big", MILL_KV(MILL_KI(big, INT64_MIN), MILL_KS("after", NULL)), "x");
}

static void log_cut(void **state)
{
    static const char fills[] = {'x', '"', '\x01', '\xFF'};
    bool seen_cut = false, seen_whole = false;

    (void)state;
    mill_log_setup("s", MILL_DEBUG);
    /* Every length around the limit, for characters that take 1, 2, 6 and 3 bytes. */
    for (size_t f = 0; f < sizeof fills; f++) {
        for (big_n = 600; big_n < sizeof big - 1; big_n += big_n < LINE + 10 ? 1 : 997) {
            json_t *v;
            if (f == 0 ? big_n < LINE - 200 : big_n % 17)
                continue;
            memset(big, fills[f], big_n);
            big[big_n] = '\0';
            v = line_of(log_big_field);
            seen_cut |= json_is_true(json_object_get(v, "cut"));
            seen_whole |= !json_object_get(v, "cut");
            assert_true(json_object_get(v, "cut") || json_object_get(v, "n"));
            json_decref(v);
            json_decref(line_of(log_big_text));
            if (fills[f] != '\xFF')
                json_decref(line_of(log_big_key));
        }
    }
    assert_true(seen_cut && seen_whole);
}

static void log_debug(void)
{
    mill_log(MILL_DEBUG, "quiet", NULL, "no");
}

static void log_failure(void)
{
    struct mill_err err;

    mill_fail(&err, MILL_E_IO, "broker", "gone");
    mill_log_err(MILL_ERROR, "broker_lost", &err);
}

static void log_levels(void **state)
{
    enum mill_level lvl = MILL_DEBUG;
    char text[LINE];
    json_t *v;

    (void)state;
    mill_log_setup(NULL, MILL_INFO);
    assert_false(mill_log_on(MILL_DEBUG));
    assert_true(mill_log_on(MILL_INFO));
    assert_string_equal(captured(log_debug, text, sizeof text), "");
    v = line_of(log_failure);
    assert_string_equal(json_string_value(json_object_get(v, "code")), "io");
    assert_string_equal(json_string_value(json_object_get(v, "where")), "broker");
    assert_string_equal(json_string_value(json_object_get(v, "msg")), "gone");
    assert_string_equal(json_string_value(json_object_get(v, "stage")), "");
    json_decref(v);
    assert_true(mill_level_parse("warn", &lvl) && lvl == MILL_WARN);
    assert_false(mill_level_parse("Warn", &lvl));
    assert_false(mill_level_parse("", &lvl));
    assert_false(mill_level_parse(NULL, &lvl));
}

int main(void)
{
    const struct CMUnitTest log_tests[] = {cmocka_unit_test(log_fields), cmocka_unit_test(log_cut),
                                           cmocka_unit_test(log_levels)};

    return TESTS(log_tests);
}
