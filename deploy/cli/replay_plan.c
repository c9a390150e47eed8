/* What a replay is of, and to whom; see replay.h. */
#include "kafka/reader.h"
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

enum { PARTITIONS_MAX = 10000 };

/* ---- to which stages ---- */

static enum mill_code replay_stage_add(struct replay *r, struct mill_str name, int32_t partitions)
{
    struct retry_topic *s = &r->stages[r->stages_n];
    enum mill_code code;

    if (r->stages_n == REPLAY_STAGES_MAX)
        return mill_fail(&r->err, MILL_E_CONFIG, "stage", "too many");
    code = retry_topic_find(r->admin, name, s, &r->err);
    if (code)
        return code;
    if (s->partitions != partitions)
        return mill_fail(&r->err, MILL_E_CONFIG, s->topic,
                         "has %d partitions, %s has %d: a record could meet another of its mail",
                         s->partitions, r->topic, partitions);
    r->stages_n++;
    return MILL_OK;
}

/* --stage, else all stages that read the topic. */
static enum mill_code replay_stages_find(struct replay *r)
{
    const char *readers[REPLAY_STAGES_MAX];
    size_t n = topology_readers(&r->topology, r->topic, readers, REPLAY_STAGES_MAX);
    struct mill_str list = mill_arena_printf(&r->names, "%s", ""), rest;

    for (size_t i = 0; i < n && i < REPLAY_STAGES_MAX; i++)
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
        while (i < n && i < REPLAY_STAGES_MAX && !mill_str_is(name, readers[i]))
            i++;
        if (i >= n || i >= REPLAY_STAGES_MAX)
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

enum mill_code replay_plan(struct replay *r)
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

enum mill_code replay_left(struct replay *r)
{
    enum mill_code code = replay_resumed(r);

    return code ? code : replay_log_start(r);
}
