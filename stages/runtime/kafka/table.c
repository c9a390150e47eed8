/* A keyed topic's partitions, read into a store; see table.h. */
#include "avro/codec.h"
#include "base/clock.h"
#include "kafka/reader.h"
#include "kafka/table_int.h"
#include "kafka/table_store_int.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    OWN_SCHEMA = INT32_MAX /* a frame has no negative ids, and no registry counts up to this */
};

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
        code =
            run_store_open(&t->store, conf->folder, conf->name, conf->topic, conf->max_bytes, err);
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
    if (t->reader && t->store)
        run_table_save(t);
    mill_reader_free(t->reader);
    run_store_free(t->store);
    mill_codec_free(t->codec);
    mill_arena_release(&t->arena);
    mill_buf_release(&t->scratch);
    pthread_mutex_destroy(&t->lock);
    free(t->parts);
    free(t);
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
    run_table_lock(t);
    code =
        run_store_each(t->store, table_by_key(t, partition, prefix), prefix, table_visit, &v, err);
    run_table_unlock(t);
    free(v.value);
    return code ? code : v.code;
}

enum mill_code mill_table_get(struct mill_table *t, struct mill_str key, struct mill_arena *mem,
                              void *value, struct mill_err *err)
{
    struct mill_str raw;
    enum mill_code code;

    run_table_lock(t);
    code = run_store_get(t->store, table_by_key(t, MILL_TABLE_BY_KEY, key), key, mem, &raw, err);
    if (!code)
        code = table_decode(t, raw, mem, value, err);
    run_table_unlock(t);
    return code;
}

enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    run_table_lock(t);
    mill_buf_reset(&t->scratch);
    if (!mill_frame_add(&t->scratch, OWN_SCHEMA))
        code = mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    if (!code)
        code = mill_codec_encode(t->codec, value, &t->scratch, err);
    if (!code)
        code = run_store_own(t->store, table_by_key(t, partition, key), key,
                             mill_buf_view(&t->scratch), err);
    run_table_unlock(t);
    return code;
}

void mill_table_stats(struct mill_table *t, struct mill_table_stats *out)
{
    run_table_lock(t);
    *out = t->stats;
    run_store_size(t->store, &out->records, &out->bytes);
    run_table_unlock(t);
}
