/* A stage like send: announces a note (transaction A), calls later, writes what came of it (B).
 * Whose call it was is the text: its process id. "slow" takes a while, "moved" goes to wait and to
 * the failures as well, and "aside" is concluded without a call. */
#include "base/clock.h"
#include "loop_stage.h"

#include <stdio.h>
#include <unistd.h>

enum { OUT_COPIES, OUT_INTENTS, CALLS_MAX = 64, SLOW_MS = 4000 };

static const struct mill_port in_ports[] = {{"notes", "notes", &note_desc}, {0}};
static const struct mill_port out_ports[] = {
    {"copies", "copies", &note_desc}, {"intents", "intents", &note_desc}, {0}};

struct owner_call {
    const struct mill_record *in;
    int64_t until_ms;
};

struct owner_state {
    struct owner_call calls[CALLS_MAX];
    size_t n;
    char name[24];
};

static enum mill_code owner_open(struct mill_ctx *ctx, struct mill_err *err)
{
    struct owner_state *s = mill_state(ctx);

    (void)err;
    snprintf(s->name, sizeof s->name, "%ld", (long)getpid());
    return MILL_OK;
}

static enum mill_verdict owner_on_batch(struct mill_ctx *ctx, const struct mill_record *const *in,
                                        size_t n, struct mill_err *err)
{
    const struct owner_state *s = mill_state(ctx);
    const struct note intent = {mill_str(s->name)};

    for (size_t i = 0; i < n; i++) {
        if (mill_emit(ctx, OUT_INTENTS, in[i]->key, &intent, err))
            return MILL_STOP;
    }
    return MILL_DONE;
}

static enum mill_verdict owner_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                         struct mill_err *err)
{
    struct owner_state *s = mill_state(ctx);
    const struct note *note = in->value;

    if (mill_str_is(note->text, "aside")) {
        const struct note said = {mill_str(s->name)};
        return mill_emit(ctx, OUT_COPIES, in->key, &said, err) ? MILL_STOP : MILL_DONE;
    }
    if (s->n == CALLS_MAX) {
        mill_fail(err, MILL_E_STATE, "owner", "too many at once");
        return MILL_STOP;
    }
    s->calls[s->n++] =
        (struct owner_call){in, mill_str_is(note->text, "slow") ? mill_tick_ms() + SLOW_MS : 0};
    return MILL_PENDING;
}

static enum mill_verdict owner_conclude(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    const struct owner_state *s = mill_state(ctx);
    const struct note outcome = {mill_str(s->name)}, *note = in->value;

    if (mill_emit(ctx, OUT_COPIES, in->key, &outcome, err))
        return MILL_STOP;
    if (!mill_str_is(note->text, "moved"))
        return MILL_DONE;
    if (mill_forward(ctx, "wait", 0, in, in->headers, err))
        return MILL_STOP;
    mill_fail(err, MILL_E_DATA, "note", "is bad");
    return MILL_REJECT;
}

static enum mill_verdict owner_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    struct owner_state *s = mill_state(ctx);

    for (size_t i = 0; i < s->n;) {
        struct owner_call c = s->calls[i];
        if (c.until_ms > mill_tick_ms()) {
            i++;
            continue;
        }
        s->calls[i] = s->calls[--s->n];
        mill_current(ctx, c.in);
        mill_settle(ctx, c.in, owner_conclude(ctx, c.in, err), err);
    }
    if (s->n)
        usleep((useconds_t)wait_ms * 1000);
    return MILL_DONE;
}

MILL_STAGE(owner) = {
    .name = "owner",
    .summary = "announces, calls, and says who did",
    .in = in_ports,
    .out = out_ports,
    .state_size = sizeof(struct owner_state),
    .open = owner_open,
    .on_batch = owner_on_batch,
    .on_record = owner_on_record,
    .on_poll = owner_on_poll,
};
