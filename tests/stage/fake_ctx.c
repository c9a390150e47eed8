#include "fake_ctx.h"

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

enum {
    SCHEMA_ID = 1,
    PORTS_MAX = 16,
    ARGS_MAX = 32,
    EMITS_MAX = 4096,
    PENDING_MAX = 4096,
    POLL_MS = 20,
    SETTLE_MS = 10000,
    RECORD_MAX = 2 << 20,
};

static const int64_t fake_time_us = INT64_C(1795219200) * 1000000; /* 2026-11-21T00:00:00Z */

struct mill_table {
    struct mill_ctx *ctx;
    struct mill_codec *codec;
    struct {
        struct mill_str key;
        const void *value;
        bool late;
    } rows[1024];
    size_t n;
    unsigned catch_ups;
};

struct fake_settled {
    const struct mill_record *in;
    enum mill_verdict verdict; /* PENDING until settled */
    struct mill_err err;
};

struct mill_ctx {
    const struct mill_stage *spec;
    void *conf, *state;
    struct mill_opts *opts;
    struct mill_metrics *metrics;
    struct mill_codec *in[PORTS_MAX], *out[PORTS_MAX];
    struct mill_table tables[4];
    struct mill_arena batch, kept, emitted;
    struct fake_emit emits[EMITS_MAX];
    size_t emits_n;
    struct fake_settled pending[PENDING_MAX];
    size_t pending_n;
    const struct mill_record *current;
    bool in_on_batch, draining;
    const char *unready;
    int64_t wait_until_ms, next_offset;
};

static struct mill_str fake_dup(struct mill_arena *a, struct mill_str s)
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

/** Through the wire and back. @return the decoded struct, in arena */
static const void *fake_copy(struct mill_codec *c, const void *value, struct mill_arena *arena,
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
    const struct mill_opt_set sets[] = {{ctx->spec->opts, ctx->conf}, {0}};
    char *argv[ARGS_MAX];
    const char *arg;
    int argc = 0;
    struct mill_err err = {0};
    enum mill_opt_mode mode;

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

static struct fake_settled *fake_find(struct mill_ctx *ctx, const struct mill_record *in)
{
    for (size_t i = 0; i < ctx->pending_n; i++)
        if (ctx->pending[i].in == in)
            return &ctx->pending[i];
    fail_msg("a record is settled that is not in the batch");
    return NULL;
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

/* What stage.h and table.h promise, without Kafka. */

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

    (void)err;
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
        if (!t->rows[i].late && key.n >= prefix.n && !memcmp(key.p, prefix.p, prefix.n) &&
            !each(arg, key, t->rows[i].value))
            break;
    }
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
