/* A keyed topic's partitions, read into a store; see table.h. */
#include "avro/codec.h"
#include "base/clock.h"
#include "kafka/reader.h"
#include "kafka/table_int.h"
#include "kafka/table_store_int.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    PUMP_RECORDS = 5000,
    OWN_SCHEMA = INT32_MAX, /* a frame has no negative ids, and no registry counts up to this one */
    NEXT_MS = 100,
};

struct mill_table {
    struct run_table_conf conf;
    struct mill_reader *reader;      /**< of the thread that fills the table */
    struct run_table_thread *thread; /**< NULL: a stage's table */
    int32_t *parts;                  /**< held */
    size_t parts_n;

    pthread_mutex_t lock; /**< for all below */
    struct run_store *store;
    struct mill_codec *codec;
    int32_t partitions;      /**< of the topic; 0 = not known */
    struct mill_arena arena; /**< one decoded record */
    struct mill_buf scratch;
    int64_t lag, assigned_ms;
    double rebuild_seconds;
};

static void table_lock(struct mill_table *t)
{
    pthread_mutex_lock(&t->lock);
}

static void table_unlock(struct mill_table *t)
{
    pthread_mutex_unlock(&t->lock);
}

enum mill_code run_table_new(struct mill_table **out, const struct run_table_conf *conf,
                             struct mill_err *err)
{
    struct mill_table *t = calloc(1, sizeof *t);
    enum mill_code code;

    *out = NULL;
    if (!t)
        return mill_fail(err, MILL_E_NOMEM, conf->topic, "out of memory");
    t->conf = *conf;
    pthread_mutex_init(&t->lock, NULL);
    mill_buf_init(&t->scratch, conf->record_max_bytes);
    code = mill_codec_new(&t->codec, conf->desc, err);
    if (!code)
        code = mill_codec_learn(t->codec, OWN_SCHEMA, mill_str(conf->desc->avsc), err);
    if (!code)
        code = run_store_open(&t->store, conf->folder, conf->name, conf->max_bytes, err);
    if (!code)
        code = mill_reader_new(&t->reader, &conf->kafka, err);
    if (code) {
        run_table_free(t);
        return code;
    }
    *out = t;
    return MILL_OK;
}

void run_table_free(struct mill_table *t)
{
    if (!t)
        return;
    mill_reader_free(t->reader);
    run_store_free(t->store);
    mill_codec_free(t->codec);
    mill_arena_release(&t->arena);
    mill_buf_release(&t->scratch);
    pthread_mutex_destroy(&t->lock);
    free(t->parts);
    free(t);
}

struct run_table_thread **run_table_thread(struct mill_table *t)
{
    return &t->thread;
}

/* How many partitions the topic has: where a key's records lie, and what a global table holds. */
static enum mill_code table_partitions(struct mill_table *t, int32_t *n, struct mill_err *err)
{
    enum mill_code code = mill_reader_partitions(t->reader, t->conf.topic, n, err);

    if (code)
        return code;
    table_lock(t);
    t->partitions = *n;
    table_unlock(t);
    return MILL_OK;
}

enum mill_code run_table_learn(struct mill_table *t, struct mill_err *err)
{
    struct mill_str json;
    struct mill_str subject;
    int32_t id, n;
    enum mill_code code = table_partitions(t, &n, err);

    if (code)
        return code;
    table_lock(t);
    mill_arena_reset(&t->arena);
    subject = mill_arena_printf(&t->arena, "%s-value", t->conf.topic);
    code = subject.p ? mill_registry_latest(t->conf.registry, subject.p, &id, &json, err)
                     : mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    if (!code)
        code = mill_codec_learn(t->codec, id, json, err);
    else if (code == MILL_E_NOENT)
        code = MILL_OK; /* nobody has written yet */
    table_unlock(t);
    return code;
}

/* ---- reading the topic ---- */

/* Takes in up to PUMP_RECORDS records, waiting wait_ms for the first. */
static enum mill_code table_take(struct mill_table *t, int wait_ms, struct mill_err *err)
{
    enum mill_code read = MILL_OK, code = MILL_OK;
    bool locked = false;

    for (size_t n = 0; !code && n < PUMP_RECORDS; n++) {
        struct mill_record in;
        bool got = false;
        read = mill_reader_next(t->reader, n ? 0 : wait_ms, &in, &got, err);
        if (read || !got)
            break;
        if (!locked)
            table_lock(t);
        locked = true;
        code = run_store_take(t->store, in.partition, in.offset, in.key, in.raw, err);
    }
    if (!locked)
        return read;
    /* What was read before the reader failed is kept: it does not come again. */
    if (code)
        run_store_abort(t->store);
    else
        code = run_store_commit(t->store, err);
    table_unlock(t);
    return code ? code : read;
}

static void table_note_lag(struct mill_table *t)
{
    int64_t lag = 0;

    for (size_t i = 0; i < t->parts_n; i++)
        lag += mill_reader_lag(t->reader, t->conf.topic, t->parts[i]);
    table_lock(t);
    t->lag = lag;
    table_unlock(t);
}

enum mill_code run_table_pump(struct mill_table *t, int wait_ms, struct mill_err *err)
{
    enum mill_code code = t->parts_n ? table_take(t, wait_ms, err) : MILL_OK;

    table_note_lag(t);
    return code;
}

enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err)
{
    int64_t until = mill_tick_ms() + timeout_ms, low, high;
    enum mill_code code;

    if (!run_store_holds(t->store, partition))
        return mill_fail(err, MILL_E_STATE, t->conf.topic, "partition %d is not held", partition);
    code = mill_reader_marks(t->reader, t->conf.topic, partition, &low, &high, err);
    while (!code && high > low &&
           mill_reader_position(t->reader, t->conf.topic, partition) < high) {
        if (mill_tick_ms() > until)
            return mill_fail(err, MILL_E_IO, t->conf.topic, "partition %d: at %lld of %lld",
                             partition,
                             (long long)mill_reader_position(t->reader, t->conf.topic, partition),
                             (long long)high);
        code = table_take(t, NEXT_MS, err);
    }
    return code;
}

/* ---- what is held ---- */

static enum mill_code table_add(struct mill_table *t, int32_t partition, struct mill_err *err)
{
    int32_t *v = realloc(t->parts, (t->parts_n + 1) * sizeof *v);
    enum mill_code code;

    if (!v)
        return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    t->parts = v;
    table_lock(t);
    code = run_store_hold(t->store, partition, err);
    table_unlock(t);
    if (code)
        return code;
    code = mill_reader_add(t->reader, t->conf.topic, partition, MILL_READ_START, err);
    if (code) {
        table_lock(t);
        run_store_let_go(t->store, partition);
        table_unlock(t);
    } else {
        t->parts[t->parts_n++] = partition;
    }
    return code;
}

static bool table_among(const int32_t *v, size_t n, int32_t partition)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == partition)
            return true;
    return false;
}

static enum mill_code table_hold(struct mill_table *t, const int32_t *v, size_t n,
                                 struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && i < t->parts_n;) {
        if (table_among(v, n, t->parts[i])) {
            i++;
            continue;
        }
        code = mill_reader_remove(t->reader, t->conf.topic, t->parts[i], err);
        table_lock(t);
        run_store_let_go(t->store, t->parts[i]);
        table_unlock(t);
        t->parts[i] = t->parts[--t->parts_n];
    }
    for (size_t i = 0; !code && i < n; i++)
        if (!table_among(t->parts, t->parts_n, v[i]))
            code = table_add(t, v[i], err);
    return code;
}

enum mill_code run_table_assign(struct mill_table *t, const int32_t *partitions, size_t n,
                                uint32_t timeout_ms, struct mill_err *err)
{
    int32_t *all = NULL;
    int32_t count = t->partitions; /* our own thread wrote it */
    enum mill_code code = MILL_OK;

    if (!t->assigned_ms)
        t->assigned_ms = mill_tick_ms(); /* an earlier call may have been cut short */
    if (t->conf.global) {
        all = calloc((size_t)count + 1, sizeof *all);
        if (!all)
            return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
        for (int32_t i = 0; i < count; i++)
            all[i] = i;
        partitions = all;
        n = (size_t)count;
    }
    if (!code)
        code = table_hold(t, partitions, n, err);
    for (size_t i = 0; !code && i < n; i++)
        code = mill_table_catch_up(t, partitions[i], timeout_ms, err);
    free(all);
    if (code)
        return code;
    table_lock(t);
    t->rebuild_seconds = (double)(mill_tick_ms() - t->assigned_ms) / 1000.0;
    table_unlock(t);
    t->assigned_ms = 0;
    table_note_lag(t);
    return MILL_OK;
}

/* ---- looking things up ---- */

static enum mill_code table_decode(struct mill_table *t, struct mill_str raw,
                                   struct mill_arena *mem, void *value, struct mill_err *err)
{
    struct mill_str body, json;
    int32_t id;
    enum mill_code code = mill_frame_split(raw, &id, &body, err);

    if (!code && !mill_codec_knows(t->codec, id)) {
        code = mill_registry_schema(t->conf.registry, id, &json, err);
        if (!code)
            code = mill_codec_learn(t->codec, id, json, err);
    }
    return code ? code : mill_codec_decode(t->codec, id, body, mem, value, err);
}

static int32_t table_by_key(const struct mill_table *t, int32_t partition, struct mill_str key)
{
    return partition == MILL_TABLE_BY_KEY ? mill_partition(key, t->partitions) : partition;
}

struct table_visit {
    struct mill_table *t;
    bool (*each)(void *arg, struct mill_str key, const void *value);
    void *arg, *value;
    enum mill_code code;
    struct mill_err *err;
};

static bool table_visit(void *arg, struct mill_str key, struct mill_str raw)
{
    struct table_visit *v = arg;

    mill_arena_reset(&v->t->arena);
    v->code = table_decode(v->t, raw, &v->t->arena, v->value, v->err);
    return !v->code && v->each(v->arg, key, v->value);
}

enum mill_code mill_table_each(struct mill_table *t, int32_t partition, struct mill_str prefix,
                               bool (*each)(void *arg, struct mill_str key, const void *value),
                               void *arg, struct mill_err *err)
{
    struct table_visit v = {.t = t, .each = each, .arg = arg, .err = err};
    enum mill_code code;

    v.value = calloc(1, t->conf.desc->size);
    if (!v.value)
        return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    table_lock(t);
    code =
        run_store_each(t->store, table_by_key(t, partition, prefix), prefix, table_visit, &v, err);
    table_unlock(t);
    free(v.value);
    return code ? code : v.code;
}

enum mill_code mill_table_get(struct mill_table *t, struct mill_str key, struct mill_arena *mem,
                              void *value, struct mill_err *err)
{
    struct mill_str raw;
    enum mill_code code;

    table_lock(t);
    code = run_store_get(t->store, table_by_key(t, MILL_TABLE_BY_KEY, key), key, mem, &raw, err);
    if (!code)
        code = table_decode(t, raw, mem, value, err);
    table_unlock(t);
    return code;
}

enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    table_lock(t);
    mill_buf_reset(&t->scratch);
    if (!mill_frame_add(&t->scratch, OWN_SCHEMA))
        code = mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    if (!code)
        code = mill_codec_encode(t->codec, value, &t->scratch, err);
    if (!code)
        code = run_store_own(t->store, table_by_key(t, partition, key), key,
                             mill_buf_view(&t->scratch), err);
    table_unlock(t);
    return code;
}

void mill_table_stats(struct mill_table *t, struct mill_table_stats *out)
{
    *out = (struct mill_table_stats){0};
    table_lock(t);
    run_store_size(t->store, &out->records, &out->bytes);
    out->lag = t->lag;
    out->rebuild_seconds = t->rebuild_seconds;
    table_unlock(t);
}
