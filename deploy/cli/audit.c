/* sendmill audit: is each offset of each partition in the lake exactly once? */
#include "lake/audit.h"
#include "cli.h"
#include "text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { READERS = 8 /**< footers fetched at once: a fetch waits for the network */ };

struct audit_run {
    struct cli *cli;
    struct mill_audit *audit;
    const struct mill_parquet *lib;
    size_t n;
    atomic_size_t next;
    atomic_bool stop;
    int64_t partitions, rows, rejected, faults;
    struct mill_arena mem; /**< of one line */
};

/** One who fetches footers. */
struct audit_reader {
    struct audit_run *run;
    pthread_t thread;
    bool started;
    struct mill_arena mem; /**< footers; until the audit has ended */
    enum mill_code code;
    struct mill_err err;
};

/** The end of an object, as much of it as holds the footer. */
static enum mill_code audit_tail(struct mill_s3 *s3, const char *key, uint64_t bytes,
                                 struct mill_buf *tail, struct mill_err *err)
{
    uint64_t n = bytes < MILL_FOOTER_GUESS ? bytes : MILL_FOOTER_GUESS;
    enum mill_code rc = MILL_OK;

    for (int round = 0; round < 2 && !rc && n; round++) {
        mill_buf_reset(tail);
        rc = mill_s3_get_range(s3, key, bytes - n, n, tail, err);
        uint64_t need = rc ? 0 : mill_footer_size(mill_buf_view(tail));
        if (need <= n || need > bytes)
            break;
        n = need;
    }
    return rc;
}

/** @return MILL_OK also for an object without a footer: that is a finding */
static enum mill_code audit_fetch(struct audit_reader *r, struct mill_s3 *s3, size_t i,
                                  struct mill_buf *tail)
{
    uint64_t bytes;
    struct mill_str key = mill_audit_key(r->run->audit, i, &bytes);
    struct mill_footer *footer = mill_arena_calloc(&r->mem, 1, sizeof *footer);
    enum mill_code rc = footer ? audit_tail(s3, key.p, bytes, tail, &r->err) : MILL_E_NOMEM;

    if (!rc)
        rc = mill_footer_parse(r->run->lib, mill_buf_view(tail), &r->mem, footer, &r->err);
    if (rc == MILL_E_DATA || rc == MILL_E_NOENT) {
        mill_audit_footer(r->run->audit, i, NULL,
                          mill_arena_printf(&r->mem, "%s: %s", r->err.where, r->err.text));
        return MILL_OK;
    }
    if (!rc)
        mill_audit_footer(r->run->audit, i, footer, (struct mill_str){NULL, 0});
    return rc;
}

static void *audit_reader(void *arg)
{
    struct audit_reader *r = arg;
    struct mill_s3 *s3 = NULL;
    struct mill_buf tail;
    size_t i;

    mill_buf_init(&tail, MILL_FOOTER_MAX);
    r->code = mill_s3_open(&s3, &r->run->cli->conf.s3, &r->err);
    while (!r->code && !atomic_load(&r->run->stop) && !cli_stopped() &&
           (i = atomic_fetch_add(&r->run->next, 1)) < r->run->n)
        r->code = audit_fetch(r, s3, i, &tail);
    if (r->code)
        atomic_store(&r->run->stop, true);
    mill_buf_release(&tail);
    mill_s3_free(s3);
    return NULL;
}

static enum mill_code audit_footers(struct audit_run *run, struct audit_reader *readers,
                                    struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; i < READERS; i++) {
        readers[i].run = run;
        readers[i].started =
            pthread_create(&readers[i].thread, NULL, audit_reader, &readers[i]) == 0;
    }
    if (!readers[0].started)
        audit_reader(&readers[0]);
    for (size_t i = 0; i < READERS; i++) {
        if (readers[i].started)
            pthread_join(readers[i].thread, NULL);
        if (readers[i].code && !rc) {
            rc = readers[i].code;
            *err = readers[i].err;
        }
    }
    return rc;
}

struct audit_list {
    struct audit_run *run;
    bool nomem;
};

static bool audit_each(void *arg, const char *key, uint64_t bytes)
{
    struct audit_list *l = arg;
    const struct cli *cli = l->run->cli;
    struct mill_str topic = mill_str(cli->args_n ? cli->args[0] : NULL);

    l->nomem = !mill_audit_add(l->run->audit, mill_str(key), bytes, topic);
    return !l->nomem && !cli_stopped();
}

static enum mill_code audit_list(struct audit_run *run, struct mill_err *err)
{
    const struct mill_s3_opts *o = &run->cli->conf.s3;
    struct audit_list l = {run, false};
    struct mill_s3 *s3 = NULL;
    enum mill_code rc = mill_s3_open(&s3, o, err);

    if (!rc)
        rc = mill_s3_list(s3, o->prefix, audit_each, &l, err);
    mill_s3_free(s3);
    return l.nomem ? mill_fail(err, MILL_E_NOMEM, "audit", "out of memory") : rc;
}

static void audit_on_finding(void *arg, const struct mill_audit_finding *f)
{
    struct audit_run *r = arg;
    const char *object = text_safe(&r->mem, f->object), *detail = text_safe(&r->mem, f->detail);

    r->faults++;
    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:i,s:I,s:I,s:s,s:s}", "kind", "finding", "fault",
                              mill_audit_fault_name(f->fault), "topic", mill_json_new(f->topic),
                              "topic_id", mill_json_new(f->topic_id), "partition",
                              (int)f->partition, "start", (json_int_t)f->start, "end",
                              (json_int_t)f->end, "object", object, "detail", detail);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%-10s %.*s/%d [%lld,%lld) %s%s%s\n", mill_audit_fault_name(f->fault),
               MILL_FMT(f->topic), (int)f->partition, (long long)f->start, (long long)f->end,
               object, *object ? ": " : "", detail);
    }
    mill_arena_reset(&r->mem);
}

static void audit_on_partition(void *arg, const struct mill_audit_partition *p)
{
    struct audit_run *r = arg;

    r->partitions++;
    r->rows += p->rows;
    r->rejected += p->rejected;
    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack(
            "{s:s,s:o,s:o,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "kind", "partition",
            "topic", mill_json_new(p->topic), "topic_id", mill_json_new(p->topic_id), "partition",
            (int)p->partition, "start", (json_int_t)p->start, "end", (json_int_t)p->end, "ranges",
            (json_int_t)p->ranges, "objects", (json_int_t)p->objects, "bytes", (json_int_t)p->bytes,
            "rows", (json_int_t)p->rows, "rejected", (json_int_t)p->rejected, "holes",
            (json_int_t)p->holes, "merged", (json_int_t)p->merged, "faults", (json_int_t)p->faults);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%-10s %.*s/%d [%lld,%lld) %lld rows, %lld rejected, %lld holes, %lld objects, "
               "%lld bytes\n",
               p->faults ? "FAULTS" : "ok", MILL_FMT(p->topic), (int)p->partition,
               (long long)p->start, (long long)p->end, (long long)p->rows, (long long)p->rejected,
               (long long)p->holes, (long long)p->objects, (long long)p->bytes);
    }
}

static int audit_end(struct audit_run *run, size_t foreign)
{
    size_t swept = mill_audit_swept(run->audit);
    bool ok = run->faults == 0;

    if (run->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "kind", "audit", "ok", ok,
                              "objects", (json_int_t)run->n, "foreign", (json_int_t)foreign,
                              "swept", (json_int_t)swept, "partitions", (json_int_t)run->partitions,
                              "rows", (json_int_t)run->rows, "rejected", (json_int_t)run->rejected,
                              "faults", (json_int_t)run->faults);
        cli_print(run->cli, o);
        json_decref(o);
    } else {
        printf("audit %s: %lld partitions, %zu objects, %lld rows, %lld rejected, %lld faults\n",
               ok ? "ok" : "FAILED", (long long)run->partitions, run->n, (long long)run->rows,
               (long long)run->rejected, (long long)run->faults);
        if (swept)
            fprintf(stderr, "%zu objects are the sweeper's: no ranges of the sink's\n", swept);
        if (foreign)
            fprintf(stderr, "%zu objects are not of the sink's names and were not looked at\n",
                    foreign);
    }
    return ok ? MILL_EXIT_OK : MILL_EXIT_PARTIAL;
}

int cli_audit(struct cli *cli)
{
    struct audit_run run = {.cli = cli, .audit = mill_audit_new(cli->conf.s3.prefix)};
    struct audit_reader readers[READERS] = {{0}};
    const struct mill_audit_report report = {audit_on_finding, audit_on_partition, &run};
    struct mill_err err = {0};
    size_t foreign = 0;
    enum mill_code code = run.audit ? mill_parquet_load(cli->conf.parquet_lib, &run.lib, &err)
                                    : mill_fail(&err, MILL_E_NOMEM, "audit", "out of memory");
    int rc = MILL_EXIT_OK;

    if (!code)
        code = audit_list(&run, &err);
    if (!code && !cli_stopped()) {
        run.n = mill_audit_count(run.audit, &foreign);
        code = audit_footers(&run, readers, &err);
    }
    if (!code && !cli_stopped())
        code = mill_audit_run(run.audit, &report, &err);
    if (code)
        rc = cli_fail(&err);
    else if (cli_stopped())
        rc = CLI_INTERRUPTED;
    else if (!run.n)
        rc = cli_fail(&(struct mill_err){
            .code = MILL_E_NOENT, .where = "audit", .text = "the lake has no such objects"});
    else
        rc = audit_end(&run, foreign);
    for (size_t i = 0; i < READERS; i++)
        mill_arena_release(&readers[i].mem);
    mill_arena_release(&run.mem);
    mill_audit_free(run.audit);
    return rc;
}
