#include "lake/merge.h"

#include "base/json.h"

#include <errno.h>
#include <stdlib.h>

struct mill_merge {
    const struct mill_lake_conf *conf;
    struct mill_pq_wide *wide;
    struct mill_pq *writer;
    struct mill_buf parts; /**< JSON */
    int64_t rows;
};

enum mill_code mill_merge_new(struct mill_merge **out, const struct mill_lake_conf *conf,
                              struct mill_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return mill_fail(err, MILL_E_NOMEM, "merge", "out of memory");
    (*out)->conf = conf;
    mill_buf_init(&(*out)->parts, MILL_FOOTER_MAX / 2);
    return MILL_OK;
}

void mill_merge_free(struct mill_merge *m)
{
    if (!m)
        return;
    if (m->writer)
        m->conf->lib->abort(m->writer);
    m->conf->lib->wide_free(m->wide);
    mill_buf_release(&m->parts);
    free(m);
}

static enum mill_code merge_failed(int errnum, const char *text, enum mill_code otherwise,
                                   struct mill_err *err)
{
    return mill_fail(err,
                     errnum == ENOMEM ? MILL_E_NOMEM
                     : errnum == EIO  ? MILL_E_IO
                                      : otherwise,
                     "parquet", "%s", text);
}

enum mill_code mill_merge_fits(struct mill_merge *m, const struct mill_pq_source *part,
                               struct mill_err *err)
{
    char text[200] = "";
    int e = m->conf->lib->widen(&m->wide, part, text, sizeof text);

    return e ? merge_failed(e, text, MILL_E_SCHEMA, err) : MILL_OK;
}

enum mill_code mill_merge_open(struct mill_merge *m, int64_t rows, mill_pq_sink_fn sink, void *arg,
                               struct mill_err *err)
{
    struct mill_pq_options o;
    char text[200] = "";
    int e;

    mill_lake_writer(m->conf, rows ? rows : 1, &o);
    e = m->conf->lib->open_wide(&m->writer, m->wide, &o, sink, arg, text, sizeof text);
    return e ? merge_failed(e, text, MILL_E_STATE, err) : MILL_OK;
}

/** Adds `,"name":LIST` where the list is longer than `usual`. */
static void merge_list(struct mill_buf *out, const char *name, struct mill_str list, size_t usual)
{
    json_t *v = NULL;

    if (list.n && mill_json_parse(list, &v, NULL) == MILL_OK && json_array_size(v) > usual)
        mill_buf_printf(out, ",\"%s\":%.*s", name, MILL_FMT(list));
    json_decref(v);
}

static void merge_part(struct mill_buf *out, struct mill_str key, const struct mill_footer *f)
{
    mill_buf_puts(out, out->n ? ",{\"object\":" : "[{\"object\":");
    mill_buf_json(out, key);
    mill_buf_printf(out, ",\"rows\":%lld,\"plan\":", (long long)f->rows);
    mill_buf_json(out, f->plan);
    merge_list(out, "siblings", f->siblings, 1);
    merge_list(out, "rejected", f->rejected, 0);
    mill_buf_putc(out, '}');
}

enum mill_code mill_merge_add(struct mill_merge *m, struct mill_str key,
                              const struct mill_footer *footer, const struct mill_pq_source *part,
                              struct mill_err *err)
{
    char text[200] = "";
    int64_t rows = 0;
    int e = m->conf->lib->append(m->writer, part, &rows, text, sizeof text);

    if (e)
        return merge_failed(e, text, MILL_E_DATA, err);
    if (rows != footer->rows)
        return mill_fail(err, MILL_E_DATA, "merge", "%.*s has %lld rows, its footer says %lld",
                         MILL_FMT(key), (long long)rows, (long long)footer->rows);
    m->rows += rows;
    merge_part(&m->parts, key, footer);
    return m->parts.failed ? mill_fail(err, MILL_E_NOMEM, "merge", "the list of parts is too long")
                           : MILL_OK;
}

enum mill_code mill_merge_finish(struct mill_merge *m, const struct mill_object *o,
                                 struct mill_err *err)
{
    struct mill_footer_texts texts;
    struct mill_pq_pair pairs[MILL_FOOTER_RANGE + 1];
    char text[200] = "";
    struct mill_pq *writer = m->writer;
    int e;

    mill_buf_putc(&m->parts, ']');
    if (m->parts.failed)
        return mill_fail(err, MILL_E_NOMEM, "merge", "out of memory");
    mill_footer_range(o, m->rows, &texts, pairs);
    pairs[MILL_FOOTER_RANGE] = (struct mill_pq_pair){"sendmill.parts", m->parts.p};
    m->writer = NULL; /* finish frees it whatever comes */
    e = m->conf->lib->finish(writer, pairs, sizeof pairs / sizeof *pairs, text, sizeof text);
    return e ? merge_failed(e, text, MILL_E_STATE, err) : MILL_OK;
}
