/* A sink that says what it has kept after each record: its offset with a text, and with a "bad" one
 * the failure record; "slow" ones take a while, at a "stop" it stops. What it is told of the log's
 * end it commits too. Where it begins is an option, so that a test can send it astray. */
#include "loop_stage.h"
#include "sink.h"
#include <unistd.h>

enum { KEEP_SLOW_S = 8 };

static const struct mill_port in_ports[] = {{"notes", "notes", NULL}, {0}};

struct keep_conf {
    uint32_t begin;
};

struct keep {
    int64_t kept; /**< committed */
};

static const struct mill_opt keep_opts[] = {{.name = "begin",
                                             .type = MILL_OPT_U32,
                                             .off = offsetof(struct keep_conf, begin),
                                             .def = "0",
                                             .max = UINT32_MAX,
                                             .help = "offset to begin at; 0: where it stands"},
                                            {0}};

static enum mill_verdict keep_on_assign(struct mill_ctx *ctx, const struct mill_position *at,
                                        int64_t *start, struct mill_err *err)
{
    const struct keep_conf *conf = mill_conf(ctx);

    (void)at;
    (void)err;
    if (conf->begin)
        *start = conf->begin;
    return MILL_DONE;
}

static bool keep_is(const struct mill_record *in, const char *word)
{
    size_t n = strlen(word);

    return in->raw.n >= n && !memcmp(in->raw.p + in->raw.n - n, word, n);
}

static enum mill_verdict keep_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    struct mill_sink_failure bad = {
        .in = *in, .why = {.code = MILL_E_DATA, .where = "note", .text = "is bad"}};
    struct keep *keep = mill_state(ctx);
    size_t n = keep_is(in, "bad");

    if (keep_is(in, "slow"))
        sleep(KEEP_SLOW_S);
    if (keep_is(in, "stop")) {
        mill_fail(err, MILL_E_STATE, "note", "asked to stop");
        return MILL_STOP;
    }
    if (n && mill_sink_headers(ctx, in, &bad.in.headers, err))
        return MILL_STOP;
    if (mill_sink_commit(ctx, in->topic, in->partition, in->offset + 1, MILL_STR("kept"), &bad, n,
                         err))
        return MILL_STOP;
    keep->kept = in->offset + 1;
    return MILL_DONE;
}

/* @return MILL_DONE, also where nobody takes the commit */
static enum mill_verdict keep_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    const struct keep *keep = mill_state(ctx);
    int64_t to = mill_sink_read_to(ctx, "notes", 0);
    struct mill_err refused = {0};

    (void)wait_ms;
    (void)err;
    if (to > keep->kept &&
        mill_sink_commit(ctx, "notes", 0, to, MILL_STR("seen"), NULL, 0, &refused))
        mill_log_err(MILL_WARN, "seen", &refused);
    return MILL_DONE;
}

static const struct mill_sink keep_hooks = {.on_assign = keep_on_assign};

MILL_STAGE(keep) = {
    .name = "keep",
    .summary = "commits each record, with a failure record if it is bad",
    .in = in_ports,
    .opts = keep_opts,
    .conf_size = sizeof(struct keep_conf),
    .state_size = sizeof(struct keep),
    .on_record = keep_on_record,
    .on_poll = keep_on_poll,
    .sink = &keep_hooks,
};
