/* A keyed topic's partitions in an LMDB file; see table.h. The file is made anew at each start. */
#include "table.h"
#include "base/clock.h"
#include "kafka/reader.h"
#include "kafka/run.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PARTS_MAX = 256,
    PUMP_RECORDS = 5000,
    OWN_SCHEMA = INT32_MAX, /* a frame has no negative ids, and no registry counts up to this one */
    NEXT_MS = 100,
    PATH_BYTES = 1024,
};

struct table_part {
    int32_t id;
    MDB_dbi dbi;
};

struct mill_table {
    struct mill_ctx *ctx;
    const char *topic;
    struct mill_codec *codec;
    struct mill_reader *reader;
    MDB_env *env;
    size_t key_max;
    struct table_part parts[PARTS_MAX];
    size_t parts_n;
    struct mill_arena arena; /**< one decoded record */
    struct mill_buf scratch;
};

static enum mill_code table_fail(struct mill_err *err, const struct mill_table *t, int rc)
{
    return mill_fail(err, rc == ENOMEM ? MILL_E_NOMEM : MILL_E_STATE, t->topic, "table: %s",
                     mdb_strerror(rc));
}

/* mkdir -p */
static bool table_mkdir(char *path)
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

static enum mill_code table_open(struct mill_table *t, const char *name, struct mill_err *err)
{
    char path[PATH_BYTES], lock[PATH_BYTES + 8];
    int rc;

    snprintf(path, sizeof path, "%s/%s", t->ctx->rc.state_dir, t->ctx->client_id);
    if (!table_mkdir(path)) {
        char text[128];
        return mill_fail(err, MILL_E_CONFIG, "state-dir", "%s: %s", path,
                         mill_errno_text(errno, text, sizeof text));
    }
    snprintf(path, sizeof path, "%s/%s/%s.mdb", t->ctx->rc.state_dir, t->ctx->client_id, name);
    snprintf(lock, sizeof lock, "%s-lock", path);
    /* A cache of a topic: what an earlier life left may be behind or of another topic. */
    unlink(path);
    unlink(lock);
    rc = mdb_env_create(&t->env);
    if (!rc)
        rc = mdb_env_set_mapsize(t->env, (size_t)t->ctx->rc.table_max_bytes);
    if (!rc)
        rc = mdb_env_set_maxdbs(t->env, PARTS_MAX);
    if (!rc)
        rc = mdb_env_open(t->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (rc)
        return table_fail(err, t, rc);
    t->key_max = (size_t)mdb_env_get_maxkeysize(t->env);
    return MILL_OK;
}

/* The newest schema of the topic, learnt while there is time to wait for the registry: a look-up in
 * the middle of a batch cannot wait. */
static enum mill_code table_schema(struct mill_table *t, struct mill_err *err)
{
    char subject[RUN_TOPIC_NAME + 8];
    struct mill_str json;
    uint32_t wait_ms = 0;
    int32_t id;
    enum mill_code code;

    snprintf(subject, sizeof subject, "%s-value", t->topic);
    while ((code = mill_registry_latest(t->ctx->registry, subject, &id, &json, err)) == MILL_E_IO) {
        run_away(t->ctx, "waiting for the schema registry");
        mill_log_err(MILL_WARN, "registry_wait", err);
        if (!run_backoff(t->ctx, &wait_ms))
            break;
    }
    run_away(t->ctx, NULL);
    if (code == MILL_E_NOENT)
        return MILL_OK; /* nobody has written yet */
    return code ? code : mill_codec_learn(t->codec, id, json, err);
}

enum mill_code run_table_new(struct mill_table **out, struct mill_ctx *ctx,
                             const struct mill_table_port *port, const char *topic,
                             struct mill_err *err)
{
    struct mill_table *t = calloc(1, sizeof *t);
    enum mill_code code;

    if (!t)
        return mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
    t->ctx = ctx;
    t->topic = topic;
    mill_buf_init(&t->scratch, ctx->rc.record_max_bytes);
    code = mill_codec_new(&t->codec, port->desc, err);
    if (!code)
        code = mill_codec_learn(t->codec, OWN_SCHEMA, mill_str(port->desc->avsc), err);
    if (!code)
        code = table_schema(t, err);
    if (!code)
        code = table_open(t, port->name, err);
    if (!code)
        code = mill_reader_new(&t->reader, &ctx->kafka, err);
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
    if (t->env)
        mdb_env_close(t->env);
    mill_codec_free(t->codec);
    mill_arena_release(&t->arena);
    mill_buf_release(&t->scratch);
    free(t);
}

static struct table_part *table_part(struct mill_table *t, int32_t partition)
{
    for (size_t i = 0; i < t->parts_n; i++)
        if (t->parts[i].id == partition)
            return &t->parts[i];
    return NULL;
}

static enum mill_code table_add(struct mill_table *t, int32_t partition, struct mill_err *err)
{
    char name[32];
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    enum mill_code code;
    int rc;

    if (t->parts_n == PARTS_MAX)
        return mill_fail(err, MILL_E_CONFIG, t->topic, "over %d partitions", PARTS_MAX);
    snprintf(name, sizeof name, "p%d", partition);
    rc = mdb_txn_begin(t->env, NULL, 0, &txn);
    if (!rc)
        rc = mdb_dbi_open(txn, name, MDB_CREATE, &dbi);
    if (!rc)
        rc = mdb_drop(txn, dbi, 0); /* left over from an earlier assignment */
    if (!rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    if (rc)
        return table_fail(err, t, rc);
    code = mill_reader_add(t->reader, t->topic, partition, MILL_READ_START, err);
    if (!code)
        t->parts[t->parts_n++] = (struct table_part){partition, dbi};
    return code;
}

enum mill_code run_table_assign(struct mill_table *t, const int32_t *partitions, size_t n,
                                struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && i < t->parts_n;) {
        size_t k = 0;
        while (k < n && partitions[k] != t->parts[i].id)
            k++;
        if (k < n) {
            i++;
            continue;
        }
        code = mill_reader_remove(t->reader, t->topic, t->parts[i].id, err);
        t->parts[i] = t->parts[--t->parts_n];
    }
    for (size_t k = 0; !code && k < n; k++)
        if (!table_part(t, partitions[k]))
            code = table_add(t, partitions[k], err);
    return code;
}

static int table_store(struct mill_table *t, MDB_txn *txn, const struct mill_record *in)
{
    const struct table_part *p = table_part(t, in->partition);
    MDB_val k = {in->key.n, (void *)(uintptr_t)in->key.p};
    MDB_val v = {in->raw.n, (void *)(uintptr_t)in->raw.p};
    int rc;

    if (!p)
        return 0;
    if (!in->key.n || in->key.n > t->key_max) {
        mill_log(MILL_WARN, "table_key",
                 MILL_KV(MILL_KS("topic", in->topic), MILL_KI("offset", in->offset)),
                 "a key of %zu bytes cannot be ours", in->key.n);
        return 0;
    }
    rc = in->raw.p ? mdb_put(txn, p->dbi, &k, &v, 0) : mdb_del(txn, p->dbi, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Takes in up to PUMP_RECORDS records, waiting wait_ms for the first. @param n out: how many */
static enum mill_code table_take(struct mill_table *t, int wait_ms, size_t *n, struct mill_err *err)
{
    MDB_txn *txn = NULL;
    enum mill_code code = MILL_OK;
    bool got = true;
    int rc = 0;

    for (*n = 0; *n < PUMP_RECORDS; (*n)++) {
        struct mill_record in;
        code = mill_reader_next(t->reader, *n ? 0 : wait_ms, &in, &got, err);
        if (code || !got)
            break;
        if (!txn)
            rc = mdb_txn_begin(t->env, NULL, 0, &txn);
        if (!rc)
            rc = table_store(t, txn, &in);
        if (rc)
            break;
    }
    if (txn && !rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    return rc ? table_fail(err, t, rc) : code;
}

enum mill_code run_table_pump(struct mill_table *t, struct mill_err *err)
{
    size_t n;

    return t->parts_n ? table_take(t, 0, &n, err) : MILL_OK;
}

enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err)
{
    int64_t until = mill_tick_ms() + timeout_ms, low, high;
    enum mill_code code;
    size_t n;

    if (!table_part(t, partition))
        return mill_fail(err, MILL_E_STATE, t->topic, "partition %d is not held", partition);
    code = mill_reader_marks(t->reader, t->topic, partition, &low, &high, err);
    while (!code && high > low && mill_reader_position(t->reader, t->topic, partition) < high) {
        if (mill_tick_ms() > until)
            return mill_fail(err, MILL_E_IO, t->topic, "partition %d: at %lld of %lld", partition,
                             (long long)mill_reader_position(t->reader, t->topic, partition),
                             (long long)high);
        code = table_take(t, NEXT_MS, &n, err);
    }
    return code;
}

static enum mill_code table_decode(struct mill_table *t, MDB_val v, void *value,
                                   struct mill_err *err)
{
    struct mill_str body;
    int32_t id;
    enum mill_code code =
        mill_frame_split((struct mill_str){v.mv_data, v.mv_size}, &id, &body, err);

    if (!code && !mill_codec_knows(t->codec, id))
        code = run_learn(t->ctx, t->codec, id, err);
    mill_arena_reset(&t->arena);
    return code ? code : mill_codec_decode(t->codec, id, body, &t->arena, value, err);
}

enum mill_code mill_table_each(struct mill_table *t, int32_t partition, struct mill_str prefix,
                               bool (*each)(void *arg, struct mill_str key, const void *value),
                               void *arg, struct mill_err *err)
{
    const struct table_part *p = table_part(t, partition);
    MDB_txn *txn = NULL;
    MDB_cursor *at = NULL;
    MDB_val k = {prefix.n, (void *)(uintptr_t)prefix.p}, v;
    void *value = NULL;
    enum mill_code code = MILL_OK;
    int rc;

    if (!p)
        return mill_fail(err, MILL_E_STATE, t->topic, "partition %d is not held", partition);
    if (!prefix.n || prefix.n > t->key_max)
        return MILL_OK; /* no key is like that */
    value = calloc(1, mill_codec_desc(t->codec)->size);
    rc = value ? mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn) : ENOMEM;
    if (!rc)
        rc = mdb_cursor_open(txn, p->dbi, &at);
    for (MDB_cursor_op op = MDB_SET_RANGE; !rc; op = MDB_NEXT) {
        rc = mdb_cursor_get(at, &k, &v, op);
        if (rc || k.mv_size < prefix.n || memcmp(k.mv_data, prefix.p, prefix.n))
            break;
        code = table_decode(t, v, value, err);
        if (code || !each(arg, (struct mill_str){k.mv_data, k.mv_size}, value))
            break;
    }
    if (at)
        mdb_cursor_close(at);
    if (txn)
        mdb_txn_abort(txn);
    free(value);
    return rc && rc != MDB_NOTFOUND ? table_fail(err, t, rc) : code;
}

enum mill_code mill_table_put(struct mill_table *t, int32_t partition, struct mill_str key,
                              const void *value, struct mill_err *err)
{
    MDB_txn *txn = NULL;
    enum mill_code code;
    int rc;

    mill_buf_reset(&t->scratch);
    if (!mill_frame_add(&t->scratch, OWN_SCHEMA))
        return mill_fail(err, MILL_E_NOMEM, t->topic, "out of memory");
    code = mill_codec_encode(t->codec, value, &t->scratch, err);
    if (code)
        return code;
    rc = mdb_txn_begin(t->env, NULL, 0, &txn);
    if (!rc)
        rc = table_store(t, txn,
                         &(struct mill_record){
                             .topic = t->topic,
                             .partition = partition,
                             .key = key,
                             .raw = mill_buf_view(&t->scratch),
                         });
    if (txn && !rc)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    return rc ? table_fail(err, t, rc) : MILL_OK;
}
