/* The footer of an object is fetched by its last bytes: by one request, a long one by two; and what
 * has none says so. */
#include "cases.h"
#include "fake_s3_world.h"
#include "lake/file.h"
#include "lake/footer_fetch.h"

#define KEY "topic=t/o.parquet"

enum { ALL_BYTES = -1 };

/** What lies there, and what comes of it. */
static const struct footer_case {
    const char *name;
    int parts;        /**< bytes of sendmill.parts in its footer; 0 = the object is no Parquet */
    const char *text; /**< then: its bytes */
    int64_t bytes;    /**< that the listing says it has */
    enum mill_code want;
    int requests;
} cases[] = {
    {"a footer in the first request", 100, NULL, ALL_BYTES, MILL_OK, 1},
    {"a footer that takes a second request", 3 * MILL_FOOTER_GUESS, NULL, ALL_BYTES, MILL_OK, 2},
    {"no Parquet", 0, "key,value\n", ALL_BYTES, MILL_E_DATA, 1},
    {"a footer longer than its file", 0, "PAR1\377\377\377\017PAR1", ALL_BYTES, MILL_E_DATA, 1},
    {"an empty object is not asked for", 0, "", ALL_BYTES, MILL_E_DATA, 0},
    {"an object that is gone", 0, NULL, 100, MILL_E_NOENT, 1},
};

/** A file of no rows whose footer is so long. */
static void put_file(struct world *w, const struct mill_lake_conf *conf, size_t parts,
                     uint64_t *bytes)
{
    struct mill_shape *shape = NULL;
    struct mill_lake_file *f = NULL;
    char *text = malloc(parts + 1);
    struct mill_pq_pair pairs[] = {{"sendmill.topic", "t"}, {"sendmill.parts", text}};
    enum mill_s3_put how;
    struct mill_err err = {0};
    struct mill_str all;

    assert_non_null(text);
    memset(text, 'x', parts);
    text[parts] = '\0';
    assert_int_equal(mill_shape_new(&shape, 1u << MILL_META_OFFSET, NULL, &err), MILL_OK);
    assert_int_equal(mill_lake_file_new(&f, conf, shape, &err), MILL_OK);
    assert_int_equal(mill_lake_file_finish(f, pairs, 2, &all, &err), MILL_OK);
    *bytes = all.n;
    assert_int_equal(mill_s3_put_new(w->s3, KEY, all, (struct mill_map){0}, &how, &err), MILL_OK);
    mill_lake_file_free(f);
    mill_shape_free(shape);
    free(text);
}

static void put_text(struct world *w, const char *text, uint64_t *bytes)
{
    enum mill_s3_put how;
    struct mill_err err = {0};

    *bytes = strlen(text);
    assert_int_equal(mill_s3_put_new(w->s3, KEY, mill_str(text), (struct mill_map){0}, &how, &err),
                     MILL_OK);
}

static void test_fetch(void **state)
{
    const struct footer_case *c = *state;
    struct mill_lake_conf conf = {0};
    struct mill_footer footer = {0};
    struct mill_arena mem = {0};
    struct mill_err err = {0};
    struct world *w = NULL;
    struct mill_buf tail;
    uint64_t bytes = 0;
    int before;

    assert_int_equal(mill_parquet_load(NULL, &conf.lib, &err), MILL_OK);
    assert_int_equal(setup((void **)&w), 0);
    if (c->parts)
        put_file(w, &conf, (size_t)c->parts, &bytes);
    else if (c->text)
        put_text(w, c->text, &bytes);
    bytes = c->bytes == ALL_BYTES ? bytes : (uint64_t)c->bytes;
    before = atomic_load(&w->fake->requests);
    mill_buf_init(&tail, MILL_FOOTER_MAX);
    assert_int_equal(mill_footer_fetch(w->s3, conf.lib, KEY, bytes, &tail, &mem, &footer, &err),
                     c->want);
    assert_int_equal(atomic_load(&w->fake->requests) - before, c->requests);
    if (c->want == MILL_OK) {
        assert_true(mill_str_is(footer.topic, "t"));
        assert_int_equal(footer.parts.n, c->parts);
        assert_int_equal(footer.rows, 0);
    }
    mill_buf_release(&tail);
    mill_arena_release(&mem);
    teardown((void **)&w);
}

int main(void)
{
    return TABLE(cases, test_fetch);
}
