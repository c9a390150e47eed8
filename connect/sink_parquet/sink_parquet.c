/**
 * @file sink_parquet.c
 * @brief Every topic to Parquet on S3, each record in exactly one object.
 *
 * in   topics    any list; Avro in the Confluent framing, or raw (raw-topics)
 * out  objects   PREFIXtopic=T/dt=YYYY-MM-DD/T+ID+PARTITION+START-END.parquet, and rejected=T/… for
 *                records that cannot be decoded (original bytes, headers and the reason)
 *      failures  the same records to failures-topic, in the transaction that ends their range
 * Verdicts: DONE when the record is kept; LATER while S3, registry or broker are away; STOP when an
 * invariant is broken (another plan's object, a gap in the log) or memory is out.
 * State: none but the offset commit's metadata (lake/plan.h). Replay: a range that was planned is
 * made again under the same names; what is there already is left as it is.
 */
#include "sink_parquet/range.h"

#include "base/clock.h"
#include "lake/raw.h"

#include <stdlib.h>

enum {
    SINK_PREFETCH_MAX = 256 << 20,
    SINK_ENCODING_MAX = 64 << 20,
    SINK_TURN_MS = 5000,
    SINK_BESIDE_BYTES = 256 << 10,
    SINK_SMALL_BYTES = 1 << 20, /**< where all files are, one range at a time makes room */
    SINK_AHEAD = 8, /**< one part of so many is free when a range is ended for want of room */
    SINK_ENCODING_TIMES = 2,
    SINK_FAILED_MAX = 4 << 20, /**< bytes of failure records in one transaction, about */
    SINK_NAMES_MAX = 1 << 20   /**< bytes of a range's file names, which each of its footers has */
};

static const struct mill_port sink_in[] = {
    {.name = "topics",
     .topic = "mail.requests,mail.messages,mail.ledger,mail.status,mail.callbacks,"
              "mail.callbacks.events,mail.events,mail.dlq,mail.parked"},
    {0},
};

#define SINK_OFF(f) offsetof(struct sink_conf, f)
static const struct mill_opt sink_opts[] = {
    MILL_S3_OPT_ROWS(struct sink_conf, s3, MILL_OPT_REQUIRED),
    {.name = "flush",
     .type = MILL_OPT_MS,
     .off = SINK_OFF(flush_ms),
     .def = "60s",
     .min = 100,
     .max = 86400000,
     .help = "a row is in the lake this long after it came, at the latest"},
    {.name = "put-within",
     .type = MILL_OPT_MS,
     .off = SINK_OFF(put_within_ms),
     .def = "15m",
     .min = 1,
     .max = 86400000,
     .help = "an object is put so long after its plan's commit, at the latest; then the plan is "
             "committed again first. A quarter of lake compact's grace, or less"},
    {.name = "uploads",
     .type = MILL_OPT_U32,
     .off = SINK_OFF(uploads),
     .def = "8",
     .min = 1,
     .max = MILL_S3_POOL_MAX,
     .help = "objects of a range that are put at the same time, at most"},
    {.name = "roll-rows",
     .type = MILL_OPT_U32,
     .off = SINK_OFF(roll_rows),
     .def = "4000000",
     .min = 1,
     .max = UINT32_MAX,
     .help = "records in a range, at most"},
    {.name = "roll-bytes",
     .type = MILL_OPT_BYTES,
     .off = SINK_OFF(roll_bytes),
     .def = "128MiB",
     .min = 1,
     .max = UINT64_C(4) << 30,
     .help = "memory of a range that ends it"},
    {.name = "memory",
     .type = MILL_OPT_BYTES,
     .off = SINK_OFF(memory_bytes),
     .def = "128MiB",
     .min = 1,
     .max = UINT64_C(1) << 40,
     .help =
         "memory of all ranges, of what is read ahead (a quarter) and of the files being encoded "
         "(a fifth; a tenth while all are small); the largest range ends at it"},
    {.name = "row-group-bytes",
     .type = MILL_OPT_BYTES,
     .off = SINK_OFF(row_group_bytes),
     .def = "64MiB",
     .min = 1 << 16,
     .max = UINT64_C(1) << 30,
     .help = "encoded bytes of a row group"},
    {.name = "raw-topics",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(raw_topics),
     .def = "mail.dlq,mail.parked,mail.failures,mail.retry.*,mail.delay.*",
     .help = "topics kept as key, value, headers; a * at the end stands for anything"},
    {.name = "columns",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(columns),
     .def = MILL_POLICY_DEFAULT,
     .help = "what is done to fields: TOPIC:FIELD=RULE,FIELD.INNER=RULE;TOPIC:…, a rule being "
             "keep, drop, hash or mask"},
    {.name = "hash-key",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(hash_key),
     .flags = MILL_OPT_SECRET,
     .help = "key of the rule hash"},
    {.name = "hours",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(hours),
     .def = "",
     .help = "topics laid out by dt and hour instead of dt; a * at the end stands for anything"},
    {.name = "event-time",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(event_time),
     .def = "",
     .help = "topics laid out by a time of their records, not the broker's: TOPIC:FIELD;TOPIC:…"},
    {.name = "meta-columns",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(meta_columns),
     .def = "",
     .help = "of _topic,_partition,_offset,_timestamp,_key, those that decoded rows carry"},
    {.name = "parquet-lib",
     .type = MILL_OPT_STR,
     .off = SINK_OFF(parquet_lib),
     .def = "",
     .help = "path of libmill_parquet.so; default ../lib/sendmill beside the program's folder"},
    {.name = "accept-gaps",
     .type = MILL_OPT_BOOL,
     .off = SINK_OFF(accept_gaps),
     .def = "false",
     .help = "go on where records are missing for good, instead of stopping"},
    {0},
};

static const char *const sink_kinds[] = {"rows", "rejected", NULL};
static const char *const sink_hows[] = {"created", "existed", NULL};
static const char *const sink_rolls[] = {"time", "rows",  "bytes", "memory", "schema",
                                         "redo", "drain", "files", NULL};
static const char *const sink_faults[] = {"s3", "commit", "registry", NULL};

static const struct mill_metric sink_metrics[] = {
    [SINK_M_ROWS] = {"mill_sink_records_total", MILL_COUNTER, "Records kept for the lake.", "kind",
                     sink_kinds},
    [SINK_M_OBJECTS] = {"mill_sink_objects_total", MILL_COUNTER, "Objects put, or found there.",
                        "how", sink_hows},
    [SINK_M_BYTES] = {"mill_sink_written_bytes_total", MILL_COUNTER, "Bytes of objects written.",
                      NULL, NULL},
    [SINK_M_ROLLS] = {"mill_sink_rolls_total", MILL_COUNTER, "Ranges ended, by reason.", "why",
                      sink_rolls},
    [SINK_M_FAULTS] = {"mill_sink_faults_total", MILL_COUNTER, "Outages met, by what was away.",
                       "what", sink_faults},
    [SINK_M_HELD] = {"mill_sink_held_bytes", MILL_GAUGE,
                     "Memory of ranges, gathered or being written.", NULL, NULL},
    {0},
};

/* Of the memory option: librdkafka holds records too. */
static uint64_t sink_prefetch(const void *conf)
{
    uint64_t quarter = ((const struct sink_conf *)conf)->memory_bytes / 4;

    return quarter < SINK_PREFETCH_MAX ? quarter : SINK_PREFETCH_MAX;
}

/* Of it: pages, dictionaries and compressed columns of the files being encoded, two at most. */
static uint64_t sink_encoding(const struct sink_conf *conf)
{
    uint64_t fifth = conf->memory_bytes / 5;

    return fifth < SINK_ENCODING_MAX ? fifth : SINK_ENCODING_MAX;
}

static enum mill_code sink_open(struct mill_ctx *ctx, struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    struct sink *s = mill_state(ctx);
    enum mill_code rc = sink_lists_check(conf, err);

    sink_uploads_init(s);
    if (!rc)
        rc = mill_parquet_load(conf->parquet_lib, &s->lake.lib, err);
    s->turn_ms = SINK_TURN_MS;
    s->names_max = SINK_NAMES_MAX;
    sink_turn(s, 1);
    s->beside_bytes = SINK_BESIDE_BYTES;
    s->lake.row_group_bytes = (int64_t)conf->row_group_bytes;
    s->encoding = (size_t)sink_encoding(conf);
    s->budget = (size_t)(conf->memory_bytes - sink_prefetch(conf));
    s->lake.spill_bytes = (s->budget - s->encoding) / 3;
    if (!rc)
        rc = mill_raw_shape(&s->raw_shape, false, err);
    if (!rc)
        rc = mill_raw_shape(&s->rejected_shape, true, err);
    if (!rc)
        rc = mill_s3_open(&s->s3, &conf->s3, err);
    return rc ? rc : mill_s3_pool_new(&s->pool, &conf->s3, conf->uploads, err);
}

static void sink_close(struct mill_ctx *ctx)
{
    struct sink *s = mill_state(ctx);

    while (s->n_parts)
        sink_part_drop(s, s->parts[0]);
    free(s->parts);
    s->parts = NULL;
    sink_topics_free(s);
    for (size_t i = 0; i < s->n_schemas; i++)
        mill_schema_free(s->schemas[i].schema);
    free(s->schemas);
    s->schemas = NULL;
    s->n_schemas = 0;
    mill_shape_free(s->raw_shape);
    mill_shape_free(s->rejected_shape);
    s->raw_shape = s->rejected_shape = NULL;
    mill_s3_pool_free(s->pool);
    s->pool = NULL;
    mill_s3_free(s->s3);
    s->s3 = NULL;
    sink_uploads_release(s);
}

/** The partition waits; the runtime offers the record again. */
static enum mill_verdict sink_later(struct mill_ctx *ctx)
{
    const struct sink *s = mill_state(ctx);
    int64_t ms = s->faults ? s->retry_ms - mill_tick_ms() : 0;

    mill_wait_until(ctx, mill_now_us() / 1000 + (ms > 50 ? ms : 50));
    return MILL_LATER;
}

/** Do the ranges leave less than this free? A file being encoded takes a few times its rows;
 * where all files are small, half of its share is the ranges': a tenth less CPU at 1,008 files. */
static bool sink_scarce(const struct sink *s, size_t free)
{
    size_t most = s->encoding / 2 + SINK_ENCODING_TIMES * s->largest;

    return s->held + (most < s->encoding ? most : s->encoding) + free > s->budget;
}

static enum mill_verdict sink_end(struct mill_ctx *ctx, struct sink_part *p, enum sink_roll why,
                                  struct mill_err *err)
{
    sink_roll(ctx, p, why);
    return sink_advance(ctx, p, err);
}

/** Make room: end the largest range. A redo's cannot be ended before its plan says so. While as
 *  many are out as can be written no other is ended, or an outage would cut all of them short. */
static enum mill_verdict sink_shrink(struct mill_ctx *ctx, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    struct sink_part *largest = NULL;

    if (s->n_out >= (s->largest < SINK_SMALL_BYTES ? 1 : SINK_UPLOADS))
        return MILL_DONE;
    for (size_t i = 0; i < s->n_parts; i++) {
        struct sink_part *p = s->parts[i];
        if (p->state == SINK_OPEN && !p->redo && p->rows && !p->out &&
            (!largest || p->held > largest->held))
            largest = p;
    }
    if (!largest)
        return MILL_DONE;
    return sink_end(ctx, largest, SINK_ROLL_MEMORY, err);
}

/** Which limit the range has reached. @return false: none, or it is a redo before its plan's end */
static bool sink_at_limit(struct mill_ctx *ctx, const struct sink_part *p, enum sink_roll *why)
{
    const struct sink_conf *conf = mill_conf(ctx);
    const struct sink *s = mill_state(ctx);

    if (p->redo) {
        *why = SINK_ROLL_REDO;
        return p->rows && p->next >= p->plan.end;
    }
    if (p->n_files * p->name_bytes >= s->names_max) {
        *why = SINK_ROLL_FILES;
        return true;
    }
    *why = p->rows >= conf->roll_rows ? SINK_ROLL_ROWS : SINK_ROLL_BYTES;
    return p->rows >= conf->roll_rows || p->held >= conf->roll_bytes ||
           p->failed_bytes >= SINK_FAILED_MAX;
}

/** End the range if it has reached a limit, and the largest one before there is no room left: those
 *  beside it go on while it is written. But not where files are small: making these keeps all
 *  processors busy, and the smaller they are the more it takes. */
static enum mill_verdict sink_limits(struct mill_ctx *ctx, struct sink_part *p,
                                     struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    size_t ahead = s->budget / SINK_AHEAD;
    enum sink_roll why;

    if (sink_at_limit(ctx, p, &why) && !p->out)
        return sink_end(ctx, p, why, err);
    if (ahead > s->largest)
        ahead = s->largest;
    return sink_scarce(s, ahead) ? sink_shrink(ctx, err) : MILL_DONE;
}

/** A redo ends where its plan does, by position: what stood there may be compacted away.
 *  @param at the log has no record of the range below this that the sink has not had */
static enum mill_verdict sink_redo_end(struct mill_ctx *ctx, struct sink_part *p, int64_t at,
                                       struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);

    if (p->state != SINK_OPEN || !p->redo || at < p->plan.end)
        return MILL_DONE;
    if (!p->rows && !conf->accept_gaps) {
        mill_fail(err, MILL_E_STATE, "plan", "%s/%d: no record of [%lld,%lld) is left",
                  p->topic->name, (int)p->partition, (long long)p->start, (long long)p->plan.end);
        return MILL_STOP;
    }
    if (!p->rows)
        sink_part_reset(mill_state(ctx), p, p->plan.end);
    sink_roll(ctx, p, SINK_ROLL_REDO);
    return MILL_DONE;
}

/** Wait, no longer than sink_turn says, until no range of the partition is out. */
static enum mill_verdict sink_make_way(struct mill_ctx *ctx, struct sink_part *p,
                                       struct mill_err *err)
{
    for (int i = 0; i < 2 && p->out; i++)
        if (sink_settle(ctx, p, err) != MILL_DONE || sink_advance(ctx, p, err) != MILL_DONE)
            return MILL_STOP;
    return MILL_DONE;
}

/** Is the partition able to take this record now? DONE = yes, LATER, STOP. */
static enum mill_verdict sink_may_take(struct mill_ctx *ctx, struct sink_part *p,
                                       const struct mill_record *in, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);
    enum sink_roll why;

    if (sink_redo_end(ctx, p, in->offset, err) != MILL_DONE)
        return MILL_STOP;
    if (sink_at_limit(ctx, p, &why)) {
        if (sink_make_way(ctx, p, err) != MILL_DONE || sink_end(ctx, p, why, err) != MILL_DONE)
            return MILL_STOP;
        if (sink_at_limit(ctx, p, &why))
            return MILL_LATER;
    }
    if (p->state != SINK_OPEN)
        return MILL_LATER;
    /* Over the budget with nothing that could be written out: whoever adds waits. */
    if (sink_scarce(s, 0) && !p->redo) {
        if (sink_shrink(ctx, err) != MILL_DONE || sink_settle(ctx, NULL, err) != MILL_DONE)
            return MILL_STOP;
        if (sink_scarce(s, 0))
            return MILL_LATER;
    }
    return MILL_DONE;
}

static enum mill_verdict sink_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    struct sink_part *p = sink_part_find(mill_state(ctx), in->topic, in->partition);
    enum mill_verdict v;
    bool roll = true;

    if (!p) {
        mill_fail(err, MILL_E_STATE, "partition", "%s/%d was not assigned", in->topic,
                  (int)in->partition);
        return MILL_STOP;
    }
    v = sink_may_take(ctx, p, in, err);
    if (v == MILL_DONE)
        v = sink_part_add(ctx, p, in, &roll, err);
    else
        roll = false;
    if (v == MILL_LATER &&
        roll) { /* its schema needs a range of its own: end this one, try again */
        v = sink_make_way(ctx, p, err);
        if (v == MILL_DONE)
            v = sink_end(ctx, p, SINK_ROLL_SCHEMA, err);
        if (v == MILL_DONE)
            v = sink_may_take(ctx, p, in, err);
        if (v == MILL_DONE)
            v = sink_part_add(ctx, p, in, &roll, err);
    }
    if (v == MILL_DONE)
        v = sink_limits(ctx, p, err);
    return v == MILL_LATER ? sink_later(ctx) : v;
}

/** A range that is empty: say how far the log is, too, once it has gone on without records. */
static void sink_idle(struct mill_ctx *ctx, struct sink_part *p, int64_t to, struct mill_err *err)
{
    if (p->state == SINK_OPEN && !p->rows && !p->redo && !p->out && to > p->next)
        sink_seen(ctx, p, to, err);
}

/** Wall clock, and what is out. */
static enum mill_verdict sink_poll_part(struct mill_ctx *ctx, struct sink_part *p,
                                        struct mill_err *err)
{
    const struct sink_conf *conf = mill_conf(ctx);
    int64_t to = p->redo || !p->rows ? mill_sink_read_to(ctx, p->topic->name, p->partition) : -1;

    if (sink_redo_end(ctx, p, to, err) != MILL_DONE)
        return MILL_STOP;
    if (p->rows && !p->redo && mill_tick_ms() - p->opened_ms >= (int64_t)conf->flush_ms)
        sink_roll(ctx, p, SINK_ROLL_TIME);
    sink_idle(ctx, p, to, err);
    return sink_advance(ctx, p, err);
}

/** Everything that can be written now is. */
static enum mill_verdict sink_drain(struct mill_ctx *ctx, struct sink_part *p, struct mill_err *err)
{
    sink_turn(mill_state(ctx), 2);
    if (sink_make_way(ctx, p, err) != MILL_DONE)
        return MILL_STOP;
    if (!p->redo)
        sink_roll(ctx, p, SINK_ROLL_DRAIN);
    sink_turn(mill_state(ctx), 2);
    return sink_make_way(ctx, p, err);
}

/** One partition after the other, each call beginning where the last one has ended. */
static enum mill_verdict sink_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    struct sink *s = mill_state(ctx);

    (void)wait_ms;
    sink_turn(s, 1);
    for (size_t k = 0; k < s->n_parts && !sink_backing_off(s); k++) {
        struct sink_part *p = s->parts[s->next_poll++ % s->n_parts];
        if (sink_poll_part(ctx, p, err) != MILL_DONE)
            return MILL_STOP;
        if (mill_draining(ctx) && sink_drain(ctx, p, err) != MILL_DONE)
            return MILL_STOP;
        if (!sink_turn_left(s))
            break;
    }
    sink_turn(s, 1); /* and as much for the records that come before the next one */
    mill_gauge(ctx, SINK_M_HELD, 0, (double)s->held);
    return MILL_DONE;
}

static void sink_on_revoke(struct mill_ctx *ctx, const char *topic, int32_t partition, bool lost)
{
    struct sink *s = mill_state(ctx);
    struct sink_part *p = sink_part_find(s, topic, partition);
    struct mill_err err = {0};

    if (!p)
        return;
    /* When we leave for good, what is here goes out; in a rebalance the next owner reads it. */
    if (!lost && mill_draining(ctx) && sink_drain(ctx, p, &err) != MILL_DONE)
        mill_log_err(MILL_ERROR, "drain_failed", &err);
    sink_part_drop(s, p);
}

static const struct mill_sink sink_hooks = {
    .prefetch = sink_prefetch,
    .on_assign = sink_on_assign,
    .on_revoke = sink_on_revoke,
};

MILL_STAGE(sink_parquet) = {
    .name = "sink-parquet",
    .summary = "write topics to Parquet on S3, each record exactly once",
    .in = sink_in,
    .opts = sink_opts,
    .conf_size = sizeof(struct sink_conf),
    .state_size = sizeof(struct sink),
    .metrics = sink_metrics,
    .no_retry = true,
    .open = sink_open,
    .close = sink_close,
    .on_record = sink_on_record,
    .on_poll = sink_on_poll,
    .sink = &sink_hooks,
};
