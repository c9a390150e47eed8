/* A table's records in an LMDB file; see table_store_int.h. */
#include "avro/codec.h"
#include "base/log.h"
#include "kafka/table_lmdb_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { PATH_BYTES = 1024, NAME_BYTES = 32 };

enum mill_code store_fail(struct mill_err *err, const struct run_store *s, int rc)
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

static int store_marks(struct run_store *s)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc)
        return rc;
    rc = mdb_dbi_open(txn, "marks", MDB_CREATE, &s->marks);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* EBUSY: another process has the file. */
static int store_env(struct run_store *s, const char *path, uint64_t max_bytes)
{
    mdb_filehandle_t fd;
    int rc = mdb_env_create(&s->env);

    if (!rc)
        rc = mdb_env_set_mapsize(s->env, (size_t)max_bytes);
    if (!rc)
        rc = mdb_env_set_maxdbs(s->env, 2 * STORE_PARTS_MAX + 1);
    if (!rc)
        rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (!rc)
        rc = mdb_env_get_fd(s->env, &fd);
    if (!rc && flock(fd, LOCK_EX | LOCK_NB))
        rc = EBUSY;
    if (!rc)
        rc = store_marks(s);
    if (!rc)
        s->key_max = (size_t)mdb_env_get_maxkeysize(s->env);
    return rc;
}

static void store_close(struct run_store *s)
{
    if (s->env)
        mdb_env_close(s->env);
    s->env = NULL;
}

/* The file of an earlier life where it may be used, else a new one. One that another process has
 * (stopped, maybe, and to be awake again) is left to it: it keeps what it has opened. */
static int store_file(struct run_store *s, const char *path, const char *topic, uint64_t max_bytes)
{
    int rc = 0;

    if (run_life_same(path, topic)) {
        rc = store_env(s, path, max_bytes);
        if (!rc)
            return 0;
        store_close(s);
        mill_log(MILL_WARN, "table_made_anew", MILL_KV(MILL_KS("table", s->name)), "%s",
                 rc == EBUSY ? "another process has its file" : mdb_strerror(rc));
    }
    run_life_end(path);
    rc = store_env(s, path, max_bytes);
    return rc ? rc : run_life_begin(path, topic);
}

enum mill_code run_store_open(struct run_store **out, const char *folder, const char *name,
                              const char *topic, uint64_t max_bytes, struct mill_err *err)
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
    rc = store_file(s, path, topic, max_bytes);
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
    store_close(s);
    free(s);
}

const struct store_part *store_part(const struct run_store *s, int32_t partition)
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

/* ---- partitions ---- */

static MDB_val store_mark_key(char *name, int32_t partition)
{
    int n = snprintf(name, NAME_BYTES, "%d", partition);

    return (MDB_val){(size_t)n, name};
}

bool run_store_mark(struct run_store *s, int32_t partition, struct run_store_mark *out)
{
    char name[NAME_BYTES];
    MDB_val k = store_mark_key(name, partition), v;
    MDB_txn *txn = NULL;
    bool got = !mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) && !mdb_get(txn, s->marks, &k, &v) &&
               v.mv_size == sizeof *out;

    if (got)
        memcpy(out, v.mv_data, sizeof *out);
    if (txn)
        mdb_txn_abort(txn);
    return got;
}

static int store_db(MDB_txn *txn, const char *kind, int32_t partition, MDB_dbi *dbi)
{
    char name[NAME_BYTES];

    snprintf(name, sizeof name, "%s%d", kind, partition);
    return mdb_dbi_open(txn, name, MDB_CREATE, dbi);
}

static int store_empty(const struct run_store *s, MDB_txn *txn, const struct store_part *part)
{
    char name[NAME_BYTES];
    MDB_val k = store_mark_key(name, part->id);
    int rc = mdb_del(txn, s->marks, &k, NULL);

    return rc && rc != MDB_NOTFOUND ? rc : mdb_drop(txn, part->topic, 0);
}

enum mill_code run_store_hold(struct run_store *s, int32_t partition, bool keep,
                              struct mill_err *err)
{
    struct store_part part = {.id = partition};
    MDB_txn *txn = NULL;
    int rc;

    if (s->parts_n == STORE_PARTS_MAX)
        return mill_fail(err, MILL_E_CONFIG, s->name, "over %d partitions", STORE_PARTS_MAX);
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc)
        rc = store_db(txn, "topic", partition, &part.topic);
    if (!rc)
        rc = store_db(txn, "own", partition, &part.own);
    if (!rc && !keep)
        rc = store_empty(s, txn, &part);
    /* Own records of an earlier assignment: whether they were ever committed is the topic's word.
     */
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

static int store_expire(MDB_txn *txn, MDB_dbi dbi, int64_t low)
{
    MDB_cursor *at = NULL;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, dbi, &at);

    while (!rc && !(rc = mdb_cursor_get(at, &k, &v, MDB_NEXT))) {
        int64_t offset;
        memcpy(&offset, v.mv_data, STORE_OFFSET_BYTES);
        if (offset < low)
            rc = mdb_cursor_del(at, 0);
    }
    if (at)
        mdb_cursor_close(at);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

enum mill_code run_store_expire(struct run_store *s, int32_t partition, int64_t low,
                                struct mill_err *err)
{
    const struct store_part *p = store_part(s, partition);
    MDB_txn *txn = NULL;
    int rc;

    if (!p)
        return mill_fail(err, MILL_E_STATE, s->name, "partition %d is not held", partition);
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc)
        rc = store_expire(txn, p->topic, low);
    if (!rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    return rc ? store_fail(err, s, rc) : MILL_OK;
}

void run_store_forget(struct run_store *s, int32_t partition)
{
    char name[NAME_BYTES];
    MDB_val k = store_mark_key(name, partition);
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (!rc)
        rc = mdb_del(txn, s->marks, &k, NULL);
    if (!rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    if (rc && rc != MDB_NOTFOUND)
        mill_log(MILL_ERROR, "table_forget", MILL_KV(MILL_KS("table", s->name)), "%s",
                 mdb_strerror(rc));
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
    MDB_val v = {STORE_OFFSET_BYTES + value.n, NULL};
    int rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);

    if (rc)
        return rc;
    memcpy(v.mv_data, &offset, STORE_OFFSET_BYTES);
    memcpy((char *)v.mv_data + STORE_OFFSET_BYTES, value.p, value.n);
    return 0;
}

struct mill_str store_value(MDB_val v)
{
    return (struct mill_str){(char *)v.mv_data + STORE_OFFSET_BYTES,
                             v.mv_size - STORE_OFFSET_BYTES};
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

enum mill_code run_store_read_to(struct run_store *s, int32_t partition,
                                 const struct run_store_mark *mark, struct mill_err *err)
{
    char name[NAME_BYTES];
    MDB_val k = store_mark_key(name, partition);
    MDB_val v = {sizeof *mark, (void *)(uintptr_t)mark};
    int rc = s->txn ? 0 : mdb_txn_begin(s->env, NULL, 0, &s->txn);

    if (!rc)
        rc = mdb_put(s->txn, s->marks, &k, &v, 0);
    return rc ? store_fail(err, s, rc) : MILL_OK;
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
