#include "lake/file.h"

#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>

enum {
    FILE_ZSTD_LEVEL = 3,
    FILE_PAGE_BYTES = 1 << 20,
    FILE_PAGE_ROWS = 20000,
    FILE_QUEUE_GROWS = 16,
    FILE_GROUP_BYTES = 64 << 20
};
/* What one PUT can carry. */
static const size_t file_max_bytes = (size_t)5 << 30;
/* Distinct values a bloom filter is made for when the file is not yet known to be small. */
static const int64_t file_bloom_values = 200000;

/** Ids that people look single mails up by; they get a bloom filter where a file has them. */
static const char *const file_ids[] = {"message_id", "request_id", "provider_id", NULL};

struct mill_lake_file {
    const struct mill_lake_conf *conf;
    struct mill_rows rows;
    struct ArrowArray *queue; /**< full batches that are not yet encoded */
    size_t queue_n, queue_size;
    size_t batch;  /**< bytes in rows, about */
    size_t queued; /**< bytes in queue */
    struct mill_pq *writer;
    struct mill_buf out;
    int64_t count;
    bool finished, lost;
};

enum mill_code mill_lake_file_new(struct mill_lake_file **out, const struct mill_lake_conf *conf,
                                  struct mill_shape *shape, struct mill_err *err)
{
    struct mill_lake_file *f = calloc(1, sizeof *f);
    enum mill_code rc;

    *out = NULL;
    if (!f)
        return mill_fail(err, MILL_E_NOMEM, "file", "out of memory");
    f->conf = conf;
    mill_buf_init(&f->out, file_max_bytes);
    rc = mill_rows_init(&f->rows, shape, err);
    if (rc) {
        free(f);
        return rc;
    }
    *out = f;
    return MILL_OK;
}

void mill_lake_file_free(struct mill_lake_file *f)
{
    if (!f)
        return;
    if (f->writer)
        f->conf->lib->abort(f->writer);
    for (size_t i = 0; i < f->queue_n; i++)
        f->queue[i].release(&f->queue[i]);
    free(f->queue);
    mill_rows_release(&f->rows);
    mill_buf_release(&f->out);
    free(f);
}

struct mill_rows *mill_lake_file_rows(struct mill_lake_file *f)
{
    return &f->rows;
}

size_t mill_lake_file_held(const struct mill_lake_file *f)
{
    return sizeof *f + f->rows.shape->n_cols * sizeof *f->rows.cells + f->batch + f->queued +
           f->out.size + (f->writer ? (size_t)f->conf->lib->held(f->writer) : 0);
}

static int file_sink(void *arg, const void *data, size_t n)
{
    struct mill_lake_file *f = arg;

    return mill_buf_add(&f->out, data, n) ? 0 : ENOMEM;
}

static enum mill_code file_failed(int errnum, const char *text, struct mill_err *err)
{
    return mill_fail(err, errnum == ENOMEM ? MILL_E_NOMEM : MILL_E_STATE, "parquet", "%s", text);
}

static int64_t file_group_bytes(const struct mill_lake_conf *conf)
{
    return conf->row_group_bytes ? conf->row_group_bytes : FILE_GROUP_BYTES;
}

void mill_lake_writer(const struct mill_lake_conf *conf, int64_t values,
                      struct mill_pq_options *out)
{
    *out = (struct mill_pq_options){
        .zstd_level = FILE_ZSTD_LEVEL,
        .row_group_rows = conf->row_group_rows ? conf->row_group_rows : 1 << 20,
        .row_group_bytes = file_group_bytes(conf),
        .page_bytes = FILE_PAGE_BYTES,
        .page_rows = FILE_PAGE_ROWS,
        .blooms = file_ids,
        .bloom_values = values > 0 && values < file_bloom_values ? values : file_bloom_values,
    };
}

static enum mill_code file_open(struct mill_lake_file *f, int64_t values, struct mill_err *err)
{
    struct mill_pq_options o;
    struct ArrowSchema schema = {0};
    char text[200] = "";
    enum mill_code rc;
    int e;

    mill_lake_writer(f->conf, values, &o);
    rc = mill_shape_arrow(f->rows.shape, &schema, err);
    if (rc)
        return rc;
    e = f->conf->lib->open(&f->writer, &schema, &o, file_sink, f, text, sizeof text);
    return e ? file_failed(e, text, err) : MILL_OK;
}

/** Rows become a batch in the queue. */
static enum mill_code file_cut(struct mill_lake_file *f, struct mill_err *err)
{
    struct ArrowArray *more;
    size_t bytes = mill_rows_bytes(&f->rows);
    enum mill_code rc;

    if (mill_rows_count(&f->rows) == 0)
        return MILL_OK;
    f->lost = true; /* until they are in the queue: a file without them must not be finished */
    if (f->queue_n == f->queue_size) {
        more = realloc(f->queue, (f->queue_size + FILE_QUEUE_GROWS) * sizeof *more);
        if (!more)
            return mill_fail(err, MILL_E_NOMEM, "file", "out of memory");
        f->queue = more;
        f->queue_size += FILE_QUEUE_GROWS;
    }
    rc = mill_rows_batch(&f->rows, &f->queue[f->queue_n], err);
    if (rc)
        return rc;
    f->queue_n++;
    f->queued += bytes;
    f->batch = 0;
    f->lost = false;
    return MILL_OK;
}

/** What is in the queue goes through the writer. @param values distinct ones in a bloom filter,
 * when it is all that the file will hold; 0 = there will be more, or was */
static enum mill_code file_encode(struct mill_lake_file *f, int64_t values, struct mill_err *err)
{
    bool whole = values && !f->writer && f->queued <= (size_t)file_group_bytes(f->conf);
    char text[200] = "";
    enum mill_code rc = f->writer ? MILL_OK : file_open(f, values, err);
    int e;

    if (rc)
        return rc;
    e = f->conf->lib->write(f->writer, f->queue, f->queue_n, whole, text, sizeof text);
    f->queue_n = 0; /* consumed */
    f->queued = 0;
    f->lost = e != 0;
    return e ? file_failed(e, text, err) : MILL_OK;
}

enum mill_code mill_lake_file_added(struct mill_lake_file *f, size_t bytes, struct mill_err *err)
{
    size_t full = f->conf->batch_bytes ? f->conf->batch_bytes : 1 << 20;
    size_t spill = f->conf->spill_bytes ? f->conf->spill_bytes : 8 << 20;
    enum mill_code rc = MILL_OK;

    f->count++;
    f->batch += bytes + f->rows.shape->n_cols * 4; /* offsets of what is null or empty */
    if (f->batch < full)
        return MILL_OK;
    rc = file_cut(f, err);
    return rc || f->queued < spill ? rc : file_encode(f, 0, err);
}

enum mill_code mill_lake_file_finish(struct mill_lake_file *f, const struct mill_pq_pair *pairs,
                                     size_t n, struct mill_str *bytes, struct mill_err *err)
{
    struct mill_pq *writer;
    char text[200] = "";
    enum mill_code rc;
    int e;

    if (f->lost)
        return mill_fail(err, MILL_E_STATE, "parquet", "rows of the file were lost");
    if (!f->finished) {
        rc = file_cut(f, err);
        if (!rc)
            rc = file_encode(f, f->count ? f->count : 1, err);
        if (rc)
            return rc;
        writer = f->writer;
        f->writer = NULL; /* finish frees it whatever comes */
        f->lost = true;
        e = f->conf->lib->finish(writer, pairs, n, text, sizeof text);
        if (e)
            return file_failed(e, text, err);
        f->lost = false;
        f->finished = true;
    }
    *bytes = mill_buf_view(&f->out);
    return MILL_OK;
}
