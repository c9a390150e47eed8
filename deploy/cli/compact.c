/* sendmill lake compact: many small files of a closed day become few. */
#include "cli.h"
#include "compact/job.h"
#include "progress.h"
#include "text.h"

#include <stdio.h>

enum { COMPACT_GRACE_MS = 3600000 /**< below that a sink that was stopped may be too late */ };

struct compact_run {
    struct cli *cli;
    struct mill_compact_job job;
    struct progress progress;
    uint64_t parts; /**< that were gone through */
};

static const char *const compact_said[] = {[MILL_COMPACT_PLANNED] = "planned",
                                           [MILL_COMPACT_DONE] = "done",
                                           [MILL_COMPACT_APART] = "apart"};

static void compact_on_step(void *arg, const struct mill_compact_step *s, struct mill_str name,
                            enum mill_compact_said said)
{
    struct compact_run *r = arg;
    struct mill_arena mem = {0};
    const char *act = mill_compact_act_name(s->act), *object = text_safe(&mem, name);

    r->parts += s->n;
    progress_end(&r->progress);
    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:i,s:I,s:I,s:I,s:I,s:I}", "kind", "step",
                              "act", act, "state", compact_said[said], "object", object, "topic",
                              mill_json_new(s->o.topic), "topic_id", mill_json_new(s->o.topic_id),
                              "partition", (int)s->o.partition, "start", (json_int_t)s->o.start,
                              "end", (json_int_t)s->o.end, "parts", (json_int_t)s->n, "rows",
                              (json_int_t)s->rows, "bytes", (json_int_t)s->bytes);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%-7s %-5s %zu files, %lld rows, %llu bytes: %s\n", compact_said[said], act, s->n,
               (long long)s->rows, (unsigned long long)s->bytes, object);
        fflush(stdout);
    }
    progress_tick(&r->progress, r->parts);
    mill_arena_release(&mem);
}

static void compact_on_finding(void *arg, const struct mill_audit_finding *f)
{
    cli_audit_finding(((struct compact_run *)arg)->cli, f);
}

static json_t *compact_count(const struct mill_compact_count *c)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "files", (json_int_t)c->steps, "parts",
                     (json_int_t)c->parts, "rows", (json_int_t)c->rows, "bytes",
                     (json_int_t)c->bytes);
}

/** The sums, and the exit code that they stand for. */
static int compact_end(const struct compact_run *r)
{
    const struct mill_compact_job *job = &r->job;
    const struct mill_compact_count *sum = job->sum;
    bool ok = !job->faults && !sum[MILL_COMPACT_STUCK].steps;

    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:b,s:b,s:I,s:I,s:I}", "kind", "compact", "ok", ok, "dry_run",
                              job->dry_run, "apart", (json_int_t)job->apart, "faults",
                              (json_int_t)job->faults, "left", (json_int_t)job->left);
        for (int act = 0; act < MILL_COMPACT_ACTS; act++)
            json_object_set_new(o, mill_compact_act_name((enum mill_compact_act)act),
                                compact_count(&sum[act]));
        cli_print(r->cli, o);
        json_decref(o);
        return ok ? MILL_EXIT_OK : MILL_EXIT_PARTIAL;
    }
    printf("%s: %lld files merged into %lld (%lld rows), %lld merged files took the place of %lld, "
           "%lld wait for the grace, %lld files do not go together, %lld stuck, %lld faults\n",
           job->dry_run ? "to do"
           : ok         ? "ok"
                        : "NOT ALL",
           (long long)sum[MILL_COMPACT_MERGE].parts, (long long)sum[MILL_COMPACT_MERGE].steps,
           (long long)sum[MILL_COMPACT_MERGE].rows,
           (long long)(sum[MILL_COMPACT_SWAP].steps + sum[MILL_COMPACT_SWEEP].steps),
           (long long)(sum[MILL_COMPACT_SWAP].parts + sum[MILL_COMPACT_SWEEP].parts),
           (long long)sum[MILL_COMPACT_WAIT].steps, (long long)job->apart,
           (long long)sum[MILL_COMPACT_STUCK].steps, (long long)job->faults);
    if (job->left)
        fprintf(stderr, "%lld partitions have faults and were left alone: see sendmill audit\n",
                (long long)job->left);
    return ok ? MILL_EXIT_OK : MILL_EXIT_PARTIAL;
}

static enum mill_code compact_all(struct compact_run *r, struct mill_err *err)
{
    struct mill_arena mem = {0};
    struct mill_str *topics = NULL;
    size_t n = 0;
    enum mill_code rc;

    if (r->cli->args_n)
        return mill_compact_run(&r->job, r->cli->args[0], err);
    rc = mill_compact_topics(r->job.s3, &mem, &topics, &n, err);
    for (size_t i = 0; i < n && !rc && !cli_stopped(); i++)
        rc = mill_compact_run(&r->job, topics[i].p, err);
    mill_arena_release(&mem);
    return rc;
}

int cli_lake_compact(struct cli *cli)
{
    const struct cli_conf *c = &cli->conf;
    struct compact_run r = {.cli = cli,
                            .job = {.s3 = &c->s3,
                                    .older_than_ms = (int64_t)c->older_than_ms,
                                    .grace_ms = (int64_t)c->grace_ms,
                                    .target_bytes = c->target_bytes,
                                    .dry_run = c->dry_run,
                                    .stopped = cli_stopped,
                                    .step = compact_on_step,
                                    .finding = compact_on_finding,
                                    .arg = &r}};
    struct mill_err err = {0};
    enum mill_code code = mill_parquet_load(c->parquet_lib, &r.job.lib, &err);

    if (r.job.grace_ms < COMPACT_GRACE_MS)
        fprintf(stderr, "a grace below 1h: a sink that was stopped for longer may bring parts back "
                        "after they were deleted\n");
    progress_begin(&r.progress, "files", 0);
    if (!code)
        code = compact_all(&r, &err);
    progress_end(&r.progress);
    if (code)
        return cli_fail(&err);
    return cli_stopped() ? CLI_INTERRUPTED : compact_end(&r);
}
