/* Start and stop of the double, and what it tells about itself: /calls, /events. */
#include "double.h"

#include "base/hash.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 4096, IDLE_S = 60 };

#define POSTED_BYTES ((size_t)2 << 30)

static void provider_json(struct mill_exchange *x, struct mill_str body)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};

    mill_exchange_answer(x, 200, (struct mill_map){&type, 1}, body);
}

/* GET /calls: what went out; ?all=1: every valid call, refused ones too. */
static void provider_on_calls(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    char *text;

    pthread_mutex_lock(&d->lock);
    text = mill_json_canonical(mill_exchange_query(x, "all").p ? d->attempts : d->calls);
    pthread_mutex_unlock(&d->lock);
    if (text)
        provider_json(x, mill_str(text));
    else
        double_answer_error(x, 500, NULL, "out of memory");
    free(text);
}

static void provider_on_events(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    struct mill_buf out;
    bool ok;

    mill_buf_init(&out, POSTED_BYTES + 2);
    pthread_mutex_lock(&d->lock);
    mill_buf_putc(&out, '[');
    mill_buf_str_add(&out, mill_buf_view(&d->posted));
    ok = mill_buf_putc(&out, ']') && !d->posted.failed;
    pthread_mutex_unlock(&d->lock);
    if (ok)
        provider_json(x, mill_buf_view(&out));
    else
        double_answer_error(x, 500, NULL, "too many events to list");
    mill_buf_release(&out);
}

static void provider_on_reset(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;

    pthread_mutex_lock(&d->lock);
    json_object_clear(d->calls);
    json_object_clear(d->attempts);
    mill_buf_reset(&d->posted);
    double_drop_events(d);
    d->epoch++;
    pthread_mutex_unlock(&d->lock);
    mill_exchange_answer(x, 204, (struct mill_map){0}, MILL_STR(""));
}

/* Only mail calls fall under the rules. */
static bool provider_admit(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    struct double_fault f;
    bool drop;

    if (!mill_str_is(mill_exchange_path(x), "/v3/mail/send"))
        return true;
    pthread_mutex_lock(&d->lock);
    drop = d->reset_before && double_fault_for(d, (struct mill_str){0}, true, &f);
    pthread_mutex_unlock(&d->lock);
    return !drop;
}

static const struct mill_route provider_routes[] = {
    {"POST", "/v3/mail/send", double_on_mail, DOUBLE_MAIL_BYTES},
    {"GET", "/calls", provider_on_calls, 0},
    {"DELETE", "/calls", provider_on_reset, 0},
    {"GET", "/events", provider_on_events, 0},
    {"PUT", "/behaviour", double_on_behaviour, 65536},
    {"DELETE", "/behaviour", double_on_behaviour, 0},
    {0},
};

enum mill_code double_start(struct double_state *d, struct mill_err *err)
{
    const struct mill_server_conf server = {.listen = d->listen,
                                            .routes = provider_routes,
                                            .app = d,
                                            .threads = d->threads,
                                            .max_connections = CONNECTIONS,
                                            .idle_timeout_s = IDLE_S,
                                            .max_in_flight_bytes = UINT64_C(1) << 30,
                                            .admit = provider_admit};
    const struct mill_http_conf http = {.max_connections = DOUBLE_POSTS_MAX};
    enum mill_code code = MILL_OK;

    pthread_mutex_init(&d->lock, NULL);
    mill_buf_init(&d->posted, POSTED_BYTES);
    d->calls = json_object();
    d->attempts = json_object();
    if (!d->calls || !d->attempts)
        return mill_fail(err, MILL_E_NOMEM, "double", "out of memory");
    if (d->webhook_key && d->webhook_key[0])
        code = double_load_key(d, err);
    if (!code)
        code = mill_http_new(&d->http, &http, err);
    if (!code)
        code = mill_server_start(&d->server, &server, err);
    if (!code && pthread_create(&d->worker, NULL, double_worker, d))
        code = mill_fail(err, MILL_E_IO, "double", "no thread");
    d->worker_runs = !code;
    return code;
}

void double_stop(struct double_state *d)
{
    if (d->server)
        mill_server_quiesce(d->server);
    if (d->worker_runs) {
        atomic_store(&d->stop, true);
        mill_http_wake(d->http);
        pthread_join(d->worker, NULL);
        d->worker_runs = false;
    }
    pthread_mutex_lock(&d->lock);
    while (d->late) {
        struct double_late *l = d->late;

        d->late = l->next;
        mill_exchange_drop(l->x);
        free(l);
    }
    pthread_mutex_unlock(&d->lock);
    mill_server_stop(d->server);
    mill_http_free(d->http);
    double_drop_posts(d);
    double_drop_events(d);
    free(d->events);
    mill_buf_release(&d->posted);
    json_decref(d->calls);
    json_decref(d->attempts);
    EVP_PKEY_free(d->sign_key);
    pthread_mutex_destroy(&d->lock);
}
