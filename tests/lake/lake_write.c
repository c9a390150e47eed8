/* Writes a Parquet file from Avro bytes, for a test in another language to read back.
 *   lake_write OUT META DROP SCHEMA… < records
 * META: metadata columns, DROP: dotted paths (both separated by commas, may be empty). A record on
 * stdin: 4 bytes number of its schema, 4 bytes length (both little-endian), body. Prints one line
 * per refused record: its number and the reason. The key is the record's number as text.
 * LAKE_GROUP_ROWS and LAKE_GROUP_BYTES: a row group's limits, where others than the sink's. */
#include "lake/file.h"
#include "lake/fill.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCHEMAS_MAX = 16, BODY_MAX = 1 << 24 };

struct writer {
    struct mill_schema *schema[SCHEMAS_MAX];
    struct mill_fill *fill[SCHEMAS_MAX];
    size_t n;
    struct mill_shape *shape;
    struct mill_lake_file *file;
};

static int fail(const char *what, const struct mill_err *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, err->where, err->text);
    return 1;
}

static char *slurp(const char *path, struct mill_str *out)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, BODY_MAX);

    if (f && text)
        *out = (struct mill_str){text, fread(text, 1, BODY_MAX, f)};
    if (f)
        fclose(f);
    return text;
}

static int grow(struct writer *w, const char *path, struct mill_err *err)
{
    struct mill_str json = {NULL, 0};
    char *text = slurp(path, &json);
    struct mill_shape *grown = NULL;
    enum mill_code rc = mill_schema_parse(&w->schema[w->n], json, err);

    if (!rc)
        rc = mill_shape_grow(w->shape, mill_schema_root(w->schema[w->n]), &grown, err);
    w->n += !rc;
    if (!rc) {
        mill_shape_free(w->shape);
        w->shape = grown;
    }
    free(text);
    return rc ? fail(path, err) : 0;
}

static size_t list(char *text, struct mill_str *out, size_t max)
{
    size_t n = 0;

    for (char *p = text; *p && n < max;) {
        size_t len = strcspn(p, ",");
        out[n++] = (struct mill_str){p, len};
        p += len + (p[len] == ',');
    }
    return n;
}

static int64_t limit(const char *name)
{
    const char *text = getenv(name);
    int64_t v = 0;

    return text && mill_str_i64(mill_str(text), &v) ? v : 0;
}

static int rows(struct writer *w, struct mill_err *err)
{
    unsigned char head[8];
    char *body = malloc(BODY_MAX), key[24];
    int rc = body ? 0 : 1;

    for (int64_t i = 0; !rc && fread(head, 1, 8, stdin) == 8; i++) {
        size_t schema = head[0], n = head[4] | (size_t)head[5] << 8 | (size_t)head[6] << 16;
        struct mill_row_meta meta = {.topic = MILL_STR("t"), .partition = 3, .offset = i};

        if (schema >= w->n || fread(body, 1, n, stdin) != n)
            rc = 1;
        snprintf(key, sizeof key, "%lld", (long long)i);
        meta.key = mill_str(key);
        meta.timestamp_us = 1700000000000000 + i;
        if (rc)
            break;
        if (mill_fill_row(w->fill[schema], (struct mill_str){body, n}, &meta,
                          mill_lake_file_rows(w->file), err)) {
            printf("%lld %s: %s\n", (long long)i, err->where, err->text);
            continue;
        }
        if (mill_lake_file_added(w->file, n, err))
            rc = fail("added", err);
    }
    free(body);
    return rc;
}

static int finish(struct writer *w, const char *path, struct mill_err *err)
{
    struct mill_pq_pair pairs[] = {{"sendmill.topic", "t"}, {"sendmill.rows", "all"}};
    struct mill_str bytes = {NULL, 0};
    FILE *f;
    int rc;

    if (mill_lake_file_finish(w->file, pairs, 2, &bytes, err))
        return fail("finish", err);
    f = fopen(path, "wb");
    rc = !f || fwrite(bytes.p, 1, bytes.n, f) != bytes.n;
    return (f && fclose(f)) || rc;
}

int main(int argc, char **argv)
{
    struct writer w = {.n = 0};
    struct mill_lake_conf conf = {.batch_bytes = 64 << 10,
                                  .row_group_rows = limit("LAKE_GROUP_ROWS"),
                                  .row_group_bytes = limit("LAKE_GROUP_BYTES")};
    struct mill_str meta[MILL_META_COUNT], drop[16];
    struct mill_policy_rule rules[16];
    struct mill_err err = {0};
    enum mill_meta m;
    unsigned mask = 0;
    int rc = argc < 5 || argc - 4 > SCHEMAS_MAX;

    if (rc) {
        fprintf(stderr, "usage: lake_write OUT META DROP SCHEMA…\n");
        return 2;
    }
    for (size_t i = 0, n = list(argv[2], meta, MILL_META_COUNT); i < n; i++)
        mask |= mill_meta_parse(meta[i], &m) ? 1u << m : 0;
    const struct mill_policy policy = {.v = rules, .n = list(argv[3], drop, 16)};
    for (size_t i = 0; i < policy.n; i++)
        rules[i] = (struct mill_policy_rule){drop[i], MILL_DROP};
    if (mill_parquet_load(NULL, &conf.lib, &err) || mill_shape_new(&w.shape, mask, &policy, &err))
        return fail("start", &err);
    for (int i = 4; i < argc && !rc; i++)
        rc = grow(&w, argv[i], &err);
    for (size_t i = 0; i < w.n && !rc; i++)
        if (mill_fill_new(&w.fill[i], w.shape, mill_schema_root(w.schema[i]), &err))
            rc = fail("fill", &err);
    if (!rc && mill_lake_file_new(&w.file, &conf, w.shape, &err))
        rc = fail("file", &err);
    if (!rc)
        rc = rows(&w, &err) || finish(&w, argv[1], &err);
    mill_lake_file_free(w.file);
    for (size_t i = 0; i < SCHEMAS_MAX; i++) {
        mill_fill_free(w.fill[i]);
        mill_schema_free(w.schema[i]);
    }
    mill_shape_free(w.shape);
    return rc;
}
