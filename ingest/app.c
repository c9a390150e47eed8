/**
 * @file app.c
 * @brief Routes, start and end.
 */
#include "app.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/controls.h"
#include "mail/records.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    APP_LATER_MAX = 64,         /* password hashes that may wait */
    APP_FLUSH_MS = 250,         /* for the last answers to leave their sockets */
    APP_EXTRA_MS = 2000,        /* of flushing, when the drain time is over */
    APP_FORM_BYTES = 4096,      /* of an unsubscribe's body */
    APP_PROPS = 2,              /* librdkafka's properties that follow our options */
    APP_BESIDE_BYTES = 2 << 20, /* of a record beside its value, and of others in its batch */
};

/* What the server refuses before a handler sees it. */
static void app_refuse(void *arg, unsigned status, const char *detail, struct mill_buf *body,
                       const char **media_type)
{
    struct ingest *app = arg;
    struct ingest_refusal r = {.problem = ingest_problem_of(status), .detail = mill_str(detail)};
    char text[160];

    if (r.problem == PROBLEM_TOO_LARGE) {
        snprintf(text, sizeof text,
                 "one mail is at most %llu bytes (%g MiB), a callback %llu, a batch %llu",
                 (unsigned long long)app->mail_max_bytes, (double)app->mail_max_bytes / (1 << 20),
                 (unsigned long long)app->conf->record_max_bytes,
                 (unsigned long long)app->conf->batch_max_bytes);
        r.detail = mill_str(text);
    }
    mill_metric_add(app->metrics, M_ANSWERS, (size_t)r.problem, 1);
    *media_type = "application/problem+json";
    (void)ingest_problem_add(body, &r, (struct mill_str){0});
}

static const struct mill_route status_routes[] = {
    {"GET", "/healthz", ingest_healthz_get, 0},
    {"GET", "/readyz", ingest_readyz_get, 0},
    {"GET", "/metrics", ingest_metrics_get, 0},
    {0},
};

static enum mill_code app_serve(struct ingest *app, struct mill_err *err)
{
    const struct ingest_conf *c = app->conf;
    const struct mill_route routes[] = {
        {"POST", "/v1/mail", ingest_mail_post, app->mail_max_bytes},
        {"POST", "/v1/mail/batch", ingest_batch_post, c->batch_max_bytes},
        {"DELETE", "/v1/mail/*", ingest_mail_delete, 0},
        {"POST", "/v1/callbacks/*", ingest_callback_post, c->record_max_bytes},
        {"GET", "/v1/unsubscribe/*", ingest_unsubscribe_get, 0},
        {"POST", "/v1/unsubscribe/*", ingest_unsubscribe_post, APP_FORM_BYTES},
        {"GET", "/v1/limits", ingest_limits_get, 0},
        {"GET", "/healthz", ingest_healthz_get, 0},
        {"GET", "/readyz", ingest_readyz_get, 0},
        {"GET", "/metrics", ingest_metrics_get, 0},
        {"GET", "/openapi.json", ingest_openapi_get, 0},
        {"GET", "/problems/*", ingest_problem_page, 0},
        {0},
    };
    _Static_assert(sizeof routes <= sizeof app->routes, "room for all routes");
    struct mill_server_conf main_conf = {
        .listen = c->listen,
        .routes = app->routes,
        .app = app,
        .threads = c->threads,
        .max_connections = c->connections_max,
        .max_per_ip = c->connections_per_ip,
        .idle_timeout_s = c->idle_timeout_s,
        .max_in_flight_bytes = c->in_flight_max_bytes,
        .tls_cert = c->tls_cert,
        .tls_key = c->tls_key,
        .refuse = app_refuse,
    };
    struct mill_server_conf status_conf = {.listen = c->common.status_listen,
                                           .routes = status_routes,
                                           .app = app,
                                           .refuse = app_refuse};
    enum mill_code rc;

    memcpy(app->routes, routes, sizeof routes);
    rc = mill_server_start(&app->server, &main_conf, err);
    if (!rc && c->common.status_listen)
        rc = mill_server_start(&app->status, &status_conf, err);
    return rc;
}

static enum mill_code app_publisher(struct ingest *app, struct mill_err *err)
{
    const struct ingest_conf *c = app->conf;
    struct ingest_publisher_conf conf = {
        .kafka = {.brokers = c->common.brokers, .client_id = app->client_id},
        .registry = c->common.registry,
        .topic = {[INGEST_REQUESTS] = c->out_requests,
                  [INGEST_CALLBACKS] = c->out_callbacks,
                  [INGEST_CANCELLATIONS] = c->out_cancellations,
                  [INGEST_SUPPRESSIONS] = c->out_suppressions,
                  [INGEST_IDEMPOTENCY] = c->out_idempotency},
        .desc = {[INGEST_REQUESTS] = &mill_request_desc,
                 [INGEST_CALLBACKS] = &mill_callback_desc,
                 [INGEST_CANCELLATIONS] = &mill_cancellation_desc,
                 [INGEST_SUPPRESSIONS] = &mill_suppression_desc,
                 [INGEST_IDEMPOTENCY] = &mill_idempotency_desc},
        .record_max_bytes = c->record_max_bytes,
    };
    struct mill_pair *props =
        mill_arena_calloc(&app->arena, c->common.rdkafka.n + APP_PROPS, sizeof *props);

    snprintf(app->client_id, sizeof app->client_id, "mill.ingest.%s", c->common.instance);
    if (!props)
        return mill_fail(err, MILL_E_NOMEM, "rdkafka", "out of memory");
    props[0] = (struct mill_pair){
        MILL_STR("delivery.timeout.ms"),
        mill_arena_printf(&app->arena, "%llu", (unsigned long long)c->ack_timeout_ms)};
    /* A record that we let in must fit into the producer, with its key and headers. */
    props[1] = (struct mill_pair){
        MILL_STR("message.max.bytes"),
        mill_arena_printf(&app->arena, "%llu",
                          (unsigned long long)(c->record_max_bytes + APP_BESIDE_BYTES))};
    if (c->common.rdkafka.n) /* the user's come later and win */
        memcpy(props + APP_PROPS, c->common.rdkafka.v, c->common.rdkafka.n * sizeof *props);
    conf.kafka.rdkafka = (struct mill_map){props, c->common.rdkafka.n + APP_PROPS};
    return ingest_publisher_new(&app->publisher, &conf, app->metrics, err);
}

static enum mill_code app_keys(struct ingest *app, struct mill_err *err)
{
    const struct ingest_conf *c = app->conf;
    struct mill_str folder = mill_arena_printf(&app->arena, "%s/%s", c->state_dir, app->client_id);
    const struct mill_table_conf conf = {
        .kafka = {.brokers = c->common.brokers,
                  .client_id = app->client_id,
                  .rdkafka = c->common.rdkafka},
        .registry = c->common.registry,
        .state_dir = folder.p,
        .name = "idempotency",
        .topic = c->out_idempotency,
        .desc = &mill_idempotency_desc,
        .max_bytes = c->table_max_bytes,
    };
    enum mill_code rc = folder.p ? mill_table_start(&app->used_keys, &conf, err)
                                 : mill_fail(err, MILL_E_NOMEM, "ingest", "out of memory");

    if (!rc)
        app->keys = ingest_keys_new(app->used_keys, c->key_lifetime_ms);
    return rc || app->keys ? rc : mill_fail(err, MILL_E_NOMEM, "ingest", "out of memory");
}

static enum mill_code app_blobs(struct ingest *app, struct mill_err *err)
{
    const struct ingest_conf *c = app->conf;
    const struct ingest_blobs_conf conf = {.s3 = c->s3,
                                           .inline_max_bytes = c->inline_max_bytes,
                                           .room_bytes = c->record_max_bytes / 2};

    app->mail_max_bytes = c->record_max_bytes;
    if (!c->s3.bucket)
        return MILL_OK;
    app->mail_max_bytes = c->mail_max_bytes;
    app->large = ingest_later_new(APP_LATER_MAX, c->large_threads);
    return app->large ? ingest_blobs_new(&app->blobs, &conf, app->metrics, err)
                      : mill_fail(err, MILL_E_NOMEM, "ingest", "out of memory or threads");
}

static enum mill_code app_check_s3(const struct ingest_conf *conf, struct mill_err *err)
{
    struct mill_s3 *s3 = NULL;
    enum mill_code rc = conf->s3.bucket ? mill_s3_open(&s3, &conf->s3, err) : MILL_OK;

    mill_s3_free(s3);
    return rc;
}

enum mill_code ingest_app_check(const struct ingest_conf *conf, struct mill_err *err)
{
    struct ingest_secrets secrets;
    struct ingest_credentials credentials = {0};
    enum mill_level level;
    enum mill_code rc = ingest_secrets_read(&secrets, conf, err);

    if (!rc)
        rc = mill_common_check(&conf->common, &level, err);
    if (!rc && !conf->tls_cert != !conf->tls_key)
        rc = mill_fail(err, MILL_E_CONFIG, "tls-cert", "certificate and key go together");
    if (!rc)
        rc = app_check_s3(conf, err);
    if (!rc)
        rc = ingest_credentials_load(&credentials, conf->credentials, err);
    ingest_credentials_release(&credentials);
    ingest_secrets_release(&secrets);
    return rc;
}

enum mill_code ingest_app_start(struct ingest **out, const struct ingest_conf *conf,
                                struct mill_err *err)
{
    struct ingest *app = calloc(1, sizeof *app);
    enum mill_code rc;

    *out = NULL;
    if (!app)
        return mill_fail(err, MILL_E_NOMEM, "ingest", "out of memory");
    app->conf = conf;
    ingest_rate_init(&app->unsubscribes, conf->unsubscribe_rate);
    app->metrics = mill_metrics_new(ingest_metrics, "ingest");
    app->quota = ingest_quota_new(conf->tenant_max);
    app->later = ingest_later_new(APP_LATER_MAX, 1);
    rc = app->metrics && app->quota && app->later
             ? MILL_OK
             : mill_fail(err, MILL_E_NOMEM, "ingest", "out of memory or threads");
    if (!rc)
        rc = ingest_secrets_read(&app->secrets, conf, err);
    if (!rc)
        rc = ingest_auth_file(&app->auth, conf->credentials, err);
    if (!rc)
        rc = app_publisher(app, err);
    if (!rc)
        rc = app_keys(app, err);
    if (!rc)
        rc = app_blobs(app, err);
    if (!rc)
        rc = app_serve(app, err);
    if (rc) {
        ingest_app_stop(app);
        return rc;
    }
    *out = app;
    return MILL_OK;
}

static void app_sleep(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Every request must be answered before the server may end: in its own time, or by the producer
 * when that is over. */
static void app_drain(struct ingest *app)
{
    int64_t until = mill_tick_ms() + (int64_t)app->conf->common.drain_ms;

    atomic_store(&app->draining, true);
    mill_server_quiesce(app->server);
    while (mill_server_in_flight(app->server) && mill_tick_ms() < until)
        app_sleep(10);
    ingest_publisher_close(app->publisher, APP_EXTRA_MS);
    while (mill_server_in_flight(app->server)) /* later's last jobs find the publisher closed */
        app_sleep(10);
    app_sleep(APP_FLUSH_MS);
}

void ingest_app_stop(struct ingest *app)
{
    if (!app)
        return;
    if (app->server)
        app_drain(app);
    mill_server_stop(app->server);
    mill_server_stop(app->status);
    ingest_later_free(app->later);
    ingest_later_free(app->large);
    ingest_blobs_free(app->blobs);
    ingest_publisher_free(app->publisher);
    ingest_keys_free(app->keys);
    mill_table_stop(app->used_keys);
    if (app->auth.free)
        app->auth.free(app->auth.self);
    ingest_secrets_release(&app->secrets);
    ingest_quota_free(app->quota);
    mill_metrics_free(app->metrics);
    mill_arena_release(&app->arena);
    free(app);
}

static void app_table_metrics(struct ingest *app)
{
    struct mill_table_stats stats;

    mill_table_stats(app->used_keys, &stats);
    mill_metric_set(app->metrics, M_TABLE_RECORDS, 0, (double)stats.records);
    mill_metric_set(app->metrics, M_TABLE_BYTES, 0, (double)stats.bytes);
    mill_metric_set(app->metrics, M_TABLE_LAG, 0, (double)stats.lag);
    mill_metric_set(app->metrics, M_KEYS, 0, (double)ingest_keys_in_hand(app->keys));
}

void ingest_app_tick(struct ingest *app, bool reread)
{
    if (app->auth.reload)
        app->auth.reload(app->auth.self, reread);
    ingest_publisher_tick(app->publisher);
    app_table_metrics(app);
    mill_metric_set(app->metrics, M_READY, 0, ingest_why(app) ? 0 : 1);
    mill_metric_set(app->metrics, M_IN_FLIGHT, 0, (double)mill_server_in_flight(app->server));
}
