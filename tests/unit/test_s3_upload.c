/* Objects in parts against an S3 of the test's own: each step's reply may be lost, and be settled.
 */
#include "fake_s3_world.h"
#include "net/s3_upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { PART = 1024, SIZE = 2 * PART + 500 }; /* three parts */

static const struct mill_pair plan[] = {{{"plan", 4}, {"S=0 E=100", 9}}};
static const struct mill_map meta = {plan, 1};
static char bytes[SIZE];

static enum mill_code upload(struct world *w, const char *key, enum mill_s3_put *how,
                             struct mill_err *err)
{
    struct mill_s3_upload *u = NULL;
    enum mill_code code = mill_s3_upload_new(&u, w->s3, key, meta, PART, err);

    for (size_t at = 0; at < SIZE && !code; at += 700)
        code = mill_s3_upload_add(
            u, (struct mill_str){bytes + at, SIZE - at < 700 ? SIZE - at : 700}, err);
    if (!code)
        code = mill_s3_upload_finish(u, how, err);
    mill_s3_upload_free(u);
    return code;
}

#define PASS                                                                                       \
    {                                                                                              \
        .status = FAKE_PASS                                                                        \
    }
#define PARTS PASS, PASS, PASS

/* Requests of an upload: begin, three parts, completion; then HEADs, or the abort. */
static const struct {
    const char *name;
    struct fake_fault faults[FAKE_S3_FAULTS];
    const char *there; /* an object that was there before, its bytes */
    enum mill_code code;
    enum mill_s3_put how;
    int puts;       /* objects written */
    size_t uploads; /* begun */
    int last;       /* what became of the last */
} rows[] = {
    {"nothing in the way", {{0}}, NULL, MILL_OK, MILL_S3_CREATED, 1, 1, FAKE_COMPLETED},
    {"begin: slow down",
     {{503, false, false, "SlowDown"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"begin: reply lost",
     {{200, true, true, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     2,
     FAKE_COMPLETED},
    {"begin: forbidden",
     {{403, false, false, "AccessDenied"}},
     NULL,
     MILL_E_AUTH,
     MILL_S3_EXISTS,
     0,
     0,
     0},
    {"begin: no id in the answer",
     {{200, false, false, "?"}},
     NULL,
     MILL_E_DATA,
     MILL_S3_EXISTS,
     0,
     0,
     0},
    {"part: reply lost, written",
     {PASS, {200, true, true, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"part: 500",
     {PASS, PASS, {500, false, false, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"part: 400 for a body that did not arrive",
     {PASS, PASS, {400, true, false, "RequestTimeout"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"part: keys expired",
     {PASS, {400, false, false, "ExpiredToken"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"part: refused",
     {PASS, {400, false, false, "InvalidRequest"}},
     NULL,
     MILL_E_CONFIG,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"part: no tag in the answer",
     {PASS, {200, true, false, NULL}},
     NULL,
     MILL_E_DATA,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"part: aborted by another",
     {PASS, {404, false, false, "NoSuchUpload"}},
     NULL,
     MILL_E_IO,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"complete: slow down",
     {PASS, PARTS, {503, false, false, "SlowDown"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: 500, done all the same",
     {PASS, PARTS, {500, true, false, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: 503, done all the same",
     {PASS, PARTS, {503, true, false, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: reply lost, done",
     {PASS, PARTS, {200, true, true, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: reply lost, not done",
     {PASS, PARTS, {200, false, true, NULL}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: an error behind 200, not done",
     {PASS, PARTS, {200, false, false, "InternalError"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: an error behind 200, done",
     {PASS, PARTS, {200, true, false, "InternalError"}},
     NULL,
     MILL_OK,
     MILL_S3_CREATED,
     1,
     1,
     FAKE_COMPLETED},
    {"complete: conflict",
     {PASS, PARTS, {409, false, false, "ConditionalRequestConflict"}},
     NULL,
     MILL_E_IO,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"complete: refused",
     {PASS, PARTS, {400, false, false, "InvalidPart"}},
     NULL,
     MILL_E_CONFIG,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"complete: aborted by another",
     {PASS, PARTS, {404, false, false, "NoSuchUpload"}},
     NULL,
     MILL_E_IO,
     MILL_S3_EXISTS,
     0,
     1,
     FAKE_ABORTED},
    {"another's object is there", {{0}}, "other", MILL_OK, MILL_S3_EXISTS, 1, 1, FAKE_ABORTED},
    {"reply lost, another's object is there",
     {PASS, PARTS, {200, false, true, NULL}},
     "other",
     MILL_OK,
     MILL_S3_EXISTS,
     1,
     1,
     FAKE_ABORTED},
};

static void test_steps(void **state)
{
    struct world *w = *state;
    struct fake_s3 *f = w->fake;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum mill_s3_put how = MILL_S3_EXISTS;
        struct mill_err err = {0};
        enum mill_code code;
        char key[40];
        size_t uploads;

        snprintf(key, sizeof key, "a b/object-%zu", i);
        f->next_fault = FAKE_S3_FAULTS;
        atomic_store(&f->puts, 0);
        if (rows[i].there)
            assert_int_equal(mill_s3_put_new(w->s3, key, mill_str(rows[i].there),
                                             (struct mill_map){0}, &how, &err),
                             MILL_OK);
        memcpy(f->faults, rows[i].faults, sizeof f->faults);
        f->next_fault = 0;
        uploads = f->n_uploads;
        how = MILL_S3_EXISTS;
        code = upload(w, key, &how, &err);
        if (code != rows[i].code || how != rows[i].how)
            fail_msg("%s: %s: how %d: %s", rows[i].name, mill_code_name(code), (int)how, err.text);
        if (f->n_uploads - uploads != rows[i].uploads || atomic_load(&f->puts) != rows[i].puts)
            fail_msg("%s: %zu uploads, %d puts", rows[i].name, f->n_uploads - uploads,
                     atomic_load(&f->puts));
        if (rows[i].uploads && (int)f->uploads[f->n_uploads - 1].state != rows[i].last)
            fail_msg("%s: upload left as %d", rows[i].name, f->uploads[f->n_uploads - 1].state);
        if (how == MILL_S3_CREATED) {
            const struct fake_object *o = fake_s3_find(f, key);
            assert_int_equal(o->n, SIZE);
            assert_memory_equal(o->bytes, bytes, SIZE);
            assert_string_equal(o->meta, "S=0 E=100");
        }
    }
    assert_int_equal(atomic_load(&f->bad_signatures), 0);
}

/* A service that stays away: given up, and later it goes. */
static void test_down(void **state)
{
    struct world *w = *state;
    enum mill_s3_put how = MILL_S3_EXISTS;
    struct mill_err err;

    for (size_t i = 0; i < FAKE_S3_FAULTS; i++)
        w->fake->faults[i] = (struct fake_fault){i < 4 ? FAKE_PASS : 503, false, false, NULL};
    for (size_t i = 0; i < 4; i++)
        w->fake->faults[i].status = i == 3 ? 503 : FAKE_PASS; /* a part, to the end of its tries */
    assert_int_equal(upload(w, "k", &how, &err), MILL_E_IO);
    assert_int_equal(upload(w, "k", &how, &err), MILL_OK);
    assert_int_equal(how, MILL_S3_CREATED);
}

/* What fits into one part is one PUT; one byte more is two parts, none over the part's size. */
static void test_edges(void **state)
{
    static const struct {
        size_t size, parts;
    } sizes[] = {{0, 0}, {1, 0}, {PART, 0}, {PART + 1, 2}, {2 * PART, 2}, {2 * PART + 1, 3}};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mill_s3_upload *u = NULL;
        enum mill_s3_put how;
        struct mill_err err;
        char key[16];
        size_t n = 0, before = w->fake->n_uploads;

        snprintf(key, sizeof key, "edge-%zu", i);
        assert_int_equal(mill_s3_upload_new(&u, w->s3, key, meta, PART, &err), MILL_OK);
        assert_int_equal(mill_s3_upload_add(u, (struct mill_str){bytes, sizes[i].size}, &err),
                         MILL_OK);
        assert_int_equal(mill_s3_upload_finish(u, &how, &err), MILL_OK);
        mill_s3_upload_free(u);
        assert_int_equal(how, MILL_S3_CREATED);
        assert_int_equal(fake_s3_find(w->fake, key)->n, sizes[i].size);
        if (w->fake->n_uploads > before)
            while (n < FAKE_S3_PARTS && w->fake->uploads[before].parts[n].bytes)
                assert_true(w->fake->uploads[before].parts[n++].n <= PART);
        assert_int_equal(n, sizes[i].parts);
    }
}

/* A body in memory: by PUT up to one part, else in parts of the usual size. */
static void test_large(void **state)
{
    static const size_t size = 2 * (size_t)MILL_S3_PART_BYTES + 3;
    struct world *w = *state;
    const struct fake_object *o;
    enum mill_s3_put how;
    struct mill_err err;
    char *large = calloc(1, size);

    assert_non_null(large);
    memcpy(large + size - 3, "end", 3);
    assert_int_equal(mill_s3_put_large(w->s3, "one", (struct mill_str){large, MILL_S3_PART_BYTES},
                                       meta, &how, &err),
                     MILL_OK);
    assert_int_equal(w->fake->n_uploads, 0);
    for (int i = 0; i < 2; i++) {
        if (mill_s3_put_large(w->s3, "large", (struct mill_str){large, size}, meta, &how, &err))
            fail_msg("%s", err.text);
        assert_int_equal(how, i ? MILL_S3_EXISTS : MILL_S3_CREATED);
        assert_int_equal(w->fake->uploads[i].state, i ? FAKE_ABORTED : FAKE_COMPLETED);
    }
    o = fake_s3_find(w->fake, "large");
    assert_int_equal(o->n, size);
    assert_memory_equal(o->bytes, large, size);
    free(large);
}

/* An upload that is dropped half way leaves nothing. */
static void test_dropped(void **state)
{
    struct world *w = *state;
    struct mill_s3_upload *u = NULL;
    struct mill_err err;

    mill_s3_upload_free(NULL);
    assert_int_equal(mill_s3_upload_new(&u, w->s3, "dropped", meta, PART, &err), MILL_OK);
    assert_int_equal(mill_s3_upload_add(u, (struct mill_str){bytes, SIZE}, &err), MILL_OK);
    mill_s3_upload_free(u);
    assert_int_equal(w->fake->uploads[0].state, FAKE_ABORTED);
    assert_null(fake_s3_find(w->fake, "dropped"));
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_steps), ROW(test_down), ROW(test_edges), ROW(test_large), ROW(test_dropped),
    };

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    return cmocka_run_group_tests_name("s3_upload", tests, NULL, NULL);
}
