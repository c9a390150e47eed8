/* A walk over a topic; see scan.h. */
#include "scan.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 200, PATIENCE_MS = 5000 };

enum mill_code scan_range(const struct cli *cli, struct scan *scan, struct mill_err *err)
{
    return range_parse(mill_str(cli->conf.from), mill_str(cli->conf.to), mill_now_us() / 1000,
                       &scan->range, err);
}

int scan_exit(const struct scan *scan)
{
    return cli_stopped() && scan->range.to.kind != PLACE_NONE ? CLI_INTERRUPTED : MILL_EXIT_OK;
}

void scan_bounds_release(struct scan_bounds *b)
{
    free(b->v);
    *b = (struct scan_bounds){0};
}

uint64_t scan_bounds_count(const struct scan_bounds *b)
{
    uint64_t n = 0;

    for (int32_t p = 0; p < b->n; p++)
        if (b->v[p].to > b->v[p].from)
            n += (uint64_t)(b->v[p].to - b->v[p].from);
    return n;
}

static enum mill_code scan_resolve(const struct scan *s, struct mill_reader *r,
                                   struct scan_bounds *out, struct mill_err *err)
{
    enum mill_code code = mill_reader_partitions(r, s->topic, &out->n, err);

    out->v = code ? NULL : calloc((size_t)out->n, sizeof *out->v);
    if (!code && !out->v)
        code = mill_fail(err, MILL_E_NOMEM, s->topic, "out of memory");
    for (int32_t p = 0; !code && p < out->n; p++) {
        if (s->only && p != s->only - 1)
            continue;
        code = range_resolve(r, s->topic, p, &s->range.from, &out->v[p].from, err);
        out->v[p].to = -1;
        if (!code && s->range.to.kind != PLACE_NONE)
            code = range_resolve(r, s->topic, p, &s->range.to, &out->v[p].to, err);
    }
    return code;
}

enum mill_code scan_bounds_find(struct cli *cli, const struct scan *scan, struct scan_bounds *out,
                                struct mill_err *err)
{
    struct mill_reader *r = NULL;
    enum mill_code code = mill_reader_new(&r, &cli->kafka, err);

    *out = (struct scan_bounds){0};
    if (!code)
        code = scan_resolve(scan, r, out, err);
    if (code)
        scan_bounds_release(out);
    mill_reader_free(r);
    return code;
}

static bool scan_empty(const struct scan_bound *b)
{
    return b->to >= 0 && b->from >= b->to;
}

static enum mill_code scan_start(const struct scan *s, struct mill_reader *r,
                                 const struct scan_bounds *b, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (int32_t p = 0; !code && p < b->n; p++)
        if (!scan_empty(&b->v[p]))
            code = mill_reader_add(r, s->topic, p, b->v[p].from, err);
    return code;
}

/* A partition is through when its position is at its end: also over markers and holes. */
static bool scan_over(const struct scan *s, struct mill_reader *r, const struct scan_bounds *b)
{
    for (int32_t p = 0; p < b->n; p++)
        if (!scan_empty(&b->v[p]) &&
            (b->v[p].to < 0 || mill_reader_position(r, s->topic, p) < b->v[p].to))
            return false;
    return true;
}

/* What is not committed yet is waited for: said once, for it may take a minute. */
static void scan_waits(const struct scan *s, bool got, int64_t *since_ms)
{
    int64_t now = mill_tick_ms();

    if (got || !*since_ms) {
        *since_ms = now;
    } else if (s->range.to.kind != PLACE_NONE && now - *since_ms > PATIENCE_MS) {
        fprintf(stderr, "sendmill: %s: waiting for a transaction that is open\n", s->topic);
        *since_ms = INT64_MAX;
    }
}

enum mill_code scan_run(struct cli *cli, struct scan *s, struct mill_err *err)
{
    struct mill_reader *r = NULL;
    struct scan_bounds own = {0};
    const struct scan_bounds *b = s->bounds ? s->bounds : &own;
    uint64_t taken = 0;
    int64_t since_ms = 0;
    enum mill_code code = mill_reader_new(&r, &cli->kafka, err);

    if (!code && !s->bounds)
        code = scan_resolve(s, r, &own, err);
    if (!code)
        code = scan_start(s, r, b, err);
    while (!code && !cli_stopped() && !s->stop && !scan_over(s, r, b)) {
        struct mill_record in;
        bool got;
        code = mill_reader_next(r, WAIT_MS, &in, &got, err);
        scan_waits(s, got, &since_ms);
        if (code || !got || (b->v[in.partition].to >= 0 && in.offset >= b->v[in.partition].to))
            continue;
        if (s->each(s->arg, &in) && ++taken == s->count)
            break;
    }
    scan_bounds_release(&own);
    mill_reader_free(r);
    return code;
}
