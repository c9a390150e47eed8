/**
 * @file answer.c
 * @brief How a handler answers: with JSON, or with a refusal; each is counted.
 */
#include "app.h"

#include "header.h"

void ingest_refuse(struct ingest *app, struct mill_exchange *x, const struct ingest_refusal *r,
                   struct mill_str extra)
{
    mill_metric_add(app->metrics, M_ANSWERS, (size_t)r->problem, 1);
    ingest_problem_answer(x, r, extra);
}

void ingest_reply(struct ingest *app, struct mill_exchange *x, unsigned status,
                  struct mill_map more, const struct mill_buf *json)
{
    struct mill_pair head[2] = {{MILL_STR("Content-Type"), MILL_STR("application/json")}};
    size_t n = 1;

    if (json->failed) {
        ingest_refuse(app, x, &(struct ingest_refusal){.problem = PROBLEM_INTERNAL},
                      (struct mill_str){0});
        return;
    }
    mill_metric_add(app->metrics, M_ANSWERS, 0, 1);
    if (more.n)
        head[n++] = more.v[0];
    mill_exchange_answer(x, status, (struct mill_map){head, n}, mill_buf_view(json));
}

bool ingest_refuse_draining(struct ingest *app, struct mill_exchange *x)
{
    if (!atomic_load(&app->draining))
        return false;
    ingest_refuse(app, x,
                  &(struct ingest_refusal){.problem = PROBLEM_UNAVAILABLE,
                                           .detail = MILL_STR("this server is going down")},
                  (struct mill_str){0});
    return true;
}

bool ingest_trace_of(struct mill_exchange *x, struct ingest_trace *out)
{
    struct mill_arena *arena = mill_exchange_arena(x);
    struct mill_str parent = mill_exchange_header(x, "traceparent");
    struct mill_str state = mill_exchange_header(x, "tracestate");
    char fresh[INGEST_TRACE_TEXT];

    if (!ingest_trace_valid(parent)) {
        if (!ingest_trace_make(fresh))
            return false;
        parent = mill_str(fresh);
        state = (struct mill_str){0}; /* it belongs to the parent that we did not take */
    }
    parent = mill_arena_dup(arena, parent);
    out->n = 0;
    out->v[out->n++] = (struct mill_pair){MILL_STR("traceparent"), parent};
    if (state.n && state.n <= INGEST_STATE_MAX)
        out->v[out->n++] = (struct mill_pair){MILL_STR("tracestate"), mill_arena_dup(arena, state)};
    return parent.p != NULL;
}
