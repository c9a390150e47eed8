/** @file s3_move.c  @brief What moves objects about inside of the service: copy, delete many. */
#include "base/hash.h"
#include "net/s3_in.h"
#include "net/url.h"
#include "net/xml.h"

enum { MOVE_KEYS = 1000 /**< most that one request may name */, MOVE_BODY_MAX = 8 << 20 };

/** An error that comes with status 200, as COPY and DELETE of many have it. */
static enum mill_code move_said(const struct s3_request *rq, const struct s3_reply *reply,
                                const char *root, struct mill_err *err)
{
    struct mill_buf code;
    struct mill_xml x;
    struct mill_str name = {NULL, 0};
    enum mill_code rc = mill_s3_status(rq, reply, err);

    if (rc)
        return rc;
    mill_buf_init(&code, 128);
    mill_xml_init(&x, reply->body);
    if (mill_xml_find(reply->body, "Code", &code))
        rc = mill_fail(err, MILL_E_IO, "s3", "%s %s: %.*s", rq->method, rq->key ? rq->key : "/",
                       MILL_FMT(mill_buf_view(&code)));
    else if (mill_xml_next(&x, &name) != MILL_XML_OPEN || !mill_str_is(name, root))
        rc = mill_fail(err, MILL_E_DATA, "s3", "%s %s: no %s came back", rq->method,
                       rq->key ? rq->key : "/", root);
    mill_buf_release(&code);
    return rc;
}

enum mill_code mill_s3_copy(struct mill_s3 *s, const char *from, const char *to,
                            struct mill_err *err)
{
    struct s3_request rq = {.method = "PUT", .key = to, .n_headers = 1};
    struct s3_reply reply;
    struct mill_buf source;
    enum mill_code code;

    mill_buf_init(&source, 8192);
    mill_buf_printf(&source, "/%s/", s->bucket);
    mill_url_encode(&source, mill_str(from), "/");
    rq.headers[0] = (struct mill_pair){MILL_STR("x-amz-copy-source"), mill_buf_view(&source)};
    code = source.failed ? mill_fail(err, MILL_E_CONFIG, "s3", "object name too long")
                         : mill_s3_try(s, &rq, &reply, err);
    if (!code)
        code = move_said(&rq, &reply, "CopyObjectResult", err);
    mill_buf_release(&source);
    return code;
}

static enum mill_code move_delete(struct mill_s3 *s, const struct mill_str *keys, size_t n,
                                  struct mill_buf *body, struct mill_err *err)
{
    struct s3_request rq = {.method = "POST", .query = "delete=", .n_headers = 2};
    unsigned char digest[MILL_SHA256_BYTES];
    struct s3_reply reply;
    struct mill_buf sum;
    enum mill_code code = MILL_OK;

    mill_buf_reset(body);
    mill_buf_puts(body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                        "<Quiet>true</Quiet>");
    for (size_t i = 0; i < n; i++) {
        mill_buf_puts(body, "<Object><Key>");
        for (size_t k = 0; k < keys[i].n; k++)
            if (strchr("<>&\"'", keys[i].p[k]))
                mill_buf_printf(body, "&#%d;", keys[i].p[k]);
            else
                mill_buf_putc(body, keys[i].p[k]);
        mill_buf_puts(body, "</Key></Object>");
    }
    mill_buf_puts(body, "</Delete>");
    rq.body = mill_buf_view(body);
    mill_buf_init(&sum, 64);
    if (body->failed || !mill_sha256(rq.body, digest) ||
        !mill_base64_add(&sum, (struct mill_str){(const char *)digest, sizeof digest}))
        code = mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    /* S3 wants a sum of this body that is not only the signature's. */
    rq.headers[0] = (struct mill_pair){MILL_STR("x-amz-checksum-sha256"), mill_buf_view(&sum)};
    rq.headers[1] =
        (struct mill_pair){MILL_STR("x-amz-sdk-checksum-algorithm"), MILL_STR("SHA256")};
    if (!code)
        code = mill_s3_try(s, &rq, &reply, err);
    if (!code)
        code = move_said(&rq, &reply, "DeleteResult", err);
    mill_buf_release(&sum);
    return code;
}

enum mill_code mill_s3_delete_many(struct mill_s3 *s, const struct mill_str *keys, size_t n,
                                   struct mill_err *err)
{
    struct mill_buf body;
    enum mill_code code = MILL_OK;

    mill_buf_init(&body, MOVE_BODY_MAX);
    for (size_t i = 0; i < n && !code; i += MOVE_KEYS)
        code = move_delete(s, keys + i, n - i < MOVE_KEYS ? n - i : MOVE_KEYS, &body, err);
    mill_buf_release(&body);
    return code == MILL_E_NOENT ? MILL_E_CONFIG : code;
}
