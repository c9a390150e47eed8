/* What stage.h and table.h promise, without Kafka. */
#include "fake_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/table.h"

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
    return &ctx->batch;
}

static struct fake_emit *fake_next(struct mill_ctx *ctx)
{
    struct fake_emit *e = &ctx->emits[ctx->emits_n];

    assert_true(ctx->emits_n < EMITS_MAX);
    *e = (struct fake_emit){.partition = -1, .from = ctx->current, .in_on_batch = ctx->in_on_batch};
    return e;
}

enum mill_code mill_emit(struct mill_ctx *ctx, size_t port, struct mill_str key, const void *value,
                         struct mill_err *err)
{
    struct fake_emit *e = fake_next(ctx);

    if (ctx->fail_code && ctx->fail_port == port)
        return mill_fail(err, ctx->fail_code, ctx->spec->out[port].topic, "as the test asked");
    e->port = port;
    e->topic = ctx->spec->out[port].topic;
    e->key = fake_dup(&ctx->emitted, key);
    if (ctx->out[port])
        e->value = fake_copy(ctx->out[port], value, &ctx->emitted, &e->bytes, err);
    else
        e->bytes = fake_dup(&ctx->emitted, *(const struct mill_str *)value);
    if (ctx->out[port] && !e->value)
        return err->code;
    ctx->emits_n++;
    return MILL_OK;
}

enum mill_code mill_forward(struct mill_ctx *ctx, const char *topic, int32_t partition,
                            const struct mill_record *in, struct mill_map headers,
                            struct mill_err *err)
{
    struct fake_emit *e = fake_next(ctx);
    struct mill_pair *pairs = mill_arena_calloc(&ctx->emitted, headers.n + 1, sizeof *pairs);
    size_t n = 0;

    if (!strncmp(topic, "missing.", 8) || partition >= FAKE_PARTITIONS)
        return mill_fail(err, MILL_E_NOENT, "topic", "there is no %s/%d", topic, partition);
    assert_non_null(pairs);
    for (size_t i = 0; i < headers.n; i++) { /* a later pair replaces an earlier one of its name */
        size_t at = 0;
        while (at < n && !mill_str_eq(pairs[at].key, headers.v[i].key))
            at++;
        pairs[at] = (struct mill_pair){fake_dup(&ctx->emitted, headers.v[i].key),
                                       fake_dup(&ctx->emitted, headers.v[i].value)};
        n += at == n;
    }
    e->port = SIZE_MAX;
    e->topic = fake_dup(&ctx->emitted, mill_str(topic)).p;
    e->partition = partition;
    e->key = fake_dup(&ctx->emitted, in->key);
    e->bytes = fake_dup(&ctx->emitted, in->raw);
    e->headers = (struct mill_map){pairs, n};
    e->from = in;
    ctx->emits_n++;
    return MILL_OK;
}

const char *mill_out_topic(const struct mill_ctx *ctx, size_t port)
{
    return ctx->spec->out[port].topic;
}

void mill_current(struct mill_ctx *ctx, const struct mill_record *in)
{
    ctx->current = in;
}

static struct fake_settled *fake_find(struct mill_ctx *ctx, const struct mill_record *in)
{
    for (size_t i = 0; i < ctx->pending_n; i++)
        if (ctx->pending[i].in == in)
            return &ctx->pending[i];
    fail_msg("a record is settled that is not in the batch");
    return NULL;
}

void mill_settle(struct mill_ctx *ctx, const struct mill_record *in, enum mill_verdict v,
                 const struct mill_err *err)
{
    struct fake_settled *s = fake_find(ctx, in);

    assert_true(v != MILL_PENDING && v != MILL_LATER);
    assert_int_equal(s->verdict, MILL_PENDING);
    s->verdict = v;
    if (err)
        s->err = *err;
}

void mill_wait_until(struct mill_ctx *ctx, int64_t until_ms)
{
    ctx->wait_until_ms = until_ms;
}

struct mill_str mill_header(const struct mill_record *in, const char *name)
{
    return mill_map_get(in->headers, name);
}

void mill_count(struct mill_ctx *ctx, size_t metric, size_t label, uint64_t n)
{
    mill_metric_add(ctx->metrics, metric, label, n);
}

void mill_gauge(struct mill_ctx *ctx, size_t metric, size_t label, double v)
{
    mill_metric_set(ctx->metrics, metric, label, v);
}

void mill_observe(struct mill_ctx *ctx, size_t metric, size_t label, double seconds)
{
    mill_metric_observe(ctx->metrics, metric, label, seconds);
}

void mill_unready(struct mill_ctx *ctx, const char *why)
{
    ctx->unready = why;
}

bool mill_draining(const struct mill_ctx *ctx)
{
    return ctx->draining;
}

struct mill_table *mill_ctx_table(struct mill_ctx *ctx, size_t n)
{
    return &ctx->tables[n];
}

enum mill_code mill_table_each(struct mill_table *t, int32_t partition, struct mill_str prefix,
                               bool (*each)(void *arg, struct mill_str key, const void *value),
                               void *arg, struct mill_err *err)
{
    (void)partition;
    (void)err;
    for (size_t i = 0; i < t->n; i++) {
        struct mill_str key = t->rows[i].key;
        if (!t->rows[i].late && key.n >= prefix.n &&
            (!prefix.n || !memcmp(key.p, prefix.p, prefix.n)) && !each(arg, key, t->rows[i].value))
            break;
    }
    return MILL_OK;
}

enum mill_code mill_table_refresh(struct mill_table *t, struct mill_err *err)
{
    (void)err;
    if (t->on_refresh)
        t->on_refresh(t->ctx);
    return MILL_OK;
}

enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err)
{
    (void)partition;
    (void)timeout_ms;
    (void)err;
    t->catch_ups++;
    for (size_t i = 0; i < t->n; i++)
        t->rows[i].late = false;
    return MILL_OK;
}

enum mill_code mill_table_get(struct mill_table *t, struct mill_str key, struct mill_arena *mem,
                              void *value, struct mill_err *err)
{
    struct mill_str bytes;

    for (size_t i = 0; i < t->n; i++)
        if (!t->rows[i].late && mill_str_eq(t->rows[i].key, key)) {
            const void *copy = fake_copy(t->codec, t->rows[i].value, mem, &bytes, err);
            if (!copy)
                return err->code;
            memcpy(value, copy, mill_codec_desc(t->codec)->size);
            return MILL_OK;
        }
    return mill_fail(err, MILL_E_NOENT, "table", "no such key");
}

static int fake_key_order(struct mill_str a, struct mill_str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err)
{
    struct mill_str bytes;
    size_t at = 0;
    const void *copy = fake_copy(t->codec, value, &t->ctx->kept, &bytes, err);

    (void)partition;
    if (!copy)
        return err->code;
    while (at < t->n && fake_key_order(t->rows[at].key, key) < 0)
        at++;
    if (at == t->n || !mill_str_eq(t->rows[at].key, key)) {
        assert_true(t->n < sizeof t->rows / sizeof t->rows[0]);
        memmove(&t->rows[at + 1], &t->rows[at], (t->n - at) * sizeof t->rows[0]);
        t->n++;
        t->rows[at].key = fake_dup(&t->ctx->kept, key);
    }
    t->rows[at].value = copy;
    t->rows[at].late = false;
    return MILL_OK;
}
