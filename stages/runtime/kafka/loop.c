/* The loop: poll, decode, on_record, commit. Commit when the input runs dry (low load: low latency)
 * or at a cap (high load: big batches). */
#include "base/clock.h"
#include "kafka/run.h"

enum { TURN_MS = 100, CHUNK = 1000 };

static int64_t loop_now_ms(void)
{
    return mill_now_us() / 1000;
}

/* ---- one record ---- */

static void loop_run_item(struct mill_ctx *ctx, struct run_item *item)
{
    struct mill_err err = {0};
    size_t mark = ctx->outputs_n;
    enum mill_verdict v;

    if (item->fault) {
        run_item_settle(ctx, item, MILL_REJECT, item->fault);
        return;
    }
    ctx->current = &item->rec;
    ctx->emit_failed = false;
    ctx->wait_until_ms = 0;
    v = ctx->spec->on_record(ctx, &item->rec, &err);
    ctx->current = NULL;
    if (v == MILL_PENDING) {
        item->state = RUN_PENDING;
        item->pended = true;
        ctx->pending++;
        return;
    }
    if (v == MILL_LATER && ctx->spec->on_batch) {
        mill_fail(&err, MILL_E_STATE, ctx->spec->name, "MILL_LATER from a stage with on_batch");
        v = MILL_STOP;
    }
    if (v == MILL_LATER) {
        ctx->outputs_n = mark; /* it will emit them again */
        item->state = RUN_HELD;
        item->part->until_ms = ctx->wait_until_ms;
        return;
    }
    /* Half of a record's outputs are worse than none; a REJECT keeps what was emitted on purpose.
     */
    if (v == MILL_RETRY || v == MILL_STOP || (v == MILL_REJECT && ctx->emit_failed))
        ctx->outputs_n = mark;
    run_item_settle(ctx, item, v, &err);
}

/* Held records whose time has come, oldest first. */
static void loop_release(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->parts_n && ctx->exit_code < 0; i++) {
        struct run_part *p = ctx->parts[i];
        while (p->held_at < p->held_n && loop_now_ms() >= p->until_ms &&
               ctx->items_n < ctx->rc.batch_records) {
            struct run_item *item = run_item_add(ctx, p->held[p->held_at], p);
            rd_kafka_message_t *m;
            if (!item) {
                run_exit(ctx, MILL_EXIT_TEMP);
                return;
            }
            m = run_unhold(p);
            if (!run_item_prepare(ctx, item))
                return;
            loop_run_item(ctx, item);
            if (item->state == RUN_HELD) {
                run_hold_again(p, m);
                break;
            }
        }
        run_hold_pace(ctx, p, loop_now_ms());
    }
    ctx->fresh = ctx->items_n;
    run_drive_pending(ctx);
}

/* ---- polling ---- */

static void loop_take(struct mill_ctx *ctx, rd_kafka_message_t *m)
{
    struct run_part *p = NULL;

    if (m->err) {
        run_event(ctx, m);
        return;
    }
    p = run_part_find(ctx, rd_kafka_topic_name(m->rkt), m->partition);
    if (!p) {
        rd_kafka_message_destroy(m); /* of an assignment that is gone */
        return;
    }
    p->taken_to = m->offset + 1;
    mill_metric_add(ctx->run, RUN_M_RECEIVED, p->port, 1);
    if (p->held_at < p->held_n) {
        if (run_hold(ctx, p, m))
            run_hold_pace(ctx, p, loop_now_ms());
        else
            rd_kafka_message_destroy(m);
    } else if (!run_item_add(ctx, m, p)) {
        rd_kafka_message_destroy(m);
        run_exit(ctx, MILL_EXIT_TEMP);
    }
}

static void loop_end(struct mill_ctx *ctx, rd_kafka_message_t *m)
{
    struct run_part *p = run_part_find(ctx, rd_kafka_topic_name(m->rkt), m->partition);

    if (p)
        p->read_to = m->offset;
    rd_kafka_message_destroy(m);
}

static int loop_wait_ms(const struct mill_ctx *ctx)
{
    int64_t wait = TURN_MS, now = loop_now_ms();

    for (size_t i = 0; i < ctx->parts_n; i++) {
        const struct run_part *p = ctx->parts[i];
        if (p->held_at < p->held_n && p->until_ms - now < wait)
            wait = p->until_ms - now;
    }
    return wait > 0 ? (int)wait : 0;
}

static size_t loop_most(const struct mill_ctx *ctx)
{
    size_t most = ctx->rc.batch_records < CHUNK ? ctx->rc.batch_records : CHUNK;

    return ctx->spec->batch_max && ctx->spec->batch_max < most ? ctx->spec->batch_max : most;
}

/* Gathers a chunk, by one call a record: rd_kafka_consume_batch_queue (2.8) takes an end of
 * partition for a record when it notes where to go on after a pause. 3 of 5,000,072 rows were lost
 * by that.
 * @return true when there was no more to be had at once */
static bool loop_collect(struct mill_ctx *ctx)
{
    size_t most = loop_most(ctx);
    int wait = ctx->items_n ? 0 : loop_wait_ms(ctx);

    while (ctx->items_n - ctx->fresh < most && ctx->items_bytes < ctx->rc.batch_bytes &&
           ctx->exit_code < 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(ctx->consumer, wait);
        if (!m)
            return true;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            loop_end(ctx, m);
        else
            loop_take(ctx, m);
        wait = 0;
    }
    return false;
}

/* ---- a chunk of records ---- */

static bool loop_prepare(struct mill_ctx *ctx)
{
    uint64_t epoch = ctx->epoch;

    for (size_t i = ctx->fresh; i < ctx->items_n; i++)
        if (!run_item_prepare(ctx, ctx->items[i]) || epoch != ctx->epoch)
            return false;
    return true;
}

/* on_batch, and transaction A. @return false when the batch is gone */
static bool loop_announce(struct mill_ctx *ctx)
{
    const struct mill_record **in =
        mill_arena_calloc(&ctx->arena, ctx->items_n, sizeof(struct mill_record *));
    struct mill_err err = {0};
    size_t n = 0;

    if (!in) {
        run_exit(ctx, MILL_EXIT_TEMP);
        return false;
    }
    for (size_t i = ctx->fresh; i < ctx->items_n; i++)
        if (!ctx->items[i]->fault)
            in[n++] = &ctx->items[i]->rec;
    if (n && ctx->spec->on_batch(ctx, in, n, &err) != MILL_DONE) {
        run_fail(ctx, "stage_stopped", &err);
        return false;
    }
    return run_commit_unmoved(ctx);
}

static void loop_run_chunk(struct mill_ctx *ctx)
{
    for (size_t i = ctx->fresh; i < ctx->items_n && ctx->exit_code < 0; i++) {
        struct run_item *item = ctx->items[i];
        struct run_part *p = item->part;
        if (p->held_at < p->held_n)
            item->state = RUN_HELD; /* behind one that waits */
        else
            loop_run_item(ctx, item);
        if (item->state == RUN_HELD && !run_hold(ctx, p, item->msg)) {
            item->state = RUN_READY; /* the batch frees its message */
            return;
        }
        /* Written while we go on, so that broker and stage work side by side. */
        if (!ctx->spec->on_batch && !ctx->spec->sink && ctx->outputs_n - ctx->produced >= 64)
            run_txn_produce(ctx);
    }
    ctx->fresh = ctx->items_n;
}

static void loop_process(struct mill_ctx *ctx)
{
    if (ctx->fresh == ctx->items_n || !loop_prepare(ctx))
        return;
    if (ctx->spec->on_batch && !loop_announce(ctx))
        return;
    loop_run_chunk(ctx);
    /* The consumer is not polled meanwhile: a batch lasts as long as its slowest call (its timeout
     * at most), far below max.poll.interval, and pausing would throw the prefetched records away.
     */
    run_drive_pending(ctx);
}

static bool loop_full(const struct mill_ctx *ctx)
{
    return ctx->spec->on_batch || ctx->items_n >= ctx->rc.batch_records ||
           ctx->items_bytes >= ctx->rc.batch_bytes ||
           mill_tick_ms() - ctx->batch_since_ms >= (int64_t)ctx->rc.batch_ms;
}

/* A table that cannot take a record in has a hole: only one made anew, from the start, has none. */
static void loop_pump(struct mill_ctx *ctx, struct mill_table *table)
{
    struct mill_err err = {0};
    enum mill_code code = run_table_pump(table, 0, &err);

    if (code == MILL_E_IO || code == MILL_E_NOENT)
        mill_log_err(MILL_WARN, "table", &err);
    else if (code == MILL_E_DATA)
        run_exit(ctx, MILL_EXIT_TEMP); /* its topic was cut or made anew */
    else if (code)
        run_fail(ctx, "table_failed", &err);
}

static void loop_between(struct mill_ctx *ctx)
{
    struct mill_err err = {0};

    for (size_t i = 0; i < RUN_PORTS_MAX && ctx->tables[i]; i++)
        loop_pump(ctx, ctx->tables[i]);
    if (ctx->spec->on_poll && ctx->spec->on_poll(ctx, 0, &err) != MILL_DONE)
        run_fail(ctx, "stage_stopped", &err);
    if (ctx->producer)
        rd_kafka_poll(ctx->producer, 0);
    run_measure(ctx);
}

/* The group has moved on without telling us by a rebalance yet. What was done is dropped or written
 * as evidence; a new process joins afresh, at the committed offsets. Going back within this one was
 * tried: after an outage of the broker it could wait for the group's answer for ever. */
static void loop_lost(struct mill_ctx *ctx)
{
    mill_log(MILL_WARN, "group_moved_on", NULL, "the group refused our offsets; starting anew");
    run_exit(ctx, MILL_EXIT_TEMP);
}

void run_loop(struct mill_ctx *ctx)
{
    while (ctx->exit_code < 0 && !run_stopping(ctx)) {
        bool dry, ended;
        atomic_store(&ctx->tick_ms, mill_tick_ms());
        loop_release(ctx);
        dry = loop_collect(ctx);
        loop_process(ctx);
        ended = (ctx->items_n || ctx->outputs_n) && (dry || loop_full(ctx));
        if (ended)
            run_finish_batch(ctx, true);
        if (ctx->lost)
            loop_lost(ctx);
        /* Not on the way out: records that were read were not handed to the stage then, while the
         * ends behind them are known. */
        if (ctx->exit_code < 0 && (dry || ended || ctx->spec->sink))
            loop_between(ctx);
    }
}
