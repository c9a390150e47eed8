/* A walk over a topic; see scan.h. */
#include "scan.h"
#include "base/clock.h"

#include <stdlib.h>

enum { WAIT_MS = 200 };

/** Where each partition ends; -1 = no end. */
struct scan_part {
    int64_t end;
    bool done;
};

enum mill_code scan_range(const struct cli *cli, struct scan *scan, struct mill_err *err)
{
    return range_parse(mill_str(cli->conf.from), mill_str(cli->conf.to), mill_now_us() / 1000,
                       &scan->range, err);
}

int scan_exit(const struct scan *scan)
{
    return cli_stopped() && scan->range.to.kind != PLACE_NONE ? CLI_INTERRUPTED : MILL_EXIT_OK;
}

static enum mill_code scan_start(struct scan *s, struct mill_reader *r, struct scan_part *parts,
                                 int32_t n, struct mill_err *err)
{
    bool follow = s->range.to.kind == PLACE_NONE;
    enum mill_code code = MILL_OK;

    for (int32_t p = 0; !code && p < n; p++) {
        int64_t start = 0;
        parts[p].end = -1;
        parts[p].done = s->only && p != s->only - 1;
        if (parts[p].done)
            continue;
        code = range_resolve(r, s->topic, p, &s->range.from, &start, err);
        if (!code && !follow)
            code = range_resolve(r, s->topic, p, &s->range.to, &parts[p].end, err);
        parts[p].done = !follow && start >= parts[p].end;
        if (!code && !parts[p].done)
            code = mill_reader_add(r, s->topic, p, start, err);
    }
    return code;
}

/* A partition is through when its position is at its end: also over markers and holes. */
static bool scan_over(struct scan *s, struct mill_reader *r, struct scan_part *parts, int32_t n)
{
    bool over = s->range.to.kind != PLACE_NONE;

    for (int32_t p = 0; p < n; p++) {
        if (!parts[p].done && parts[p].end >= 0 &&
            mill_reader_position(r, s->topic, p) >= parts[p].end)
            parts[p].done = true;
        over = over && parts[p].done;
    }
    return over;
}

enum mill_code scan_run(struct cli *cli, struct scan *s, struct mill_err *err)
{
    struct mill_reader *r = NULL;
    struct scan_part *parts = NULL;
    int32_t n = 0;
    uint64_t taken = 0;
    enum mill_code code = mill_reader_new(&r, &cli->kafka, err);

    if (!code)
        code = mill_reader_partitions(r, s->topic, &n, err);
    if (!code) {
        parts = calloc((size_t)n, sizeof *parts);
        code = parts ? scan_start(s, r, parts, n, err)
                     : mill_fail(err, MILL_E_NOMEM, s->topic, "out of memory");
    }
    while (!code && !cli_stopped() && !scan_over(s, r, parts, n)) {
        struct mill_record in;
        bool got;
        code = mill_reader_next(r, WAIT_MS, &in, &got, err);
        if (code || !got || (parts[in.partition].end >= 0 && in.offset >= parts[in.partition].end))
            continue;
        if (s->each(s->arg, &in) && ++taken == s->count)
            break;
    }
    free(parts);
    mill_reader_free(r);
    return code;
}
