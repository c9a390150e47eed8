/* Looking a table's records up: an own one hides the topic's of its key. */
#include "base/arena.h"
#include "kafka/table_lmdb_int.h"

#include <errno.h>

/** One of the two databases of a partition, walked in key order. */
struct store_walk {
    MDB_cursor *at;
    MDB_val k, v;
    struct mill_str prefix;
    int rc; /**< 0: k and v are a record of the prefix */
};

static void store_walk_to(struct store_walk *w, MDB_cursor_op op)
{
    w->rc = mdb_cursor_get(w->at, &w->k, &w->v, op);
    if (!w->rc && w->prefix.n &&
        (w->k.mv_size < w->prefix.n || memcmp(w->k.mv_data, w->prefix.p, w->prefix.n)))
        w->rc = MDB_NOTFOUND;
}

static int store_walk_open(struct store_walk *w, MDB_txn *txn, MDB_dbi dbi, struct mill_str prefix)
{
    int rc = mdb_cursor_open(txn, dbi, &w->at);

    if (rc)
        return rc;
    w->prefix = prefix;
    w->k = (MDB_val){prefix.n, (void *)(uintptr_t)prefix.p};
    store_walk_to(w, prefix.n ? MDB_SET_RANGE : MDB_FIRST);
    return 0;
}

/* An own record hides the topic's one of its key. */
static int store_merge(MDB_txn *txn, const struct store_part *p, struct store_walk *topic,
                       struct store_walk *own,
                       bool (*each)(void *arg, struct mill_str key, struct mill_str value),
                       void *arg)
{
    while (!topic->rc || !own->rc) {
        int order = topic->rc ? 1 : own->rc ? -1 : mdb_cmp(txn, p->topic, &topic->k, &own->k);
        const struct store_walk *w = order < 0 ? topic : own;
        if (!each(arg, (struct mill_str){w->k.mv_data, w->k.mv_size}, store_value(w->v)))
            return 0;
        if (order <= 0)
            store_walk_to(topic, MDB_NEXT);
        if (order >= 0)
            store_walk_to(own, MDB_NEXT);
    }
    return topic->rc != MDB_NOTFOUND ? topic->rc : own->rc != MDB_NOTFOUND ? own->rc : 0;
}

enum mill_code run_store_each(struct run_store *s, int32_t partition, struct mill_str prefix,
                              bool (*each)(void *arg, struct mill_str key, struct mill_str value),
                              void *arg, struct mill_err *err)
{
    const struct store_part *p = store_part(s, partition);
    struct store_walk topic = {0}, own = {0};
    MDB_txn *txn = NULL;
    int rc;

    if (!p)
        return mill_fail(err, MILL_E_STATE, s->name, "partition %d is not held", partition);
    if (prefix.n > s->key_max)
        return MILL_OK; /* no key is like that */
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (!rc)
        rc = store_walk_open(&topic, txn, p->topic, prefix);
    if (!rc)
        rc = store_walk_open(&own, txn, p->own, prefix);
    if (!rc)
        rc = store_merge(txn, p, &topic, &own, each, arg);
    if (topic.at)
        mdb_cursor_close(topic.at);
    if (own.at)
        mdb_cursor_close(own.at);
    if (txn)
        mdb_txn_abort(txn);
    return rc ? store_fail(err, s, rc) : MILL_OK;
}

enum mill_code run_store_get(struct run_store *s, int32_t partition, struct mill_str key,
                             struct mill_arena *mem, struct mill_str *value, struct mill_err *err)
{
    const struct store_part *p = store_part(s, partition);
    MDB_val k = {key.n, (void *)(uintptr_t)key.p}, v;
    MDB_txn *txn = NULL;
    int rc;

    *value = (struct mill_str){0};
    if (!p)
        return mill_fail(err, MILL_E_STATE, s->name, "partition %d is not held", partition);
    if (!key.n || key.n > s->key_max)
        return mill_fail(err, MILL_E_NOENT, s->name, "no key has %zu bytes", key.n);
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (!rc)
        rc = mdb_get(txn, p->own, &k, &v);
    if (rc == MDB_NOTFOUND)
        rc = mdb_get(txn, p->topic, &k, &v);
    if (!rc)
        *value = mill_arena_dup(mem, store_value(v));
    if (txn)
        mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND)
        return mill_fail(err, MILL_E_NOENT, s->name, "no such key");
    if (!rc && !value->p)
        rc = ENOMEM;
    return rc ? store_fail(err, s, rc) : MILL_OK;
}

void run_store_size(struct run_store *s, uint64_t *records, uint64_t *bytes)
{
    MDB_txn *txn = NULL;
    MDB_envinfo info;
    MDB_stat st;

    *records = *bytes = 0;
    if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn))
        return;
    for (size_t i = 0; i < s->parts_n; i++)
        if (!mdb_stat(txn, s->parts[i].topic, &st))
            *records += st.ms_entries;
    if (!mdb_env_info(s->env, &info) && !mdb_env_stat(s->env, &st))
        *bytes = (info.me_last_pgno + 1) * st.ms_psize;
    mdb_txn_abort(txn);
}
