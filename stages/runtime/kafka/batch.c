/* The batch in hand: records read, outputs emitted. stage.h's emitting functions live here. */
#include "base/clock.h"
#include "kafka/run.h"

#include <stdlib.h>

struct run_item *run_item_add(struct mill_ctx *ctx, rd_kafka_message_t *msg, struct run_part *part)
{
    struct run_item *item;

    if (ctx->items_n == ctx->items_size) {
        size_t size = ctx->items_size ? ctx->items_size * 2 : 1024;
        struct run_item **v = realloc(ctx->items, size * sizeof(struct run_item *));
        if (!v)
            return NULL;
        ctx->items = v;
        ctx->items_size = size;
    }
    item = mill_arena_calloc(&ctx->arena, 1, sizeof *item);
    if (!item)
        return NULL;
    if (!ctx->items_n)
        ctx->batch_since_ms = mill_tick_ms();
    item->msg = msg;
    item->part = part;
    ctx->items[ctx->items_n++] = item;
    ctx->items_bytes += msg->len + msg->key_len;
    return item;
}

bool run_output_add(struct mill_ctx *ctx, const struct run_output *o)
{
    if (ctx->outputs_n == ctx->outputs_size) {
        size_t size = ctx->outputs_size ? ctx->outputs_size * 2 : 1024;
        struct run_output *v = realloc(ctx->outputs, size * sizeof *v);
        if (!v)
            return false;
        ctx->outputs = v;
        ctx->outputs_size = size;
    }
    ctx->outputs[ctx->outputs_n++] = *o;
    return true;
}

const struct run_item *run_item_of(const struct mill_record *rec)
{
    return (const struct run_item *)(const void *)rec;
}

void run_batch_reset(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->items_n; i++)
        if (ctx->items[i]->state != RUN_HELD)
            rd_kafka_message_destroy(ctx->items[i]->msg);
    ctx->items_n = ctx->fresh = ctx->pending = 0;
    ctx->items_bytes = 0;
    ctx->outputs_n = ctx->produced = ctx->refused = 0;
    ctx->current = NULL;
    mill_arena_reset(&ctx->arena);
}

/* What an output inherits: where the mail came from, and its trace. */
static struct mill_map batch_carried(struct mill_ctx *ctx)
{
    static const char *const names[] = {"traceparent", "tracestate"};
    const struct mill_record *in = ctx->current;
    struct mill_pair *v;
    size_t n = 0;

    if (!in)
        return (struct mill_map){0};
    v = mill_arena_alloc(&ctx->arena, 3 * sizeof *v);
    if (!v)
        return (struct mill_map){0};
    if (in->origin.p)
        v[n++] = (struct mill_pair){MILL_STR("mill.origin"), in->origin};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mill_str s = mill_header(in, names[i]);
        if (s.p)
            v[n++] = (struct mill_pair){mill_str(names[i]), s};
    }
    return (struct mill_map){v, n};
}

enum mill_code mill_emit(struct mill_ctx *ctx, size_t port, struct mill_str key, const void *value,
                         struct mill_err *err)
{
    struct run_output o = {
        .topic = mill_out_topic(ctx, port),
        .partition = -1,
        .item = run_item_of(ctx->current),
    };
    enum mill_code code = MILL_OK;

    mill_buf_reset(&ctx->scratch);
    if (!mill_frame_add(&ctx->scratch, ctx->out_schema[port]))
        code = mill_fail(err, MILL_E_NOMEM, o.topic, "out of memory");
    if (!code)
        code = mill_codec_encode(ctx->out_codec[port], value, &ctx->scratch, err);
    if (code)
        goto out;
    o.key = mill_arena_dup(&ctx->arena, key);
    o.value = mill_arena_dup(&ctx->arena, mill_buf_view(&ctx->scratch));
    o.headers = batch_carried(ctx);
    if (!o.value.p || (key.p && !o.key.p) || !run_output_add(ctx, &o))
        code = mill_fail(err, MILL_E_NOMEM, o.topic, "out of memory");
    else
        mill_metric_add(ctx->run, RUN_M_EMITTED, port, 1);
out:
    if (code)
        ctx->emit_failed = true;
    return code;
}

/* A copy of the map in the arena in which a later pair replaces an earlier one of its name. */
static struct mill_map batch_headers(struct mill_ctx *ctx, struct mill_map headers, bool *ok)
{
    struct mill_pair *v = mill_arena_calloc(&ctx->arena, headers.n + 1, sizeof *v);
    size_t n = 0;

    *ok = v != NULL;
    for (size_t i = 0; *ok && i < headers.n; i++) {
        size_t at = 0;
        while (at < n && !mill_str_eq(v[at].key, headers.v[i].key))
            at++;
        v[at].key = mill_arena_dup(&ctx->arena, headers.v[i].key);
        v[at].value = mill_arena_dup(&ctx->arena, headers.v[i].value);
        *ok = v[at].key.p && v[at].value.p;
        n += at == n;
    }
    return (struct mill_map){v, n};
}

enum mill_code mill_forward(struct mill_ctx *ctx, const char *topic, int32_t partition,
                            const struct mill_record *in, struct mill_map headers,
                            struct mill_err *err)
{
    bool ok;
    struct run_output o = {
        .topic = mill_arena_dup(&ctx->arena, mill_str(topic)).p,
        .partition = partition,
        /* Borrowed from the record, which the batch keeps until the transaction has ended. */
        .key = in->key,
        .value = in->raw,
        .headers = batch_headers(ctx, headers, &ok),
        .item = run_item_of(in),
        .moved = true,
    };

    if (run_target_check(ctx, topic, partition, err))
        return MILL_E_NOENT; /* nothing is emitted: the stage may forward it to another */
    if (!ok || !o.topic || !run_output_add(ctx, &o)) {
        ctx->emit_failed = true;
        return mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
    }
    return MILL_OK;
}

const char *mill_out_topic(const struct mill_ctx *ctx, size_t port)
{
    return ctx->topics[RUN_PORTS_MAX + port];
}

void mill_current(struct mill_ctx *ctx, const struct mill_record *in)
{
    ctx->current = in;
}

struct mill_str mill_header(const struct mill_record *in, const char *name)
{
    return mill_map_get(in->headers, name);
}

const void *mill_conf(const struct mill_ctx *ctx)
{
    return ctx->conf;
}

void *mill_state(struct mill_ctx *ctx)
{
    return ctx->state;
}

struct mill_arena *mill_batch_arena(struct mill_ctx *ctx)
{
    return &ctx->arena;
}

struct mill_table *mill_ctx_table(struct mill_ctx *ctx, size_t n)
{
    return ctx->tables[n];
}

void mill_wait_until(struct mill_ctx *ctx, int64_t until_ms)
{
    ctx->wait_until_ms = until_ms;
}

void mill_count(struct mill_ctx *ctx, size_t metric, size_t label, uint64_t n)
{
    mill_metric_add(ctx->own, metric, label, n);
}

void mill_gauge(struct mill_ctx *ctx, size_t metric, size_t label, double v)
{
    mill_metric_set(ctx->own, metric, label, v);
}

void mill_observe(struct mill_ctx *ctx, size_t metric, size_t label, double seconds)
{
    mill_metric_observe(ctx->own, metric, label, seconds);
}
