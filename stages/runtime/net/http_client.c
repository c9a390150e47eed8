/** @file http_client.c  @brief The multi handle: submit, poll, reap. One call: http_call.c. */
#include "net/http_client.h"

#include "net/http_call.h"
#include <pthread.h>
#include <stdlib.h>

enum { HTTP_CONNECTIONS = 64, HTTP_REPLY_MAX_BYTES = 1024 * 1024 };

struct mill_http {
    CURLM *multi;
    struct http_call *running, *idle;
    size_t n_running;
    uint64_t reply_max_bytes;
    bool http2;
};

static pthread_once_t http_once = PTHREAD_ONCE_INIT;

static void http_global(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum mill_code mill_http_new(struct mill_http **out, const struct mill_http_conf *conf,
                             struct mill_err *err)
{
    static const struct mill_http_conf defaults = {0};
    struct mill_http *h = NULL;
    long n;

    if (!conf)
        conf = &defaults;
    *out = NULL;
    pthread_once(&http_once, http_global);
    h = calloc(1, sizeof *h);
    if (!h)
        return mill_fail(err, MILL_E_NOMEM, "http", "out of memory");
    h->multi = curl_multi_init();
    if (!h->multi) {
        free(h);
        return mill_fail(err, MILL_E_NOMEM, "http", "no libcurl handle");
    }
    n = conf->max_connections ? (long)conf->max_connections : HTTP_CONNECTIONS;
    curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, n);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, n);
    h->reply_max_bytes = conf->reply_max_bytes ? conf->reply_max_bytes : HTTP_REPLY_MAX_BYTES;
    h->http2 = conf->http2;
    *out = h;
    return MILL_OK;
}

static void http_unlink(struct mill_http *h, struct http_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        h->running = c->next;
    if (c->next)
        c->next->prev = c->prev;
    h->n_running--;
}

static void http_link(struct mill_http *h, struct http_call *c)
{
    c->prev = NULL;
    c->next = h->running;
    if (c->next)
        c->next->prev = c;
    h->running = c;
    h->n_running++;
}

static void http_keep(struct mill_http *h, struct http_call *c)
{
    http_call_reset(c);
    c->prev = NULL;
    c->next = h->idle;
    h->idle = c;
}

void mill_http_free(struct mill_http *h)
{
    struct http_call *c, *next;

    if (!h)
        return;
    for (c = h->running; c; c = next) {
        next = c->next;
        curl_multi_remove_handle(h->multi, c->easy);
        http_call_free(c);
    }
    for (c = h->idle; c; c = next) {
        next = c->next;
        http_call_free(c);
    }
    curl_multi_cleanup(h->multi);
    free(h);
}

enum mill_code mill_http_submit(struct mill_http *h, const struct mill_http_call *call,
                                struct mill_err *err)
{
    struct http_call *c = h->idle;
    enum mill_code code;

    if (c)
        h->idle = c->next;
    else
        c = http_call_new(h->reply_max_bytes);
    if (!c)
        return mill_fail(err, MILL_E_NOMEM, "http", "out of memory");
    code = http_call_setup(c, call, h->http2, err);
    if (!code && curl_multi_add_handle(h->multi, c->easy) != CURLM_OK)
        code = mill_fail(err, MILL_E_NOMEM, "http", "libcurl takes no more calls");
    if (code)
        http_keep(h, c);
    else
        http_link(h, c);
    return code;
}

/* Ends what has ended. @return how many */
static size_t http_reap(struct mill_http *h)
{
    CURLMsg *msg;
    size_t n = 0;
    int left;

    while ((msg = curl_multi_info_read(h->multi, &left))) {
        struct mill_http_reply reply;
        struct http_call *c;
        char *private = NULL;
        CURLcode rc = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        c = (struct http_call *)(void *)private;
        http_call_result(c, rc, &reply);
        curl_multi_remove_handle(h->multi, c->easy);
        http_unlink(h, c);
        if (c->done)
            c->done(c->arg, &reply);
        http_keep(h, c);
        n++;
    }
    return n;
}

size_t mill_http_poll(struct mill_http *h, int wait_ms)
{
    int running;

    curl_multi_perform(h->multi, &running);
    if (!http_reap(h) && wait_ms > 0) {
        curl_multi_poll(h->multi, NULL, 0, wait_ms, NULL);
        curl_multi_perform(h->multi, &running);
        http_reap(h);
    }
    return h->n_running;
}

void mill_http_wake(struct mill_http *h)
{
    curl_multi_wakeup(h->multi);
}

int64_t mill_http_date_ms(struct mill_str s)
{
    char text[64];
    time_t t;

    mill_str_cut(s, text, sizeof text);
    t = curl_getdate(text, NULL);
    return t > 0 ? (int64_t)t * 1000 : 0;
}

struct mill_str mill_http_header(const struct mill_http_reply *r, const char *name)
{
    for (size_t i = 0; i < r->headers.n; i++)
        if (mill_str_ieq(r->headers.v[i].key, mill_str(name)))
            return r->headers.v[i].value;
    return (struct mill_str){0};
}

struct http_waiter {
    bool done;
    long *status;
    struct mill_buf *body;
    struct mill_err *err;
    enum mill_code code;
};

static void http_waited(void *arg, const struct mill_http_reply *r)
{
    struct http_waiter *w = arg;

    w->done = true;
    if (w->status)
        *w->status = r->status;
    if (r->end != MILL_HTTP_REPLIED)
        w->code = mill_fail(w->err, MILL_E_IO, "http", "%s: %s",
                            r->end == MILL_HTTP_LOST ? "no whole reply" : "not sent", r->reason);
    else if (w->body && !mill_buf_str_add(w->body, r->body))
        w->code =
            mill_fail(w->err, MILL_E_DATA, "http", "reply of %zu bytes is too large", r->body.n);
}

enum mill_code mill_http_wait(struct mill_http *h, struct mill_http_call *call, long *status,
                              struct mill_buf *body_out, struct mill_err *err)
{
    struct http_waiter w = {.status = status, .body = body_out, .err = err};
    enum mill_code code;

    call->done = http_waited;
    call->arg = &w;
    code = mill_http_submit(h, call, err);
    while (!code && !w.done)
        mill_http_poll(h, 1000);
    return code ? code : w.code;
}
