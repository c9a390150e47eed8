/* sendmill audit --group: see audit_group.h. */
#include "audit_group.h"
#include "kafka/group.h"
#include "lake/plan.h"

#include <stdio.h>

/** The claims of one topic's partitions. */
static enum mill_code group_topic(struct mill_group *g, struct mill_audit *audit, const char *topic,
                                  struct mill_err *err)
{
    struct mill_arena mem = {0};
    struct mill_committed *v = NULL;
    size_t n = 0;
    enum mill_code rc = mill_group_committed(g, topic, &mem, &v, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        struct mill_plan plan;
        if (v[i].offset < 0 || !mill_plan_parse(v[i].metadata, &plan)) {
            fprintf(stderr, "%s/%d: the group has no commit of the sink's\n", topic,
                    (int)v[i].partition);
            continue;
        }
        if (!mill_audit_claim(audit, mill_str(topic), mill_str(plan.topic_id), v[i].partition,
                              v[i].low, v[i].offset))
            rc = mill_fail(err, MILL_E_NOMEM, "audit", "out of memory");
        if (!rc && v[i].high > v[i].offset)
            fprintf(stderr, "%s/%d: %lld offsets behind what the group has committed\n", topic,
                    (int)v[i].partition, (long long)(v[i].high - v[i].offset));
    }
    mill_arena_release(&mem);
    return rc;
}

/** Is it the first object of its topic? */
static bool group_first(const struct mill_scan *scan, size_t i)
{
    for (size_t k = i; k-- > 0;) /* its neighbour, mostly */
        if (mill_str_eq(scan->v[k].o.topic, scan->v[i].o.topic))
            return false;
    return true;
}

enum mill_code audit_group(struct cli *cli, struct mill_audit *audit, const struct mill_scan *scan,
                           struct mill_err *err)
{
    struct mill_group *g = NULL;
    enum mill_code rc = mill_group_new(&g, &cli->kafka, cli->conf.group, err);

    if (!rc && cli->args_n)
        rc = group_topic(g, audit, cli->args[0], err);
    for (size_t i = 0; !cli->args_n && i < scan->n && !rc; i++) {
        char topic[256];
        if (!group_first(scan, i))
            continue;
        mill_str_cut(scan->v[i].o.topic, topic, sizeof topic);
        rc = group_topic(g, audit, topic, err);
        if (rc == MILL_E_NOENT) { /* the lake outlives topics */
            fprintf(stderr, "%s: the broker has no such topic\n", topic);
            rc = MILL_OK;
        }
    }
    mill_group_free(g);
    return rc;
}
