/* The failure record: original bytes, and headers that say what happened, replaced on each hop. */
#include "base/clock.h"
#include "kafka/run.h"

enum { REPLACED_MAX = 17, TOLD_MAX_BYTES = 256, CUT_BYTES = 64 << 10, BATCH_BYTES = 1000000 };

static const char *failure_class(enum mill_verdict v, const struct mill_err *err)
{
    if (err->cls)
        return err->cls;
    return v == MILL_RETRY ? "transient" : "poison";
}

/* "where: text", at most 1 KiB as the Connect family has it; our fields are shorter. */
static struct mill_str failure_message(struct mill_ctx *ctx, const struct mill_err *err)
{
    return mill_arena_printf(&ctx->arena, "%s: %s", err->where, err->text);
}

static struct mill_str failure_kept(const struct run_item *item, const char *name,
                                    struct mill_str otherwise)
{
    struct mill_str s = mill_header(&item->rec, name);

    return s.p ? s : otherwise;
}

/* The place of a record: where it failed first, not a topic that it came back by. */
static struct mill_str failure_place(const struct mill_ctx *ctx, const struct run_item *item,
                                     const char *name, struct mill_str here)
{
    return item->part->retry || ctx->spec->passes_on ? failure_kept(item, name, here) : here;
}

/* Out ports that the record's handling emitted to, in spite of the failure: names with commas. What
 * decides about the failure can tell by it what has been said already. */
static struct mill_str failure_emitted(struct mill_ctx *ctx, const struct run_item *item)
{
    const struct mill_port *out = ctx->spec->out;
    struct mill_str all = MILL_STR("");
    uint64_t found = 0; /* a bit a port */

    for (size_t i = 0; i < ctx->outputs_n; i++) {
        const struct run_output *o = &ctx->outputs[i];
        if (o->item != item || o->failure)
            continue;
        for (size_t port = 0; out && out[port].name; port++)
            if (o->topic == mill_out_topic(ctx, port))
                found |= UINT64_C(1) << port;
    }
    for (size_t port = 0; found >> port; port++)
        if (found >> port & 1)
            all = mill_arena_printf(&ctx->arena, "%.*s%s%s", MILL_FMT(all), all.n ? "," : "",
                                    out[port].name);
    return all;
}

/* The field that the stage wants told, of a record that could be read; absent: nothing to tell. */
static struct mill_str failure_told(const struct mill_ctx *ctx, const struct run_item *item)
{
    const struct mill_record *in = &item->rec;
    const struct mill_desc *desc = ctx->spec->told ? ctx->spec->in[in->port].desc : NULL;
    struct mill_str s = {0};

    if (!desc || !in->value)
        return s;
    for (const struct mill_field *f = desc->fields; f->name; f++)
        if (f->kind == MILL_STRING && !strcmp(f->name, ctx->spec->told))
            memcpy(&s, (const char *)in->value + f->off, sizeof s);
    return s.n && s.n <= TOLD_MAX_BYTES ? s : (struct mill_str){0};
}

static size_t failure_headers(struct mill_ctx *ctx, const struct run_item *item,
                              enum mill_verdict v, const struct mill_err *err, struct mill_pair *h)
{
    const struct mill_record *in = &item->rec;
    char now[32];
    struct mill_arena *a = &ctx->arena;
    const struct mill_str told = failure_told(ctx, item);
    size_t n = 0;

    mill_time_text(mill_now_us(), now, sizeof now);
#define PUT(k, val) h[n++] = (struct mill_pair){MILL_STR(k), (val)}
    PUT("__connect.errors.topic",
        failure_place(ctx, item, "__connect.errors.topic", mill_str(in->topic)));
    PUT("__connect.errors.partition", failure_place(ctx, item, "__connect.errors.partition",
                                                    mill_arena_printf(a, "%d", in->partition)));
    PUT("__connect.errors.offset",
        failure_place(ctx, item, "__connect.errors.offset",
                      mill_arena_printf(a, "%lld", (long long)in->offset)));
    PUT("__connect.errors.connector.name", mill_str(ctx->spec->name));
    PUT("__connect.errors.stage", mill_str(ctx->spec->name));
    PUT("__connect.errors.class.name", mill_str(failure_class(v, err)));
    PUT("__connect.errors.exception.class.name", mill_str(mill_code_name(err->code)));
    PUT("__connect.errors.exception.message", failure_message(ctx, err));
    PUT("mill.class", mill_str(failure_class(v, err)));
    PUT("mill.stage", mill_str(ctx->spec->name));
    PUT("mill.attempt", mill_arena_printf(a, "%u", in->attempt + 1));
    PUT("mill.first-failed-at",
        failure_kept(item, "mill.first-failed-at", mill_arena_dup(a, mill_str(now))));
    PUT("mill.redrives", failure_kept(item, "mill.redrives", MILL_STR("0")));
    PUT("mill.origin", in->origin);
    PUT("mill.emitted", failure_emitted(ctx, item));
    /* A sink fails on the copy elsewhere: what the record asks for goes on. */
    PUT("mill.kind", ctx->spec->sink ? MILL_STR("sink") : MILL_STR("stage"));
#undef PUT
    if (told.n)
        h[n++] = (struct mill_pair){mill_arena_printf(a, "mill.%s", ctx->spec->told), told};
    return n;
}

bool run_failure_add(struct mill_ctx *ctx, const struct run_item *item, enum mill_verdict v,
                     const struct mill_err *err)
{
    const struct mill_record *in = &item->rec;
    struct mill_pair *h = mill_arena_calloc(&ctx->arena, in->headers.n + REPLACED_MAX, sizeof *h);
    size_t n, own;

    if (!h)
        return false;
    own = n = failure_headers(ctx, item, v, err, h);
    for (size_t i = 0; i < own; i++)
        if (!h[i].key.p || !h[i].value.p)
            return false; /* out of memory in one of them */
    for (size_t i = 0; i < in->headers.n; i++) {
        size_t at = 0;
        while (at < own && !mill_str_eq(h[at].key, in->headers.v[i].key))
            at++;
        if (at == own)
            h[n++] = in->headers.v[i];
    }
    return run_output_add(ctx, &(struct run_output){
                                   .topic = ctx->rc.failures_topic,
                                   .partition = -1,
                                   .key = in->key,
                                   .value = in->raw,
                                   .headers = {h, n},
                                   .item = item,
                                   .failure = true,
                                   .moved = true,
                               });
}

/* A value that another producer's compression got past the broker may not get past it from us: the
 * start of it is kept, its size in a header; its place is in the headers anyway. */
static bool failure_cut(struct mill_ctx *ctx, struct run_output *o)
{
    struct mill_pair *h = mill_arena_calloc(&ctx->arena, o->headers.n + 1, sizeof *h);
    struct mill_str size = mill_arena_printf(&ctx->arena, "%zu", o->value.n);

    if (!h || !size.p || o->value.n <= CUT_BYTES)
        return false;
    if (o->headers.n)
        memcpy(h, o->headers.v, o->headers.n * sizeof *h);
    h[o->headers.n] = (struct mill_pair){MILL_STR("mill.cut-from-bytes"), size};
    o->headers = (struct mill_map){h, o->headers.n + 1};
    o->value.n = CUT_BYTES;
    return true;
}

/* A failure record of ours that has come back to us: another one would come back for ever. */
static bool failure_circles(const struct mill_ctx *ctx, const struct run_item *item)
{
    return ctx->rc.failures_topic && !strcmp(item->rec.topic, ctx->rc.failures_topic) &&
           mill_str_is(mill_header(&item->rec, "mill.stage"), ctx->spec->name);
}

static bool failure_instead(struct mill_ctx *ctx, const struct run_output *o)
{
    const struct run_item *item = o->item;
    struct mill_err err = {0};
    size_t n = 0;

    mill_fail(&err, MILL_E_DATA, o->topic, "a record of %zu bytes is over the broker's limit",
              o->value.n);
    mill_log_err(MILL_WARN, "output_refused", &err);
    for (size_t i = 0; i < ctx->outputs_n; i++)
        if (ctx->outputs[i].item != item)
            ctx->outputs[n++] = ctx->outputs[i];
    ctx->outputs_n = n;
    return run_failure_add(ctx, item, MILL_REJECT, &err);
}

bool run_refused_replace(struct mill_ctx *ctx)
{
    struct run_output *o = &ctx->outputs[ctx->refused - 1];
    bool done = false;

    ctx->refused = 0;
    if (o->failure || (o->item && failure_circles(ctx, o->item)))
        done = failure_cut(ctx, o);
    else if (o->item && !ctx->announcing && o->value.n > BATCH_BYTES)
        done = failure_instead(ctx, o);
    if (!done) {
        /* Less than a batch of ours: it may be innocent, and the topic's limit is wrong. */
        mill_log(MILL_ERROR, "output_refused", MILL_KV(MILL_KS("topic", o->topic)),
                 "%s takes no batch that ends with a record of %zu bytes", o->topic, o->value.n);
        run_exit(ctx, MILL_EXIT_CONFIG);
    }
    return done;
}
