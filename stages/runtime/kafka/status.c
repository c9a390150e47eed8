/* The status port: /healthz (alive), /readyz (can do its work), /metrics; and the runtime's own
 * metrics. */
#include "base/clock.h"
#include "kafka/run.h"

#include <stdio.h>

enum { STUCK_MS = 60000, MEASURE_MS = 1000, TEXT_MAX = 1 << 20 };

static const char *const verdict_names[] = {[MILL_DONE] = "done",
                                            [MILL_REJECT] = "reject",
                                            [MILL_RETRY] = "retry",
                                            [MILL_STOP] = "stop",
                                            NULL};
static const char *const code_names[] = {[MILL_OK] = "ok",
                                         [MILL_E_NOMEM] = "nomem",
                                         [MILL_E_CONFIG] = "config",
                                         [MILL_E_SCHEMA] = "schema",
                                         [MILL_E_DATA] = "data",
                                         [MILL_E_IO] = "io",
                                         [MILL_E_KAFKA] = "kafka",
                                         [MILL_E_STATE] = "state",
                                         [MILL_E_NOENT] = "noent",
                                         [MILL_E_AUTH] = "auth",
                                         NULL};
static const char *const port_names[] = {"0", "1", "2", "3", "4", "5", "6", "7", NULL};

const struct mill_metric run_metric_rows[] = {
    [RUN_M_RECEIVED] = {"mill_records_received_total", MILL_COUNTER, "Records read.", "port",
                        port_names},
    [RUN_M_EMITTED] = {"mill_records_emitted_total", MILL_COUNTER, "Records emitted.", "port",
                       port_names},
    [RUN_M_VERDICTS] = {"mill_verdicts_total", MILL_COUNTER, "Records by verdict.", "verdict",
                        verdict_names},
    [RUN_M_ERRORS] = {"mill_errors_total", MILL_COUNTER, "Records not done, by error.", "code",
                      code_names},
    [RUN_M_COMMITS] = {"mill_commits_total", MILL_COUNTER, "Transactions committed.", NULL, NULL},
    [RUN_M_COMMIT_SECONDS] = {"mill_commit_seconds", MILL_HISTOGRAM, "Time a commit took.", NULL,
                              NULL},
    [RUN_M_ABORTS] = {"mill_aborts_total", MILL_COUNTER, "Transactions aborted.", NULL, NULL},
    [RUN_M_LAG] = {"mill_lag_records", MILL_GAUGE, "Records not yet committed, all partitions.",
                   NULL, NULL},
    [RUN_M_HELD] = {"mill_records_held", MILL_GAUGE, "Records that wait for their time.", NULL,
                    NULL},
    [RUN_M_READY] = {"mill_ready", MILL_GAUGE, "1 when the stage can do its work.", NULL, NULL},
    [RUN_M_STALLED] =
        {"mill_partitions_stalled", MILL_GAUGE,
         "Partitions read whose last stable offset has stayed behind the log's end for "
         "three transaction timeouts: a transaction hangs.",
         NULL, NULL},
    {0},
};

enum { TABLE_M_RECORDS, TABLE_M_BYTES, TABLE_M_READ, TABLE_M_LAG, TABLE_M_REBUILD };

const struct mill_metric *run_table_rows(const struct mill_stage *spec)
{
    static const char *names[RUN_PORTS_MAX + 1]; /* a process has one stage */
    static const struct mill_metric rows[] = {
        [TABLE_M_RECORDS] = {"mill_table_records", MILL_GAUGE, "Keys held.", "table", names},
        [TABLE_M_BYTES] = {"mill_table_bytes", MILL_GAUGE, "Bytes of the cache file in use.",
                           "table", names},
        [TABLE_M_READ] = {"mill_table_read_records", MILL_GAUGE,
                          "Records of the topic taken in since the start.", "table", names},
        [TABLE_M_LAG] = {"mill_table_lag_records", MILL_GAUGE,
                         "Records of the topic not taken in yet.", "table", names},
        [TABLE_M_REBUILD] = {"mill_table_rebuild_seconds", MILL_GAUGE,
                             "Time the last catching up took, at start or on an assignment.",
                             "table", names},
        {0},
    };
    size_t n = 0;

    while (n < RUN_PORTS_MAX && spec->tables && spec->tables[n].name) {
        names[n] = spec->tables[n].name;
        n++;
    }
    return n ? rows : NULL;
}

void mill_unready(struct mill_ctx *ctx, const char *why)
{
    const char *before = atomic_exchange(&ctx->why, why);

    if (before != why)
        mill_log(why ? MILL_WARN : MILL_INFO, why ? "unready" : "ready_again", NULL, "%s",
                 why ? why : before);
}

void run_away(struct mill_ctx *ctx, const char *why)
{
    const char *before = atomic_exchange(&ctx->away, why);

    if (before != why)
        mill_log(why ? MILL_WARN : MILL_INFO, why ? "unready" : "ready_again", NULL, "%s",
                 why ? why : before);
}

static bool status_ready(struct mill_ctx *ctx)
{
    return !atomic_load(&ctx->why) && !atomic_load(&ctx->away) && atomic_load(&ctx->ready);
}

static size_t measure_tables(struct mill_ctx *ctx)
{
    size_t stalled = 0;

    for (size_t i = 0; i < RUN_PORTS_MAX && ctx->tables[i]; i++) {
        struct mill_table_stats s;
        mill_table_stats(ctx->tables[i], &s);
        mill_metric_set(ctx->table, TABLE_M_RECORDS, i, (double)s.records);
        mill_metric_set(ctx->table, TABLE_M_BYTES, i, (double)s.bytes);
        mill_metric_set(ctx->table, TABLE_M_READ, i, (double)s.read);
        mill_metric_set(ctx->table, TABLE_M_LAG, i, (double)s.lag);
        mill_metric_set(ctx->table, TABLE_M_REBUILD, i, s.rebuild_seconds);
        stalled += s.stalled;
    }
    return stalled;
}

/* Held back by ourselves is not stalled. */
static bool measure_stalled(struct run_part *p, int64_t high, int64_t now)
{
    int64_t at = p->read_to > p->taken_to ? p->read_to : p->taken_to;

    if (p->held_at < p->held_n || p->paused)
        at = high;
    if (run_stall_look(&p->stall, at, high, now))
        mill_log(MILL_WARN, "transaction_hangs",
                 MILL_KV(MILL_KS("topic", p->topic), MILL_KI("partition", p->partition),
                         MILL_KI("offset", at)),
                 "%lld offsets behind it are not stable", (long long)(high - at));
    return p->stall.alarm;
}

void run_measure(struct mill_ctx *ctx)
{
    static _Thread_local int64_t last_ms;
    int64_t now = mill_tick_ms(), lag = 0;
    size_t held = 0, stalled = 0;

    atomic_store(&ctx->ready, ctx->assigned);
    if (now - last_ms < MEASURE_MS)
        return;
    last_ms = now;
    for (size_t i = 0; i < ctx->parts_n; i++) {
        struct run_part *p = ctx->parts[i];
        int64_t low = 0, high = -1;
        held += p->held_n - p->held_at;
        if (rd_kafka_get_watermark_offsets(ctx->consumer, p->topic, p->partition, &low, &high) ||
            high < 0)
            continue;
        /* Once all that was taken is committed, what is left before the end are markers. */
        if (high > p->unmoved && p->unmoved >= 0 &&
            !(p->unmoved == p->taken_to && p->read_to >= high))
            lag += high - p->unmoved;
        stalled += measure_stalled(p, high, now);
    }
    stalled += measure_tables(ctx);
    mill_metric_set(ctx->run, RUN_M_LAG, 0, (double)lag);
    mill_metric_set(ctx->run, RUN_M_HELD, 0, (double)held);
    mill_metric_set(ctx->run, RUN_M_STALLED, 0, (double)stalled);
    mill_metric_set(ctx->run, RUN_M_READY, 0, status_ready(ctx));
}

static void status_answer(struct mill_exchange *x, unsigned code, const char *type,
                          struct mill_str body)
{
    const struct mill_pair h = {MILL_STR("Content-Type"), mill_str(type)};

    mill_exchange_answer(x, code, (struct mill_map){&h, 1}, body);
}

static void status_health(void *app, struct mill_exchange *x)
{
    struct mill_ctx *ctx = app;
    bool alive =
        mill_tick_ms() - atomic_load(&ctx->tick_ms) < STUCK_MS || !atomic_load(&ctx->ready);

    status_answer(x, alive ? 200 : 503, "text/plain",
                  alive ? MILL_STR("ok\n") : MILL_STR("stuck\n"));
}

static void status_readiness(void *app, struct mill_exchange *x)
{
    struct mill_ctx *ctx = app;
    const char *away = atomic_load(&ctx->away), *why = away ? away : atomic_load(&ctx->why);
    char text[200];

    if (status_ready(ctx))
        snprintf(text, sizeof text, "ok\n");
    else
        snprintf(text, sizeof text, "%s\n", why ? why : "waiting for partitions");
    status_answer(x, status_ready(ctx) ? 200 : 503, "text/plain", mill_str(text));
}

static void status_metrics(void *app, struct mill_exchange *x)
{
    struct mill_ctx *ctx = app;
    struct mill_buf out;

    mill_buf_init(&out, TEXT_MAX);
    if (mill_metrics_text(ctx->run, &out) && (!ctx->own || mill_metrics_text(ctx->own, &out)) &&
        (!ctx->table || mill_metrics_text(ctx->table, &out)))
        status_answer(x, 200, "text/plain; version=0.0.4", mill_buf_view(&out));
    else
        status_answer(x, 500, "text/plain", MILL_STR("out of memory\n"));
    mill_buf_release(&out);
}

enum mill_code run_status_start(struct mill_ctx *ctx, struct mill_err *err)
{
    static const struct mill_route routes[] = {
        {"GET", "/healthz", status_health, 0},
        {"GET", "/readyz", status_readiness, 0},
        {"GET", "/metrics", status_metrics, 0},
        {0},
    };
    struct mill_server_conf conf = {
        .listen = ctx->common.status_listen,
        .routes = routes,
        .app = ctx,
        .max_connections = 64,
    };

    atomic_store(&ctx->tick_ms, mill_tick_ms());
    if (!ctx->common.status_listen || !*ctx->common.status_listen)
        return MILL_OK;
    return mill_server_start(&ctx->status, &conf, err);
}
