/* The end of a batch: offsets, commit, what to do when the group says no. */
#include "kafka/run.h"

enum { PENDING_POLL_MS = 50 };

static rd_kafka_topic_partition_list_t *finish_offsets(struct mill_ctx *ctx, bool moved)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)ctx->parts_n + 1);

    for (size_t i = 0; i < ctx->parts_n; i++) {
        const struct run_part *p = ctx->parts[i];
        int64_t at = moved ? p->next : p->unmoved;
        if (at >= 0)
            rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = at;
    }
    return list;
}

static void finish_settled(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->items_n; i++) {
        struct run_item *item = ctx->items[i];
        if (item->state == RUN_SETTLED && item->rec.offset >= item->part->next)
            item->part->next = item->rec.offset + 1;
    }
}

static void finish_moved(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < ctx->parts_n; i++) {
        struct run_part *p = ctx->parts[i];
        if (p->next >= 0)
            p->unmoved = p->next;
        p->next = -1;
    }
}

/* What is left of a batch without its offsets: what is said of calls. The record itself (to wait,
 * to the failures) is still in its topic for the new owner, who would move it a second time; and a
 * record that was not called, the new owner does again from the start. */
static void finish_keep_evidence(struct mill_ctx *ctx)
{
    size_t n = 0;

    for (size_t i = 0; i < ctx->outputs_n; i++) {
        const struct run_output *o = &ctx->outputs[i];
        if (o->item && o->item->pended && !o->moved)
            ctx->outputs[n++] = *o;
    }
    ctx->outputs_n = n;
    ctx->refused = 0; /* an index of before */
}

/* The group has moved on. Outcomes of calls that were made are written all the same, as evidence
 * for the new owner; anything else is the new owner's to do again. */
static void finish_lost(struct mill_ctx *ctx)
{
    finish_keep_evidence(ctx);
    if (ctx->spec->on_batch && run_txn_commit(ctx, NULL) == RUN_TXN_EXIT)
        return;
    run_batch_reset(ctx);
    ctx->lost = true;
}

void run_finish_batch(struct mill_ctx *ctx, bool offsets)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    enum run_txn end;

    /* A process that ends leaves the work to its successor. The batch stays until the producer is
     * gone, which may still be reading from it. */
    if (ctx->exit_code >= 0)
        return;
    if (ctx->spec->sink) { /* it commits by itself */
        run_batch_reset(ctx);
        return;
    }
    if (!offsets) {
        run_txn_abort(ctx);
        if (ctx->exit_code < 0)
            finish_lost(ctx);
        return;
    }
    finish_settled(ctx);
    /* Outputs without a record (on_assigned) are fenced by the offsets as they are. */
    list = finish_offsets(ctx, ctx->items_n || !ctx->outputs_n);
    end = run_txn_commit(ctx, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (end == RUN_TXN_LOST) {
        finish_lost(ctx);
        return;
    }
    if (end == RUN_TXN_EXIT)
        return;
    finish_moved(ctx);
    run_batch_reset(ctx);
}

bool run_commit_unmoved(struct mill_ctx *ctx)
{
    rd_kafka_topic_partition_list_t *list;
    enum run_txn end;

    if (!ctx->outputs_n)
        return true;
    list = finish_offsets(ctx, false);
    ctx->announcing = true;
    end = run_txn_commit(ctx, list);
    ctx->announcing = false;
    rd_kafka_topic_partition_list_destroy(list);
    if (end == RUN_TXN_EXIT)
        return false;
    ctx->outputs_n = ctx->produced = 0;
    if (end == RUN_TXN_LOST) {
        /* Nothing was called yet: nothing to tell. */
        run_batch_reset(ctx);
        ctx->lost = true;
    }
    return end == RUN_TXN_OK;
}

void run_drive_pending(struct mill_ctx *ctx)
{
    struct mill_err err = {0};

    while (ctx->pending && ctx->exit_code < 0) {
        if (ctx->spec->on_poll(ctx, PENDING_POLL_MS, &err) != MILL_DONE)
            run_fail(ctx, "stage_stopped", &err);
        (void)run_overdue(ctx);
    }
}

void run_item_settle(struct mill_ctx *ctx, struct run_item *item, enum mill_verdict v,
                     const struct mill_err *err)
{
    static const struct mill_err none = {.code = MILL_E_STATE, .text = "no reason given"};

    err = err ? err : &none;
    item->state = RUN_SETTLED;
    mill_metric_add(ctx->run, RUN_M_VERDICTS, (size_t)v, 1);
    if (v == MILL_DONE)
        return;
    mill_metric_add(ctx->run, RUN_M_ERRORS, (size_t)err->code, 1);
    if (v == MILL_STOP || ctx->spec->sink) { /* a sink has no transaction for a failure record */
        run_fail(ctx, "stage_stopped", err);
        return;
    }
    if (mill_log_on(MILL_DEBUG))
        mill_log_err(MILL_DEBUG, "record_failed", err);
    if (!run_failure_add(ctx, item, v, err))
        run_exit(ctx,
                 MILL_EXIT_TEMP); /* out of memory: nothing is committed, a restart tries again */
}

void mill_settle(struct mill_ctx *ctx, const struct mill_record *in, enum mill_verdict v,
                 const struct mill_err *err)
{
    struct run_item *item = (struct run_item *)(uintptr_t)in;

    if (item->state != RUN_PENDING)
        return;
    ctx->pending--;
    run_item_settle(ctx, item, v, err);
}
