/** @file s3_upload.c  @brief Begin, part, complete, abort: see s3_upload.h. */
#include "net/s3_upload.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/s3_in.h"
#include "net/url.h"
#include "net/xml.h"
#include <stdlib.h>

enum {
    UPLOAD_PARTS_MAX = 10000,  /* S3's own limit */
    UPLOAD_LIST_MAX = 4 << 20, /* the completion's list of parts */
    UPLOAD_ID_MAX = 3 * 1024,  /* encoded */
    UPLOAD_QUERY_MAX = UPLOAD_ID_MAX + 64,
};

struct mill_s3_upload {
    struct mill_s3 *s;
    struct mill_arena mem; /* key and metadata */
    const char *key;
    struct mill_map meta;
    size_t part_bytes;
    struct mill_buf part; /* not yet sent */
    struct mill_buf id;   /* the service's, URL-encoded; empty = not begun, or over */
    struct mill_buf list; /* of the parts sent, as XML */
    unsigned n_parts;
    uint64_t bytes; /* in those parts */
};

static enum mill_code upload_nomem(struct mill_err *err)
{
    return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
}

enum mill_code mill_s3_upload_new(struct mill_s3_upload **out, struct mill_s3 *s, const char *key,
                                  struct mill_map meta, size_t part_bytes, struct mill_err *err)
{
    struct mill_s3_upload *u = calloc(1, sizeof *u);
    struct mill_pair *pairs = NULL;
    bool ok;

    *out = NULL;
    if (!u)
        return upload_nomem(err);
    u->s = s;
    u->part_bytes = part_bytes ? part_bytes : MILL_S3_PART_BYTES;
    mill_arena_init(&u->mem);
    mill_buf_init(&u->part, u->part_bytes);
    mill_buf_init(&u->id, UPLOAD_ID_MAX);
    mill_buf_init(&u->list, UPLOAD_LIST_MAX);
    u->key = mill_arena_dup(&u->mem, mill_str(key)).p;
    pairs = mill_arena_calloc(&u->mem, meta.n + 1, sizeof *pairs);
    ok = u->key && pairs;
    for (size_t i = 0; i < meta.n && ok; i++) {
        pairs[i].key = mill_arena_dup(&u->mem, meta.v[i].key);
        pairs[i].value = mill_arena_dup(&u->mem, meta.v[i].value);
        ok = pairs[i].key.p && pairs[i].value.p;
    }
    u->meta = (struct mill_map){pairs, meta.n};
    if (!ok) {
        mill_s3_upload_free(u);
        return upload_nomem(err);
    }
    *out = u;
    return MILL_OK;
}

/* The query of what concerns this upload; part 0 = none. Parameters in order: see s3_request.c. */
static bool upload_query(const struct mill_s3_upload *u, unsigned part, struct mill_buf *out)
{
    mill_buf_init(out, UPLOAD_QUERY_MAX);
    if (part)
        mill_buf_printf(out, "partNumber=%u&", part);
    mill_buf_printf(out, "uploadId=%s", u->id.p);
    return !out->failed;
}

/* Once: the service may be what has failed. */
static void upload_abort(struct mill_s3_upload *u)
{
    struct s3_request rq = {.method = "DELETE", .key = u->key};
    struct s3_reply reply;
    struct mill_buf query;
    struct mill_err err = {0};
    enum mill_code code = MILL_E_NOMEM;

    if (upload_query(u, 0, &query)) {
        rq.query = query.p;
        code = mill_s3_send(u->s, &rq, &reply, &err);
        if (!code && !reply.whole)
            code = mill_fail(&err, MILL_E_IO, "s3", "DELETE %s: %s", u->key, u->s->why);
        if (!code)
            code = mill_s3_status(&rq, &reply, &err);
    }
    if (code && code != MILL_E_NOENT)
        mill_log_err(MILL_WARN, "upload_left", &err);
    mill_buf_release(&query);
}

void mill_s3_upload_free(struct mill_s3_upload *u)
{
    if (!u)
        return;
    if (u->id.n)
        upload_abort(u);
    mill_buf_release(&u->part);
    mill_buf_release(&u->id);
    mill_buf_release(&u->list);
    mill_arena_release(&u->mem);
    free(u);
}

static enum mill_code upload_begin(struct mill_s3_upload *u, struct mill_err *err)
{
    struct s3_request rq = {.method = "POST", .key = u->key, .query = "uploads="};
    char names[S3_META_MAX][S3_META_NAME_MAX];
    struct s3_reply reply;
    struct mill_buf id;
    enum mill_code code = mill_s3_meta(&rq, u->meta, names, err);

    if (!code)
        code = mill_s3_try(u->s, &rq, &reply, err);
    if (!code)
        code = mill_s3_status(&rq, &reply, err);
    if (code)
        return code == MILL_E_NOENT ? MILL_E_CONFIG : code;
    mill_buf_init(&id, UPLOAD_ID_MAX / 3);
    if (!mill_xml_find(reply.body, "UploadId", &id) || !id.n)
        code = mill_fail(err, MILL_E_DATA, "s3", "POST %s: no upload id", u->key);
    else if (!mill_url_encode(&u->id, mill_buf_view(&id), ""))
        code = upload_nomem(err);
    mill_buf_release(&id);
    return code;
}

/* Somebody aborted it: an operator, a lifecycle rule. */
static enum mill_code upload_gone(const struct mill_s3_upload *u, struct mill_err *err)
{
    return mill_fail(err, MILL_E_IO, "s3", "%s: its upload is no more", u->key);
}

/* The service's tag of a part, which the completion repeats. */
static enum mill_code upload_listed(struct mill_s3_upload *u, struct mill_str etag,
                                    struct mill_err *err)
{
    for (size_t i = 0; i < etag.n; i++)
        if (etag.p[i] == '<' || etag.p[i] == '&')
            etag.n = 0;
    if (!etag.n)
        return mill_fail(err, MILL_E_DATA, "s3", "PUT %s: a part without ETag", u->key);
    mill_buf_printf(&u->list, "<Part><PartNumber>%u</PartNumber><ETag>%.*s</ETag></Part>",
                    u->n_parts, MILL_FMT(etag));
    return u->list.failed ? upload_nomem(err) : MILL_OK;
}

static enum mill_code upload_part(struct mill_s3_upload *u, struct mill_str bytes,
                                  struct mill_err *err)
{
    struct s3_request rq = {.method = "PUT", .key = u->key, .body = bytes};
    struct s3_reply reply;
    struct mill_buf query;
    enum mill_code code = u->id.n ? MILL_OK : upload_begin(u, err);

    if (code)
        return code;
    if (u->n_parts == UPLOAD_PARTS_MAX)
        return mill_fail(err, MILL_E_CONFIG, "s3", "%s has more than %d parts of %zu bytes", u->key,
                         UPLOAD_PARTS_MAX, u->part_bytes);
    if (!upload_query(u, ++u->n_parts, &query))
        return upload_nomem(err);
    rq.query = query.p;
    code = mill_s3_try(u->s, &rq, &reply, err);
    if (!code)
        code = mill_s3_status(&rq, &reply, err);
    if (code == MILL_E_NOENT)
        code = upload_gone(u, err);
    if (!code)
        code = upload_listed(u, mill_s3_header(&reply, "ETag"), err);
    if (!code)
        u->bytes += bytes.n;
    mill_buf_release(&query);
    return code;
}

enum mill_code mill_s3_upload_add(struct mill_s3_upload *u, struct mill_str bytes,
                                  struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    while (bytes.n && !code) {
        size_t n = u->part_bytes - u->part.n;

        if (!n) { /* only now is it known that it is not the object's last */
            code = upload_part(u, mill_buf_view(&u->part), err);
            mill_buf_reset(&u->part);
            continue;
        }
        n = n < bytes.n ? n : bytes.n;
        if (!mill_buf_add(&u->part, bytes.p, n))
            code = upload_nomem(err);
        bytes = (struct mill_str){bytes.p + n, bytes.n - n};
    }
    return code;
}

/* A completion may begin with 200 and end in an error. */
static bool upload_failed_late(const struct s3_reply *reply)
{
    struct mill_buf name;
    bool yes;

    if (!reply->whole || reply->status != 200)
        return false;
    mill_buf_init(&name, 128);
    yes = mill_xml_find(reply->body, "Code", &name);
    mill_buf_release(&name);
    return yes;
}

enum upload_step {
    UPLOAD_CREATED,
    UPLOAD_IS_THERE,
    UPLOAD_ANEW,
    UPLOAD_GONE,
    UPLOAD_AGAIN,
    UPLOAD_REFUSED
};

/* What a completion's reply means. doubt: set when the object may be there although it says not. */
static enum upload_step upload_read(const struct s3_reply *reply, bool *doubt)
{
    if (upload_failed_late(reply) || !reply->whole || reply->status >= 500) {
        *doubt = *doubt || !reply->whole || reply->status != 503;
        return UPLOAD_AGAIN;
    }
    switch (reply->status) {
    case 200:
        return UPLOAD_CREATED;
    case 404: /* NoSuchUpload: aborted, or completed by an attempt whose reply was lost */
        *doubt = true;
        return UPLOAD_GONE;
    case 409: /* a race with another conditional write: S3 wants the parts anew */
        return UPLOAD_ANEW;
    case 412:
        return UPLOAD_IS_THERE;
    case 429:
        return UPLOAD_AGAIN;
    default:
        return UPLOAD_REFUSED;
    }
}

static enum mill_code upload_send_complete(struct mill_s3_upload *u, const struct s3_request *rq,
                                           enum mill_s3_put *how, struct mill_err *err)
{
    int64_t began = mill_tick_ms();
    struct s3_reply reply;
    bool doubt = false;

    for (unsigned n = 1;; n++) {
        enum mill_code code = mill_s3_send(u->s, rq, &reply, err);
        enum upload_step step = code ? UPLOAD_REFUSED : upload_read(&reply, &doubt);

        if (code)
            return code;
        if (step == UPLOAD_CREATED || (step == UPLOAD_IS_THERE && !doubt)) {
            *how = step == UPLOAD_CREATED ? MILL_S3_CREATED : MILL_S3_EXISTS;
            if (step == UPLOAD_CREATED)
                mill_buf_reset(&u->id); /* nothing is left to abort */
            return MILL_OK;
        }
        if (step == UPLOAD_REFUSED || (step == UPLOAD_ANEW && !doubt))
            return mill_s3_status(rq, &reply, err);
        code = doubt ? mill_s3_settle(u->s, u->key, u->bytes, u->meta, how, err) : MILL_E_NOENT;
        if (code != MILL_E_NOENT)
            return code;
        if (step != UPLOAD_AGAIN)
            return upload_gone(u, err);
        if (n == S3_PUT_TRIES || mill_s3_late(u->s, began))
            return mill_fail(err, MILL_E_IO, "s3", "POST %s: not completed", u->key);
        mill_s3_pause(n);
    }
}

static enum mill_code upload_complete(struct mill_s3_upload *u, enum mill_s3_put *how,
                                      struct mill_err *err)
{
    struct s3_request rq = {.method = "POST", .key = u->key, .n_headers = 1};
    struct mill_buf body, query;
    enum mill_code code;

    mill_buf_init(&body, UPLOAD_LIST_MAX + 256);
    mill_buf_puts(&body, "<CompleteMultipartUpload xmlns="
                         "\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    mill_buf_str_add(&body, mill_buf_view(&u->list));
    mill_buf_puts(&body, "</CompleteMultipartUpload>");
    rq.headers[0] = (struct mill_pair){MILL_STR("If-None-Match"), MILL_STR("*")};
    rq.body = mill_buf_view(&body);
    if (!upload_query(u, 0, &query) || body.failed) {
        code = upload_nomem(err);
    } else {
        rq.query = query.p;
        code = upload_send_complete(u, &rq, how, err);
    }
    mill_buf_release(&query);
    mill_buf_release(&body);
    return code;
}

enum mill_code mill_s3_upload_finish(struct mill_s3_upload *u, enum mill_s3_put *how,
                                     struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    if (!u->n_parts)
        return mill_s3_put_new(u->s, u->key, mill_buf_view(&u->part), u->meta, how, err);
    if (u->part.n)
        code = upload_part(u, mill_buf_view(&u->part), err);
    mill_buf_release(&u->part);
    return code ? code : upload_complete(u, how, err);
}

enum mill_code mill_s3_put_large(struct mill_s3 *s, const char *key, struct mill_str body,
                                 struct mill_map meta, enum mill_s3_put *how, struct mill_err *err)
{
    struct mill_s3_upload *u = NULL;
    enum mill_code code;

    if (body.n <= MILL_S3_PART_BYTES)
        return mill_s3_put_new(s, key, body, meta, how, err);
    code = mill_s3_upload_new(&u, s, key, meta, 0, err);
    while (!code && body.n) {
        size_t n = body.n < u->part_bytes ? body.n : u->part_bytes;
        code = upload_part(u, (struct mill_str){body.p, n}, err);
        body = (struct mill_str){body.p + n, body.n - n};
    }
    if (!code)
        code = upload_complete(u, how, err);
    mill_s3_upload_free(u);
    return code;
}
