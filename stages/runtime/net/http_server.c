/** @file http_server.c
 *  @brief Routes, limits and late answers over libmicrohttpd. Start and stop: http_listen.c.
 *
 * A request's way: access (headers) → body, chunk by chunk → handler → answered at once, or
 * suspended until another thread answers. Its state says who may touch it; see server_dispatch().
 */
#include "net/http_server_in.h"

#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    SERVER_HEADER_BYTES = 32 * 1024,
    SERVER_DRAIN_BYTES = 32 * 1024 * 1024, /* of a refused body, so that the client reads why */
};

enum { X_HANDLING, X_ANSWERED, X_SUSPENDED };

struct mill_exchange {
    struct mill_server *server;
    struct MHD_Connection *conn;
    const char *method, *path;
    const struct mill_route *route;
    struct mill_buf body;
    struct mill_arena arena;
    struct MHD_Response *response;
    unsigned status;
    unsigned refused;   /* status of our own refusal, 0 = none; the body is drained first */
    const char *detail; /* of the refusal */
    uint64_t drained;   /* bytes */
    int64_t started_ms;
    bool handled, queued;
    atomic_int state;
};

/* --- what a handler may ask ------------------------------------------------------------------ */

struct mill_str mill_exchange_method(const struct mill_exchange *x)
{
    return mill_str(x->method);
}

struct mill_str mill_exchange_path(const struct mill_exchange *x)
{
    return mill_str(x->path);
}

static struct mill_str server_value(const struct mill_exchange *x, enum MHD_ValueKind kind,
                                    const char *name)
{
    const char *value = NULL;
    size_t n = 0;

    if (MHD_lookup_connection_value_n(x->conn, kind, name, strlen(name), &value, &n) != MHD_YES)
        return (struct mill_str){0};
    return value ? (struct mill_str){value, n} : MILL_STR("");
}

struct mill_str mill_exchange_header(const struct mill_exchange *x, const char *name)
{
    return server_value(x, MHD_HEADER_KIND, name);
}

struct mill_str mill_exchange_query(const struct mill_exchange *x, const char *name)
{
    return server_value(x, MHD_GET_ARGUMENT_KIND, name);
}

struct mill_str mill_exchange_body(const struct mill_exchange *x)
{
    return mill_buf_view(&x->body);
}

/* Requests that a connection has carried; NULL without memory for it. */
static uint32_t *server_count(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

void mill_server_connection(void *arg, struct MHD_Connection *conn, void **count,
                            enum MHD_ConnectionNotificationCode code)
{
    (void)arg;
    (void)conn;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *count = calloc(1, sizeof(uint32_t));
    } else {
        free(*count);
        *count = NULL;
    }
}

bool mill_exchange_reused(const struct mill_exchange *x)
{
    const uint32_t *count = server_count(x->conn);

    return count && *count > 1;
}

struct mill_arena *mill_exchange_arena(struct mill_exchange *x)
{
    return &x->arena;
}

/* --- answers --------------------------------------------------------------------------------- */

static struct MHD_Response *server_response(struct mill_server *s, struct mill_map headers,
                                            struct mill_str body)
{
    /* With MUST_COPY the library does not write to the bytes; its parameter has no const. */
    union {
        const char *in;
        void *out;
    } bytes = {.in = body.n ? body.p : ""};
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body.n, bytes.out, MHD_RESPMEM_MUST_COPY);
    char name[128], value[1024];

    for (size_t i = 0; r && i < headers.n; i++) {
        if (headers.v[i].key.n >= sizeof name || headers.v[i].value.n >= sizeof value)
            continue;
        mill_str_cut(headers.v[i].key, name, sizeof name);
        mill_str_cut(headers.v[i].value, value, sizeof value);
        MHD_add_response_header(r, name, value);
    }
    if (r && atomic_load(&s->closing))
        MHD_add_response_header(r, "Connection", "close");
    return r;
}

static enum MHD_Result server_queue(struct mill_exchange *x)
{
    enum MHD_Result rc;

    if (!x->response) /* dropped, or no memory for an answer: the connection ends */
        return MHD_NO;
    rc = MHD_queue_response(x->conn, x->status, x->response);
    x->queued = true;
    return rc;
}

/* From here on the server's thread may free x. */
static void server_settle(struct mill_exchange *x)
{
    struct MHD_Connection *conn = x->conn;

    atomic_fetch_sub(&x->server->in_flight, 1);
    if (atomic_exchange(&x->state, X_ANSWERED) == X_SUSPENDED)
        MHD_resume_connection(conn);
}

void mill_exchange_answer(struct mill_exchange *x, unsigned status, struct mill_map headers,
                          struct mill_str body)
{
    x->status = status;
    x->response = server_response(x->server, headers, body);
    server_settle(x);
}

void mill_exchange_drop(struct mill_exchange *x)
{
    server_settle(x);
}

static bool server_matches(const struct mill_route *r, const char *path)
{
    size_t n = strlen(r->path);

    if (n && r->path[n - 1] == '*')
        return !strncmp(r->path, path, n - 1);
    return !strcmp(r->path, path);
}

/* What the server itself refuses. The headers that go with a status are added here. */
static enum MHD_Result server_refuse(struct mill_exchange *x)
{
    struct mill_server *s = x->server;
    const char *media_type = "text/plain; charset=utf-8";
    struct mill_pair headers[2];
    struct mill_map map = {headers, 1};
    struct mill_buf body;
    enum MHD_Result rc;
    char allow[128] = "";

    mill_buf_init(&body, 16 * 1024);
    if (s->refuse)
        s->refuse(s->app, x->refused, x->detail, &body, &media_type);
    else
        mill_buf_printf(&body, "%s\n", x->detail);
    if (x->refused == MHD_HTTP_SERVICE_UNAVAILABLE) {
        headers[1] = (struct mill_pair){MILL_STR("Retry-After"), MILL_STR("1")};
        map.n = 2;
    } else if (x->refused == MHD_HTTP_METHOD_NOT_ALLOWED) {
        size_t n = 0;
        for (const struct mill_route *r = s->routes; r->method; r++)
            if (server_matches(r, x->path) && n < sizeof allow)
                n +=
                    (size_t)snprintf(allow + n, sizeof allow - n, "%s%s", n ? ", " : "", r->method);
        headers[1] = (struct mill_pair){MILL_STR("Allow"), mill_str(allow)};
        map.n = 2;
    }
    headers[0] = (struct mill_pair){MILL_STR("Content-Type"), mill_str(media_type)};
    x->status = x->refused;
    x->response = server_response(s, map, body.failed ? MILL_STR("") : mill_buf_view(&body));
    rc = server_queue(x);
    mill_buf_release(&body);
    return rc;
}

/* --- the way of a request -------------------------------------------------------------------- */

static void server_reject(struct mill_exchange *x, unsigned status, const char *detail)
{
    x->refused = status;
    x->detail = detail;
    atomic_fetch_sub(&x->server->held_bytes, x->body.n);
    mill_buf_release(&x->body);
}

/* HEAD is answered by GET's handler; the library leaves the body out. */
static void server_route(struct mill_exchange *x)
{
    const char *method = strcmp(x->method, "HEAD") ? x->method : "GET";

    for (const struct mill_route *r = x->server->routes; r->method; r++) {
        if (!server_matches(r, x->path))
            continue;
        x->route = r;
        if (!strcmp(r->method, method))
            return;
    }
    if (x->route)
        server_reject(x, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed here");
    else
        server_reject(x, MHD_HTTP_NOT_FOUND, "no such path");
}

static enum MHD_Result server_count_header(void *arg, enum MHD_ValueKind kind, const char *key,
                                           size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    (void)key;
    (void)value;
    *(size_t *)arg += key_size + value_size + 4;
    return MHD_YES;
}

/* @return bytes the client says the body has; 0 when it does not say (chunked) or there is none */
static uint64_t server_length(const struct mill_exchange *x)
{
    struct mill_str s = mill_exchange_header(x, "Content-Length");
    int64_t n;

    return s.p && mill_str_i64(s, &n) && n > 0 ? (uint64_t)n : 0;
}

/* First call of a request: the headers are there, the body is not. */
static enum MHD_Result server_begin(struct mill_server *s, struct MHD_Connection *conn,
                                    const char *path, const char *method, void **slot)
{
    struct mill_exchange *x = calloc(1, sizeof *x);
    size_t header_bytes = 0;
    uint32_t *count = server_count(conn);
    uint64_t length;

    if (!x)
        return MHD_NO;
    if (count)
        ++*count;
    *slot = x;
    x->server = s;
    x->conn = conn;
    x->method = method;
    x->path = path;
    x->started_ms = mill_tick_ms();
    atomic_init(&x->state, X_HANDLING);
    server_route(x);
    if (s->admit && !s->admit(s->app, x))
        return MHD_NO;
    mill_buf_init(&x->body, x->route ? (size_t)x->route->max_body_bytes : 0);
    length = server_length(x);
    MHD_get_connection_values_n(conn, MHD_HEADER_KIND, server_count_header, &header_bytes);
    if (!x->refused && header_bytes > SERVER_HEADER_BYTES)
        server_reject(x, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "header fields too large");
    if (!x->refused && length > x->route->max_body_bytes)
        server_reject(x, MHD_HTTP_CONTENT_TOO_LARGE, "body too large");
    /* Not worth draining, or not sent yet: answer before the body. */
    if (x->refused && (length > SERVER_DRAIN_BYTES || mill_exchange_header(x, "Expect").p))
        return server_refuse(x);
    return MHD_YES;
}

/* A piece of the body. Taken, or thrown away when the request is refused. */
static enum MHD_Result server_chunk(struct mill_exchange *x, const char *p, size_t *n)
{
    struct mill_server *s = x->server;
    size_t size = *n;

    *n = 0;
    if (!x->refused && x->body.n + size > x->body.cap)
        server_reject(x, MHD_HTTP_CONTENT_TOO_LARGE, "body too large");
    if (!x->refused && mill_tick_ms() - x->started_ms > s->body_ms)
        server_reject(x, MHD_HTTP_REQUEST_TIMEOUT, "body came too slowly");
    if (!x->refused && atomic_load(&s->held_bytes) + size > s->max_bytes)
        server_reject(x, MHD_HTTP_SERVICE_UNAVAILABLE, "too much in hand, try again");
    if (x->refused) {
        x->drained += size;
        return x->drained > SERVER_DRAIN_BYTES || mill_tick_ms() - x->started_ms > 2 * s->body_ms
                   ? MHD_NO
                   : MHD_YES;
    }
    if (!mill_buf_add(&x->body, p, size)) {
        server_reject(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory, try again");
        return MHD_YES;
    }
    atomic_fetch_add(&s->held_bytes, size);
    return MHD_YES;
}

/* The request is whole. The handler may answer here, or another thread later, or right between the
 * handler's return and our suspending: so suspend first, then say so; whoever comes second acts. */
static enum MHD_Result server_dispatch(struct mill_exchange *x)
{
    int expected = X_HANDLING;

    x->handled = true;
    atomic_fetch_add(&x->server->in_flight, 1);
    x->route->handler(x->server->app, x);
    if (atomic_load(&x->state) == X_ANSWERED)
        return server_queue(x);
    MHD_suspend_connection(x->conn);
    if (!atomic_compare_exchange_strong(&x->state, &expected, X_SUSPENDED))
        MHD_resume_connection(x->conn);
    return MHD_YES;
}

enum MHD_Result mill_server_access(void *arg, struct MHD_Connection *conn, const char *path,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_n, void **slot)
{
    struct mill_exchange *x = *slot;

    (void)version;
    if (!x)
        return server_begin(arg, conn, path, method, slot);
    if (*upload_n)
        return server_chunk(x, upload, upload_n);
    if (x->queued)
        return MHD_YES;
    if (x->refused)
        return server_refuse(x);
    if (!x->handled)
        return server_dispatch(x);
    if (atomic_load(&x->state) == X_ANSWERED)
        return server_queue(x);
    return MHD_YES;
}

void mill_server_completed(void *arg, struct MHD_Connection *conn, void **slot,
                           enum MHD_RequestTerminationCode why)
{
    struct mill_exchange *x = *slot;

    (void)arg;
    (void)conn;
    (void)why;
    if (!x)
        return;
    *slot = NULL;
    atomic_fetch_sub(&x->server->held_bytes, x->body.n);
    mill_buf_release(&x->body);
    mill_arena_release(&x->arena);
    if (x->response)
        MHD_destroy_response(x->response);
    free(x);
}
