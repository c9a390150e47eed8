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

/* Adds the counts of one provider to those of all. */
static bool provider_sum(json_t *to, const json_t *counts)
{
    const char *id;
    json_t *n;

    json_object_foreach((json_t *)(uintptr_t)counts, id, n)
    {
        json_int_t sum = json_integer_value(json_object_get(to, id)) + json_integer_value(n);
        if (json_object_set_new(to, id, json_integer(sum)))
            return false;
    }
    return true;
}

/* GET /calls: what went out; ?all=1: every valid call, refused ones too; ?provider=NAME: one's. */
static void provider_on_calls(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    struct mill_str only = mill_exchange_query(x, "provider");
    bool all = mill_exchange_query(x, "all").p, known = !only.p, ok = true;
    json_t *sum = json_object();
    char *text = NULL;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < DOUBLE_PROVIDERS; i++) {
        bool this = !only.p || mill_str_is(only, double_apis[i].name);
        known = known || this;
        ok = ok && (!this || provider_sum(sum, all ? d->attempts[i] : d->calls[i]));
    }
    pthread_mutex_unlock(&d->lock);
    if (ok)
        text = mill_json_canonical(sum);
    if (!known)
        double_answer_error(x, 404, "provider", "no such provider");
    else if (text)
        provider_json(x, mill_str(text));
    else
        double_answer_error(x, 500, NULL, "out of memory");
    free(text);
    json_decref(sum);
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
    for (size_t i = 0; i < DOUBLE_PROVIDERS; i++) {
        json_object_clear(d->calls[i]);
        json_object_clear(d->attempts[i]);
    }
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
    struct double_call call = {.before_body = true, .reused = mill_exchange_reused(x)};
    struct mill_str path = mill_exchange_path(x);
    struct double_fault f;
    bool drop;

    if (!mill_str_starts(path, "/v3/"))
        return true;
    call.from = mill_str_is(path, "/v3/mail/send") ? DOUBLE_SENDGRID : DOUBLE_MAILGUN;
    pthread_mutex_lock(&d->lock);
    drop = d->reset_before && double_fault_for(d, &call, &f);
    pthread_mutex_unlock(&d->lock);
    return !drop;
}

static const struct mill_route provider_routes[] = {
    {"POST", "/v3/mail/send", double_on_mail, DOUBLE_MAIL_BYTES},
    {"POST", "/v3/*", double_on_form, DOUBLE_MAIL_BYTES},
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
    for (size_t i = 0; i < DOUBLE_PROVIDERS; i++) {
        d->calls[i] = json_object();
        d->attempts[i] = json_object();
        if (!d->calls[i] || !d->attempts[i])
            return mill_fail(err, MILL_E_NOMEM, "double", "out of memory");
    }
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
    for (size_t i = 0; i < DOUBLE_PROVIDERS; i++) {
        json_decref(d->calls[i]);
        json_decref(d->attempts[i]);
    }
    EVP_PKEY_free(d->sign_key);
    pthread_mutex_destroy(&d->lock);
}
