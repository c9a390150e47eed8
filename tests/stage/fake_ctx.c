#include "fake_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "avro/codec.h"
#include "base/clock.h"
#include "base/opt.h"
#include "runtime/table.h"
#include <stdio.h>
#include <stdlib.h>

static const int64_t fake_time_us = INT64_C(1795219200) * 1000000; /* 2026-11-21T00:00:00Z */

enum {
    SCHEMA_ID = 1,
    ARGS_MAX = 32,
    POLL_MS = 20,
    SETTLE_MS = 10000,
    RECORD_MAX = 2 << 20,
    SETS_MAX = 16
};

struct mill_str fake_dup(struct mill_arena *a, struct mill_str s)
{
    struct mill_str copy = {0};

    if (s.p) {
        copy = mill_arena_dup(a, s);
        assert_non_null(copy.p);
    }
    return copy;
}

static struct mill_codec *fake_codec(const struct mill_desc *desc)
{
    struct mill_codec *c = NULL;
    struct mill_err err = {0};

    if (!desc)
        return NULL;
    if (mill_codec_new(&c, desc, &err) ||
        mill_codec_learn(c, SCHEMA_ID, mill_str(desc->avsc), &err))
        fail_msg("codec of %s: %s: %s", desc->name, err.where, err.text);
    return c;
}

const void *fake_copy(struct mill_codec *c, const void *value, struct mill_arena *arena,
                      struct mill_str *bytes, struct mill_err *err)
{
    struct mill_buf buf;
    void *copy = NULL;

    mill_buf_init(&buf, RECORD_MAX);
    if (!mill_codec_encode(c, value, &buf, err)) {
        *bytes = buf.n ? fake_dup(arena, mill_buf_view(&buf)) : MILL_STR("");
        copy = mill_arena_calloc(arena, 1, mill_codec_desc(c)->size);
        assert_non_null(copy);
        if (mill_codec_decode(c, SCHEMA_ID, *bytes, arena, copy, err))
            fail_msg("what was encoded is not decoded: %s: %s", err->where, err->text);
    }
    mill_buf_release(&buf);
    return copy;
}

static void fake_options(struct mill_ctx *ctx, va_list ap)
{
    struct mill_opt_set sets[SETS_MAX + 1] = {{ctx->spec->opts, ctx->conf}};
    const struct mill_opt *more;
    size_t off = 0;
    char *argv[ARGS_MAX];
    const char *arg;
    int argc = 0;
    struct mill_err err = {0};
    enum mill_opt_mode mode;

    for (size_t n = 0; ctx->spec->opts_more && n + 1 < SETS_MAX; n++) {
        more = ctx->spec->opts_more(n, &off);
        if (!more)
            break;
        sets[n + 1] = (struct mill_opt_set){more, (char *)ctx->conf + off};
    }
    argv[argc++] = (char *)(uintptr_t)ctx->spec->name;
    while ((arg = va_arg(ap, const char *)) && argc < ARGS_MAX - 1)
        argv[argc++] = (char *)(uintptr_t)arg;
    argv[argc] = NULL;
    if (ctx->spec->opts &&
        mill_opts_load(&ctx->opts, ctx->spec->name, sets, argc, argv, &mode, &err))
        fail_msg("options: %s: %s", err.where, err.text);
}

static struct mill_ctx *fake_make(const struct mill_stage *spec, va_list ap)
{
    struct mill_ctx *ctx = calloc(1, sizeof *ctx);

    assert_non_null(ctx);
    ctx->spec = spec;
    ctx->conf = calloc(1, spec->conf_size ? spec->conf_size : 1);
    ctx->state = calloc(1, spec->state_size ? spec->state_size : 1);
    assert_true(ctx->conf && ctx->state);
    fake_options(ctx, ap);
    if (spec->metrics)
        ctx->metrics = mill_metrics_new(spec->metrics, spec->name);
    for (size_t i = 0; spec->in[i].name; i++)
        ctx->in[i] = fake_codec(spec->in[i].desc);
    for (size_t i = 0; spec->out && spec->out[i].name; i++)
        ctx->out[i] = fake_codec(spec->out[i].desc);
    for (size_t i = 0; spec->tables && spec->tables[i].name; i++) {
        ctx->tables[i].ctx = ctx;
        ctx->tables[i].codec = fake_codec(spec->tables[i].desc);
    }
    return ctx;
}

struct mill_ctx *fake_new_closed(const struct mill_stage *spec, ...)
{
    struct mill_ctx *ctx;
    va_list ap;

    va_start(ap, spec);
    ctx = fake_make(spec, ap);
    va_end(ap);
    return ctx;
}

struct mill_ctx *fake_new(const struct mill_stage *spec, ...)
{
    struct mill_ctx *ctx;
    struct mill_err err = {0};
    va_list ap;

    va_start(ap, spec);
    ctx = fake_make(spec, ap);
    va_end(ap);
    if (spec->open && spec->open(ctx, &err))
        fail_msg("open: %s: %s", err.where, err.text);
    return ctx;
}

void fake_free(struct mill_ctx *ctx)
{
    if (!ctx)
        return;
    if (ctx->spec->close)
        ctx->spec->close(ctx);
    for (size_t i = 0; i < PORTS_MAX; i++) {
        mill_codec_free(ctx->in[i]);
        mill_codec_free(ctx->out[i]);
    }
    for (size_t i = 0; i < sizeof ctx->tables / sizeof ctx->tables[0]; i++)
        mill_codec_free(ctx->tables[i].codec);
    mill_metrics_free(ctx->metrics);
    mill_opts_free(ctx->opts);
    mill_arena_release(&ctx->batch);
    mill_arena_release(&ctx->kept);
    mill_arena_release(&ctx->emitted);
    free(ctx->conf);
    free(ctx->state);
    free(ctx);
}

struct mill_record fake_record(struct mill_ctx *ctx, size_t port, const char *key,
                               const void *value)
{
    struct mill_record in = {
        .port = port,
        .topic = ctx->spec->in[port].topic,
        .offset = ctx->next_offset++,
        .timestamp_us = fake_time_us,
        .key = fake_dup(&ctx->kept, mill_str(key)),
    };
    struct mill_err err = {0};

    in.origin = mill_arena_printf(&ctx->kept, "fake-topic-id/0/%lld/1", (long long)in.offset);
    if (!value)
        return in;
    if (ctx->in[port]) {
        in.value = fake_copy(ctx->in[port], value, &ctx->kept, &in.raw, &err);
        if (!in.value)
            fail_msg("the test's own record: %s: %s", err.where, err.text);
    } else {
        in.raw = fake_dup(&ctx->kept, *(const struct mill_str *)value);
    }
    return in;
}

struct mill_record fake_record_of(struct mill_ctx *ctx, size_t port, const char *key,
                                  const void *value, const char *avsc)
{
    struct mill_record in = fake_record(ctx, port, key, NULL);
    struct mill_desc desc = *ctx->spec->in[port].desc;
    struct mill_codec *writer;
    struct mill_buf buf;
    struct mill_err err = {0};
    void *copy = mill_arena_calloc(&ctx->kept, 1, desc.size);

    desc.avsc = avsc;
    writer = fake_codec(&desc);
    mill_buf_init(&buf, RECORD_MAX);
    if (mill_codec_encode(writer, value, &buf, &err) ||
        mill_codec_learn(ctx->in[port], SCHEMA_ID + 1, mill_str(avsc), &err))
        fail_msg("another version: %s: %s", err.where, err.text);
    in.raw = fake_dup(&ctx->kept, mill_buf_view(&buf));
    assert_non_null(copy);
    if (mill_codec_decode(ctx->in[port], SCHEMA_ID + 1, in.raw, &ctx->kept, copy, &err))
        fail_msg("another version: %s: %s", err.where, err.text);
    in.value = copy;
    mill_buf_release(&buf);
    mill_codec_free(writer);
    return in;
}

static bool fake_open_ones(const struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->pending_n; i++)
        if (ctx->pending[i].verdict == MILL_PENDING)
            return true;
    return false;
}

/** @return MILL_STOP when on_poll says so */
static enum mill_verdict fake_poll(struct mill_ctx *ctx, struct mill_err *err)
{
    int64_t end = mill_tick_ms() + SETTLE_MS;

    while (fake_open_ones(ctx)) {
        if (mill_tick_ms() > end)
            fail_msg("a record is still pending after %d ms", SETTLE_MS);
        assert_non_null(ctx->spec->on_poll);
        if (ctx->spec->on_poll(ctx, POLL_MS, err) == MILL_STOP)
            return MILL_STOP;
    }
    return MILL_DONE;
}

enum mill_verdict fake_batch(struct mill_ctx *ctx, const struct mill_record *const *in, size_t n,
                             enum mill_verdict *verdicts, struct mill_err *errs)
{
    enum mill_verdict v = MILL_DONE;

    assert_true(n > 0 && n <= PENDING_MAX);
    mill_arena_reset(&ctx->batch);
    ctx->pending_n = n;
    memset(ctx->pending, 0, n * sizeof ctx->pending[0]);
    memset(errs, 0, n * sizeof *errs);
    ctx->in_on_batch = true;
    if (ctx->spec->on_batch)
        v = ctx->spec->on_batch(ctx, in, n, &errs[0]);
    ctx->in_on_batch = false;
    if (v == MILL_STOP)
        return v;
    for (size_t i = 0; i < n; i++) {
        struct fake_settled *s = &ctx->pending[i];
        s->in = ctx->current = in[i];
        s->verdict = MILL_PENDING;
        v = ctx->spec->on_record(ctx, in[i], &s->err);
        if (v != MILL_PENDING)
            s->verdict = v;
    }
    v = fake_poll(ctx, &errs[0]);
    for (size_t i = 0; i < n && v != MILL_STOP; i++) {
        verdicts[i] = ctx->pending[i].verdict;
        errs[i] = ctx->pending[i].err;
    }
    return v;
}

enum mill_verdict fake_run(struct mill_ctx *ctx, const struct mill_record *in, struct mill_err *err)
{
    enum mill_verdict v = MILL_STOP;

    return fake_batch(ctx, &in, 1, &v, err) == MILL_STOP ? MILL_STOP : v;
}

static void fake_same(const struct fake_emit *a, const struct fake_emit *b)
{
    assert_int_equal(a->port, b->port);
    assert_string_equal(a->topic, b->topic);
    assert_true(mill_str_eq(a->key, b->key));
    assert_true(mill_str_eq(a->bytes, b->bytes));
}

enum mill_verdict fake_run_twice(struct mill_ctx *ctx, const struct mill_record *in,
                                 struct mill_err *err)
{
    size_t before = ctx->emits_n, n;
    enum mill_verdict first = fake_run(ctx, in, err);

    n = ctx->emits_n - before;
    assert_int_equal(fake_run(ctx, in, err), first);
    assert_int_equal(ctx->emits_n - before, 2 * n);
    for (size_t i = 0; i < n; i++)
        fake_same(&ctx->emits[before + i], &ctx->emits[before + n + i]);
    ctx->emits_n -= n;
    return first;
}

size_t fake_emits(const struct mill_ctx *ctx)
{
    return ctx->emits_n;
}

const struct fake_emit *fake_emit(const struct mill_ctx *ctx, size_t n)
{
    if (n >= ctx->emits_n)
        fail_msg("there are %zu emits, no number %zu", ctx->emits_n, n);
    return &ctx->emits[n];
}

size_t fake_emits_to(const struct mill_ctx *ctx, size_t port)
{
    size_t n = 0;

    for (size_t i = 0; i < ctx->emits_n; i++)
        n += ctx->emits[i].port == port;
    return n;
}

void fake_forget(struct mill_ctx *ctx)
{
    ctx->emits_n = 0;
    mill_arena_reset(&ctx->emitted);
}

void fake_table_put(struct mill_ctx *ctx, size_t table, const char *key, const void *value)
{
    struct mill_err err = {0};

    if (mill_table_put(&ctx->tables[table], 0, mill_str(key), value, &err))
        fail_msg("table: %s: %s", err.where, err.text);
}

unsigned fake_table_behind(struct mill_ctx *ctx, size_t table)
{
    struct mill_table *t = &ctx->tables[table];

    for (size_t i = 0; i < t->n; i++)
        t->rows[i].late = true;
    return t->catch_ups;
}

void fake_fail_emits(struct mill_ctx *ctx, size_t port, enum mill_code code)
{
    ctx->fail_port = port;
    ctx->fail_code = code;
}

void fake_on_refresh(struct mill_ctx *ctx, size_t table, void (*fn)(struct mill_ctx *ctx))
{
    ctx->tables[table].on_refresh = fn;
}

double fake_metric(const struct mill_ctx *ctx, size_t metric, size_t label)
{
    return mill_metric_value(ctx->metrics, metric, label);
}

const char *fake_unready(const struct mill_ctx *ctx)
{
    return ctx->unready;
}

int64_t fake_wait_until(const struct mill_ctx *ctx)
{
    return ctx->wait_until_ms;
}

void fake_drain(struct mill_ctx *ctx, bool draining)
{
    ctx->draining = draining;
}
