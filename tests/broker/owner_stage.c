/* A stage like send: announces a note (transaction A), calls later, writes what came of it (B).
 * Whose call it was is the text: its process id. "slow" lasts until there is a file "go" in the
 * state's folder, "moved" goes to wait and to the failures as well, and "aside" is concluded
 * without a call. */
#include "kafka/run.h"
#include "loop_stage.h"

#include <stdio.h>
#include <unistd.h>

enum { OUT_COPIES, OUT_INTENTS, CALLS_MAX = 64 };

static const struct mill_port in_ports[] = {{"notes", "notes", &note_desc}, {0}};
static const struct mill_port out_ports[] = {
    {"copies", "copies", &note_desc}, {"intents", "intents", &note_desc}, {0}};

struct owner_state {
    const struct mill_record *calls[CALLS_MAX];
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
    s->calls[s->n++] = in;
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

static bool owner_ended(const struct mill_ctx *ctx, const struct mill_record *in)
{
    const struct note *note = in->value;
    char go[256];

    snprintf(go, sizeof go, "%s/go", ctx->rc.state_dir);
    return !mill_str_is(note->text, "slow") || !access(go, F_OK);
}

static enum mill_verdict owner_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    struct owner_state *s = mill_state(ctx);

    for (size_t i = 0; i < s->n;) {
        const struct mill_record *in = s->calls[i];
        if (!owner_ended(ctx, in)) {
            i++;
            continue;
        }
        s->calls[i] = s->calls[--s->n];
        mill_current(ctx, in);
        mill_settle(ctx, in, owner_conclude(ctx, in, err), err);
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
