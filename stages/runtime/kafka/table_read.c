/* Reading a table's partitions, and going on where an earlier life ended. */
#include "base/clock.h"
#include "kafka/table_int.h"

#include <stdlib.h>

enum { PUMP_RECORDS = 5000, NEXT_MS = 100, SAVE_MS = 10000 };

/* ---- how far it was read ---- */

/* Moves the marks of the partitions that have moved into the open transaction. */
static enum mill_code read_marks(struct mill_table *t, bool all, struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    for (size_t i = 0; !code && i < t->parts_n; i++) {
        struct run_table_part *p = &t->parts[i];
        int64_t next = mill_reader_position(t->reader, t->conf.topic, p->id);
        if (next < 0 || (next == p->mark.next && !all))
            continue;
        p->mark.next = next;
        p->mark.epoch = mill_reader_epoch(t->reader, t->conf.topic, p->id);
        code = run_store_read_to(t->store, p->id, &p->mark, err);
    }
    return code;
}

/* Records or none: what the file says of its own age. */
static enum mill_code read_save(struct mill_table *t, struct mill_err *err)
{
    enum mill_code code;

    if (t->broken || !t->parts_n)
        return MILL_OK;
    t->saved_ms = mill_tick_ms();
    run_table_lock(t);
    code = read_marks(t, true, err);
    if (!code)
        code = run_store_commit(t->store, err);
    else
        run_store_abort(t->store);
    run_table_unlock(t);
    return code;
}

void run_table_save(struct mill_table *t)
{
    struct mill_err err = {0};

    if (read_save(t, &err))
        mill_log_err(MILL_WARN, "table_save", &err);
}

static void read_note_lag(struct mill_table *t)
{
    int64_t lag = 0;
    size_t stalled = 0;

    for (size_t i = 0; i < t->parts_n; i++) {
        struct run_table_part *p = &t->parts[i];
        int64_t n = mill_reader_lag(t->reader, t->conf.topic, p->id);
        int64_t at = mill_reader_position(t->reader, t->conf.topic, p->id);
        if (n == 0)
            p->mark.end_us = mill_now_us();
        if (n >= 0 && run_stall_look(&p->stall, at, at + n, mill_tick_ms()))
            mill_log(MILL_WARN, "transaction_hangs",
                     MILL_KV(MILL_KS("topic", t->conf.topic), MILL_KI("partition", p->id),
                             MILL_KI("offset", at)),
                     "%lld offsets behind it are not stable", (long long)n);
        stalled += p->stall.alarm;
        lag += n > 0 ? n : 0;
    }
    run_table_lock(t);
    t->stats.lag = lag;
    t->stats.stalled = stalled;
    run_table_unlock(t);
}

/* ---- reading ---- */

/* Takes in up to PUMP_RECORDS records, waiting wait_ms for the first. */
static enum mill_code read_take(struct mill_table *t, int wait_ms, struct mill_err *err)
{
    enum mill_code read = MILL_OK, code = MILL_OK;
    uint64_t n = 0;

    while (!code && n < PUMP_RECORDS) {
        struct mill_record in;
        bool got = false;
        read = mill_reader_next(t->reader, n ? 0 : wait_ms, &in, &got, err);
        if (read || !got)
            break;
        if (!n++)
            run_table_lock(t);
        code = run_store_take(t->store, in.partition, in.offset, in.key, in.raw, err);
    }
    if (!n)
        return read;
    /* What was read before the reader failed is kept: it does not come again. */
    if (!code)
        code = read_marks(t, false, err);
    if (!code)
        code = run_store_commit(t->store, err);
    else
        run_store_abort(t->store);
    t->stats.read += n;
    run_table_unlock(t);
    t->broken = t->broken || code;
    return code ? code : read;
}

/* Whatever the file has of these partitions is not to be gone on from. The reader goes with them: a
 * librdkafka (2.8) handle that has reported a cut log may abort when its partitions are assigned
 * again. */
static void read_forget(struct mill_table *t, const struct mill_err *why)
{
    mill_log_err(MILL_WARN, "table_made_anew", why);
    mill_reader_free(t->reader);
    t->reader = NULL;
    run_table_lock(t);
    for (size_t i = 0; i < t->parts_n; i++) {
        run_store_forget(t->store, t->parts[i].id);
        run_store_let_go(t->store, t->parts[i].id);
    }
    run_table_unlock(t);
    t->parts_n = 0;
}

enum mill_code run_table_pump(struct mill_table *t, int wait_ms, struct mill_err *err)
{
    enum mill_code code = t->parts_n ? read_take(t, wait_ms, err) : MILL_OK;

    read_note_lag(t);
    if (code && code != MILL_E_IO && code != MILL_E_NOENT)
        read_forget(t, err); /* the next life shall not stumble over it again */
    else if (mill_tick_ms() - t->saved_ms > SAVE_MS)
        code = code ? code : read_save(t, err);
    return code;
}

/* A partition that the broker has not answered for yet may turn out to be cut, whatever the mark.
 */
static bool read_behind(struct mill_table *t, int32_t partition, int64_t mark)
{
    return !mill_reader_heard(t->reader, t->conf.topic, partition) ||
           mill_reader_position(t->reader, t->conf.topic, partition) < mark;
}

enum mill_code mill_table_refresh(struct mill_table *t, struct mill_err *err)
{
    return run_table_pump(t, 0, err);
}

enum mill_code mill_table_catch_up(struct mill_table *t, int32_t partition, uint32_t timeout_ms,
                                   struct mill_err *err)
{
    int64_t until = mill_tick_ms() + timeout_ms, low, high;
    enum mill_code code;

    if (!run_store_holds(t->store, partition))
        return mill_fail(err, MILL_E_STATE, t->conf.topic, "partition %d is not held", partition);
    code = mill_reader_marks(t->reader, t->conf.topic, partition, &low, &high, err);
    while (!code && read_behind(t, partition, high)) {
        if (mill_tick_ms() > until)
            return mill_fail(err, MILL_E_IO, t->conf.topic, "partition %d: at %lld of %lld",
                             partition,
                             (long long)mill_reader_position(t->reader, t->conf.topic, partition),
                             (long long)high);
        code = read_take(t, NEXT_MS, err);
    }
    if (code == MILL_E_DATA)
        read_forget(t, err);
    return code;
}

/* ---- what is held ---- */

/* Why a partition of the file cannot be gone on from; NULL = it can. */
static const char *read_stale(const struct mill_table *t, const struct run_store_mark *m,
                              int64_t low, int64_t high)
{
    int64_t age_us = mill_now_us() - m->end_us;

    if (!t->topic_id[0] || memcmp(m->topic_id, t->topic_id, sizeof t->topic_id) != 0)
        return "the topic was made anew";
    if (m->next > high)
        return "it has more than the topic";
    if (m->next < low)
        return "the topic begins behind it";
    if (age_us < 0 || age_us / 1000 > t->tombstone_ms)
        return "what was deleted since may be unknown";
    return NULL;
}

/* Where to go on. @return true when the file's records are to be kept */
static bool read_resume(struct mill_table *t, struct run_table_part *p, int64_t low, int64_t high)
{
    const char *why;
    bool known;

    run_table_lock(t);
    known = run_store_mark(t->store, p->id, &p->mark);
    run_table_unlock(t);
    why = known ? read_stale(t, &p->mark, low, high) : NULL;
    if (why)
        mill_log(MILL_INFO, "table_made_anew",
                 MILL_KV(MILL_KS("table", t->conf.name), MILL_KI("partition", p->id)), "%s", why);
    if (known && !why)
        return true;
    p->mark =
        (struct run_store_mark){.next = low, .low = low, .end_us = mill_now_us(), .epoch = -1};
    memcpy(p->mark.topic_id, t->topic_id, sizeof p->mark.topic_id);
    return false;
}

static enum mill_code read_add(struct mill_table *t, int32_t partition, struct mill_err *err)
{
    struct run_table_part *v = realloc(t->parts, (t->parts_n + 1) * sizeof *v);
    struct run_table_part p = {.id = partition};
    int64_t low, high;
    enum mill_code code;
    bool keep;

    if (!v)
        return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    t->parts = v;
    code = mill_reader_marks(t->reader, t->conf.topic, partition, &low, &high, err);
    if (code)
        return code;
    keep = read_resume(t, &p, low, high);
    run_table_lock(t);
    code = run_store_hold(t->store, partition, keep, err);
    if (!code && low > p.mark.low)
        code = run_store_expire(t->store, partition, low, err);
    run_table_unlock(t);
    p.mark.low = low;
    if (code)
        return code;
    t->parts[t->parts_n++] = p;
    return MILL_OK;
}

/* Begin to read the partitions from parts[first] on. */
static enum mill_code read_begin(struct mill_table *t, size_t first, struct mill_err *err)
{
    struct mill_reader_at *at = calloc(t->parts_n - first + 1, sizeof *at);
    enum mill_code code;

    if (!at)
        return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
    for (size_t i = first; i < t->parts_n; i++)
        at[i - first] = (struct mill_reader_at){.partition = t->parts[i].id,
                                                .epoch = t->parts[i].mark.epoch,
                                                .offset = t->parts[i].mark.next};
    code = mill_reader_resume(t->reader, t->conf.topic, at, t->parts_n - first, err);
    free(at);
    return code;
}

static void read_drop(struct mill_table *t, size_t at)
{
    run_table_lock(t);
    run_store_let_go(t->store, t->parts[at].id);
    run_table_unlock(t);
    t->parts[at] = t->parts[--t->parts_n];
}

static bool read_among(const int32_t *v, size_t n, int32_t partition)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == partition)
            return true;
    return false;
}

static bool read_holds(const struct mill_table *t, int32_t partition)
{
    for (size_t i = 0; i < t->parts_n; i++)
        if (t->parts[i].id == partition)
            return true;
    return false;
}

static enum mill_code read_hold(struct mill_table *t, const int32_t *v, size_t n,
                                struct mill_err *err)
{
    enum mill_code code = read_save(t, err); /* they may come back */
    size_t first;

    for (size_t i = 0; !code && i < t->parts_n;) {
        if (read_among(v, n, t->parts[i].id)) {
            i++;
            continue;
        }
        code = mill_reader_remove(t->reader, t->conf.topic, t->parts[i].id, err);
        read_drop(t, i);
    }
    first = t->parts_n;
    for (size_t i = 0; !code && i < n; i++)
        if (!read_holds(t, v[i]))
            code = read_add(t, v[i], err);
    if (!code && first < t->parts_n)
        code = read_begin(t, first, err);
    while (code && t->parts_n > first)
        read_drop(t, t->parts_n - 1); /* not begun: the next call takes them again */
    return code;
}

static enum mill_code read_fill(struct mill_table *t, const int32_t *v, size_t n,
                                uint32_t timeout_ms, struct mill_err *err)
{
    enum mill_code code = read_hold(t, v, n, err);

    for (size_t i = 0; !code && i < n; i++)
        code = mill_table_catch_up(t, v[i], timeout_ms, err);
    return code;
}

enum mill_code run_table_assign(struct mill_table *t, const int32_t *partitions, size_t n,
                                uint32_t timeout_ms, struct mill_err *err)
{
    int32_t *all = NULL;
    enum mill_code code = t->reader ? MILL_OK : run_table_learn(t, err);

    if (code)
        return code;
    if (!t->assigned_ms)
        t->assigned_ms = mill_tick_ms(); /* an earlier call may have been cut short */
    if (t->conf.global) {
        n = (size_t)t->partitions; /* our own thread wrote it */
        partitions = all = calloc(n + 1, sizeof *all);
        if (!all)
            return mill_fail(err, MILL_E_NOMEM, t->conf.topic, "out of memory");
        for (size_t i = 0; i < n; i++)
            all[i] = (int32_t)i;
    }
    code = read_fill(t, partitions, n, timeout_ms, err);
    if (code == MILL_E_DATA) { /* the log was cut below our position, or is another */
        code = run_table_learn(t, err);
        if (!code)
            code = read_fill(t, partitions, n, timeout_ms, err);
    }
    free(all);
    if (code)
        return code;
    read_note_lag(t);
    run_table_lock(t);
    t->stats.rebuild_seconds = (double)(mill_tick_ms() - t->assigned_ms) / 1000.0;
    run_table_unlock(t);
    t->assigned_ms = 0;
    return read_save(t, err);
}
