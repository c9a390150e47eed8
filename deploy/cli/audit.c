/* sendmill audit: is each offset of each partition in the lake exactly once? */
#include "lake/audit.h"
#include "audit_group.h"
#include "cli.h"
#include "compact/scan.h"
#include "text.h"

#include <stdio.h>

struct audit_run {
    struct cli *cli;
    struct mill_audit *audit;
    struct mill_scan scan;
    size_t n, staged;
    int64_t partitions, rows, rejected, faults;
};

/** The scan's objects into the audit; staged ones are nobody's yet. */
static enum mill_code audit_take(struct audit_run *run, struct mill_err *err)
{
    for (size_t i = 0; i < run->scan.n; i++) {
        const struct mill_compact_object *o = &run->scan.v[i];
        if (o->staged) {
            run->staged++;
            continue;
        }
        if (!mill_audit_add(run->audit, o->name, o->bytes, o->footer, o->why))
            return mill_fail(err, MILL_E_NOMEM, "audit", "out of memory");
        run->n++;
    }
    return MILL_OK;
}

void cli_audit_finding(const struct cli *cli, const struct mill_audit_finding *f)
{
    struct mill_arena mem = {0};
    const char *object = text_safe(&mem, f->object), *detail = text_safe(&mem, f->detail);

    if (cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:s,s:o,s:o,s:i,s:I,s:I,s:s,s:s}", "kind", "finding", "fault",
                              mill_audit_fault_name(f->fault), "topic", mill_json_new(f->topic),
                              "topic_id", mill_json_new(f->topic_id), "partition",
                              (int)f->partition, "start", (json_int_t)f->start, "end",
                              (json_int_t)f->end, "object", object, "detail", detail);
        cli_print(cli, o);
        json_decref(o);
    } else {
        printf("%-10s %.*s/%d [%lld,%lld) %s%s%s\n", mill_audit_fault_name(f->fault),
               MILL_FMT(f->topic), (int)f->partition, (long long)f->start, (long long)f->end,
               object, *object ? ": " : "", detail);
    }
    mill_arena_release(&mem);
}

static void audit_on_finding(void *arg, const struct mill_audit_finding *f)
{
    struct audit_run *r = arg;

    r->faults++;
    cli_audit_finding(r->cli, f);
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

static int audit_end(struct audit_run *run)
{
    bool ok = run->faults == 0;

    if (run->cli->format == CLI_JSON) {
        json_t *o =
            json_pack("{s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "kind", "audit", "ok", ok,
                      "objects", (json_int_t)run->n, "staged", (json_int_t)run->staged, "foreign",
                      (json_int_t)run->scan.foreign, "swept", (json_int_t)run->scan.swept,
                      "partitions", (json_int_t)run->partitions, "rows", (json_int_t)run->rows,
                      "rejected", (json_int_t)run->rejected, "faults", (json_int_t)run->faults);
        cli_print(run->cli, o);
        json_decref(o);
    } else {
        printf("audit %s: %lld partitions, %zu objects, %lld rows, %lld rejected, %lld faults\n",
               ok ? "ok" : "FAILED", (long long)run->partitions, run->n, (long long)run->rows,
               (long long)run->rejected, (long long)run->faults);
        if (run->scan.swept)
            fprintf(stderr, "%zu objects are the sweeper's: no ranges of the sink's\n",
                    run->scan.swept);
        if (!run->cli->conf.group)
            fprintf(stderr,
                    "whether a partition's last range is missing is not to be seen from the "
                    "lake: name the sink's --group\n");
        if (run->staged)
            fprintf(stderr, "%zu merged files wait for their place: see sendmill lake compact\n",
                    run->staged);
        if (run->scan.foreign)
            fprintf(stderr, "%zu objects are not of the sink's names and were not looked at\n",
                    run->scan.foreign);
    }
    return ok ? MILL_EXIT_OK : MILL_EXIT_PARTIAL;
}

int cli_audit(struct cli *cli)
{
    struct audit_run run = {.cli = cli, .audit = mill_audit_new(cli->conf.s3.prefix)};
    const struct mill_audit_report report = {audit_on_finding, audit_on_partition, &run};
    const struct mill_parquet *lib = NULL;
    struct mill_err err = {0};
    enum mill_code code = run.audit ? mill_parquet_load(cli->conf.parquet_lib, &lib, &err)
                                    : mill_fail(&err, MILL_E_NOMEM, "audit", "out of memory");
    int rc = MILL_EXIT_OK;

    mill_scan_init(&run.scan, &cli->conf.s3);
    if (!code)
        code = mill_scan_list(&run.scan, cli->args_n ? cli->args[0] : NULL, cli_stopped, &err);
    if (!code)
        code = mill_scan_footers(&run.scan, lib, cli_stopped, &err);
    if (!code && !cli_stopped())
        code = audit_take(&run, &err);
    if (!code && !cli_stopped() && cli->conf.group)
        code = audit_group(cli, run.audit, &run.scan, &err);
    if (!code && !cli_stopped())
        code = mill_audit_run(run.audit, &report, &err);
    if (code)
        rc = cli_fail(&err);
    else if (cli_stopped())
        rc = CLI_INTERRUPTED;
    else if (!run.n && !run.faults)
        rc = cli_fail(&(struct mill_err){
            .code = MILL_E_NOENT, .where = "audit", .text = "the lake has no such objects"});
    else
        rc = audit_end(&run);
    mill_audit_free(run.audit);
    mill_scan_release(&run.scan);
    return rc;
}
