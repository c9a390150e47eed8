/* A table's records in an LMDB file; see table_store_int.h. */
#include "avro/codec.h"
#include "base/log.h"
#include "kafka/table_store_int.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARTS_MAX = 1024, PATH_BYTES = 1024, OFFSET_BYTES = 8 };

struct store_part {
    int32_t id;
    MDB_dbi topic, own;
};

struct run_store {
    const char *name;
    MDB_env *env;
    MDB_txn *txn; /**< of the records taken; NULL = none since the last commit */
    size_t key_max;
    struct store_part parts[PARTS_MAX];
    size_t parts_n;
};

static enum mill_code store_fail(struct mill_err *err, const struct run_store *s, int rc)
{
    return mill_fail(err, rc == ENOMEM ? MILL_E_NOMEM : MILL_E_STATE, s->name, "table: %s",
                     mdb_strerror(rc));
}

/* mkdir -p */
static bool store_mkdir(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        if (mkdir(path, 0700) && errno != EEXIST)
            return false;
        *at = '/';
    }
    return !mkdir(path, 0700) || errno == EEXIST;
}

static int store_env(struct run_store *s, const char *path, uint64_t max_bytes)
{
    int rc = mdb_env_create(&s->env);

    if (!rc)
        rc = mdb_env_set_mapsize(s->env, (size_t)max_bytes);
    if (!rc)
        rc = mdb_env_set_maxdbs(s->env, 2 * PARTS_MAX);
    if (!rc)
        rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (!rc)
        s->key_max = (size_t)mdb_env_get_maxkeysize(s->env);
    return rc;
}

enum mill_code run_store_open(struct run_store **out, const char *folder, const char *name,
                              uint64_t max_bytes, struct mill_err *err)
{
    char path[PATH_BYTES], text[128];
    struct run_store *s = calloc(1, sizeof *s);
    int rc;

    *out = NULL;
    if (!s)
        return mill_fail(err, MILL_E_NOMEM, name, "out of memory");
    s->name = name;
    snprintf(path, sizeof path, "%s", folder);
    if (!store_mkdir(path)) {
        free(s);
        return mill_fail(err, MILL_E_CONFIG, "state-dir", "%s: %s", path,
                         mill_errno_text(errno, text, sizeof text));
    }
    snprintf(path, sizeof path, "%s/%s.mdb", folder, name);
    /* What an earlier life left may be behind or of another topic. */
    unlink(path);
    rc = store_env(s, path, max_bytes);
    if (rc) {
        store_fail(err, s, rc);
        run_store_free(s);
        return err->code;
    }
    *out = s;
    return MILL_OK;
}

void run_store_free(struct run_store *s)
{
    if (!s)
        return;
    run_store_abort(s);
    if (s->env)
        mdb_env_close(s->env);
    free(s);
}

static const struct store_part *store_part(const struct run_store *s, int32_t partition)
{
    for (size_t i = 0; i < s->parts_n; i++)
        if (s->parts[i].id == partition)
            return &s->parts[i];
    return NULL;
}

bool run_store_holds(const struct run_store *s, int32_t partition)
{
    return store_part(s, partition) != NULL;
}

static int store_db(MDB_txn *txn, const char *kind, int32_t partition, MDB_dbi *dbi)
{
    char name[32];

    snprintf(name, sizeof name, "%s%d", kind, partition);
    return mdb_dbi_open(txn, name, MDB_CREATE, dbi);
}

enum mill_code run_store_hold(struct run_store *s, int32_t partition, struct mill_err *err)
{
    struct store_part part = {.id = partition};
    MDB_txn *txn = NULL;
    int rc;

    if (s->parts_n == PARTS_MAX)
        return mill_fail(err, MILL_E_CONFIG, s->name, "over %d partitions", PARTS_MAX);
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc)
        rc = store_db(txn, "topic", partition, &part.topic);
    if (!rc)
        rc = store_db(txn, "own", partition, &part.own);
    if (!rc)
        rc = mdb_drop(txn, part.topic, 0); /* left over from an earlier assignment */
    if (!rc)
        rc = mdb_drop(txn, part.own, 0);
    if (!rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    if (rc)
        return store_fail(err, s, rc);
    s->parts[s->parts_n++] = part;
    return MILL_OK;
}

void run_store_let_go(struct run_store *s, int32_t partition)
{
    for (size_t i = 0; i < s->parts_n; i++)
        if (s->parts[i].id == partition) {
            s->parts[i] = s->parts[--s->parts_n];
            return;
        }
}

/* ---- writing ---- */

static bool store_key_fits(const struct run_store *s, int32_t partition, int64_t offset,
                           struct mill_str key)
{
    if (key.n && key.n <= s->key_max)
        return true;
    mill_log(MILL_WARN, "table_key",
             MILL_KV(MILL_KS("table", s->name), MILL_KI("partition", partition),
                     MILL_KI("offset", offset)),
             "a key of %zu bytes cannot be ours", key.n);
    return false;
}

/* The value with its offset before it. */
static int store_put(MDB_txn *txn, MDB_dbi dbi, int64_t offset, struct mill_str key,
                     struct mill_str value)
{
    MDB_val k = {key.n, (void *)(uintptr_t)key.p};
    MDB_val v = {OFFSET_BYTES + value.n, NULL};
    int rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);

    if (rc)
        return rc;
    memcpy(v.mv_data, &offset, OFFSET_BYTES);
    memcpy((char *)v.mv_data + OFFSET_BYTES, value.p, value.n);
    return 0;
}

static struct mill_str store_value(MDB_val v)
{
    return (struct mill_str){(char *)v.mv_data + OFFSET_BYTES, v.mv_size - OFFSET_BYTES};
}

/* Our own record has come back by the topic: the same body, whatever the schema id before it. */
static bool store_same(struct mill_str own, struct mill_str came)
{
    return own.n == came.n && own.n >= MILL_FRAME_BYTES &&
           !memcmp(own.p + MILL_FRAME_BYTES, came.p + MILL_FRAME_BYTES, own.n - MILL_FRAME_BYTES);
}

static int store_came_back(MDB_txn *txn, MDB_dbi own, MDB_val *k, struct mill_str value)
{
    MDB_val v;
    int rc = mdb_get(txn, own, k, &v);

    if (!rc && value.p && store_same(store_value(v), value))
        rc = mdb_del(txn, own, k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum mill_code run_store_take(struct run_store *s, int32_t partition, int64_t offset,
                              struct mill_str key, struct mill_str value, struct mill_err *err)
{
    const struct store_part *p = store_part(s, partition);
    MDB_val k = {key.n, (void *)(uintptr_t)key.p};
    int rc = 0;

    if (!p || !store_key_fits(s, partition, offset, key))
        return MILL_OK;
    if (!s->txn)
        rc = mdb_txn_begin(s->env, NULL, 0, &s->txn);
    if (!rc)
        rc = store_came_back(s->txn, p->own, &k, value);
    if (!rc)
        rc = value.p ? store_put(s->txn, p->topic, offset, key, value)
                     : mdb_del(s->txn, p->topic, &k, NULL);
    return rc && rc != MDB_NOTFOUND ? store_fail(err, s, rc) : MILL_OK;
}

enum mill_code run_store_commit(struct run_store *s, struct mill_err *err)
{
    MDB_txn *txn = s->txn;
    int rc;

    s->txn = NULL; /* gone, whatever the commit says */
    rc = txn ? mdb_txn_commit(txn) : 0;
    return rc ? store_fail(err, s, rc) : MILL_OK;
}

void run_store_abort(struct run_store *s)
{
    if (s->txn)
        mdb_txn_abort(s->txn);
    s->txn = NULL;
}

enum mill_code run_store_own(struct run_store *s, int32_t partition, struct mill_str key,
                             struct mill_str value, struct mill_err *err)
{
    const struct store_part *p = store_part(s, partition);
    MDB_txn *txn = NULL;
    int rc;

    if (!p)
        return mill_fail(err, MILL_E_STATE, s->name, "partition %d is not held", partition);
    if (!store_key_fits(s, partition, -1, key))
        return mill_fail(err, MILL_E_DATA, s->name, "a key of %zu bytes", key.n);
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc)
        rc = store_put(txn, p->own, -1, key, value);
    if (!rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    return rc ? store_fail(err, s, rc) : MILL_OK;
}

/* ---- looking ---- */

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
