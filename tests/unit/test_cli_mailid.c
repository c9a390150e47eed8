/* Ids of mail, and which keys are of one. */
#include "cases.h"
#include "mailid.h"

#include <string.h>

#define X32 "0123456789abcdef0123456789abcdef"

static const struct row {
    const char *text;
    bool ok, message;
    const char *request;
} rows[] = {
    {"order-4711", true, false, "order-4711"},
    {"order-4711/0", true, true, "order-4711"},
    {"a.b_c~d:e-F9/12", true, true, "a.b_c~d:e-F9"},
    {X32 X32 X32 X32, true, false, X32 X32 X32 X32},
    {X32 X32 X32 X32 "x", false, false, NULL},
    {"", false, false, NULL},
    {"/", false, false, NULL},
    {"/0", false, false, NULL},
    {"a/", false, false, NULL},
    {"a/b", false, false, NULL},
    {"a/1/send", false, false, NULL},
    {"a/1234567890", false, false, NULL},
    {"a b", false, false, NULL},
    {"a\x1b[2J", false, false, NULL},
};

static void an_id_is_read(void **state)
{
    const struct row *row = *state;
    struct mailid id;

    assert_int_equal(mailid_parse(row->text, &id), row->ok);
    if (!row->ok)
        return;
    assert_int_equal(id.message, row->message);
    assert_true(mill_str_is(id.request, row->request));
    assert_true(mill_str_is(id.text, row->text));
}

static const struct owns {
    const char *id, *key;
    bool owns;
} owned[] = {
    {"r", "r", true},       {"r", "r/0", true},     {"r", "r/12/1/send", true},
    {"r", "rx", false},     {"r", "rx/0", false},   {"r", NULL, false},
    {"r/1", "r", true},     {"r/1", "r/1", true},   {"r/1", "r/1/1/evidence", true},
    {"r/1", "r/10", false}, {"r/1", "r/0", false},  {"r/1", "r/10/1/send", false},
    {"r", "r/claim", true}, {"r/1", "rr/1", false},
};

static void a_key_is_of_it(void **state)
{
    const struct owns *row = *state;
    struct mailid id;

    assert_true(mailid_parse(row->id, &id));
    assert_int_equal(mailid_owns(&id, mill_str(row->key)), row->owns);
}

#define NOW  INT64_C(1771034400000)
#define WEEK INT64_C(604800000)

static const struct since {
    const char *id;
    int64_t ms;
} since[] = {
    {"order-4711", NOW - WEEK},
    /* 0x019c59727800 is two hours before NOW */
    {"019c5972-7800-7000-8000-000000000000", INT64_C(0x019c59727800) - 60000},
    {"019c5972-7800-7000-8000-000000000000/3", INT64_C(0x019c59727800) - 60000},
    {"019c5972-7800-4000-8000-000000000000", NOW - WEEK}, /* another version */
    {"01000000-0000-7000-8000-000000000000", NOW - WEEK}, /* long ago */
    {"02000000-0000-7000-8000-000000000000", NOW - WEEK}, /* to come */
    {"019c59zz-7800-7000-8000-000000000000", NOW - WEEK}, /* no digits */
};

static void as_old_as_it_may_be(void **state)
{
    const struct since *row = *state;
    struct mailid id;

    assert_true(mailid_parse(row->id, &id));
    assert_true(mailid_since_ms(&id, NOW) == row->ms);
}

int main(void)
{
    return TABLE(since, as_old_as_it_may_be) + TABLE(rows, an_id_is_read) +
           TABLE(owned, a_key_is_of_it);
}
