/* One partition's range: records in, files in the making. */
#include "sink_parquet/range.h"

#include "avro/codec.h"
#include "lake/raw.h"

#include <stdlib.h>

enum {
    PART_REJECTED_MAX = 1 << 20,
    PART_ROW_BYTES = 16,   /**< of a row's, or a header's, ends and lengths */
    PART_NAME_BYTES = 160, /**< of an object's name in a footer, beside prefix and topic */
};

struct sink_part *sink_part_find(struct sink *s, const char *topic, int32_t partition)
{
    for (size_t k = 0; k < s->n_parts; k++) {
        size_t i = (s->last_part + k) % s->n_parts; /* records come in runs of one partition */
        if (s->parts[i]->partition == partition && !strcmp(s->parts[i]->topic->name, topic)) {
            s->last_part = i;
            return s->parts[i];
        }
    }
    return NULL;
}

enum mill_code sink_part_new(struct mill_ctx *ctx, const struct mill_position *at,
                             struct sink_part **out, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct sink *s = mill_state(ctx);
    struct sink_topic *topic = NULL;
    struct sink_part *p, **more;
    enum mill_code rc = sink_topic(ctx, at->topic, &topic, err);

    *out = NULL;
    if (rc)
        return rc;
    more = realloc(s->parts, (s->n_parts + 1) * sizeof(struct sink_part *));
    if (more)
        s->parts = more;
    p = more ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "partition", "out of memory");
    p->topic = p->home = topic;
    p->partition = at->partition;
    p->name_bytes = PART_NAME_BYTES + strlen(conf->s3.prefix) + 2 * strlen(topic->name);
    mill_str_cut(mill_str(at->topic_id), p->topic_id, sizeof p->topic_id);
    p->shape = mill_shape_keep(topic->shape);
    mill_buf_init(&p->rejected, PART_REJECTED_MAX);
    mill_arena_init(&p->mem);
    s->parts[s->n_parts++] = p;
    *out = p;
    return MILL_OK;
}

static size_t part_largest_of(const struct sink_part *p, size_t most)
{
    for (size_t k = 0; p && k < p->n_files; k++)
        if (p->files[k].held > most)
            most = p->files[k].held;
    return most;
}

static size_t part_largest(const struct sink *s)
{
    size_t most = 0;

    for (size_t i = 0; i < s->n_parts; i++) {
        most = part_largest_of(s->parts[i], most);
        most = part_largest_of(s->parts[i]->out, most);
    }
    return most;
}

static void part_files_free(struct sink *s, struct sink_part *p)
{
    for (size_t i = 0; i < p->n_files; i++)
        mill_lake_file_free(p->files[i].file);
    free(p->files);
    p->files = NULL;
    p->n_files = 0;
    s->held -= p->held;
    p->held = 0;
    s->largest = part_largest(s);
    free(p->failed);
    p->failed = NULL;
    p->n_failed = p->failed_size = p->failed_bytes = 0;
    mill_arena_release(&p->mem);
}

void sink_part_reset(struct sink *s, struct sink_part *p, int64_t start)
{
    part_files_free(s, p);
    mill_buf_release(&p->rejected);
    p->state = SINK_OPEN;
    p->start = start;
    p->next = start;
    p->rows = 0;
    p->rejects = 0;
    p->redo = false;
    p->topic = p->home;
    if (p->shape != p->topic->shape) {
        sink_fills_clear(p);
        mill_shape_free(p->shape);
        p->shape = mill_shape_keep(p->topic->shape);
    }
}

bool sink_part_take_out(struct sink *s, struct sink_part *p)
{
    struct sink_part *out = malloc(sizeof *out);

    if (!out)
        return false;
    *out = *p;
    out->n_fills = 0; /* they stay */
    p->out = out;
    s->n_out++;
    p->files = NULL;
    p->n_files = 0;
    p->failed = NULL;
    p->n_failed = p->failed_size = p->failed_bytes = 0;
    p->held = 0;
    mill_arena_init(&p->mem);
    mill_buf_init(&p->rejected, PART_REJECTED_MAX);
    mill_shape_keep(p->shape);
    sink_part_reset(s, p, out->plan.end);
    return true;
}

static void part_free(struct sink *s, struct sink_part *p)
{
    part_files_free(s, p);
    sink_fills_clear(p);
    mill_shape_free(p->shape);
    mill_buf_release(&p->rejected);
    free(p);
}

void sink_part_out_free(struct sink *s, struct sink_part *p)
{
    if (!p->out)
        return;
    part_free(s, p->out);
    p->out = NULL;
    s->n_out--;
}

void sink_part_drop(struct sink *s, struct sink_part *p)
{
    if (!p)
        return;
    sink_upload_cancel(s, p);
    sink_part_out_free(s, p);
    for (size_t i = 0; i < s->n_parts; i++)
        if (s->parts[i] == p) {
            s->parts[i] = s->parts[--s->n_parts];
            break;
        }
    s->last_part = 0;
    part_free(s, p);
}

/** The range's file for this kind and time, made at first use. */
static enum mill_code part_file(struct sink *s, struct sink_part *p, enum mill_object_kind kind,
                                int64_t time_us, struct sink_file **out, struct mill_err *err)
{
    struct mill_shape *shape = kind == MILL_OBJECT_REJECTED ? s->rejected_shape
                               : p->topic->raw              ? s->raw_shape
                                                            : p->shape;
    struct sink_file *more, *f;
    int hour = -1;
    int32_t day = mill_object_day(time_us, p->topic->hours ? &hour : NULL);
    enum mill_code rc;

    for (size_t i = 0; i < p->n_files; i++)
        if (p->files[i].day == day && p->files[i].hour == hour && p->files[i].kind == kind) {
            *out = &p->files[i];
            return MILL_OK;
        }
    more = realloc(p->files, (p->n_files + 1) * sizeof *more);
    if (!more)
        return mill_fail(err, MILL_E_NOMEM, "file", "out of memory");
    p->files = more;
    f = &more[p->n_files];
    *f = (struct sink_file){.kind = kind, .day = day, .hour = hour};
    rc = mill_lake_file_new(&f->file, &s->lake, shape, err);
    if (rc)
        return rc;
    p->n_files++;
    *out = f;
    return MILL_OK;
}

static size_t part_header_bytes(struct mill_map headers)
{
    size_t n = 0;

    for (size_t i = 0; i < headers.n; i++)
        n += headers.v[i].key.n + headers.v[i].value.n;
    return n;
}

/** Count a row that was added to a file: with its headers, where it has them (a raw one). */
static enum mill_code part_added(struct sink *s, struct sink_part *p, struct sink_file *f,
                                 const struct mill_record *in, struct mill_err *err)
{
    size_t bytes = in->raw.n + in->key.n + part_header_bytes(in->headers) +
                   (1 + in->headers.n) * PART_ROW_BYTES;
    enum mill_code rc = mill_lake_file_added(f->file, bytes, err);
    size_t held = mill_lake_file_held(f->file);

    f->rows++;
    p->held += held - f->held;
    s->held += held - f->held;
    f->held = held;
    s->largest = held > s->largest ? held : s->largest;
    return rc;
}

static struct mill_row_meta part_meta(const struct mill_record *in)
{
    return (struct mill_row_meta){.topic = mill_str(in->topic),
                                  .key = in->key,
                                  .partition = in->partition,
                                  .offset = in->offset,
                                  .timestamp_us = in->timestamp_us};
}

static enum mill_code part_add_raw(struct mill_ctx *ctx, struct sink_part *p,
                                   enum mill_object_kind kind, const struct mill_record *in,
                                   struct mill_str reason, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct mill_row_meta meta = part_meta(in);
    struct sink_file *f = NULL;
    enum mill_code rc = part_file(s, p, kind, in->timestamp_us, &f, err);

    if (!rc)
        rc = mill_raw_row(mill_lake_file_rows(f->file), &meta, in->raw, in->headers, reason, err);
    return rc ? rc : part_added(s, p, f, in, err);
}

static struct mill_str part_dup(struct sink_part *p, struct mill_str s, bool *ok)
{
    struct mill_str copy = {NULL, 0};

    if (s.p && *ok) {
        copy = mill_arena_dup(&p->mem, s);
        *ok = copy.p != NULL;
    }
    return copy;
}

/** A copy for the record's failure record, which goes out with the commit that ends the range. */
static enum mill_code part_failed(struct sink *s, struct sink_part *p, const struct mill_record *in,
                                  const struct mill_err *why, struct mill_err *err)
{
    struct mill_sink_failure *f;
    struct mill_pair *h = mill_arena_calloc(&p->mem, in->headers.n + 1, sizeof *h);
    size_t bytes = sizeof *f + in->key.n + in->raw.n + in->headers.n * sizeof *h +
                   part_header_bytes(in->headers);
    bool ok = h != NULL;

    if (p->n_failed == p->failed_size) {
        size_t size = p->failed_size ? 2 * p->failed_size : 8;
        f = realloc(p->failed, size * sizeof *f);
        if (!f)
            return mill_fail(err, MILL_E_NOMEM, "failures", "out of memory");
        p->failed = f;
        p->failed_size = size;
    }
    f = &p->failed[p->n_failed];
    *f = (struct mill_sink_failure){.in = *in, .why = *why};
    f->in.topic = p->topic->name;
    f->in.key = part_dup(p, in->key, &ok);
    f->in.raw = part_dup(p, in->raw, &ok);
    for (size_t i = 0; ok && i < in->headers.n; i++)
        h[i] = (struct mill_pair){part_dup(p, in->headers.v[i].key, &ok),
                                  part_dup(p, in->headers.v[i].value, &ok)};
    if (!ok)
        return mill_fail(err, MILL_E_NOMEM, "failures", "out of memory");
    f->in.headers = (struct mill_map){h, in->headers.n};
    p->n_failed++;
    p->failed_bytes += bytes;
    p->held += bytes;
    s->held += bytes;
    return MILL_OK;
}

/** A record that is no row: kept with its bytes and the reason, in a place of its own. */
static enum mill_code part_reject(struct mill_ctx *ctx, struct sink_part *p,
                                  const struct mill_record *bare, struct mill_err *err)
{
    struct mill_err why = *err;
    struct mill_record in = *bare;
    enum mill_code rc = mill_sink_headers(ctx, bare, &in.headers, err);

    if (rc)
        return rc;
    if (p->rejects++ == 0) /* one line a range; the metric and the footer have them all */
        mill_log(MILL_WARN, "record_rejected",
                 MILL_KV(MILL_KS("topic", in.topic), MILL_KI("partition", in.partition),
                         MILL_KI("offset", in.offset)),
                 "%s: %s", why.where, why.text);
    mill_count(ctx, SINK_M_ROWS, MILL_OBJECT_REJECTED, 1);
    mill_buf_printf(&p->rejected, "%s%lld", p->rejected.n ? "," : "", (long long)in.offset);
    /* A tombstone is nothing that anybody could mend. */
    if (in.raw.p)
        rc = part_failed(mill_state(ctx), p, &in, &why, err);
    return rc ? rc : part_add_raw(ctx, p, MILL_OBJECT_REJECTED, &in, mill_str(why.text), err);
}

static enum mill_code part_add_row(struct mill_ctx *ctx, struct sink_part *p,
                                   const struct mill_record *in, struct mill_fill *fill,
                                   struct mill_str body, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct mill_row_meta meta = part_meta(in);
    struct sink_file *f = NULL;
    enum mill_code rc =
        part_file(s, p, MILL_OBJECT_ROWS, mill_fill_time(fill, body, in->timestamp_us), &f, err);

    if (rc)
        return rc;
    rc = mill_fill_row(fill, body, &meta, mill_lake_file_rows(f->file), err);
    if (rc == MILL_E_DATA)
        return part_reject(ctx, p, in, err);
    if (rc)
        return rc;
    mill_count(ctx, SINK_M_ROWS, MILL_OBJECT_ROWS, 1);
    return part_added(s, p, f, in, err);
}

static enum mill_code part_split(const struct mill_record *in, int32_t *id, struct mill_str *body,
                                 struct mill_err *err)
{
    if (!in->raw.p)
        return mill_fail(err, MILL_E_DATA, "value", "the record has no value");
    return mill_frame_split(in->raw, id, body, err);
}

/** @param roll out: the range must be rolled first. @return MILL_OK; MILL_E_IO: not now; others:
 *  stop */
static enum mill_code part_add_avro(struct mill_ctx *ctx, struct sink_part *p,
                                    const struct mill_record *in, bool *roll, struct mill_err *err)
{
    struct mill_fill *fill = NULL;
    struct mill_str body;
    int32_t id = 0;

    if (part_split(in, &id, &body, err))
        return part_reject(ctx, p, in, err);
    switch (sink_fill(ctx, p, id, &fill, err)) {
    case SINK_FITS:
        return part_add_row(ctx, p, in, fill, body, err);
    case SINK_REFUSED:
        return part_reject(ctx, p, in, err);
    case SINK_ROLL_FIRST:
        *roll = true;
        return MILL_E_IO;
    case SINK_AWAY:
        sink_fault(ctx, SINK_FAULT_REGISTRY, err);
        return MILL_E_IO;
    case SINK_WAIT:
        return MILL_E_IO;
    default:
        return MILL_E_NOMEM;
    }
}

/** Before the first row of a redo: the shape that its author had. */
static enum mill_verdict part_ready_redo(struct mill_ctx *ctx, struct sink_part *p,
                                         struct mill_err *err)
{
    struct mill_fill *fill;

    for (size_t i = 0; i < p->plan.n; i++) {
        enum sink_fit fit = sink_fill(ctx, p, p->plan.schemas[i], &fill, err);
        if (fit == SINK_AWAY || fit == SINK_WAIT) {
            sink_fault(ctx, SINK_FAULT_REGISTRY, err);
            return MILL_LATER;
        }
        if (fit != SINK_FITS)
            return MILL_STOP;
    }
    p->redo_ready = true;
    return MILL_DONE;
}

enum mill_verdict sink_part_add(struct mill_ctx *ctx, struct sink_part *p,
                                const struct mill_record *in, bool *roll, struct mill_err *err)
{
    enum mill_code rc;

    *roll = false;
    if (in->offset < p->next)
        return MILL_DONE; /* has it already */
    if (p->redo && !p->redo_ready) {
        enum mill_verdict v = part_ready_redo(ctx, p, err);
        if (v != MILL_DONE)
            return v;
    }
    if (p->topic->raw) {
        struct mill_record whole = *in;
        rc = mill_sink_headers(ctx, in, &whole.headers, err);
        if (!rc)
            rc = part_add_raw(ctx, p, MILL_OBJECT_ROWS, &whole, (struct mill_str){0}, err);
        mill_count(ctx, SINK_M_ROWS, MILL_OBJECT_ROWS, 1);
    } else {
        rc = part_add_avro(ctx, p, in, roll, err);
    }
    if (rc == MILL_E_IO)
        return MILL_LATER;
    if (rc) { /* a file may have lost rows: nothing of this range may leave any more */
        p->state = SINK_DEAD;
        return MILL_STOP;
    }
    if (p->rows++ == 0)
        p->opened_ms = mill_tick_ms();
    p->next = in->offset + 1;
    return MILL_DONE;
}
