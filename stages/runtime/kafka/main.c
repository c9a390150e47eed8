/* main() of every stage: options, signals, the life of the process. */
#include "kafka/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEARDOWN_S = 20, SETS_MAX = 20 /**< option tables */ };

#define OFF(member) offsetof(struct run_conf, member)
static const struct mill_opt main_opts[] = {
    {.name = "group",
     .type = MILL_OPT_STR,
     .off = OFF(group),
     .help = "consumer group; mill.<stage> if not given"},
    {.name = "failures-topic",
     .type = MILL_OPT_STR,
     .off = OFF(failures_topic),
     .def = "mail.failures",
     .help = "where records go that could not be done"},
    {.name = "retry-topic",
     .type = MILL_OPT_STR,
     .off = OFF(retry_topic),
     .help = "read beside the input; mail.retry.<stage> if not given"},
    {.name = "state-dir",
     .type = MILL_OPT_STR,
     .off = OFF(state_dir),
     .def = "/var/lib/sendmill",
     .help = "folder for table caches"},
    {.name = "batch-records",
     .type = MILL_OPT_U32,
     .off = OFF(batch_records),
     .def = "10000",
     .min = 1,
     .max = 1000000,
     .help = "commit after this many records at the latest"},
    {.name = "batch-bytes",
     .type = MILL_OPT_BYTES,
     .off = OFF(batch_bytes),
     .def = "16MiB",
     .min = 1024,
     .max = UINT64_C(1) << 32,
     .help = "commit after this many bytes read"},
    {.name = "batch-ms",
     .type = MILL_OPT_MS,
     .off = OFF(batch_ms),
     .def = "500ms",
     .min = 1,
     .max = 5000,
     .help = "commit after this time at the latest"},
    {.name = "record-max-bytes",
     .type = MILL_OPT_BYTES,
     .off = OFF(record_max_bytes),
     .def = "4MiB",
     .min = 1024,
     .max = UINT64_C(1) << 30,
     .help = "largest record written"},
    {.name = "table-max-bytes",
     .type = MILL_OPT_BYTES,
     .off = OFF(table_max_bytes),
     .def = "8GiB",
     .min = 1 << 20,
     .max = UINT64_C(1) << 44,
     .help = "largest table cache file"},
    {0},
};
#undef OFF

/** Option rows made from the ports: in.NAME, out.NAME, table.NAME. */
struct main_ports {
    struct mill_opt rows[3 * RUN_PORTS_MAX + 1];
    char names[3 * RUN_PORTS_MAX][64];
    size_t n;
};

static void main_port(struct main_ports *ports, const char *kind, const char *name,
                      const char *topic, size_t slot, const char *help)
{
    char *text = ports->names[ports->n];

    snprintf(text, sizeof ports->names[0], "%s.%s", kind, name);
    ports->rows[ports->n++] = (struct mill_opt){
        .name = text,
        .type = MILL_OPT_STR,
        .off = slot * sizeof(const char *),
        .def = topic,
        .help = help,
    };
}

static void main_port_rows(const struct mill_stage *spec, struct main_ports *ports)
{
    for (size_t i = 0; spec->in[i].name; i++)
        main_port(ports, "in", spec->in[i].name, spec->in[i].topic, i, "topic read");
    for (size_t i = 0; spec->out && spec->out[i].name; i++)
        main_port(ports, "out", spec->out[i].name, spec->out[i].topic, RUN_PORTS_MAX + i,
                  "topic written");
    for (size_t i = 0; spec->tables && spec->tables[i].name; i++)
        main_port(ports, "table", spec->tables[i].name, spec->tables[i].topic,
                  2 * RUN_PORTS_MAX + i, "compacted topic looked up");
}

static void main_describe_ports(FILE *to, const char *key, const struct mill_port *p)
{
    fprintf(to, "\"%s\":[", key);
    for (size_t i = 0; p && p[i].name; i++)
        fprintf(to, "%s{\"name\":\"%s\",\"topic\":\"%s\",\"record\":%s%s%s}", i ? "," : "",
                p[i].name, p[i].topic, p[i].desc ? "\"" : "", p[i].desc ? p[i].desc->name : "null",
                p[i].desc ? "\"" : "");
    fprintf(to, "],");
}

static int main_describe(const struct mill_stage *spec, const struct mill_opt_set *sets, FILE *to)
{
    const struct mill_metric *const own = run_table_rows(spec);
    const struct mill_metric *const metrics[] = {run_metric_rows, own ? own : spec->metrics,
                                                 own ? spec->metrics : NULL, NULL};

    fprintf(to, "{\"name\":\"%s\",\"summary\":\"%s\",", spec->name, spec->summary);
    main_describe_ports(to, "in", spec->in);
    main_describe_ports(to, "out", spec->out);
    fprintf(to, "\"tables\":[");
    for (size_t i = 0; spec->tables && spec->tables[i].name; i++)
        fprintf(to, "%s{\"name\":\"%s\",\"topic\":\"%s\"}", i ? "," : "", spec->tables[i].name,
                spec->tables[i].topic);
    fprintf(to, "],\"metrics\":");
    if (!mill_metrics_describe(metrics, to))
        return MILL_EXIT_BUG;
    fprintf(to, ",\"options\":");
    if (!mill_opts_describe(sets, to))
        return MILL_EXIT_BUG;
    fprintf(to, "}\n");
    return fflush(to) ? MILL_EXIT_TEMP : MILL_EXIT_OK;
}

static int main_run(struct mill_ctx *ctx, bool check_only)
{
    struct mill_err err = {0};
    enum mill_level level;

    if (mill_common_check(&ctx->common, &level, &err)) {
        fprintf(stderr, "mill-%s: %s: %s\n", ctx->spec->name, err.where, err.text);
        return MILL_EXIT_CONFIG;
    }
    if (check_only)
        return MILL_EXIT_OK;
    mill_log_setup(ctx->spec->name, level);
    run_signals();
    ctx->run = mill_metrics_new(run_metric_rows, ctx->spec->name);
    ctx->own = ctx->spec->metrics ? mill_metrics_new(ctx->spec->metrics, ctx->spec->name) : NULL;
    if (run_table_rows(ctx->spec))
        ctx->table = mill_metrics_new(run_table_rows(ctx->spec), ctx->spec->name);
    if (!ctx->run || (ctx->spec->metrics && !ctx->own) ||
        (run_table_rows(ctx->spec) && !ctx->table))
        return MILL_EXIT_NOMEM;
    mill_log(MILL_INFO, "start", MILL_KV(MILL_KS("librdkafka", mill_kafka_version())), "starting");
    if (run_setup(ctx, &err)) {
        if (!run_stopping(ctx))
            run_fail(ctx, "start_failed", &err);
    } else {
        run_loop(ctx);
    }
    /* A client that the group has lost may hang in its close: the alarm's default action ends it.
     */
    alarm(TEARDOWN_S + (unsigned)(ctx->common.drain_ms / 1000));
    run_teardown(ctx);
    mill_log(MILL_INFO, "end", MILL_KV(MILL_KI("code", ctx->exit_code < 0 ? 0 : ctx->exit_code)),
             "ended");
    return ctx->exit_code < 0 ? MILL_EXIT_OK : ctx->exit_code;
}

/* Prints what was asked for instead of running; -1 = run. */
static int main_asked(enum mill_opt_mode mode, const struct mill_stage *spec,
                      const struct mill_opts *opts, const struct mill_opt_set *sets)
{
    switch (mode) {
    case MILL_MODE_HELP:
        mill_opts_help(spec->name, spec->summary, sets, stdout);
        return MILL_EXIT_OK;
    case MILL_MODE_VERSION:
        printf("mill-%s %s (librdkafka %s)\n", spec->name, MILL_VERSION, mill_kafka_version());
        return MILL_EXIT_OK;
    case MILL_MODE_PRINT:
        mill_opts_print(opts, stdout);
        return MILL_EXIT_OK;
    case MILL_MODE_DESCRIBE:
        return main_describe(spec, sets, stdout);
    case MILL_MODE_CHECK:
    case MILL_MODE_RUN:
        break;
    }
    return -1;
}

/* The stage's further tables, behind what is in sets already. */
static void main_more(const struct mill_stage *spec, void *conf, struct mill_opt_set *sets)
{
    const struct mill_opt *opts;
    size_t at = 0, off = 0;

    while (sets[at].opts)
        at++;
    for (size_t n = 0; spec->opts_more && at < SETS_MAX && (opts = spec->opts_more(n, &off)); n++)
        sets[at++] = (struct mill_opt_set){opts, (char *)conf + off};
}

int mill_stage_main(int argc, char **argv, const struct mill_stage *spec)
{
    static const struct mill_opt none[] = {{0}};
    struct main_ports ports = {0};
    struct mill_ctx *ctx = calloc(1, sizeof *ctx);
    struct mill_opts *opts = NULL;
    struct mill_err err = {0};
    enum mill_opt_mode mode = MILL_MODE_RUN;
    enum mill_code code;
    int rc = MILL_EXIT_NOMEM;

    if (!ctx)
        return rc;
    ctx->spec = spec;
    ctx->exit_code = -1;
    ctx->conf = calloc(1, spec->conf_size + 1);
    ctx->state = calloc(1, spec->state_size + 1);
    if (!ctx->conf || !ctx->state)
        goto out;
    main_port_rows(spec, &ports);
    struct mill_opt_set sets[SETS_MAX + 1] = {
        {spec->opts ? spec->opts : none, ctx->conf},
        {ports.rows, ctx->topics},
        {main_opts, &ctx->rc},
        {mill_client_opts, &ctx->common},
        {mill_common_opts, &ctx->common},
    };
    main_more(spec, ctx->conf, sets);
    code = mill_opts_load(&opts, spec->name, sets, argc, argv, &mode, &err);
    if (code && mode != MILL_MODE_HELP && mode != MILL_MODE_DESCRIBE) {
        fprintf(stderr, "mill-%s: %s: %s\n", spec->name, err.where, err.text);
        rc = code == MILL_E_STATE ? MILL_EXIT_USAGE : mill_exit_of(code);
        goto out;
    }
    rc = main_asked(mode, spec, opts, sets);
    if (rc < 0)
        rc = main_run(ctx, mode == MILL_MODE_CHECK);
out:
    mill_metrics_free(ctx->run);
    mill_metrics_free(ctx->own);
    mill_metrics_free(ctx->table);
    mill_opts_free(opts);
    free(ctx->conf);
    free(ctx->state);
    free(ctx);
    return rc;
}
