/* sendmill replay: a part of a topic goes through its stage once more.
 *
 * The records go to the stage's retry topic, which nobody else reads, to the partition that they
 * came from, as they were: with their mill.origin, or the one that their place gives, so that every
 * id comes out the same, and what was mailed is known as mailed. Where the run has come to stands
 * in mail.moves, in the transaction of the records: a run that died goes on where it was. */
#include "ask.h"
#include "base/clock.h"
#include "kafka/admin.h"
#include "kafka/reader.h"
#include "letter.h"
#include "move.h"
#include "scan.h"
#include "text.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>

enum { STAGES_MAX = 16, TIMEOUT_MS = 10000, NAME_BYTES = 250, PARTITIONS_MAX = 10000 };

/** A stage that gets the records. */
struct replay_stage {
    char name[64], topic[NAME_BYTES]; /**< its retry topic */
};

struct replay {
    struct cli *cli;
    struct topology topology;
    struct mill_admin *admin;
    char topic[NAME_BYTES], topic_id[37], run[MILL_UUID_TEXT];
    struct mill_arena names; /**< texts of a resumed run */
    struct mill_str listed;  /**< stages, with commas between */
    struct replay_stage stages[STAGES_MAX];
    size_t stages_n;
    struct scan scan;
    struct scan_bounds bounds; /**< from: the next one to go */
    bool *touched;             /**< of a partition: gone on since the last commit */
    struct move move;
    struct mill_arena mem; /**< of one record */
    enum mill_code code;   /**< of a callback */
    struct mill_err err;
};

/* ---- to which stages ---- */

static enum mill_code replay_stage_add(struct replay *r, struct mill_str name, int32_t partitions)
{
    struct replay_stage *s = &r->stages[r->stages_n];
    struct mill_topic t;
    enum mill_code code;

    if (r->stages_n == STAGES_MAX || name.n >= sizeof s->name)
        return mill_fail(&r->err, MILL_E_CONFIG, "stage", "too many, or too long a name");
    mill_str_cut(name, s->name, sizeof s->name);
    snprintf(s->topic, sizeof s->topic, "mail.retry.%.*s", MILL_FMT(name));
    code = mill_admin_topic(r->admin, s->topic, &t, &r->err);
    if (code == MILL_E_NOENT)
        return mill_fail(&r->err, code, s->topic, "is not there: nothing can be sent to %s alone",
                         s->name);
    if (code)
        return code;
    if (t.partitions != partitions)
        return mill_fail(&r->err, MILL_E_CONFIG, s->topic,
                         "has %d partitions, %s has %d: a record could meet another of its mail",
                         t.partitions, r->topic, partitions);
    r->stages_n++;
    return MILL_OK;
}

/* --stage, else all stages that read the topic. */
static enum mill_code replay_stages_find(struct replay *r)
{
    const char *readers[STAGES_MAX];
    size_t n = topology_readers(&r->topology, r->topic, readers, STAGES_MAX);
    struct mill_str list = mill_arena_printf(&r->names, "%s", ""), rest;

    for (size_t i = 0; i < n && i < STAGES_MAX; i++)
        list =
            mill_arena_printf(&r->names, "%s%s%s", list.p ? list.p : "", i ? "," : "", readers[i]);
    if (!n)
        return mill_fail(&r->err, MILL_E_NOENT, r->topic, "no stage of the topology reads it");
    if (!list.p)
        return mill_fail(&r->err, MILL_E_NOMEM, r->topic, "out of memory");
    r->listed = r->cli->conf.stage ? mill_str(r->cli->conf.stage) : list;
    for (rest = r->listed; rest.n;) {
        struct mill_str name = mill_str_trim(mill_str_take(&rest, ','));
        size_t i = 0;
        while (i < n && i < STAGES_MAX && !mill_str_is(name, readers[i]))
            i++;
        if (i >= n || i >= STAGES_MAX)
            return mill_fail(&r->err, MILL_E_NOENT, "stage", "%.*s does not read %s; %s does",
                             MILL_FMT(name), r->topic, list.p);
    }
    return MILL_OK;
}

static enum mill_code replay_stages(struct replay *r, int32_t partitions)
{
    struct mill_str rest = r->listed;
    enum mill_code code = MILL_OK;

    while (!code && rest.n)
        code = replay_stage_add(r, mill_str_trim(mill_str_take(&rest, ',')), partitions);
    return code;
}

/* ---- a new run, or one that goes on ---- */

static void replay_marked(void *arg, const struct mill_move *mark)
{
    struct replay *r = arg;
    struct scan_bound *v;

    if (mark->kind != MILL_MOVE_REPLAY || !mill_str_is(mark->run, r->run) || mark->partition < 0 ||
        mark->partition >= PARTITIONS_MAX || !mark->until.has || r->code)
        return;
    if (mark->partition >= r->bounds.n) {
        v = realloc(r->bounds.v, (size_t)(mark->partition + 1) * sizeof *v);
        if (!v) {
            r->code = mill_fail(&r->err, MILL_E_NOMEM, MOVE_TOPIC, "out of memory");
            return;
        }
        for (int64_t p = r->bounds.n; p <= mark->partition; p++)
            v[p] = (struct scan_bound){0, 0};
        r->bounds.v = v;
        r->bounds.n = (int32_t)mark->partition + 1;
    }
    r->bounds.v[mark->partition] = (struct scan_bound){mark->offset, mark->until.v};
    mill_str_cut(mark->topic, r->topic, sizeof r->topic);
    mill_str_cut(mark->topic_id, r->topic_id, sizeof r->topic_id);
    if (!r->listed.p)
        r->listed = mill_arena_dup(&r->names, mark->stages);
}

/* What a former run has left to do. */
static enum mill_code replay_resumed(struct replay *r)
{
    enum mill_code code = moves_read(r->cli, replay_marked, r, &r->err);

    if (!code)
        code = r->code;
    if (!code && !r->listed.p)
        code =
            mill_fail(&r->err, MILL_E_NOENT, "resume", "no run %s stands in " MOVE_TOPIC, r->run);
    return code;
}

/* The log may have lost its oldest records since. */
static enum mill_code replay_log_start(struct replay *r)
{
    struct mill_reader *reader = NULL;
    enum mill_code code = mill_reader_new(&reader, &r->cli->kafka, &r->err);

    for (int32_t p = 0; !code && p < r->bounds.n; p++) {
        struct scan_bound *b = &r->bounds.v[p];
        int64_t low, high;
        if (b->from >= b->to)
            continue;
        code = mill_reader_marks(reader, r->topic, p, &low, &high, &r->err);
        if (code || b->from >= low)
            continue;
        fprintf(stderr, "sendmill: %s/%d: offsets %lld to %lld are gone from the log\n", r->topic,
                p, (long long)b->from, (long long)low);
        b->from = low < b->to ? low : b->to;
    }
    mill_reader_free(reader);
    return code;
}

static enum mill_code replay_begin(struct replay *r)
{
    struct mill_topic topic;
    const char *resume = r->cli->conf.resume;
    enum mill_code code = MILL_OK;

    mill_str_cut(mill_str(resume ? resume : ""), r->run, sizeof r->run);
    if (resume)
        code = replay_resumed(r);
    else if (!mill_uuid7(r->run))
        code = mill_fail(&r->err, MILL_E_NOMEM, "run", "no random bytes");
    if (!code)
        code = mill_admin_topic(r->admin, r->topic, &topic, &r->err);
    if (code)
        return code;
    if (!topic.id[0])
        mill_str_cut(MILL_STR("-"), topic.id, sizeof topic.id);
    if (resume && strcmp(topic.id, r->topic_id) != 0)
        return mill_fail(&r->err, MILL_E_NOENT, r->topic, "is another topic of that name now");
    memcpy(r->topic_id, topic.id, sizeof r->topic_id);
    if (!resume)
        code = replay_stages_find(r);
    if (!code)
        code = replay_stages(r, topic.partitions);
    if (!code)
        code =
            resume ? replay_log_start(r) : scan_bounds_find(r->cli, &r->scan, &r->bounds, &r->err);
    r->touched = code ? NULL : calloc((size_t)r->bounds.n + 1, sizeof *r->touched);
    return code || r->touched ? code : mill_fail(&r->err, MILL_E_NOMEM, r->topic, "out of memory");
}

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
    code = r->cli->conf.resume ? replay_resumed(r) : replay_first_marks(r);
    if (!code && r->cli->conf.resume)
        code = replay_log_start(r);
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
        code = replay_begin(r);
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
