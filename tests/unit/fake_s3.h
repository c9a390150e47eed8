/* A small S3 on http_server for tests: objects in memory, and every signature checked by an
 * implementation of its own (not libcurl's). Faults are put in front. */
#ifndef FAKE_S3_H
#define FAKE_S3_H

#include "base/hash.h"
#include "net/http_server.h"
#include "net/url.h"
#include "net/xml.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FAKE_S3_KEY    "AKIAIOSFODNN7EXAMPLE"
#define FAKE_S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

enum { FAKE_S3_OBJECTS = 3000, FAKE_S3_FAULTS = 8, FAKE_S3_PAGE = 1000, FAKE_PASS = 1 };

struct fake_fault {
    unsigned status; /* answered instead; 0 = no fault left, FAKE_PASS = none for this request */
    bool act_first;  /* do what was asked, then answer the fault */
    bool lost;       /* the connection is closed instead of an answer */
    const char *code;
};

struct fake_object {
    char key[256];
    char *bytes;
    size_t n;
    char meta[256]; /* of x-amz-meta-plan */
};

enum { FAKE_S3_PARTS = 16, FAKE_S3_UPLOADS = 64 };

/* An upload in parts; its id is "up/load+" and its place in the array. */
struct fake_upload {
    struct fake_object object; /* key and meta; its bytes when it is completed */
    struct {
        char *bytes;
        size_t n;
    } parts[FAKE_S3_PARTS];
    enum { FAKE_OPEN, FAKE_COMPLETED, FAKE_ABORTED } state;
};

struct fake_s3 {
    struct mill_server *server;
    pthread_mutex_t lock;
    struct fake_object objects[FAKE_S3_OBJECTS];
    size_t n_objects;
    struct fake_upload uploads[FAKE_S3_UPLOADS];
    size_t n_uploads;
    struct fake_fault faults[FAKE_S3_FAULTS];
    size_t next_fault;
    bool hangs; /* the first FAKE_S3_FAULTS requests get no answer until fake_s3_stop */
    struct mill_exchange *hung[FAKE_S3_FAULTS];
    size_t n_hung;
    atomic_int requests, puts, bad_signatures;
    char list_token[64]; /* of the last listing's request */
};

/* Signature of a request, as AWS documents it. headers: name, value pairs in order; names lower. */
static void fake_s3_sign(const char *secret, const char *date, const char *stamp,
                         const char *region, struct mill_str canonical, char *hex)
{
    unsigned char k[32], digest[32];
    char start[256];
    struct mill_buf to_sign;
    const char *parts[] = {date, region, "s3", "aws4_request"};
    char digest_hex[65];

    snprintf(start, sizeof start, "AWS4%s", secret);
    if (!mill_hmac_sha256(mill_str(start), mill_str(parts[0]), k))
        abort();
    for (size_t i = 1; i < 4; i++)
        if (!mill_hmac_sha256((struct mill_str){(char *)k, 32}, mill_str(parts[i]), k))
            abort();
    if (!mill_sha256(canonical, digest))
        abort();
    mill_buf_init(&to_sign, 4096);
    mill_buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", stamp, date,
                    region, mill_hex(digest, 32, digest_hex));
    if (!mill_hmac_sha256((struct mill_str){(char *)k, 32}, mill_buf_view(&to_sign), digest))
        abort();
    mill_hex(digest, 32, hex);
    mill_buf_release(&to_sign);
}

/* Adds name=value of a known parameter that is there. */
static void fake_s3_query(const struct mill_exchange *x, const char *name, struct mill_buf *out)
{
    struct mill_str v = mill_exchange_query(x, name);

    if (!v.p)
        return;
    mill_buf_printf(out, "%s%s=", out->n && out->p[out->n - 1] != '\n' ? "&" : "", name);
    mill_url_encode(out, v, "");
}

static void fake_s3_canonical(const struct mill_exchange *x, const char *signed_headers,
                              struct mill_buf *out)
{
    const char *name = signed_headers;

    mill_buf_printf(out, "%.*s\n", MILL_FMT(mill_exchange_method(x)));
    mill_url_encode(out, mill_exchange_path(x), "/");
    mill_buf_putc(out, '\n');
    fake_s3_query(x, "continuation-token", out);
    fake_s3_query(x, "delete", out);
    fake_s3_query(x, "list-type", out);
    fake_s3_query(x, "partNumber", out);
    fake_s3_query(x, "prefix", out);
    fake_s3_query(x, "uploadId", out);
    fake_s3_query(x, "uploads", out);
    mill_buf_putc(out, '\n');
    while (*name) {
        char one[128];
        size_t n = strcspn(name, ";");
        snprintf(one, sizeof one, "%.*s", (int)n, name);
        mill_buf_printf(out, "%s:%.*s\n", one, MILL_FMT(mill_exchange_header(x, one)));
        name += n + (name[n] ? 1 : 0);
    }
    mill_buf_printf(out, "\n%s\n%.*s", signed_headers,
                    MILL_FMT(mill_exchange_header(x, "x-amz-content-sha256")));
}

static bool fake_s3_verified(struct mill_exchange *x)
{
    unsigned char digest[32];
    char hex[65], id[128], date[16], region[64], names[512], signature[65], auth[1024], stamp[32];
    struct mill_buf canonical;
    struct mill_str payload = mill_exchange_header(x, "x-amz-content-sha256");
    bool ok;

    mill_str_cut(mill_exchange_header(x, "Authorization"), auth, sizeof auth);
    mill_str_cut(mill_exchange_header(x, "x-amz-date"), stamp, sizeof stamp);
    if (sscanf(auth,
               "AWS4-HMAC-SHA256 Credential=%127[^/]/%15[^/]/%63[^/]/s3/aws4_request, "
               "SignedHeaders=%511[^,], Signature=%64s",
               id, date, region, names, signature) != 5)
        return false;
    if (!mill_sha256(mill_exchange_body(x), digest) ||
        !mill_str_is(payload, mill_hex(digest, 32, hex)) || strcmp(id, FAKE_S3_KEY) ||
        !strstr(names, "host") || !strstr(names, "x-amz-content-sha256"))
        return false;
    mill_buf_init(&canonical, 65536);
    fake_s3_canonical(x, names, &canonical);
    fake_s3_sign(FAKE_S3_SECRET, date, stamp, region, mill_buf_view(&canonical), hex);
    ok = !strcmp(hex, signature);
    mill_buf_release(&canonical);
    return ok;
}

static struct fake_object *fake_s3_find(struct fake_s3 *s, const char *key)
{
    for (size_t i = 0; i < s->n_objects; i++)
        if (!strcmp(s->objects[i].key, key))
            return &s->objects[i];
    return NULL;
}

static void fake_s3_error(struct mill_exchange *x, unsigned status, const char *code)
{
    struct mill_str body = mill_arena_printf(
        mill_exchange_arena(x),
        "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>no</Message></Error>", code);

    mill_exchange_answer(x, status, (struct mill_map){0}, body);
}

static void fake_s3_list(struct fake_s3 *s, struct mill_exchange *x)
{
    struct mill_str prefix = mill_exchange_query(x, "prefix");
    struct mill_str token = mill_exchange_query(x, "continuation-token");
    struct mill_buf out;
    size_t i = 0, n = 0;

    mill_str_cut(token, s->list_token, sizeof s->list_token);
    if (token.p)
        i = strtoul(s->list_token + strcspn(s->list_token, "0123456789"), NULL, 10);
    mill_buf_init(&out, 1 << 20);
    mill_buf_puts(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
                        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>");
    for (; i < s->n_objects && n < FAKE_S3_PAGE; i++) {
        const struct fake_object *o = &s->objects[i];
        if (strncmp(o->key, prefix.p, prefix.n))
            continue;
        n++;
        mill_buf_puts(&out, "<Contents><Key>");
        for (const char *c = o->key; *c; c++)
            mill_buf_puts(&out, *c == '&' ? "&amp;" : (char[]){*c, 0});
        mill_buf_printf(&out, "</Key><Size>%zu</Size><Owner><ID>1</ID></Owner></Contents>", o->n);
    }
    if (i < s->n_objects)
        mill_buf_printf(&out,
                        "<IsTruncated>true</IsTruncated><NextContinuationToken>+/= %zu"
                        "</NextContinuationToken>",
                        i);
    else
        mill_buf_puts(&out, "<IsTruncated>false</IsTruncated>");
    mill_buf_puts(&out, "</ListBucketResult>");
    mill_exchange_answer(x, 200, (struct mill_map){0}, mill_buf_view(&out));
    mill_buf_release(&out);
}

static void fake_s3_put(struct fake_s3 *s, struct mill_exchange *x, const char *key, bool answer)
{
    struct mill_str body = mill_exchange_body(x);
    struct fake_object *o;

    if (fake_s3_find(s, key) && mill_str_is(mill_exchange_header(x, "If-None-Match"), "*")) {
        if (answer)
            fake_s3_error(x, 412, "PreconditionFailed");
        return;
    }
    o = &s->objects[s->n_objects++];
    snprintf(o->key, sizeof o->key, "%s", key);
    mill_str_cut(mill_exchange_header(x, "x-amz-meta-plan"), o->meta, sizeof o->meta);
    o->bytes = malloc(body.n ? body.n : 1);
    if (!o->bytes)
        abort();
    memcpy(o->bytes, body.p, body.n);
    o->n = body.n;
    atomic_fetch_add(&s->puts, 1);
    if (answer)
        mill_exchange_answer(x, 200, (struct mill_map){0}, MILL_STR(""));
}

/* --- uploads in parts ------------------------------------------------------------------------ */

static struct fake_upload *fake_s3_upload(struct fake_s3 *s, struct mill_exchange *x)
{
    char id[64];
    unsigned i;

    mill_str_cut(mill_exchange_query(x, "uploadId"), id, sizeof id);
    if (sscanf(id, "up/load+%u", &i) != 1 || i >= s->n_uploads || s->uploads[i].state != FAKE_OPEN)
        return NULL;
    return &s->uploads[i];
}

static void fake_s3_create(struct fake_s3 *s, struct mill_exchange *x, const char *key, bool answer)
{
    struct fake_upload *u = &s->uploads[s->n_uploads];

    if (s->n_uploads == FAKE_S3_UPLOADS)
        abort();
    snprintf(u->object.key, sizeof u->object.key, "%s", key);
    mill_str_cut(mill_exchange_header(x, "x-amz-meta-plan"), u->object.meta, sizeof u->object.meta);
    if (answer)
        mill_exchange_answer(
            x, 200, (struct mill_map){0},
            mill_arena_printf(mill_exchange_arena(x),
                              "<?xml version=\"1.0\"?>\n<InitiateMultipartUploadResult "
                              "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><UploadId>"
                              "up/load+%zu</UploadId></InitiateMultipartUploadResult>",
                              s->n_uploads));
    s->n_uploads++;
}

static void fake_s3_part(struct fake_s3 *s, struct mill_exchange *x, bool answer)
{
    struct fake_upload *u = fake_s3_upload(s, x);
    struct mill_str body = mill_exchange_body(x);
    struct mill_pair etag = {MILL_STR("ETag"), {0}};
    int64_t n = 0;

    if (!u || !mill_str_i64(mill_exchange_query(x, "partNumber"), &n) || n < 1 ||
        n > FAKE_S3_PARTS) {
        if (answer)
            fake_s3_error(x, u ? 400 : 404, u ? "InvalidPart" : "NoSuchUpload");
        return;
    }
    free(u->parts[n - 1].bytes);
    u->parts[n - 1].bytes = malloc(body.n + 1);
    if (!u->parts[n - 1].bytes)
        abort();
    memcpy(u->parts[n - 1].bytes, body.p, body.n);
    u->parts[n - 1].n = body.n;
    etag.value = mill_arena_printf(mill_exchange_arena(x), "\"%d-%zu\"", (int)n, body.n);
    if (answer)
        mill_exchange_answer(x, 200, (struct mill_map){&etag, 1}, MILL_STR(""));
}

/* The parts that the request lists, in order; each tag must be ours. */
static bool fake_s3_join(struct fake_upload *u, struct mill_str list)
{
    size_t n = 0;
    char tag[96], text[4096];

    mill_str_cut(list, text, sizeof text);
    for (; n < FAKE_S3_PARTS && u->parts[n].bytes; n++) {
        struct fake_object *o = &u->object;
        snprintf(tag, sizeof tag, "<PartNumber>%zu</PartNumber><ETag>\"%zu-%zu\"</ETag>", n + 1,
                 n + 1, u->parts[n].n);
        if (!strstr(text, tag))
            return false;
        o->bytes = realloc(o->bytes, o->n + u->parts[n].n + 1);
        if (!o->bytes)
            abort();
        memcpy(o->bytes + o->n, u->parts[n].bytes, u->parts[n].n);
        o->n += u->parts[n].n;
    }
    snprintf(tag, sizeof tag, "<PartNumber>%zu</PartNumber>", n + 1);
    return n && !strstr(text, tag);
}

static void fake_s3_complete(struct fake_s3 *s, struct mill_exchange *x, bool answer)
{
    struct fake_upload *u = fake_s3_upload(s, x);
    bool taken = u && fake_s3_find(s, u->object.key);
    const char *why = !u ? "NoSuchUpload" : taken ? "PreconditionFailed" : "InvalidPart";

    if (!u || taken || !mill_str_is(mill_exchange_header(x, "If-None-Match"), "*") ||
        !fake_s3_join(u, mill_exchange_body(x))) {
        if (answer)
            fake_s3_error(x, !u ? 404 : taken ? 412 : 400, why);
        return;
    }
    s->objects[s->n_objects++] = u->object;
    u->object.bytes = NULL;
    u->state = FAKE_COMPLETED;
    atomic_fetch_add(&s->puts, 1);
    if (answer)
        mill_exchange_answer(x, 200, (struct mill_map){0},
                             MILL_STR("<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag>"
                                      "</CompleteMultipartUploadResult>"));
}

static void fake_s3_abort(struct fake_s3 *s, struct mill_exchange *x, bool answer)
{
    struct fake_upload *u = fake_s3_upload(s, x);

    if (u)
        u->state = FAKE_ABORTED;
    if (answer)
        mill_exchange_answer(x, u ? 204 : 404, (struct mill_map){0}, MILL_STR(""));
}

/* @return false when the request is about no upload */
static bool fake_s3_uploads(struct fake_s3 *s, struct mill_exchange *x, const char *key,
                            bool answer)
{
    struct mill_str method = mill_exchange_method(x);

    if (mill_exchange_query(x, "uploads").p)
        fake_s3_create(s, x, key, answer);
    else if (!mill_exchange_query(x, "uploadId").p)
        return false;
    else if (mill_str_is(method, "PUT"))
        fake_s3_part(s, x, answer);
    else if (mill_str_is(method, "POST"))
        fake_s3_complete(s, x, answer);
    else
        fake_s3_abort(s, x, answer);
    return true;
}

static void fake_s3_get(struct fake_s3 *s, struct mill_exchange *x, const char *key)
{
    const struct fake_object *o = fake_s3_find(s, key);
    struct mill_pair headers[] = {
        {MILL_STR("ETag"), MILL_STR("\"etag\"")},
        {MILL_STR("Last-Modified"), MILL_STR("Sun, 29 Nov 2026 00:00:01 GMT")},
        {MILL_STR("X-Amz-Meta-Plan"), {0}}};
    char range[64];
    unsigned long from, to;

    if (!o) {
        fake_s3_error(x, 404, "NoSuchKey");
        return;
    }
    headers[2].value = mill_str(o->meta);
    mill_str_cut(mill_exchange_header(x, "Range"), range, sizeof range);
    if (sscanf(range, "bytes=%lu-%lu", &from, &to) == 2) {
        if (from >= o->n) {
            fake_s3_error(x, 416, "InvalidRange");
            return;
        }
        to = to < o->n ? to : o->n - 1;
        mill_exchange_answer(x, 206, (struct mill_map){0},
                             (struct mill_str){o->bytes + from, to - from + 1});
        return;
    }
    mill_exchange_answer(x, 200, (struct mill_map){headers, o->meta[0] ? 3 : 2},
                         (struct mill_str){o->bytes, o->n});
}

/* x-amz-copy-source: /b/KEY */
static void fake_s3_copy(struct fake_s3 *s, struct mill_exchange *x, const char *key, bool answer)
{
    struct mill_str from = mill_exchange_header(x, "x-amz-copy-source");
    const struct fake_object *source;
    struct fake_object *o;
    char encoded[512], plain[512];
    size_t n = 0;

    mill_str_cut(from, encoded, sizeof encoded);
    for (const char *c = encoded + 3; *c; c++, n++) { /* "/b/" */
        unsigned byte = 0;
        if (*c == '%' && sscanf(c + 1, "%2x", &byte) == 1)
            c += 2;
        plain[n] = byte ? (char)byte : *c;
    }
    plain[n] = '\0';
    source = fake_s3_find(s, plain);
    if (!source) {
        fake_s3_error(x, 404, "NoSuchKey");
        return;
    }
    o = fake_s3_find(s, key);
    if (!o) {
        o = &s->objects[s->n_objects++];
        *o = (struct fake_object){0};
        snprintf(o->key, sizeof o->key, "%s", key);
    }
    o->bytes = realloc(o->bytes, source->n ? source->n : 1);
    if (!o->bytes)
        abort();
    memcpy(o->bytes, source->bytes, source->n);
    o->n = source->n;
    memcpy(o->meta, source->meta, sizeof o->meta);
    if (answer)
        mill_exchange_answer(x, 200, (struct mill_map){0},
                             MILL_STR("<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"));
}

static void fake_s3_delete(struct fake_s3 *s, const char *key)
{
    struct fake_object *o = fake_s3_find(s, key);

    if (!o)
        return;
    free(o->bytes);
    *o = s->objects[--s->n_objects];
}

/* POST ?delete: the sum of the body is checked, as S3 does. */
static void fake_s3_delete_many(struct fake_s3 *s, struct mill_exchange *x, bool answer)
{
    struct mill_str body = mill_exchange_body(x), t;
    unsigned char digest[32];
    struct mill_buf sum, key;
    struct mill_xml xml;
    bool in_key = false;
    enum mill_xml_event e;

    mill_buf_init(&sum, 64);
    mill_buf_init(&key, 512);
    if (!mill_sha256(body, digest) ||
        !mill_base64_add(&sum, (struct mill_str){(const char *)digest, 32}) ||
        !mill_str_eq(mill_buf_view(&sum), mill_exchange_header(x, "x-amz-checksum-sha256"))) {
        fake_s3_error(x, 400, "InvalidRequest");
        answer = false;
        body.n = 0;
    }
    mill_xml_init(&xml, body);
    while ((e = mill_xml_next(&xml, &t)) != MILL_XML_DONE && e != MILL_XML_BAD) {
        in_key = e == MILL_XML_OPEN ? mill_str_is(t, "Key") : in_key && e != MILL_XML_CLOSE;
        mill_buf_reset(&key);
        if (in_key && e == MILL_XML_TEXT && mill_xml_decode(t, &key))
            fake_s3_delete(s, key.p);
    }
    mill_buf_release(&sum);
    mill_buf_release(&key);
    if (answer)
        mill_exchange_answer(x, 200, (struct mill_map){0}, MILL_STR("<DeleteResult/>"));
}

static void fake_s3_serve(struct fake_s3 *s, struct mill_exchange *x, bool answer)
{
    struct mill_str path = mill_exchange_path(x), method = mill_exchange_method(x);
    char key[256];

    mill_str_cut((struct mill_str){path.p + 3, path.n - 3}, key, sizeof key); /* "/b/" */
    if (fake_s3_uploads(s, x, key, answer))
        return;
    if (mill_str_is(method, "PUT") && mill_exchange_header(x, "x-amz-copy-source").p) {
        fake_s3_copy(s, x, key, answer);
    } else if (mill_str_is(method, "PUT")) {
        fake_s3_put(s, x, key, answer);
    } else if (mill_str_is(method, "POST")) {
        fake_s3_delete_many(s, x, answer);
    } else if (mill_str_is(method, "DELETE")) {
        const struct fake_object *o = fake_s3_find(s, key);
        fake_s3_delete(s, key);
        if (answer)
            mill_exchange_answer(x, o ? 204 : 404, (struct mill_map){0}, MILL_STR(""));
    } else if (!key[0] && answer) {
        fake_s3_list(s, x);
    } else if (answer) {
        fake_s3_get(s, x, key);
    }
}

static void fake_s3_on(void *app, struct mill_exchange *x)
{
    struct fake_s3 *s = app;
    struct fake_fault f = {0};

    atomic_fetch_add(&s->requests, 1);
    pthread_mutex_lock(&s->lock);
    if (s->hangs && s->n_hung < FAKE_S3_FAULTS) {
        s->hung[s->n_hung++] = x;
    } else if (!mill_str_starts(mill_exchange_path(x), "/b/")) {
        fake_s3_error(x, 404, "NoSuchBucket");
    } else if (!fake_s3_verified(x)) {
        atomic_fetch_add(&s->bad_signatures, 1);
        fake_s3_error(x, 403, "SignatureDoesNotMatch");
    } else {
        if (s->next_fault < FAKE_S3_FAULTS && s->faults[s->next_fault].status)
            f = s->faults[s->next_fault++];
        if (!f.status || f.status == FAKE_PASS) {
            fake_s3_serve(s, x, true);
        } else {
            if (f.act_first)
                fake_s3_serve(s, x, false);
            if (f.lost)
                mill_exchange_drop(x);
            else
                fake_s3_error(x, f.status, f.code ? f.code : "Fault");
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static inline struct fake_s3 *fake_s3_start(void)
{
    static const struct mill_route routes[] = {
        {"GET", "/*", fake_s3_on, 0},
        {"PUT", "/*", fake_s3_on, 40 << 20},
        {"POST", "/*", fake_s3_on, 1 << 20},
        {"DELETE", "/*", fake_s3_on, 0},
        {0},
    };
    struct fake_s3 *s = calloc(1, sizeof *s);
    struct mill_server_conf conf = {.listen = "127.0.0.1:0", .routes = routes, .app = s};
    struct mill_err err;

    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    if (mill_server_start(&s->server, &conf, &err))
        abort();
    return s;
}

static inline void fake_s3_stop(struct fake_s3 *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_hung; i++)
        mill_exchange_answer(s->hung[i], 200, (struct mill_map){0}, MILL_STR(""));
    pthread_mutex_unlock(&s->lock);
    mill_server_stop(s->server);
    for (size_t i = 0; i < s->n_objects; i++)
        free(s->objects[i].bytes);
    for (size_t i = 0; i < s->n_uploads; i++) {
        for (size_t k = 0; k < FAKE_S3_PARTS; k++)
            free(s->uploads[i].parts[k].bytes);
        free(s->uploads[i].object.bytes);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

#endif
