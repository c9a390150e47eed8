/* Every version of a record reads what every other version wrote, and the tables fit the newest. */
#include "mail/controls.h"
#include "mail/records.h"

#include "alloc_fail.h"
#include "avro/codec.h"
#include "cases.h"
#include <errno.h>
#include <stdio.h>

enum { MAX_VERSIONS = 32 };

static const struct row {
    const char *name;
    const struct mill_desc *desc;
} rows[] = {
    {"request", &mill_request_desc},
    {"message", &mill_message_desc},
    {"ledger", &mill_ledger_desc},
    {"status", &mill_status_desc},
    {"callback", &mill_callback_desc},
    {"callback_event", &mill_callback_event_desc},
    {"event", &mill_event_desc},
    {"cancellation", &mill_cancellation_desc},
    {"pause", &mill_pause_desc},
    {"suppression", &mill_suppression_desc},
    {"idempotency", &mill_idempotency_desc},
    {"move", &mill_move_desc},
};

/* The schema of a version, 0 = today's; NULL when that version has no such record. */
static struct mill_schema *load(const char *name, int version)
{
    static char text[MILL_SCHEMA_MAX_BYTES];
    struct mill_schema *s = NULL;
    struct mill_err err = {0};
    char path[256];

    if (version)
        snprintf(path, sizeof path, "schemas/v%d/%s.avsc", version, name);
    else
        snprintf(path, sizeof path, "../schemas/%s.avsc", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        assert_int_equal(errno, ENOENT);
        assert_int_not_equal(version, 0);
        return NULL;
    }
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (mill_schema_parse(&s, (struct mill_str){text, n}, &err))
        fail_msg("%s: %s: %s", path, err.where, err.text);
    return s;
}

static void test_versions(void **state)
{
    const struct row *row = *state;
    struct mill_schema *all[MAX_VERSIONS] = {0};
    struct mill_err err = {0};
    int n = 0;

    for (int v = 0; v < MAX_VERSIONS; v++) {
        all[v] = load(row->name, v);
        n += all[v] != NULL;
    }
    assert_true(n >= 1); /* today's; released ones beside it, unless the record is new */
    for (int w = 0; w < MAX_VERSIONS; w++)
        for (int r = 0; r < MAX_VERSIONS; r++)
            if (all[w] && all[r] &&
                mill_schema_resolves(mill_schema_root(all[w]), mill_schema_root(all[r]), true,
                                     &err))
                fail_msg("%s: v%d cannot read what v%d wrote: %s: %s", row->name, r, w, err.where,
                         err.text);
    for (int v = 0; v < MAX_VERSIONS; v++)
        mill_schema_free(all[v]);
}

static void test_table(void **state)
{
    const struct row *row = *state;
    struct mill_codec *c = NULL;
    struct mill_err err = {0};

    if (mill_codec_new(&c, row->desc, &err))
        fail_msg("%s: %s: %s", row->name, err.where, err.text);
    assert_int_equal(mill_codec_learn(c, 1, mill_str(row->desc->avsc), &err), MILL_OK);
    mill_codec_free(c);
}

/* What a foreign producer must fill of a request, and no more. */
static void test_smallest_request(void **state)
{
    static const char writer[] =
        "{\"type\":\"record\",\"name\":\"Request\",\"namespace\":\"com.example\",\"fields\":["
        "{\"name\":\"subject\",\"type\":\"string\"},{\"name\":\"html\",\"type\":\"string\"},"
        "{\"name\":\"from\",\"type\":{\"type\":\"record\",\"name\":\"Address\",\"fields\":["
        "{\"name\":\"email\",\"type\":\"string\"}]}},"
        "{\"name\":\"personalizations\",\"type\":{\"type\":\"array\",\"items\":{\"type\":"
        "\"record\","
        "\"name\":\"Personalization\",\"fields\":[{\"name\":\"to\",\"type\":{\"type\":\"array\","
        "\"items\":\"Address\"}}]}}}]}";
    static const char body[] = "\4Hi\6<p>\6a@b\2\2\6c@d\0\0";
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_err err = {0};
    struct mill_request r;

    (void)state;
    assert_int_equal(mill_codec_new(&c, &mill_request_desc, &err), MILL_OK);
    assert_int_equal(mill_codec_learn(c, 1, mill_str(writer), &err), MILL_OK);
    assert_int_equal(
        mill_codec_decode(c, 1, (struct mill_str){body, sizeof body - 1}, &arena, &r, &err),
        MILL_OK);
    assert_true(mill_str_is(r.subject, "Hi") && mill_str_is(r.html, "<p>") && !r.text.p);
    assert_true(mill_str_is(r.from.email, "a@b") && !r.from.name.p && !r.request_id.p);
    assert_int_equal(r.personalizations.n, 1);
    assert_true(mill_str_is(r.personalizations.v[0].to.v[0].email, "c@d"));
    assert_true(r.tenant.p && !r.tenant.n && r.on_unknown == MILL_UNKNOWN_HOLD);
    mill_arena_release(&arena);
    mill_codec_free(c);
}

/* A life of a codec in which the n-th allocation fails. */
static enum mill_code life(const struct mill_desc *desc, const void *rec, void *out, long n)
{
    struct mill_codec *c = NULL;
    struct mill_arena arena = {0};
    struct mill_buf body;
    struct mill_err err = {0};
    json_t *v = NULL;

    mill_buf_init(&body, 1 << 16);
    alloc_fail_in = n;
    enum mill_code rc = mill_codec_new(&c, desc, &err);
    if (!rc)
        rc = mill_codec_learn(c, 1, mill_str(desc->avsc), &err);
    if (!rc)
        rc = mill_codec_encode(c, rec, &body, &err);
    if (!rc)
        rc = mill_codec_decode(c, 1, mill_buf_view(&body), &arena, out, &err);
    if (!rc)
        rc = mill_avro_json(mill_str(desc->avsc), mill_buf_view(&body), &v, &err);
    alloc_fail_in = 0;
    json_decref(v);
    mill_buf_release(&body);
    mill_arena_release(&arena);
    mill_codec_free(c);
    return rc;
}

/* Wherever memory runs out: no crash, no leak, and no other verdict than "not now". */
static void test_out_of_memory(void **state)
{
    static const struct mill_address to[] = {{{"c@d", 3}, {0}}};
    static const struct mill_personalization mails[] = {{.to = {to, 1}}};
    static const struct mill_request rec = {.from = {{"a@b", 3}, {0}},
                                            .personalizations = {mails, 1}};
    struct mill_request out;
    long n = 1;

    (void)state;
    for (enum mill_code rc = MILL_E_NOMEM; rc; n++) {
        rc = life(&mill_request_desc, &rec, &out, n);
        assert_true(rc == MILL_OK || rc == MILL_E_NOMEM);
        assert_true(n < 1000);
    }
    assert_true(n > 15); /* it did fail at many places */
}

int main(void)
{
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_smallest_request),
        cmocka_unit_test(test_out_of_memory),
    };

    return TABLE(rows, test_versions) + TABLE(rows, test_table) + TESTS(fixed);
}
