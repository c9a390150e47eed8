/* An object as a file: fetched whole ahead of its reader by another client, whole at the first
 * read, or read by read; over HTTP. */
#include "cases.h"
#include "compact/source.h"
#include "fake_s3_world.h"
#include "net/s3_pool.h"

#include <errno.h>

enum { PARTS = 3, PART_BYTES = 5000, READ_BYTES = 100, READS = 2 };

static const struct source_case {
    const char *name;
    bool whole, ahead;
    bool gone;    /**< there is no such object */
    int requests; /**< of each part */
} cases[] = {
    {"ahead of its reader", true, true, false, 1},
    {"whole at the first read", true, false, false, 1},
    {"what is asked for", false, false, false, READS},
    {"fetched ahead, and not there", true, true, true, 1},
    {"not there", true, false, true, 1},
};

static char byte_at(size_t part, size_t at)
{
    return (char)((part * 31 + at * 7) & 0x7f);
}

static void part_key(size_t part, char *key, size_t size)
{
    snprintf(key, size, "part%zu", part);
}

static void put_parts(struct world *w)
{
    for (size_t part = 0; part < PARTS; part++) {
        char bytes[PART_BYTES], key[16];
        enum mill_s3_put how;
        struct mill_err err = {0};

        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = byte_at(part, at);
        part_key(part, key, sizeof key);
        assert_int_equal(mill_s3_put_new(w->s3, key, (struct mill_str){bytes, sizeof bytes},
                                         (struct mill_map){0}, &how, &err),
                         MILL_OK);
    }
}

static struct mill_s3_pool *pool_of(struct world *w, char *endpoint, size_t size)
{
    struct mill_s3_opts opts = {.endpoint = endpoint,
                                .region = "eu-west-1",
                                .bucket = "b",
                                .prefix = "",
                                .timeout_ms = 10000};
    struct mill_s3_pool *pool = NULL;
    struct mill_err err = {0};

    snprintf(endpoint, size, "http://127.0.0.1:%u", mill_server_port(w->fake->server));
    assert_int_equal(mill_s3_pool_new(&pool, &opts, PARTS, &err), MILL_OK);
    return pool;
}

static void check_part(const struct source_case *c, struct mill_source *s, size_t part)
{
    struct mill_pq_source file = mill_source_file(s);
    char got[READ_BYTES];

    assert_int_equal(file.bytes, PART_BYTES);
    for (size_t i = 0; i < READS; i++) {
        size_t from = i * (PART_BYTES - READ_BYTES);
        int e = file.read(file.arg, from, got, sizeof got);

        assert_int_equal(e, c->gone ? EIO : 0);
        assert_int_equal(s->code, c->gone ? MILL_E_NOENT : MILL_OK);
        for (size_t at = 0; at < sizeof got && !c->gone; at++)
            assert_int_equal(got[at], byte_at(part, from + at));
    }
}

static void test_source(void **state)
{
    const struct source_case *c = *state;
    struct mill_source sources[PARTS];
    struct mill_s3_pool *pool;
    struct world *w = NULL;
    char keys[PARTS][16], endpoint[64];
    int before;

    assert_int_equal(setup((void **)&w), 0);
    pool = pool_of(w, endpoint, sizeof endpoint);
    if (!c->gone)
        put_parts(w);
    before = atomic_load(&w->fake->requests);
    for (size_t part = 0; part < PARTS; part++) {
        part_key(part, keys[part], sizeof keys[part]);
        mill_source_init(&sources[part], w->s3, keys[part], PART_BYTES, c->whole);
        if (c->ahead)
            mill_s3_pool_add(pool, mill_source_fetch, &sources[part]);
    }
    mill_s3_pool_wait(pool);
    for (size_t part = 0; part < PARTS; part++) {
        check_part(c, &sources[part], part);
        mill_source_release(&sources[part]);
    }
    assert_int_equal(atomic_load(&w->fake->requests) - before, PARTS * c->requests);
    mill_s3_pool_free(pool);
    teardown((void **)&w);
}

int main(void)
{
    return TABLE(cases, test_source);
}
