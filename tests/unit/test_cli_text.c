/* Bytes of others on a terminal. */
#include "cases.h"
#include "text.h"

struct row {
    const char *in, *out, *lines; /**< lines NULL: as out */
};

static const struct row rows[] = {
    {"plain text, ünï ☂", "plain text, ünï ☂", NULL},
    {"\x1b[2J\x1b]0;you\x07", "\\x1b[2J\\x1b]0;you\\x07", NULL},
    {"a\tb\rc\nd", "a\\x09b\\x0dc\\x0ad", "a\\x09b\\x0dc\nd"},
    {"\x7f", "\\x7f", NULL},
    {"\xc2\x9b"
     "31m",
     "\\xc2\\x9b31m", NULL},                           /* CSI as one C1 character */
    {"\xc2\xa0", "\xc2\xa0", NULL},                    /* the first that is none */
    {"\xff\xfe", "\\xff\\xfe", NULL},                  /* no UTF-8 */
    {"cut \xe2\x82", "cut \\xe2\\x82", NULL},          /* the start of a character */
    {"\xe2\x80\xae txt", "\\xe2\\x80\\xae txt", NULL}, /* right-to-left override */
    {"\xe2\x81\xa6", "\\xe2\\x81\\xa6", NULL},         /* isolate */
    {"\xe2\x80\xa6", "\xe2\x80\xa6", NULL},            /* an ellipsis is one */
    {"\xd8\x9c", "\\xd8\\x9c", NULL},                  /* Arabic letter mark */
    {"", "", NULL},
};

static void nothing_steers(void **state)
{
    const struct row *row = *state;
    struct mill_arena mem = {0};

    assert_string_equal(text_safe(&mem, mill_str(row->in)), row->out);
    assert_string_equal(text_safe_lines(&mem, mill_str(row->in)),
                        row->lines ? row->lines : row->out);
    assert_string_equal(text_safe(&mem, (struct mill_str){0}), "");
    mill_arena_release(&mem);
}

int main(void)
{
    return TABLE(rows, nothing_steers);
}
