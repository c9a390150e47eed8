/**
 * @file batch.c
 * @brief A scanner that knows strings, brackets and commas, nothing more.
 */
#include "batch.h"

static enum ingest_batch batch_put(struct mill_str *items, size_t *n, struct mill_str item)
{
    if (*n == INGEST_BATCH_MAX)
        return INGEST_BATCH_TOO_MANY;
    items[(*n)++] = item;
    return INGEST_BATCH_OK;
}

static enum ingest_batch batch_lines(struct mill_str body, struct mill_str *items, size_t *n)
{
    enum ingest_batch rc = INGEST_BATCH_OK;

    while (body.n && !rc) {
        struct mill_str line = mill_str_trim(mill_str_take(&body, '\n'));
        if (line.n)
            rc = batch_put(items, n, line);
    }
    return rc;
}

/* Behind the string that starts at p; end when it has no end. */
static const char *batch_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p + 1;
    }
    return end;
}

/* The ',' or ']' that ends the item that starts at p, or NULL. */
static const char *batch_item_end(const char *p, const char *end)
{
    size_t depth = 0;

    while (p < end) {
        if (*p == '"') {
            p = batch_string(p, end);
            continue;
        }
        if (!depth && (*p == ',' || *p == ']'))
            return p;
        if (*p == '[' || *p == '{') {
            depth++;
        } else if (*p == ']' || *p == '}') {
            if (!depth)
                return NULL;
            depth--;
        }
        p++;
    }
    return NULL;
}

static enum ingest_batch batch_array(struct mill_str body, struct mill_str *items, size_t *n)
{
    struct mill_str all = mill_str_trim(body);
    const char *at = all.p, *end = all.p + all.n, *stop;
    struct mill_str item;
    enum ingest_batch rc = INGEST_BATCH_OK;

    if (!all.n || *at != '[')
        return INGEST_BATCH_MALFORMED;
    do {
        at++;
        stop = batch_item_end(at, end);
        if (!stop)
            return INGEST_BATCH_MALFORMED;
        item = mill_str_trim((struct mill_str){at, (size_t)(stop - at)});
        if (!item.n) /* "[]" is an empty array; "[,]" and "[1,]" are none */
            return *n || *stop == ',' || stop + 1 != end ? INGEST_BATCH_MALFORMED
                                                         : INGEST_BATCH_EMPTY;
        rc = batch_put(items, n, item);
        at = stop;
    } while (!rc && *stop == ',');
    if (!rc && stop + 1 != end)
        rc = INGEST_BATCH_MALFORMED;
    return rc;
}

enum ingest_batch ingest_batch_split(struct mill_str body, bool ndjson, struct mill_str *items,
                                     size_t *n)
{
    enum ingest_batch rc;

    *n = 0;
    if (!body.n)
        return INGEST_BATCH_EMPTY;
    rc = ndjson ? batch_lines(body, items, n) : batch_array(body, items, n);
    return !rc && !*n ? INGEST_BATCH_EMPTY : rc;
}
