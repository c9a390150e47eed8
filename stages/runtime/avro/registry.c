/* The Confluent schema registry API, as Apicurio (/apis/ccompat/v7) and others serve it too. */
#include "avro/registry.h"

#include "avro/avsc.h"
#include "base/arena.h"
#include "base/json.h"
#include "net/http_client.h"
#include "net/url.h"
#include <stdio.h>
#include <stdlib.h>

enum { REGISTRY_REPLY_BYTES = 4 * MILL_SCHEMA_MAX_BYTES, REGISTRY_URL_BYTES = 2048 };

struct entry {
    struct entry *next;
    int32_t id;
    struct mill_str json;
};

struct mill_registry {
    struct mill_http *http;
    struct mill_arena arena; /* texts and entries: kept for good */
    struct entry *entries;
    struct mill_str base; /* without credentials and trailing slash */
    struct mill_str user, password;
    uint32_t timeout_ms;
};

static int registry_hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %41 → A, as credentials in a URL are written. */
static struct mill_str registry_unescape(struct mill_arena *a, struct mill_str s)
{
    char *p = mill_arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; p && i < s.n; i++) {
        int hi = s.p[i] == '%' && i + 2 < s.n ? registry_hex(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? registry_hex(s.p[i + 2]) : -1;
        p[n++] = (char)(lo >= 0 ? hi << 4 | lo : s.p[i]);
        i += lo >= 0 ? 2 : 0;
    }
    if (p)
        p[n] = '\0';
    return (struct mill_str){p, p ? n : 0};
}

/* Splits scheme://user:password@host/path; the credentials go to libcurl by themselves, so that no
 * error text can show them. */
static enum mill_code registry_url(struct mill_registry *r, const char *url, struct mill_err *err)
{
    const char *host = strstr(url, "://"), *at, *colon;
    size_t n = strlen(url);

    if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) || n > REGISTRY_URL_BYTES / 2)
        return mill_fail(err, MILL_E_CONFIG, "registry", "the URL must start with http(s)://");
    while (url[n - 1] == '/')
        n--;
    host += 3;
    at = memchr(host, '@', strcspn(host, "/"));
    if (at) {
        colon = memchr(host, ':', (size_t)(at - host));
        struct mill_str user = {host, (size_t)((colon ? colon : at) - host)};
        struct mill_str word = {colon ? colon + 1 : at, colon ? (size_t)(at - colon) - 1 : 0};
        r->user = registry_unescape(&r->arena, user);
        r->password = registry_unescape(&r->arena, word);
        r->base = mill_arena_printf(&r->arena, "%.*s%.*s", (int)(host - url), url,
                                    (int)(n - (size_t)(at + 1 - url)), at + 1);
    } else {
        r->base = mill_arena_dup(&r->arena, (struct mill_str){url, n});
    }
    if (!r->base.p || (at && (!r->user.p || !r->password.p)))
        return mill_fail(err, MILL_E_NOMEM, "registry", "out of memory");
    return MILL_OK;
}

enum mill_code mill_registry_new(struct mill_registry **out, const char *url, uint32_t timeout_ms,
                                 struct mill_err *err)
{
    const struct mill_http_conf conf = {.max_connections = 1,
                                        .reply_max_bytes = REGISTRY_REPLY_BYTES};
    struct mill_registry *r = calloc(1, sizeof *r);
    enum mill_code rc;

    *out = NULL;
    if (!r)
        return mill_fail(err, MILL_E_NOMEM, "registry", "out of memory");
    mill_arena_init(&r->arena);
    r->timeout_ms = timeout_ms;
    rc = registry_url(r, url, err);
    if (!rc)
        rc = mill_http_new(&r->http, &conf, err);
    if (!rc) {
        *out = r;
        r = NULL;
    }
    mill_registry_free(r);
    return rc;
}

void mill_registry_free(struct mill_registry *r)
{
    if (!r)
        return;
    mill_http_free(r->http);
    mill_arena_release(&r->arena);
    free(r);
}

/* What an error status means. A 404 counts as "no such thing" only in the registry's own words:
 * from a wrong URL or a proxy it would turn good records into poison. */
static enum mill_code registry_status(long status, const json_t *reply, const char *what,
                                      struct mill_err *err)
{
    json_int_t code = json_integer_value(json_object_get(reply, "error_code"));
    struct mill_str why = mill_json_str(reply, "message");
    enum mill_code rc = MILL_E_IO;
    char text[160];

    mill_str_cut(why, text, sizeof text);
    if (status == 401 || status == 403)
        rc = MILL_E_AUTH;
    else if (status == 404 && code / 100 == 404)
        rc = MILL_E_NOENT;
    else if (status == 409 || status == 422)
        rc = MILL_E_SCHEMA;
    return mill_fail(err, rc, "registry", "%s: status %ld: %s", what, status, text);
}

/* One call: body NULL = none; *reply is the JSON object of a 200. */
static enum mill_code registry_call(struct mill_registry *r, const char *method, const char *path,
                                    const json_t *body, json_t **reply, struct mill_err *err)
{
    static const struct mill_pair headers[] = {
        {{"Accept", 6}, {"application/vnd.schemaregistry.v1+json, application/json", 56}},
        {{"Content-Type", 12}, {"application/vnd.schemaregistry.v1+json", 38}},
    };
    char url[2 * REGISTRY_URL_BYTES];
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct mill_buf in;
    struct mill_http_call call = {
        .method = method,
        .url = url,
        .headers = {headers, body ? 2 : 1},
        .body = mill_str(text),
        .timeout_ms = r->timeout_ms,
        .connect_ms = r->timeout_ms,
        .user = r->user.p,
        .password = r->password.p,
    };
    long status = 0;
    enum mill_code rc;

    *reply = NULL;
    mill_buf_init(&in, REGISTRY_REPLY_BYTES);
    if (body && !text) {
        rc = mill_fail(err, MILL_E_NOMEM, "registry", "out of memory");
        goto out;
    }
    if (snprintf(url, sizeof url, "%s%s", r->base.p, path) >= (int)sizeof url) {
        rc = mill_fail(err, MILL_E_CONFIG, "registry", "the URL is too long");
        goto out;
    }
    rc = mill_http_wait(r->http, &call, &status, &in, err);
    if (rc)
        goto out;
    rc = mill_json_parse(mill_buf_view(&in), reply, NULL);
    if (status != 200) /* also when its body is no JSON */
        rc = registry_status(status, *reply, path, err);
    else if (rc || !json_is_object(*reply))
        rc = mill_fail(err, MILL_E_IO, "registry", "%s: the answer is no JSON object", path);
out:
    if (rc) {
        json_decref(*reply);
        *reply = NULL;
    }
    mill_buf_release(&in);
    free(text);
    return rc;
}

static struct entry *registry_find(const struct mill_registry *r, int32_t id)
{
    struct entry *e = r->entries;
    while (e && e->id != id)
        e = e->next;
    return e;
}

/* Keeps the schema text of a reply under its id. */
static enum mill_code registry_keep(struct mill_registry *r, int32_t id, const json_t *reply,
                                    struct mill_str *json, struct mill_err *err)
{
    struct mill_str text = mill_json_str(reply, "schema"),
                    type = mill_json_str(reply, "schemaType");
    struct entry *e = registry_find(r, id);

    if (type.p && !mill_str_is(type, "AVRO"))
        return mill_fail(err, MILL_E_SCHEMA, "registry", "schema %d is %.*s, not AVRO", (int)id,
                         (int)(type.n < 32 ? type.n : 32), type.p);
    if (json_array_size(json_object_get(reply, "references")))
        return mill_fail(err, MILL_E_SCHEMA, "registry", "schema %d has references to others",
                         (int)id);
    if (!text.p)
        return mill_fail(err, MILL_E_IO, "registry", "the answer for schema %d has no schema",
                         (int)id);
    if (!e) {
        e = mill_arena_alloc(&r->arena, sizeof *e);
        text = mill_arena_dup(&r->arena, text);
        if (!e || !text.p)
            return mill_fail(err, MILL_E_NOMEM, "registry", "out of memory");
        *e = (struct entry){r->entries, id, text};
        r->entries = e;
    }
    *json = e->json;
    return MILL_OK;
}

enum mill_code mill_registry_schema(struct mill_registry *r, int32_t id, struct mill_str *json,
                                    struct mill_err *err)
{
    const struct entry *e = registry_find(r, id);
    char path[64];
    json_t *reply = NULL;
    enum mill_code rc;

    if (e) {
        *json = e->json;
        return MILL_OK;
    }
    snprintf(path, sizeof path, "/schemas/ids/%d", (int)id);
    rc = registry_call(r, "GET", path, NULL, &reply, err);
    if (!rc)
        rc = registry_keep(r, id, reply, json, err);
    json_decref(reply);
    return rc;
}

/* "/subjects/" + the subject, percent-encoded + rest. */
static enum mill_code registry_path(char *path, size_t size, const char *before,
                                    const char *subject, const char *after, struct mill_err *err)
{
    struct mill_buf b;

    mill_buf_init(&b, size - 1);
    mill_buf_puts(&b, before);
    mill_url_encode(&b, mill_str(subject), "");
    mill_buf_puts(&b, after);
    bool good = !b.failed;
    mill_str_cut(mill_buf_view(&b), path, size);
    mill_buf_release(&b);
    return good ? MILL_OK : mill_fail(err, MILL_E_CONFIG, "registry", "the subject is too long");
}

static enum mill_code registry_id(const json_t *reply, int32_t *id, struct mill_err *err)
{
    json_int_t v = json_integer_value(json_object_get(reply, "id"));

    if (v < 1 || v > INT32_MAX)
        return mill_fail(err, MILL_E_IO, "registry", "the answer has no id");
    *id = (int32_t)v;
    return MILL_OK;
}

enum mill_code mill_registry_register(struct mill_registry *r, const char *subject,
                                      struct mill_str json, int32_t *id, struct mill_err *err)
{
    char path[REGISTRY_URL_BYTES];
    json_t *body = NULL, *reply = NULL;
    enum mill_code rc = registry_path(path, sizeof path, "/subjects/", subject, "/versions", err);

    if (rc)
        return rc;
    body = json_pack("{s:s%, s:s}", "schema", json.p ? json.p : "", json.n, "schemaType", "AVRO");
    if (!body)
        return mill_fail(err, MILL_E_SCHEMA, subject, "the schema is no text");
    rc = registry_call(r, "POST", path, body, &reply, err);
    if (rc == MILL_E_NOENT) /* no such context or registry */
        rc = MILL_E_IO;
    if (!rc)
        rc = registry_id(reply, id, err);
    json_decref(body);
    json_decref(reply);
    return rc;
}

enum mill_code mill_registry_latest(struct mill_registry *r, const char *subject, int32_t *id,
                                    struct mill_str *json, struct mill_err *err)
{
    char path[REGISTRY_URL_BYTES];
    json_t *reply = NULL;
    enum mill_code rc =
        registry_path(path, sizeof path, "/subjects/", subject, "/versions/latest", err);

    if (!rc)
        rc = registry_call(r, "GET", path, NULL, &reply, err);
    if (!rc)
        rc = registry_id(reply, id, err);
    if (!rc)
        rc = registry_keep(r, *id, reply, json, err);
    json_decref(reply);
    return rc;
}

enum mill_code mill_registry_compatibility(struct mill_registry *r, const char *subject,
                                           const char *level, struct mill_err *err)
{
    char path[REGISTRY_URL_BYTES];
    json_t *body = NULL, *reply = NULL;
    enum mill_code rc = registry_path(path, sizeof path, "/config/", subject, "", err);

    if (rc)
        return rc;
    body = json_pack("{s:s}", "compatibility", level);
    if (!body)
        return mill_fail(err, MILL_E_CONFIG, subject, "the level is no text");
    rc = registry_call(r, "PUT", path, body, &reply, err);
    json_decref(body);
    json_decref(reply);
    return rc;
}
