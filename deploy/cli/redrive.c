/* sendmill dlq redrive: dead letters go back to the stage that failed on them.
 *
 * Each goes in one transaction with a mark in mail.moves, and a marked one is left alone: so a run
 * that died, or is repeated, or overlaps another one's filter, moves nothing twice. What fails
 * again is a new dead letter with one redrive more; deadletter parks it after too many. */
#include "ask.h"
#include "base/clock.h"
#include "kafka/admin.h"
#include "letter.h"
#include "marks.h"
#include "move.h"
#include "retry.h"
#include "scan.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MAX = 64, TARGETS_MAX = 32, TIMEOUT_MS = 10000, NAME_BYTES = RETRY_STAGE_BYTES };

enum fate { FATE_GO, FATE_BEFORE, FATE_NO_STAGE, FATE_CUT, FATES };
static const char *const fates[FATES] = {
    [FATE_GO] = "",
    [FATE_BEFORE] = "was redriven before",
    [FATE_NO_STAGE] = "stays: no retry topic of that stage",
    [FATE_CUT] = "stays: its value was cut, the original is at its place",
};

/** A line of the count. */
struct redrive_row {
    char cls[NAME_BYTES], stage[NAME_BYTES];
    enum fate fate;
    uint64_t n;
};

struct redrive {
    struct cli *cli;
    struct letter_filter filter;
    struct mill_admin *admin;
    struct marks marks;
    struct retry_topic targets[TARGETS_MAX];
    size_t targets_n;
    struct redrive_row rows[ROWS_MAX];
    size_t rows_n;
    uint64_t count[FATES];
    struct scan scan;
    struct scan_bounds bounds;
    struct move move;
    struct mill_arena mem; /**< of one record */
    enum mill_code code;   /**< of a callback */
    struct mill_err err;
};

/* ---- where they go ---- */

static const struct retry_topic *redrive_target(struct redrive *r, struct mill_str stage)
{
    struct retry_topic *t = &r->targets[r->targets_n];
    struct mill_err err = {0};
    enum mill_code code;

    for (size_t i = 0; i < r->targets_n; i++)
        if (mill_str_is(stage, r->targets[i].stage))
            return &r->targets[i];
    if (r->targets_n == TARGETS_MAX)
        return NULL;
    code = retry_topic_find(r->admin, stage, t, &err);
    r->targets_n += t->stage[0] != 0;
    if (code && code != MILL_E_NOENT) { /* not known is not the same as not there */
        r->code = code;
        r->err = err;
        r->scan.stop = true;
    }
    return t;
}

static enum fate redrive_fate(struct redrive *r, const struct mill_record *in,
                              const struct letter *l, const struct retry_topic **target)
{
    *target = redrive_target(r, l->stage);
    if (marks_has(&r->marks, in))
        return FATE_BEFORE;
    if (mill_header(in, "mill.cut-from-bytes").p)
        return FATE_CUT;
    return *target && (*target)->partitions ? FATE_GO : FATE_NO_STAGE;
}

/* ---- counting ---- */

static void redrive_add(struct redrive *r, const struct letter *l, enum fate fate)
{
    struct redrive_row *row = NULL;

    r->count[fate]++;
    for (size_t i = 0; i < r->rows_n && !row; i++)
        if (r->rows[i].fate == fate && mill_str_is(l->cls, r->rows[i].cls) &&
            mill_str_is(l->stage, r->rows[i].stage))
            row = &r->rows[i];
    if (!row && r->rows_n == ROWS_MAX)
        row = &r->rows[ROWS_MAX - 1];
    if (!row) {
        row = &r->rows[r->rows_n++];
        mill_str_cut(l->cls, row->cls, sizeof row->cls);
        mill_str_cut(l->stage, row->stage, sizeof row->stage);
        row->fate = fate;
    }
    row->n++;
}

static bool redrive_count_each(void *arg, const struct mill_record *in)
{
    struct redrive *r = arg;
    const struct retry_topic *target;
    struct letter l = letter_of(in);

    if (!letter_wanted(&r->filter, in, &l))
        return false;
    redrive_add(r, &l, redrive_fate(r, in, &l, &target));
    return true;
}

static void redrive_print_row(struct redrive *r, const struct redrive_row *row)
{
    char target[NAME_BYTES + 16] = "";

    if (row->fate == FATE_GO)
        snprintf(target, sizeof target, "mail.retry.%s", row->stage);
    if (r->cli->format == CLI_JSON) {
        json_t *o =
            json_pack("{s:o,s:o,s:I,s:o,s:s}", "class", mill_json_new(mill_str(row->cls)), "stage",
                      mill_json_new(mill_str(row->stage)), "records", (json_int_t)row->n, "to",
                      mill_json_new(mill_str(target)), "note", fates[row->fate]);
        cli_print(r->cli, o);
        json_decref(o);
        return;
    }
    printf("%-12s %-12s %10llu  %s\n", text_safe(&r->mem, mill_str(row->cls)),
           text_safe(&r->mem, mill_str(row->stage)), (unsigned long long)row->n,
           row->fate == FATE_GO ? text_safe(&r->mem, mill_str(target)) : fates[row->fate]);
}

static enum mill_code redrive_count(struct redrive *r)
{
    enum mill_code code = marks_read(r->cli, r->scan.topic, &r->marks, &r->err);

    r->scan.each = redrive_count_each;
    if (!code)
        code = scan_run(r->cli, &r->scan, &r->err);
    if (!code)
        code = r->code;
    if (code)
        return code;
    if (r->cli->format == CLI_TABLE)
        printf("%-12s %-12s %10s  %s\n", "CLASS", "STAGE", "RECORDS", "TO");
    for (size_t i = 0; i < r->rows_n; i++)
        redrive_print_row(r, &r->rows[i]);
    fflush(stdout);
    return MILL_OK;
}

/* ---- moving ---- */

static enum mill_code redrive_one(struct redrive *r, const struct mill_record *in,
                                  const struct letter *l, const struct retry_topic *t)
{
    struct mill_pair *h = mill_arena_calloc(&r->mem, in->headers.n + LETTER_OWN_HEADERS, sizeof *h);
    struct mill_str key = mill_arena_printf(&r->mem, "%s/%d/%lld", r->marks.topic_id, in->partition,
                                            (long long)in->offset);
    struct mill_move mark = {
        .kind = MILL_MOVE_REDRIVE,
        .topic = mill_str(in->topic),
        .topic_id = mill_str(r->marks.topic_id),
        .partition = in->partition,
        .offset = in->offset,
        .stages = l->stage,
    };
    char count[24];
    enum mill_code code;

    if (!h || !key.p)
        return mill_fail(&r->err, MILL_E_NOMEM, in->topic, "out of memory");
    code = move_record(&r->move, t->topic, letter_partition(in, l, t->partitions), in,
                       (struct mill_map){h, letter_redrive_headers(in, h, count)}, &r->err);
    return code ? code : move_mark(&r->move, key, &mark, &r->err);
}

static bool redrive_move_each(void *arg, const struct mill_record *in)
{
    struct redrive *r = arg;
    const struct retry_topic *target;
    struct letter l = letter_of(in);

    r->code = move_tick(&r->move, &r->err);
    if (!r->code && letter_wanted(&r->filter, in, &l) &&
        redrive_fate(r, in, &l, &target) == FATE_GO && !r->code)
        r->code = redrive_one(r, in, &l, target);
    r->scan.stop = r->code != MILL_OK;
    mill_arena_reset(&r->mem);
    return !r->code;
}

/* The command that goes on where this one is, whatever becomes of it. */
static void redrive_again(const struct redrive *r, const char *head, int64_t now_ms)
{
    char more[64] = " --yes";

    if (!r->cli->conf.to && !(r->cli->conf.from && strchr(r->cli->conf.from, ':')))
        snprintf(more, sizeof more, " --to=@%013lld --yes", (long long)now_ms);
    ask_again(r->cli, head, more);
}

static enum mill_code redrive_move(struct redrive *r)
{
    char id[300];
    enum mill_code code;

    snprintf(id, sizeof id, "sendmill.redrive.%s", r->marks.topic_id);
    code = move_open(&r->move, r->cli, id, NULL, &r->err);
    if (code)
        return code;
    progress_begin(&r->move.progress, "redriven", r->count[FATE_GO]);
    /* Once more, now that nobody else can add to them. */
    code = marks_read(r->cli, r->scan.topic, &r->marks, &r->err);
    r->scan.each = redrive_move_each;
    if (!code)
        code = scan_run(r->cli, &r->scan, &r->err);
    if (!code)
        code = r->code;
    if (!code)
        code = move_commit(&r->move, &r->err);
    progress_end(&r->move.progress);
    return code;
}

static int redrive_said(struct redrive *r, enum mill_code code, int64_t now_ms)
{
    uint64_t stay = r->count[FATE_NO_STAGE] + r->count[FATE_CUT];
    bool part = code || cli_stopped();

    if (r->cli->format == CLI_JSON) {
        json_t *o =
            json_pack("{s:s,s:I,s:I,s:I,s:I}", "run", r->move.run, "redriven",
                      (json_int_t)r->move.moved, "selected", (json_int_t)r->count[FATE_GO],
                      "before", (json_int_t)r->count[FATE_BEFORE], "stay", (json_int_t)stay);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%llu of %llu redriven\n", (unsigned long long)r->move.moved,
               (unsigned long long)r->count[FATE_GO]);
    }
    fflush(stdout);
    if (part)
        redrive_again(r, "what was redriven stays so; go on with: ", now_ms);
    if (code)
        return cli_fail(&r->err);
    if (part)
        return CLI_INTERRUPTED;
    if (!stay)
        fputs("next: sendmill dlq ls --from=@-1m   # what fails again\n", stderr);
    return stay ? MILL_EXIT_PARTIAL : MILL_EXIT_OK;
}

static int redrive_go(struct redrive *r)
{
    int64_t now_ms = mill_now_us() / 1000;
    char what[200];
    int rc;

    if (r->filter.places_n >
        r->count[FATE_GO] + r->count[FATE_BEFORE] + r->count[FATE_NO_STAGE] + r->count[FATE_CUT]) {
        fputs("sendmill: not all of the places that were named are there, or meant by the "
              "filters\n",
              stderr);
        return MILL_EXIT_NOENT;
    }
    if (!r->count[FATE_GO]) {
        fputs("nothing to redrive\n", stderr);
        return r->count[FATE_NO_STAGE] + r->count[FATE_CUT] ? MILL_EXIT_PARTIAL : MILL_EXIT_OK;
    }
    snprintf(what, sizeof what, "%llu records go back to their stages",
             (unsigned long long)r->count[FATE_GO]);
    if (r->cli->conf.dry_run) {
        ask_again(r->cli, "dry run; next: ", " --yes");
        return MILL_EXIT_OK;
    }
    rc = ask_yes(r->cli, what);
    if (rc)
        return rc;
    if (r->count[FATE_GO] > 1)
        redrive_again(r, "should this end early, it goes on with: ", now_ms);
    return redrive_said(r, redrive_move(r), now_ms);
}

int cli_dlq_redrive(struct cli *cli)
{
    struct redrive *r = calloc(1, sizeof *r);
    enum mill_code code = MILL_OK;
    int rc = MILL_EXIT_USAGE;

    if (!r)
        return MILL_EXIT_NOMEM;
    r->cli = cli;
    r->filter = (struct letter_filter){.cls = cli->conf.cls,
                                       .stage = cli->conf.stage,
                                       .reason = cli->conf.reason,
                                       .places_n = cli->args_n};
    for (size_t i = 0; i < cli->args_n; i++)
        if (!letter_place(cli->args[i], &r->filter.places[i])) {
            cli_usage("\"%s\" is no PARTITION/OFFSET as dlq ls prints it", cli->args[i]);
            goto out;
        }
    r->scan = (struct scan){
        .topic = cli->conf.topic, .range = {{PLACE_START, 0}, {PLACE_END, 0}}, .arg = r};
    if (scan_range(cli, &r->scan, &r->err)) {
        cli_fail(&r->err);
        goto out;
    }
    code = mill_admin_new(&r->admin, &cli->kafka, TIMEOUT_MS, &r->err);
    if (!code)
        code = scan_bounds_find(cli, &r->scan, &r->bounds, &r->err);
    r->scan.bounds = &r->bounds;
    if (!code)
        code = redrive_count(r);
    rc = code ? cli_fail(&r->err) : cli_stopped() ? CLI_INTERRUPTED : redrive_go(r);
out:
    move_close(&r->move);
    scan_bounds_release(&r->bounds);
    mill_admin_free(r->admin);
    mill_arena_release(&r->mem);
    marks_release(&r->marks);
    free(r);
    return rc;
}
