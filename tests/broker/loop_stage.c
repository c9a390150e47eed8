/* The stage that test_loop runs as a process: what it does with a note is the note's first word. */
#include "loop_stage.h"
#include "base/clock.h"
#include "table.h"

static const struct mill_field note_fields[] = {
    {.name = "text", .kind = MILL_STRING, .off = offsetof(struct note, text)},
    {0},
};
const struct mill_desc note_desc = {
    .name = "Note",
    .avsc = "{\"type\":\"record\",\"name\":\"Note\",\"fields\":[{\"name\":\"text\",\"type\":"
            "\"string\"}]}",
    .size = sizeof(struct note),
    .fields = note_fields,
};

enum { OUT_NOTES };
static const struct mill_port in_ports[] = {{"notes", "notes", &note_desc}, {0}};
static const struct mill_port out_ports[] = {{"copies", "copies", &note_desc}, {0}};
static const struct mill_port intents[] = {
    {"copies", "copies", &note_desc}, {"intents", "intents", &note_desc}, {0}};

struct note_state {
    const struct mill_record *waiting[64];
    size_t n;
};

static enum mill_verdict note_copy(struct mill_ctx *ctx, const struct mill_record *in,
                                   struct mill_err *err)
{
    return mill_emit(ctx, OUT_NOTES, in->key, in->value, err) ? MILL_RETRY : MILL_DONE;
}

/* "later" waits until this process has seen a note "free", "far off" for a fixed time. */
static bool note_waits(struct mill_ctx *ctx, const struct mill_record *in)
{
    static bool freed;
    const struct note *note = in->value;
    int64_t now = mill_now_us() / 1000, until = 0;

    freed = freed || mill_str_is(note->text, "free");
    if (mill_str_is(note->text, "later") && !freed)
        until = now + 100;
    if (mill_str_is(note->text, "far off"))
        until = in->timestamp_us / 1000 + FAR_OFF_MS;
    mill_wait_until(ctx, until);
    return until > now;
}

static enum mill_verdict note_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    const struct note *note = in->value;

    if (mill_str_is(note->text, "reject")) {
        mill_fail(err, MILL_E_DATA, "text", "asked to reject");
        return MILL_REJECT;
    }
    if (mill_str_is(note->text, "tell")) {
        (void)!mill_emit(ctx, OUT_NOTES, in->key, note, err); /* on purpose: to be seen */
        mill_fail(err, MILL_E_DATA, "text", "asked to reject, and say so");
        return MILL_REJECT;
    }
    if (mill_str_is(note->text, "retry") && in->attempt == 0) {
        (void)!mill_emit(ctx, OUT_NOTES, in->key, note, err); /* must not be seen */
        mill_fail(err, MILL_E_IO, "text", "asked to retry");
        return MILL_RETRY;
    }
    if (mill_str_is(note->text, "stop")) {
        mill_fail(err, MILL_E_CONFIG, "text", "asked to stop");
        return MILL_STOP;
    }
    if (mill_str_is(note->text, "nowhere") || mill_str_is(note->text, "too far")) {
        bool far = mill_str_is(note->text, "too far");
        (void)!mill_forward(ctx, far ? "copies" : "nowhere", far ? 4 : -1, in, in->headers, err);
        return err->code == MILL_E_NOENT ? MILL_REJECT : MILL_STOP;
    }
    return note_waits(ctx, in) ? MILL_LATER : note_copy(ctx, in, err);
}

MILL_STAGE(notes) = {
    .name = "notes",
    .summary = "copies notes, or does what they ask",
    .in = in_ports,
    .out = out_ports,
    .told = "text",
    .on_record = note_on_record,
};

/* The same as a stage that announces first, and settles later. */
static enum mill_verdict pend_on_batch(struct mill_ctx *ctx, const struct mill_record *const *in,
                                       size_t n, struct mill_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (mill_emit(ctx, 1, in[i]->key, in[i]->value, err))
            return MILL_STOP;
    return MILL_DONE;
}

static enum mill_verdict pend_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    struct note_state *s = mill_state(ctx);

    if (s->n == sizeof s->waiting / sizeof *s->waiting)
        return note_copy(ctx, in, err);
    s->waiting[s->n++] = in;
    return MILL_PENDING;
}

static enum mill_verdict pend_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    struct note_state *s = mill_state(ctx);

    (void)wait_ms;
    while (s->n) { /* newest first: order of settling is free */
        const struct mill_record *in = s->waiting[--s->n];
        mill_current(ctx, in);
        mill_settle(ctx, in, note_on_record(ctx, in, err), err);
    }
    return MILL_DONE;
}

MILL_STAGE(pend) = {
    .name = "pend",
    .summary = "announces, then copies notes later",
    .in = in_ports,
    .out = intents,
    .state_size = sizeof(struct note_state),
    .on_batch = pend_on_batch,
    .on_record = pend_on_record,
    .on_poll = pend_on_poll,
};

/* A stage that remembers: the first note of a key is copied, later ones are answered by what its
 * table has, the topic's record or the one that it has put there itself. */
static const struct mill_table_port memory[] = {
    {.name = "memory", .topic = "memory", .desc = &note_desc}, {0}};

struct recall_found {
    char text[64];
    bool any;
};

static bool recall_each(void *arg, struct mill_str key, const void *value)
{
    struct recall_found *found = arg;
    const struct note *note = value;

    (void)key;
    found->any = true;
    mill_str_cut(note->text, found->text, sizeof found->text);
    return false;
}

static enum mill_verdict recall_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                          struct mill_err *err)
{
    struct mill_table *t = mill_ctx_table(ctx, 0);
    struct recall_found found = {0};
    struct note answer;

    if (mill_table_each(t, in->partition, in->key, recall_each, &found, err))
        return MILL_STOP;
    if (!found.any) {
        if (mill_table_put(t, in->partition, in->key, in->value, err))
            return MILL_STOP;
        return note_copy(ctx, in, err);
    }
    answer.text = mill_str(found.text);
    return mill_emit(ctx, OUT_NOTES, in->key, &answer, err) ? MILL_STOP : MILL_DONE;
}

static bool recall_open(void *arg, struct mill_str key, const void *value)
{
    struct mill_err err = {0};
    const struct note *note = value;

    return !mill_str_is(note->text, "open") || !mill_emit(arg, OUT_NOTES, key, value, &err);
}

/* What an earlier life has left open is said before any record. */
static enum mill_code recall_on_assigned(struct mill_ctx *ctx, int32_t partition,
                                         struct mill_err *err)
{
    return mill_table_each(mill_ctx_table(ctx, 0), partition, (struct mill_str){0}, recall_open,
                           ctx, err);
}

MILL_STAGE(recall) = {
    .name = "recall",
    .summary = "answers with the first note of a key",
    .in = in_ports,
    .out = out_ports,
    .tables = memory,
    .on_assigned = recall_on_assigned,
    .on_record = recall_on_record,
};

/* Two inputs, the second one raw: what comes back by the retry topic may be of either. */
static const struct mill_port two_ports[] = {
    {"notes", "notes", &note_desc}, {"others", "others", NULL}, {0}};

static enum mill_verdict two_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                       struct mill_err *err)
{
    const struct note raw = {MILL_STR("raw")};

    return mill_emit(ctx, OUT_NOTES, in->key, in->port ? &raw : in->value, err) ? MILL_STOP
                                                                                : MILL_DONE;
}

MILL_STAGE(two) = {
    .name = "two",
    .summary = "copies notes of two inputs",
    .in = two_ports,
    .out = out_ports,
    .on_record = two_on_record,
};
