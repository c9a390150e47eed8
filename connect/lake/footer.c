#include "lake/footer.h"

#include "base/hash.h"

#include <errno.h>

#include <stdio.h>

static const char FOOTER_MAGIC[] = {'P', 'A', 'R', '1'};

/** Where a pair of the file goes: a text, or a number. */
static const struct footer_pair {
    const char *key;
    size_t text, number; /**< offset in struct mill_footer; SIZE_MAX: not this one */
} footer_pairs[] = {
    {"sendmill.topic", offsetof(struct mill_footer, topic), SIZE_MAX},
    {"sendmill.topic_id", offsetof(struct mill_footer, topic_id), SIZE_MAX},
    {"sendmill.plan", offsetof(struct mill_footer, plan), SIZE_MAX},
    {"sendmill.siblings", offsetof(struct mill_footer, siblings), SIZE_MAX},
    {"sendmill.rejected", offsetof(struct mill_footer, rejected), SIZE_MAX},
    {"sendmill.parts", offsetof(struct mill_footer, parts), SIZE_MAX},
    {"sendmill.partition", SIZE_MAX, offsetof(struct mill_footer, partition)},
    {"sendmill.start", SIZE_MAX, offsetof(struct mill_footer, start)},
    {"sendmill.end", SIZE_MAX, offsetof(struct mill_footer, end)},
    {"sendmill.rows", SIZE_MAX, offsetof(struct mill_footer, said_rows)},
};

struct footer_read {
    struct mill_footer *out;
    struct mill_arena *mem;
    bool nomem;
};

void mill_footer_range(const struct mill_object *o, int64_t rows, struct mill_footer_texts *t,
                       struct mill_pq_pair *pairs)
{
    const struct mill_pq_pair all[MILL_FOOTER_RANGE] = {{"sendmill.topic", t->topic},
                                                        {"sendmill.topic_id", t->topic_id},
                                                        {"sendmill.partition", t->partition},
                                                        {"sendmill.start", t->start},
                                                        {"sendmill.end", t->end},
                                                        {"sendmill.rows", t->rows}};

    mill_str_cut(o->topic, t->topic, sizeof t->topic);
    mill_str_cut(o->topic_id, t->topic_id, sizeof t->topic_id);
    snprintf(t->partition, sizeof t->partition, "%d", (int)o->partition);
    snprintf(t->start, sizeof t->start, "%lld", (long long)o->start);
    snprintf(t->end, sizeof t->end, "%lld", (long long)o->end);
    snprintf(t->rows, sizeof t->rows, "%lld", (long long)rows);
    memcpy(pairs, all, sizeof all);
}

uint64_t mill_footer_size(struct mill_str tail)
{
    const unsigned char *end = (const unsigned char *)tail.p + tail.n;
    uint32_t n;

    if (tail.n < MILL_FOOTER_END || memcmp(end - 4, FOOTER_MAGIC, 4) != 0)
        return 0;
    n = (uint32_t)end[-8] | (uint32_t)end[-7] << 8 | (uint32_t)end[-6] << 16 |
        (uint32_t)end[-5] << 24;
    return n && n <= MILL_FOOTER_MAX ? (uint64_t)n + MILL_FOOTER_END : 0;
}

/** The columns as Parquet describes them; only whether they are the same is of interest. */
static void footer_columns(struct footer_read *r, const char *text)
{
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];

    if (mill_sha256(mill_str(text), digest))
        r->out->columns = mill_arena_dup(r->mem, mill_str(mill_hex(digest, sizeof digest, hex)));
    r->nomem = r->nomem || !r->out->columns.p;
}

static void footer_each(void *arg, const char *key, const char *value)
{
    struct footer_read *r = arg;
    char *out = (char *)r->out;

    if (!strcmp(key, MILL_PQ_COLUMNS)) {
        footer_columns(r, value);
        return;
    }
    for (size_t i = 0; i < sizeof footer_pairs / sizeof *footer_pairs; i++) {
        const struct footer_pair *p = &footer_pairs[i];
        if (strcmp(key, p->key) != 0)
            continue;
        if (p->text != SIZE_MAX) {
            struct mill_str *s = (struct mill_str *)(void *)(out + p->text);
            *s = mill_arena_dup(r->mem, mill_str(value));
            r->nomem = r->nomem || !s->p;
        } else if (!mill_str_i64(mill_str(value), (int64_t *)(void *)(out + p->number))) {
            *(int64_t *)(void *)(out + p->number) = -1;
        }
    }
}

enum mill_code mill_footer_parse(const struct mill_parquet *lib, struct mill_str tail,
                                 struct mill_arena *mem, struct mill_footer *out,
                                 struct mill_err *err)
{
    uint64_t size = mill_footer_size(tail);
    struct footer_read r = {out, mem, false};
    char why[128];
    int rc;

    *out = (struct mill_footer){.partition = -1, .start = -1, .end = -1, .said_rows = -1};
    if (!size || size > tail.n)
        return mill_fail(err, MILL_E_DATA, "footer", "this is no whole Parquet file");
    rc = lib->footer(tail.p, tail.n, footer_each, &r, &out->rows, why, sizeof why);
    if (rc == ENOMEM || r.nomem)
        return mill_fail(err, MILL_E_NOMEM, "footer", "out of memory");
    return rc ? mill_fail(err, MILL_E_DATA, "footer", "%s", why) : MILL_OK;
}
