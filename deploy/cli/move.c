/* Jobs that send records back; see move.h. */
#include "move.h"
#include "base/clock.h"
#include "put.h"
#include "scan.h"

#include <stdlib.h>
#include <time.h>

enum {
    OPEN_RECORDS = 500,
    OPEN_BYTES = 4 << 20,
    OPEN_MS = 500,
    SHORT_MS = 100, /**< so long a transaction may stay open while the rate makes it wait */
    MARK_BYTES = 64 << 10,
};

enum mill_code move_open(struct move *m, struct cli *cli, const char *id, const char *run,
                         struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    *m = (struct move){.cli = cli};
    mill_buf_init(&m->buf, MARK_BYTES);
    if (run)
        mill_str_cut(mill_str(run), m->run, sizeof m->run);
    else if (!mill_uuid7(m->run))
        code = mill_fail(err, MILL_E_NOMEM, "run", "no random bytes");
    if (!code)
        code = mill_registry_new(&m->registry, cli->conf.common.registry, CLI_REGISTRY_MS, err);
    if (!code)
        code = mill_codec_new(&m->codec, &mill_move_desc, err);
    if (!code)
        code = mill_registry_register(m->registry, MOVE_TOPIC "-value",
                                      mill_str(mill_move_desc.avsc), &m->schema, err);
    if (!code)
        code = mill_transact_new(&m->tx, &cli->kafka, id, err);
    m->began_ms = mill_tick_ms();
    if (code)
        move_close(m);
    return code;
}

void move_close(struct move *m)
{
    if (!m)
        return;
    mill_transact_free(m->tx);
    mill_codec_free(m->codec);
    mill_registry_free(m->registry);
    mill_buf_release(&m->buf);
    m->tx = NULL;
    m->codec = NULL;
    m->registry = NULL;
}

enum mill_code move_commit(struct move *m, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    if (!m->open_n)
        return MILL_OK;
    if (m->before_commit)
        code = m->before_commit(m->arg, err);
    if (!code)
        code = mill_transact_commit(m->tx, err);
    if (code)
        return code;
    m->moved += m->open_n;
    m->open_n = m->open_bytes = 0;
    progress_tick(&m->progress, m->moved);
    return MILL_OK;
}

enum mill_code move_tick(struct move *m, struct mill_err *err)
{
    bool full = m->open_n >= OPEN_RECORDS || m->open_bytes >= OPEN_BYTES ||
                (m->open_n && mill_tick_ms() - m->open_ms >= OPEN_MS);

    progress_tick(&m->progress, m->moved);
    return full ? move_commit(m, err) : MILL_OK;
}

/* Wait until the next record may go. */
static enum mill_code move_pace(struct move *m, struct mill_err *err)
{
    uint64_t n = m->moved + m->open_n;
    int64_t due = m->cli->conf.rate ? (int64_t)(n * 1000 / m->cli->conf.rate) + m->began_ms : 0;
    enum mill_code code = MILL_OK;

    if (due - mill_tick_ms() > SHORT_MS)
        code = move_commit(m, err);
    while (!code && !cli_stopped() && mill_tick_ms() < due) {
        int64_t left = due - mill_tick_ms();
        struct timespec t = {0, (left < SHORT_MS ? left : SHORT_MS) * 1000000};
        if (left > 0)
            nanosleep(&t, NULL);
        progress_tick(&m->progress, m->moved);
    }
    return code;
}

enum mill_code move_record(struct move *m, const char *topic, int32_t partition,
                           const struct mill_record *in, struct mill_map headers,
                           struct mill_err *err)
{
    enum mill_code code = move_pace(m, err);

    if (!code)
        code = mill_transact_send(m->tx, topic, partition, in->key, in->raw, headers, err);
    if (code)
        return code;
    if (!m->open_n++)
        m->open_ms = mill_tick_ms();
    m->open_bytes += in->raw.n;
    return MILL_OK;
}

enum mill_code move_mark(struct move *m, struct mill_str key, struct mill_move *mark,
                         struct mill_err *err)
{
    enum mill_code code;

    mark->run = mill_str(m->run);
    mark->by = put_user();
    mark->at = mill_now_us();
    mill_buf_reset(&m->buf);
    if (!mill_frame_add(&m->buf, m->schema))
        return mill_fail(err, MILL_E_NOMEM, MOVE_TOPIC, "out of memory");
    code = mill_codec_encode(m->codec, mark, &m->buf, err);
    return code ? code
                : mill_transact_send(m->tx, MOVE_TOPIC, 0, key, mill_buf_view(&m->buf),
                                     (struct mill_map){0}, err);
}

/* ---- reading them ---- */

struct moves {
    struct mill_registry *registry;
    struct mill_codec *codec;
    struct mill_arena mem;
    struct scan *scan;
    void (*each)(void *arg, const struct mill_move *mark);
    void *arg;
    enum mill_code code;
    struct mill_err *err;
};

static enum mill_code moves_decode(struct moves *v, struct mill_str raw, struct mill_move *out)
{
    struct mill_str body, schema;
    int32_t id;
    enum mill_code code = mill_frame_split(raw, &id, &body, v->err);

    if (!code && !mill_codec_knows(v->codec, id)) {
        code = mill_registry_schema(v->registry, id, &schema, v->err);
        if (!code)
            code = mill_codec_learn(v->codec, id, schema, v->err);
    }
    return code ? code : mill_codec_decode(v->codec, id, body, &v->mem, out, v->err);
}

static bool moves_each(void *arg, const struct mill_record *in)
{
    struct moves *v = arg;
    struct mill_move mark;

    if (!in->raw.p)
        return false;
    /* One that cannot be read may say that a record was moved: without it nothing is safe. */
    v->code = moves_decode(v, in->raw, &mark);
    v->scan->stop = v->code != MILL_OK;
    if (!v->code)
        v->each(v->arg, &mark);
    mill_arena_reset(&v->mem);
    return !v->code;
}

enum mill_code moves_read(struct cli *cli, void (*each)(void *arg, const struct mill_move *mark),
                          void *arg, struct mill_err *err)
{
    struct moves v = {.each = each, .arg = arg, .err = err};
    struct scan scan = {
        .topic = MOVE_TOPIC,
        .range = {{PLACE_START, 0}, {PLACE_END, 0}},
        .each = moves_each,
        .arg = &v,
    };
    enum mill_code code =
        mill_registry_new(&v.registry, cli->conf.common.registry, CLI_REGISTRY_MS, err);

    v.scan = &scan;
    if (!code)
        code = mill_codec_new(&v.codec, &mill_move_desc, err);
    if (!code)
        code = scan_run(cli, &scan, err);
    if (code == MILL_E_NOENT)
        code = mill_fail(err, MILL_E_CONFIG, MOVE_TOPIC, "is not there: sendmill topics apply");
    if (!code && cli_stopped())
        code = mill_fail(err, MILL_E_STATE, MOVE_TOPIC, "interrupted");
    mill_arena_release(&v.mem);
    mill_codec_free(v.codec);
    mill_registry_free(v.registry);
    return code ? code : v.code;
}
