/* Words and flags of sendmill, on either side of the verb. */
#include "cases.h"
#include "cli.h"

#include <stdio.h>
#include <string.h>

static const struct row {
    const char *line, *words, *flags; /**< with spaces between */
} rows[] = {
    {"tail mail.events", "tail mail.events", ""},
    {"tail --from @-1h mail.events", "tail mail.events", "--from @-1h"},
    {"--from -3 tail t", "tail t", "--from -3"},
    {"tail t --from=-3", "tail t", "--from=-3"},
    {"dlq redrive 0/1 1/2 --yes 2/3", "dlq redrive 0/1 1/2 2/3", "--yes"},
    {"dlq ls -o json", "dlq ls", "--output json"},
    {"dlq ls --json", "dlq ls", "--output=json"},
    {"dlq ls --json=a,b", "dlq ls", "--output=json --fields a,b"},
    {"topics apply -n", "topics apply", "--dry-run"},
    {"dlq redrive --no-confirm", "dlq redrive", "--yes"},
    {"dlq redrive -y", "dlq redrive", "--yes"},
    {"-h", "", "--help"},
    {"help dlq --help", "help dlq", "--help"},
    {"tail t --brokers b:1", "tail t", "--brokers b:1"},
    {"tail t --rdkafka.debug all", "tail t", "--rdkafka.debug all"},
    {"tail t -o", "tail t", "-o"}, /* the options' reader says what is wrong */
    {"tail t -z", "tail t", "-z"},
    {"tail -", "tail -", ""},
};

static void join(char *out, size_t size, const char *const *v, size_t n)
{
    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? " " : "", v[i]);
}

static void it_is_split(void **state)
{
    const struct row *row = *state;
    char line[256], text[512], *argv[32], *flags[CLI_WORDS_MAX];
    const char *words[CLI_WORDS_MAX];
    size_t words_n = 0;
    int argc = 0, flags_n = 0;
    char name[] = "sendmill";
    char *next = line;

    mill_str_cut(mill_str(row->line), line, sizeof line);
    argv[argc++] = name;
    while (next && *next) {
        char *space = strchr(next, ' ');
        argv[argc++] = next;
        if (space)
            *space++ = 0;
        next = space;
    }
    assert_true(cli_split(argc, argv, flags, &flags_n, words, &words_n));
    join(text, sizeof text, words, words_n);
    assert_string_equal(text, row->words);
    join(text, sizeof text, (const char *const *)flags + 1, (size_t)flags_n - 1);
    assert_string_equal(text, row->flags);
}

static void too_many_words(void **state)
{
    char word[] = "x", *argv[CLI_WORDS_MAX + 2], *flags[CLI_WORDS_MAX];
    const char *words[CLI_WORDS_MAX];
    size_t words_n = 0;
    int flags_n = 0;

    (void)state;
    for (size_t i = 0; i < CLI_WORDS_MAX + 2; i++)
        argv[i] = word;
    assert_false(cli_split(CLI_WORDS_MAX + 2, argv, flags, &flags_n, words, &words_n));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(too_many_words)};

    return TABLE(rows, it_is_split) + TESTS(tests);
}
