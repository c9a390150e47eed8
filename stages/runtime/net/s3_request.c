/** @file s3_request.c
 *  @brief A signed S3 request, sent once or again where that is safe.
 *
 * libcurl signs the URL as it is written: keys are encoded here ('=' too, only '/' stays), queries
 * come sorted, and the hash of the body is always given, since libcurl 7.88 takes "no POSTFIELDS"
 * for "no body".
 */
#include "base/clock.h"
#include "base/hash.h"
#include "net/aws_creds.h"
#include "net/http_client.h"
#include "net/s3_in.h"
#include "net/url.h"
#include "net/xml.h"
#include <stdlib.h>
#include <time.h>

enum { S3_TRIES = 4, S3_FIRST_PAUSE_MS = 100, S3_HEADERS_MAX = 64 };

struct mill_str mill_s3_header(const struct s3_reply *r, const char *name)
{
    const struct mill_http_reply as = {.headers = r->headers};

    return mill_http_header(&as, name);
}

void mill_s3_pause(unsigned n)
{
    unsigned char random = 0;
    long ms = (long)S3_FIRST_PAUSE_MS << (n - 1);
    struct timespec t;

    if (mill_random(&random, 1))
        ms += ms * random / 512; /* up to half more: writers must not come back in step */
    t = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static bool s3_url(const struct mill_s3 *s, const struct s3_request *rq, struct mill_buf *out)
{
    mill_buf_init(out, 8192);
    mill_buf_str_add(out, mill_buf_view(&s->base));
    mill_buf_putc(out, '/');
    if (rq->key)
        mill_url_encode(out, mill_str(rq->key), "/");
    if (rq->query) {
        mill_buf_putc(out, '?');
        mill_buf_puts(out, rq->query);
    }
    return !out->failed;
}

struct s3_wait {
    struct mill_s3 *s;
    struct s3_reply *reply;
    bool done, nomem;
};

/* Copies the reply: what the client hands over is gone when this returns. */
static void s3_done(void *arg, const struct mill_http_reply *r)
{
    struct s3_wait *w = arg;
    struct mill_s3 *s = w->s;
    size_t n = r->headers.n < S3_HEADERS_MAX ? r->headers.n : S3_HEADERS_MAX;

    w->done = true;
    w->reply->whole = r->end == MILL_HTTP_REPLIED;
    w->reply->lost = r->end == MILL_HTTP_LOST;
    w->reply->status = r->status;
    mill_buf_str_add(&s->body, r->body);
    w->reply->body = mill_buf_view(&s->body);
    s->headers = mill_arena_calloc(&s->mem, n ? n : 1, sizeof *s->headers);
    w->nomem = s->body.failed || !s->headers;
    for (size_t i = 0; i < n && !w->nomem; i++) {
        s->headers[i].key = mill_arena_dup(&s->mem, r->headers.v[i].key);
        s->headers[i].value = mill_arena_dup(&s->mem, r->headers.v[i].value);
        w->nomem = !s->headers[i].key.p || !s->headers[i].value.p;
    }
    w->reply->headers = (struct mill_map){s->headers, w->nomem ? 0 : n};
    mill_str_cut(mill_str(r->reason), s->why, sizeof s->why);
}

static enum mill_code s3_keys(struct mill_s3 *s, const struct mill_aws_creds **creds,
                              struct mill_err *err)
{
    enum mill_code code = mill_aws_get(s->aws, creds, err);

    return code == MILL_E_NOENT ? MILL_E_CONFIG : code;
}

void mill_s3_until(struct mill_s3 *s, int64_t tick_ms)
{
    s->until_ms = tick_ms;
}

/** The signature's time, "20130524T000000Z". */
static void s3_stamp(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm t;

    gmtime_r(&now, &t);
    strftime(out, size, "%Y%m%dT%H%M%SZ", &t);
}

static bool s3_too_late(const struct mill_s3 *s, const char *method)
{
    return s->until_ms && (!strcmp(method, "PUT") || !strcmp(method, "POST")) &&
           mill_tick_ms() > s->until_ms;
}

static enum mill_code s3_send(struct mill_s3 *s, const struct s3_request *rq,
                              const struct mill_aws_creds *creds, struct s3_reply *reply,
                              struct mill_err *err)
{
    unsigned char digest[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1], stamp[32];
    struct mill_pair headers[sizeof rq->headers / sizeof *rq->headers + 4];
    struct s3_wait w = {.s = s, .reply = reply};
    struct mill_http_call call = {.method = rq->method, .body = rq->body};
    struct mill_buf url;
    size_t n = rq->n_headers;
    enum mill_code code = MILL_OK;

    *reply = (struct s3_reply){0};
    mill_buf_reset(&s->body);
    mill_arena_reset(&s->mem);
    if (!s3_url(s, rq, &url)) {
        code = mill_fail(err, MILL_E_CONFIG, "s3", "object name too long");
        goto out;
    }
    if (!mill_sha256(rq->body, digest)) {
        code = mill_fail(err, MILL_E_NOMEM, "s3", "no SHA-256");
        goto out;
    }
    memcpy(headers, rq->headers, n * sizeof *headers);
    headers[n++] = (struct mill_pair){MILL_STR("x-amz-content-sha256"),
                                      mill_str(mill_hex(digest, sizeof digest, hex))};
    if (rq->body.n)
        headers[n++] =
            (struct mill_pair){MILL_STR("Content-Type"), MILL_STR("application/octet-stream")};
    if (creds->token[0])
        headers[n++] = (struct mill_pair){MILL_STR("x-amz-security-token"), mill_str(creds->token)};
    s3_stamp(stamp, sizeof stamp);
    headers[n++] = (struct mill_pair){MILL_STR("X-Amz-Date"), mill_str(stamp)};
    if (s3_too_late(s, rq->method)) {
        code = mill_fail(err, MILL_E_IO, "s3", "%s %s: too late for what it was planned by",
                         rq->method, rq->key ? rq->key : "/");
        goto out;
    }
    call.url = url.p;
    call.headers = (struct mill_map){headers, n};
    call.timeout_ms = s->timeout_ms;
    call.user = creds->key_id;
    call.password = creds->secret;
    call.sigv4 = s->sigv4;
    call.done = s3_done;
    call.arg = &w;
    code = mill_http_submit(s->http, &call, err);
    while (!code && !w.done)
        mill_http_poll(s->http, 1000);
    if (!code && w.nomem)
        code = mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
out:
    mill_buf_release(&url);
    return code;
}

static bool s3_code_is(const struct s3_reply *r, const char *a, const char *b)
{
    struct mill_buf code;
    bool yes;

    mill_buf_init(&code, 128);
    yes = mill_xml_find(r->body, "Code", &code) &&
          (mill_str_is(mill_buf_view(&code), a) || mill_str_is(mill_buf_view(&code), b));
    mill_buf_release(&code);
    return yes;
}

/* Says the reply that the keys are no good any more? That of HEAD has no body to say it in. */
static bool s3_refused(const struct s3_request *rq, const struct s3_reply *r)
{
    if (!r->whole)
        return false;
    if (r->status == 400)
        return !strcmp(rq->method, "HEAD") || s3_code_is(r, "ExpiredToken", "TokenRefreshRequired");
    return r->status == 401 || r->status == 403;
}

static bool s3_same_keys(const struct mill_aws_creds *a, const struct mill_aws_creds *b)
{
    return !strcmp(a->key_id, b->key_id) && !strcmp(a->secret, b->secret) &&
           !strcmp(a->token, b->token);
}

/* A 400 that is about the connection, not the request: the service did not get all of it. */
static bool s3_cut_short(const struct s3_reply *r)
{
    return r->whole && r->status == 400 && s3_code_is(r, "RequestTimeout", "IncompleteBody");
}

enum mill_code mill_s3_send(struct mill_s3 *s, const struct s3_request *rq, struct s3_reply *reply,
                            struct mill_err *err)
{
    struct mill_aws_creds used;
    const struct mill_aws_creds *creds;
    enum mill_code code = s3_keys(s, &creds, err);

    if (code)
        return code;
    used = *creds;
    code = s3_send(s, rq, &used, reply, err);
    if (!code && s3_refused(rq, reply)) { /* before anything was done */
        mill_aws_refused(s->aws);
        code = s3_keys(s, &creds, err);
        if (!code && (reply->status == 400 || !s3_same_keys(creds, &used)))
            code = s3_send(s, rq, creds, reply, err);
        if (!code && s3_refused(rq, reply))
            mill_aws_refused(s->aws); /* looked up anew at the next call, too */
    }
    explicit_bzero(&used, sizeof used);
    return code;
}

bool mill_s3_late(const struct mill_s3 *s, int64_t began_ms)
{
    return mill_tick_ms() - began_ms >= 2 * (int64_t)s->timeout_ms;
}

enum mill_code mill_s3_try(struct mill_s3 *s, const struct s3_request *rq, struct s3_reply *reply,
                           struct mill_err *err)
{
    int64_t began = mill_tick_ms();

    for (unsigned n = 1;; n++) {
        enum mill_code code = mill_s3_send(s, rq, reply, err);

        if (code)
            return code;
        if (reply->whole && reply->status < 500 && reply->status != 429 && !s3_cut_short(reply))
            return MILL_OK;
        if (n == S3_TRIES || mill_s3_late(s, began))
            break;
        mill_s3_pause(n);
    }
    if (!reply->whole)
        return mill_fail(err, MILL_E_IO, "s3", "%s %s: %s", rq->method, rq->key ? rq->key : "/",
                         s->why);
    return mill_s3_status(rq, reply, err);
}

enum mill_code mill_s3_status(const struct s3_request *rq, const struct s3_reply *reply,
                              struct mill_err *err)
{
    const char *key = rq->key ? rq->key : "/";
    struct mill_buf name;
    enum mill_code code = MILL_E_CONFIG;

    if (reply->status >= 200 && reply->status < 300)
        return MILL_OK;
    mill_buf_init(&name, 128);
    if (!mill_xml_find(reply->body, "Code", &name))
        mill_buf_reset(&name); /* HEAD has no body */
    if (reply->status >= 500 || reply->status == 429 || reply->status == 409 ||
        reply->status == 408 || s3_cut_short(reply))
        code = MILL_E_IO;
    else if (s3_refused(rq, reply))
        code = MILL_E_AUTH;
    else if (reply->status == 404 && !mill_str_is(mill_buf_view(&name), "NoSuchBucket"))
        code = MILL_E_NOENT;
    mill_fail(err, code, "s3", "%s %s: %ld %.*s", rq->method, key, reply->status,
              MILL_FMT(mill_buf_view(&name)));
    mill_buf_release(&name);
    return code;
}
