/* sendmill replay: a part of a topic goes through its stage once more.
 *
 * The records go to the stage's retry topic, which nobody else reads, to the partition that they
 * came from, as they were: with their mill.origin, or the one that their place gives, so that every
 * id comes out the same, and what was mailed is known as mailed. Where the run has come to stands
 * in mail.moves, in the transaction of the records: a run that died goes on where it was. */
#include "replay.h"
#include "ask.h"
#include "base/clock.h"
#include "letter.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 10000 };

/* ---- moving ---- */

static enum mill_code replay_mark(struct replay *r, int32_t p)
{
    struct mill_move mark = {
        .kind = MILL_MOVE_REPLAY,
        .topic = mill_str(r->topic),
        .topic_id = mill_str(r->topic_id),
        .partition = p,
        .offset = r->bounds.v[p].from,
        .until = {true, r->bounds.v[p].to},
        .stages = r->listed,
    };
    char key[MILL_UUID_TEXT + 16];

    snprintf(key, sizeof key, "%s/%d", r->run, p);
    return move_mark(&r->move, mill_str(key), &mark, &r->err);
}

static enum mill_code replay_before_commit(void *arg, struct mill_err *err)
{
    struct replay *r = arg;
    enum mill_code code = MILL_OK;

    (void)err; /* it is r->err */
    for (int32_t p = 0; !code && p < r->bounds.n; p++) {
        if (r->touched[p])
            code = replay_mark(r, p);
        r->touched[p] = false;
    }
    return code;
}

static enum mill_code replay_one(struct replay *r, const struct mill_record *in)
{
    struct mill_pair *h =
        mill_arena_calloc(&r->mem, in->headers.n + LETTER_REPLAY_HEADERS, sizeof *h);
    size_t n = h ? letter_replay_headers(in, r->topic_id, &r->mem, h) : 0;
    enum mill_code code = MILL_OK;

    if (!n)
        return mill_fail(&r->err, MILL_E_NOMEM, in->topic, "out of memory");
    for (size_t i = 0; !code && i < r->stages_n; i++)
        code = move_record(&r->move, r->stages[i].topic, in->partition, in, (struct mill_map){h, n},
                           &r->err);
    if (!code) {
        r->bounds.v[in->partition].from = in->offset + 1;
        r->touched[in->partition] = true;
    }
    return code;
}

static bool replay_each(void *arg, const struct mill_record *in)
{
    struct replay *r = arg;

    r->code = move_tick(&r->move, &r->err);
    if (!r->code)
        r->code = replay_one(r, in);
    r->scan.stop = r->code != MILL_OK;
    mill_arena_reset(&r->mem);
    return !r->code;
}

/* Where a new run begins is written before its first record: that is what --resume finds. */
static enum mill_code replay_first_marks(struct replay *r)
{
    enum mill_code code = MILL_OK;

    for (int32_t p = 0; !code && p < r->bounds.n; p++)
        code = replay_mark(r, p);
    return code ? code : mill_transact_commit(r->move.tx, &r->err);
}

static enum mill_code replay_move(struct replay *r, uint64_t of)
{
    struct scan_bounds plan = {.n = r->bounds.n};
    char id[128];
    enum mill_code code;

    snprintf(id, sizeof id, "sendmill.replay.%s", r->run);
    code = move_open(&r->move, r->cli, id, r->run, &r->err);
    if (code)
        return code;
    r->move.before_commit = replay_before_commit;
    r->move.arg = r;
    progress_begin(&r->move.progress, "replayed", of * r->stages_n);
    /* Once more, now that nobody else can go on with it. */
    code = r->cli->conf.resume ? replay_left(r) : replay_first_marks(r);
    plan.v = code ? NULL : malloc((size_t)plan.n * sizeof *plan.v + 1);
    if (!code && !plan.v)
        code = mill_fail(&r->err, MILL_E_NOMEM, r->topic, "out of memory");
    if (!code) {
        memcpy(plan.v, r->bounds.v, (size_t)plan.n * sizeof *plan.v);
        r->scan.bounds = &plan;
        code = scan_run(r->cli, &r->scan, &r->err);
    }
    if (!code)
        code = r->code;
    if (!code)
        code = move_commit(&r->move, &r->err);
    progress_end(&r->move.progress);
    scan_bounds_release(&plan);
    return code;
}

/* ---- what is said ---- */

static void replay_again(const struct replay *r, const char *head)
{
    fprintf(stderr, "%ssendmill replay --resume=%s --yes", head, r->run);
    if (r->cli->conf.rate)
        fprintf(stderr, " --rate=%u", r->cli->conf.rate);
    fputc('\n', stderr);
}

static void replay_print(struct replay *r)
{
    struct mill_arena mem = {0};

    if (r->cli->format == CLI_TABLE)
        printf("%-28s %12s %12s %12s  %s\n", "PARTITION", "FROM", "TO", "AT MOST", "STAGES");
    for (int32_t p = 0; p < r->bounds.n; p++) {
        const struct scan_bound *b = &r->bounds.v[p];
        long long n = b->to > b->from ? b->to - b->from : 0;
        if (r->cli->format == CLI_JSON) {
            json_t *o = json_pack("{s:s,s:i,s:I,s:I,s:I,s:o}", "topic", r->topic, "partition", p,
                                  "from", (json_int_t)b->from, "to", (json_int_t)b->to, "at_most",
                                  (json_int_t)n, "stages", mill_json_new(r->listed));
            cli_print(r->cli, o);
            json_decref(o);
        } else {
            printf("%s/%-*d %12lld %12lld %12lld  %s\n", r->topic, (int)(27 - strlen(r->topic)), p,
                   (long long)b->from, (long long)b->to, n, text_safe(&mem, r->listed));
        }
    }
    fflush(stdout);
    mill_arena_release(&mem);
}

static int replay_said(struct replay *r, enum mill_code code)
{
    bool part = code || cli_stopped();

    if (r->cli->format == CLI_JSON) {
        json_t *o = json_pack("{s:s,s:I,s:b}", "run", r->run, "replayed",
                              (json_int_t)(r->move.moved / r->stages_n), "complete", (int)!part);
        cli_print(r->cli, o);
        json_decref(o);
    } else {
        printf("%llu records replayed\n", (unsigned long long)(r->move.moved / r->stages_n));
    }
    fflush(stdout);
    if (part)
        replay_again(r, "what was replayed stays so; go on with: ");
    if (code)
        return cli_fail(&r->err);
    if (!part)
        fputs("next: sendmill dlq ls --from=@-1m   # what fails\n", stderr);
    return part ? CLI_INTERRUPTED : MILL_EXIT_OK;
}

static int replay_go(struct replay *r)
{
    uint64_t n = scan_bounds_count(&r->bounds);
    char what[400];
    int rc;

    replay_print(r);
    if (!n) {
        fputs("nothing to replay\n", stderr);
        return MILL_EXIT_OK;
    }
    snprintf(what, sizeof what, "at most %llu records of %s go to the retry topics of %.*s",
             (unsigned long long)n, r->topic, MILL_FMT(r->listed));
    if (r->cli->conf.dry_run) {
        ask_again(r->cli, "dry run; next: ", " --yes");
        return MILL_EXIT_OK;
    }
    rc = ask_yes(r->cli, what);
    if (rc)
        return rc;
    if (!r->cli->conf.resume)
        replay_again(r, "should this end early, it goes on with: ");
    return replay_said(r, replay_move(r, n));
}

int cli_replay(struct cli *cli)
{
    struct replay *r;
    enum mill_code code;
    int rc;

    if (cli->conf.resume ? cli->args_n || cli->conf.from || cli->conf.to || cli->conf.stage
                         : !cli->args_n || !cli->conf.from)
        return cli_usage("usage: sendmill replay TOPIC --from PLACE [--to PLACE] [--stage STAGE], "
                         "or sendmill replay --resume RUN");
    r = calloc(1, sizeof *r);
    if (!r)
        return MILL_EXIT_NOMEM;
    r->cli = cli;
    if (cli->args_n)
        mill_str_cut(mill_str(cli->args[0]), r->topic, sizeof r->topic);
    r->scan = (struct scan){.topic = r->topic,
                            .range = {{PLACE_START, 0}, {PLACE_END, 0}},
                            .each = replay_each,
                            .arg = r};
    code = scan_range(cli, &r->scan, &r->err);
    if (code) {
        cli_fail(&r->err);
        rc = MILL_EXIT_USAGE;
        goto out;
    }
    code = topology_read(&r->topology, cli->conf.topology, &r->err);
    if (!code)
        code = mill_admin_new(&r->admin, &cli->kafka, TIMEOUT_MS, &r->err);
    if (!code)
        code = replay_plan(r);
    rc = code ? cli_fail(&r->err) : cli_stopped() ? CLI_INTERRUPTED : replay_go(r);
out:
    move_close(&r->move);
    scan_bounds_release(&r->bounds);
    mill_admin_free(r->admin);
    topology_release(&r->topology);
    mill_arena_release(&r->mem);
    mill_arena_release(&r->names);
    free(r->touched);
    free(r);
    return rc;
}
