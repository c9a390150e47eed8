/** @file s3.c  @brief The verbs of S3: put if new, get, head, delete, list. */
#include "net/s3.h"

#include "base/clock.h"
#include "net/aws_creds.h"
#include "net/aws_in.h"
#include "net/http_client.h"
#include "net/s3_in.h"
#include "net/url.h"
#include "net/xml.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { S3_TIMEOUT_MS = 60000 };

#define S3_BODY_BYTES (UINT64_C(1) << 30) /* of one reply, held in memory */

static bool s3_base(struct mill_s3 *s, const struct mill_s3_conf *conf)
{
    const char *endpoint = conf->endpoint;
    const char *host;
    size_t n;

    mill_buf_init(&s->base, 1024);
    if (!endpoint || !endpoint[0]) {
        mill_buf_printf(&s->base, "https://");
        if (conf->virtual_host)
            mill_buf_printf(&s->base, "%s.", conf->bucket);
        mill_buf_printf(&s->base, "s3.%s.amazonaws.com%s", s->region,
                        !strncmp(s->region, "cn-", 3) ? ".cn" : "");
    } else {
        host = strstr(endpoint, "://");
        host = host ? host + 3 : endpoint;
        for (n = strlen(host); n && host[n - 1] == '/'; n--)
            continue;
        if (!n)
            return false;
        mill_buf_add(&s->base, endpoint, (size_t)(host - endpoint));
        if (conf->virtual_host)
            mill_buf_printf(&s->base, "%s.", conf->bucket);
        mill_buf_add(&s->base, host, n);
    }
    if (!conf->virtual_host)
        mill_buf_printf(&s->base, "/%s", conf->bucket);
    return !s->base.failed;
}

enum mill_code mill_s3_new(struct mill_s3 **out, const struct mill_s3_conf *conf,
                           struct mill_err *err)
{
    static const struct mill_http_conf http = {.reply_max_bytes = S3_BODY_BYTES};
    const char *region =
        conf->region && conf->region[0] ? conf->region : mill_aws_env("AWS_REGION");
    struct mill_s3 *s = NULL;
    enum mill_code code;

    *out = NULL;
    if (!conf->bucket || !conf->bucket[0])
        return mill_fail(err, MILL_E_CONFIG, "bucket", "no bucket given");
    if (!region)
        region = mill_aws_env("AWS_DEFAULT_REGION");
    s = calloc(1, sizeof *s);
    if (!s)
        return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    mill_str_cut(mill_str(region ? region : "us-east-1"), s->region, sizeof s->region);
    snprintf(s->bucket, sizeof s->bucket, "%s", conf->bucket);
    snprintf(s->sigv4, sizeof s->sigv4, "aws:amz:%s:s3", s->region);
    s->timeout_ms = conf->timeout_ms ? conf->timeout_ms : S3_TIMEOUT_MS;
    mill_buf_init(&s->body, (size_t)S3_BODY_BYTES);
    mill_arena_init(&s->mem);
    code = s3_base(s, conf) ? MILL_OK
           : s->base.nomem  ? mill_fail(err, MILL_E_NOMEM, "s3", "out of memory")
                            : mill_fail(err, MILL_E_CONFIG, "endpoint", "no base URL");
    if (!code)
        code = mill_http_new(&s->http, &http, err);
    if (!code)
        code = mill_aws_new(&s->aws, s->region, err);
    if (code)
        mill_s3_free(s);
    else
        *out = s;
    return code;
}

void mill_s3_free(struct mill_s3 *s)
{
    if (!s)
        return;
    mill_http_free(s->http);
    mill_aws_free(s->aws);
    mill_buf_release(&s->base);
    mill_buf_release(&s->body);
    mill_arena_release(&s->mem);
    free(s);
}

/* --- PUT ------------------------------------------------------------------------------------- */

static bool s3_same_meta(struct mill_map a, struct mill_map b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        bool same = false;

        for (size_t k = 0; k < b.n && !same; k++)
            same = mill_str_eq(a.v[i].key, b.v[k].key) && mill_str_eq(a.v[i].value, b.v[k].value);
        if (!same)
            return false;
    }
    return true;
}

enum mill_code mill_s3_settle(struct mill_s3 *s, const char *key, uint64_t bytes,
                              struct mill_map meta, enum mill_s3_put *how, struct mill_err *err)
{
    struct mill_s3_head head;
    enum mill_code code = mill_s3_head(s, key, &head, err);

    if (!code)
        *how =
            head.bytes == bytes && s3_same_meta(head.meta, meta) ? MILL_S3_CREATED : MILL_S3_EXISTS;
    return code;
}

enum mill_code mill_s3_meta(struct s3_request *rq, struct mill_map meta,
                            char names[S3_META_MAX][S3_META_NAME_MAX], struct mill_err *err)
{
    if (meta.n > S3_META_MAX)
        return mill_fail(err, MILL_E_CONFIG, "s3", "more than %d metadata entries", S3_META_MAX);
    for (size_t i = 0; i < meta.n; i++) {
        snprintf(names[i], sizeof names[i], "x-amz-meta-%.*s", MILL_FMT(meta.v[i].key));
        rq->headers[rq->n_headers++] = (struct mill_pair){mill_str(names[i]), meta.v[i].value};
    }
    return MILL_OK;
}

/* 409 is a race with another conditional write, 503 means slow down: again. A lost reply, or a 5xx
 * that may hide a write: HEAD tells; if nothing is there, again. */
enum mill_code mill_s3_put_new(struct mill_s3 *s, const char *key, struct mill_str body,
                               struct mill_map meta, enum mill_s3_put *how, struct mill_err *err)
{
    struct s3_request rq = {.method = "PUT", .key = key, .body = body, .n_headers = 1};
    char names[S3_META_MAX][S3_META_NAME_MAX];
    struct s3_reply reply;
    int64_t began = mill_tick_ms();
    bool doubt = false; /* an earlier attempt may have written the object */
    enum mill_code code = mill_s3_meta(&rq, meta, names, err);

    rq.headers[0] = (struct mill_pair){MILL_STR("If-None-Match"), MILL_STR("*")};
    for (unsigned n = 1; !code; n++) {
        code = mill_s3_send(s, &rq, &reply, err);
        if (code)
            break;
        if (reply.whole && reply.status == 412) {
            *how = MILL_S3_EXISTS;
            return doubt ? mill_s3_settle(s, key, body.n, meta, how, err) : MILL_OK;
        }
        if (reply.whole && reply.status < 500 && reply.status != 409 && reply.status != 429) {
            code = mill_s3_status(&rq, &reply, err);
            if (!code)
                *how = MILL_S3_CREATED;
            return code == MILL_E_NOENT ? MILL_E_CONFIG : code;
        }
        doubt = doubt || reply.lost || reply.status >= 500;
        if (reply.lost || (reply.status >= 500 && reply.status != 503)) {
            code = mill_s3_settle(s, key, body.n, meta, how, err);
            if (code != MILL_E_NOENT)
                return code;
            code = MILL_OK;
        }
        if (n == S3_PUT_TRIES || mill_s3_late(s, began))
            return reply.whole ? mill_s3_status(&rq, &reply, err)
                               : mill_fail(err, MILL_E_IO, "s3", "PUT %s: %s", key, s->why);
        mill_s3_pause(n);
    }
    return code;
}

/* --- GET, HEAD, DELETE ----------------------------------------------------------------------- */

static enum mill_code s3_get(struct mill_s3 *s, struct s3_request *rq, uint64_t want,
                             struct mill_buf *out, struct mill_err *err)
{
    struct s3_reply reply;
    struct mill_str length;
    int64_t n = -1;
    enum mill_code code = mill_s3_try(s, rq, &reply, err);

    if (!code && reply.status == 416)
        return mill_fail(err, MILL_E_DATA, "s3", "%s has no such range", rq->key);
    if (!code)
        code = mill_s3_status(rq, &reply, err);
    if (code)
        return code;
    length = mill_s3_header(&reply, "Content-Length");
    if (length.p && (!mill_str_i64(length, &n) || (uint64_t)n != reply.body.n))
        return mill_fail(err, MILL_E_DATA, "s3", "%s is larger than %zu bytes", rq->key,
                         s->body.cap);
    if (want && (reply.status != 206 || reply.body.n != want))
        return mill_fail(err, MILL_E_DATA, "s3", "%s has fewer bytes than asked for", rq->key);
    if (!mill_buf_str_add(out, reply.body))
        return mill_fail(err, MILL_E_DATA, "s3", "%s does not fit into the buffer", rq->key);
    return MILL_OK;
}

enum mill_code mill_s3_get(struct mill_s3 *s, const char *key, struct mill_buf *out,
                           struct mill_err *err)
{
    struct s3_request rq = {.method = "GET", .key = key};

    return s3_get(s, &rq, 0, out, err);
}

enum mill_code mill_s3_get_range(struct mill_s3 *s, const char *key, uint64_t from, uint64_t n,
                                 struct mill_buf *out, struct mill_err *err)
{
    struct s3_request rq = {.method = "GET", .key = key, .n_headers = 1};
    char range[64];

    if (!n || from > UINT64_MAX - n)
        return mill_fail(err, MILL_E_CONFIG, "s3", "no such range");
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)from,
             (unsigned long long)(from + n - 1));
    rq.headers[0] = (struct mill_pair){MILL_STR("Range"), mill_str(range)};
    return s3_get(s, &rq, n, out, err);
}

/* Metadata into the client's arena, names lower case (servers differ in how they write them). */
static bool s3_read_meta(struct mill_s3 *s, const struct s3_reply *reply, struct mill_map *out)
{
    static const struct mill_str prefix = {"x-amz-meta-", 11};
    struct mill_pair *meta = mill_arena_calloc(&s->mem, reply->headers.n + 1, sizeof *meta);
    size_t n = 0;

    if (!meta)
        return false;
    for (size_t i = 0; i < reply->headers.n; i++) {
        struct mill_pair h = reply->headers.v[i];
        char *name;

        if (h.key.n <= prefix.n || !mill_str_ieq((struct mill_str){h.key.p, prefix.n}, prefix))
            continue;
        h.key = (struct mill_str){h.key.p + prefix.n, h.key.n - prefix.n};
        name = mill_arena_alloc(&s->mem, h.key.n);
        if (!name)
            return false;
        for (size_t k = 0; k < h.key.n; k++)
            name[k] = (char)tolower((unsigned char)h.key.p[k]);
        meta[n++] = (struct mill_pair){{name, h.key.n}, h.value};
    }
    *out = (struct mill_map){meta, n};
    return true;
}

enum mill_code mill_s3_head(struct mill_s3 *s, const char *key, struct mill_s3_head *out,
                            struct mill_err *err)
{
    struct s3_request rq = {.method = "HEAD", .key = key};
    struct s3_reply reply;
    int64_t bytes = 0;
    enum mill_code code = mill_s3_try(s, &rq, &reply, err);

    *out = (struct mill_s3_head){0};
    if (!code)
        code = mill_s3_status(&rq, &reply, err);
    if (code)
        return code;
    if (!mill_str_i64(mill_s3_header(&reply, "Content-Length"), &bytes) || bytes < 0)
        return mill_fail(err, MILL_E_DATA, "s3", "HEAD %s: no length", key);
    out->bytes = (uint64_t)bytes;
    mill_str_cut(mill_s3_header(&reply, "ETag"), out->etag, sizeof out->etag);
    out->modified_ms = mill_http_date_ms(mill_s3_header(&reply, "Last-Modified"));
    out->now_ms = mill_http_date_ms(mill_s3_header(&reply, "Date"));
    if (!s3_read_meta(s, &reply, &out->meta))
        return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    return MILL_OK;
}

enum mill_code mill_s3_delete(struct mill_s3 *s, const char *key, struct mill_err *err)
{
    const struct s3_request rq = {.method = "DELETE", .key = key};
    struct s3_reply reply;
    enum mill_code code = mill_s3_try(s, &rq, &reply, err);

    if (!code)
        code = mill_s3_status(&rq, &reply, err);
    return code == MILL_E_NOENT ? MILL_OK : code;
}

/* --- LIST ------------------------------------------------------------------------------------ */

struct s3_page {
    struct mill_buf key, size, truncated;
    struct mill_buf *next;
    struct mill_buf *into; /* where the text of the element at hand goes; NULL = nowhere */
    bool in_contents;
};

static void s3_page_open(struct s3_page *p, struct mill_str name, unsigned depth)
{
    p->into = NULL;
    if (depth == 2 && mill_str_is(name, "Contents")) {
        p->in_contents = true;
        mill_buf_reset(&p->key);
        mill_buf_reset(&p->size);
    } else if (depth == 3 && p->in_contents && mill_str_is(name, "Key")) {
        p->into = &p->key;
    } else if (depth == 3 && p->in_contents && mill_str_is(name, "Size")) {
        p->into = &p->size;
    } else if (depth == 2 && mill_str_is(name, "IsTruncated")) {
        p->into = &p->truncated;
    } else if (depth == 2 && mill_str_is(name, "NextContinuationToken")) {
        p->into = p->next;
    }
}

static bool s3_page_object(struct s3_page *p, bool (*each)(void *, const char *, uint64_t),
                           void *arg, bool *more)
{
    int64_t bytes;

    p->in_contents = false;
    if (!p->key.n || memchr(p->key.p, '\0', p->key.n) ||
        !mill_str_i64(mill_buf_view(&p->size), &bytes) || bytes < 0)
        return false;
    *more = each(arg, p->key.p, (uint64_t)bytes);
    return true;
}

enum mill_code mill_s3_list_page(struct mill_str xml,
                                 bool (*each)(void *arg, const char *key, uint64_t bytes),
                                 void *arg, struct mill_buf *next, bool *more, struct mill_err *err)
{
    struct s3_page p = {.next = next};
    enum mill_xml_event event;
    struct mill_xml x;
    struct mill_str s;
    bool ok = true;

    mill_buf_init(&p.key, 4096);
    mill_buf_init(&p.size, 32);
    mill_buf_init(&p.truncated, 8);
    mill_buf_reset(next);
    *more = true;
    mill_xml_init(&x, xml);
    while (ok && *more && (event = mill_xml_next(&x, &s)) != MILL_XML_DONE) {
        if (event == MILL_XML_BAD ||
            (event == MILL_XML_OPEN && x.depth == 1 && !mill_str_is(s, "ListBucketResult")))
            ok = false;
        else if (event == MILL_XML_OPEN)
            s3_page_open(&p, s, x.depth);
        else if (event == MILL_XML_TEXT && p.into)
            ok = mill_xml_decode(s, p.into);
        else if (event == MILL_XML_CLOSE && x.depth == 1 && mill_str_is(s, "Contents"))
            ok = s3_page_object(&p, each, arg, more);
        if (event == MILL_XML_CLOSE)
            p.into = NULL;
    }
    if (ok && *more && mill_str_is(mill_buf_view(&p.truncated), "true"))
        ok = next->n > 0; /* else we would stop early, silently */
    else
        mill_buf_reset(next);
    mill_buf_release(&p.key);
    mill_buf_release(&p.size);
    mill_buf_release(&p.truncated);
    return ok ? MILL_OK : mill_fail(err, MILL_E_DATA, "s3", "a listing that cannot be read");
}

enum mill_code mill_s3_list(struct mill_s3 *s, const char *prefix,
                            bool (*each)(void *arg, const char *key, uint64_t bytes), void *arg,
                            struct mill_err *err)
{
    struct mill_buf next, query;
    bool more = true;
    enum mill_code code = MILL_OK;

    mill_buf_init(&next, 4096);
    mill_buf_init(&query, 8192);
    do { /* names in order: the signature is of the query as it stands */
        struct s3_request rq = {.method = "GET"};
        struct s3_reply reply;

        mill_buf_reset(&query);
        if (next.n) {
            mill_buf_puts(&query, "continuation-token=");
            mill_url_encode(&query, mill_buf_view(&next), "");
            mill_buf_putc(&query, '&');
        }
        mill_buf_puts(&query, "list-type=2&prefix=");
        mill_url_encode(&query, mill_str(prefix ? prefix : ""), "");
        rq.query = query.p;
        code = query.failed ? mill_fail(err, MILL_E_CONFIG, "prefix", "too long")
                            : mill_s3_try(s, &rq, &reply, err);
        if (!code)
            code = mill_s3_status(&rq, &reply, err);
        if (!code)
            code = mill_s3_list_page(reply.body, each, arg, &next, &more, err);
    } while (!code && more && next.n);
    mill_buf_release(&next);
    mill_buf_release(&query);
    return code == MILL_E_NOENT ? MILL_E_CONFIG : code;
}
