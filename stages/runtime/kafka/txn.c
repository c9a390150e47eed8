/* The transaction: outputs, failures and offsets become visible together, or not at all. */
#include "base/clock.h"
#include "base/fault.h"
#include "kafka/run.h"

#include <stdio.h>

enum { CALL_MS = 3000, QUEUE_WAIT_MS = 50 };

/** What an error of the transactional producer asks for. */
enum txn_class { TXN_RETRY_CALL, TXN_ABORT, TXN_GROUP, TXN_FATAL };

/* Of the records that the broker found too large the largest is at fault: its batch goes with it.
 */
static void txn_undelivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct mill_ctx *ctx = opaque;
    size_t at = (size_t)(uintptr_t)m->_private;

    (void)rk;
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && at && at <= ctx->outputs_n &&
        (!ctx->refused || ctx->outputs[at - 1].value.n > ctx->outputs[ctx->refused - 1].value.n))
        ctx->refused = at;
}

static rd_kafka_t *txn_producer(struct mill_ctx *ctx, struct mill_err *err)
{
    char id[300], max[32], timeout[32];
    const struct mill_prop props[] = {
        {"transactional.id", id},
        {"transaction.timeout.ms", timeout},
        /* A transaction that begins right behind another is told CONCURRENT_TRANSACTIONS and tries
         * again after this; the default of 100 ms made POST to provider call 253 ms at 10 mails a
         * second, with 5 ms it is 39 ms (p50). */
        {"retry.backoff.ms", "5"},
        {"linger.ms", "5"},
        {"compression.type", "lz4"},
        {"message.max.bytes", max},
        {"queue.buffering.max.messages", "200000"},
        {"queue.buffering.max.kbytes", "262144"},
        {"delivery.report.only.error", "true"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *rc;

    /* Stable per instance: a restart aborts at once what the killed one left open. */
    snprintf(id, sizeof id, "%s.%s", ctx->group, ctx->common.instance);
    snprintf(timeout, sizeof timeout, "%d", RUN_TXN_TIMEOUT_MS);
    snprintf(max, sizeof max, "%llu", (unsigned long long)ctx->rc.record_max_bytes);
    rc = mill_rd_conf(RD_KAFKA_PRODUCER, &ctx->kafka, props, err);
    if (!rc)
        return NULL;
    rd_kafka_conf_set_dr_msg_cb(rc, txn_undelivered);
    rd_kafka_conf_set_opaque(rc, ctx);
    return mill_rd_new(RD_KAFKA_PRODUCER, rc, err);
}

/* A total map: what is none of these is fatal, as librdkafka's own rule has it. */
static enum txn_class txn_classify(const rd_kafka_error_t *e)
{
    if (rd_kafka_error_is_fatal(e) || mill_rd_code(rd_kafka_error_code(e)) == MILL_E_AUTH)
        return TXN_FATAL;
    switch (rd_kafka_error_code(e)) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        return TXN_GROUP;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return TXN_ABORT;
    default:
        break;
    }
    if (rd_kafka_error_txn_requires_abort(e))
        return TXN_ABORT;
    return mill_rd_passes(e) ? TXN_RETRY_CALL : TXN_FATAL;
}

static void txn_say(enum mill_level lvl, const char *ev, const rd_kafka_error_t *e)
{
    mill_log(lvl, ev, MILL_KV(MILL_KS("code", rd_kafka_error_name(e))), "%s",
             rd_kafka_error_string(e));
}

static void txn_fatal(struct mill_ctx *ctx, const rd_kafka_error_t *e)
{
    txn_say(MILL_ERROR, "txn_fatal", e);
    run_exit(ctx, mill_rd_code(rd_kafka_error_code(e)) == MILL_E_AUTH ? MILL_EXIT_NOPERM
                                                                      : MILL_EXIT_TEMP);
}

bool run_overdue(struct mill_ctx *ctx)
{
    int64_t now = mill_tick_ms();

    atomic_store(&ctx->tick_ms, now);
    if (!run_stopping(ctx))
        return false;
    if (!ctx->stop_since_ms)
        ctx->stop_since_ms = now;
    if (now - ctx->stop_since_ms <= (int64_t)ctx->common.drain_ms)
        return false;
    run_exit(ctx, MILL_EXIT_TEMP);
    return true;
}

/* Shall the same call go on? Then e is gone; else it is the caller's. */
static bool txn_again(struct mill_ctx *ctx, const char *ev, rd_kafka_error_t *e, uint32_t *wait_ms)
{
    if (txn_classify(e) != TXN_RETRY_CALL || run_overdue(ctx))
        return false;
    run_away(ctx, "waiting for the broker");
    txn_say(MILL_WARN, ev, e);
    rd_kafka_error_destroy(e);
    run_backoff(ctx, wait_ms);
    return true;
}

/* A producer that meets a topic for the first time asks where its partitions are at its next look
 * round, up to a second later: the first mail would wait for it, once for each stage. So it is
 * asked for all outputs now, before the process is ready. Without an answer, the first record
 * waits. */
static void txn_know_topics(struct mill_ctx *ctx)
{
    const struct mill_port *out = ctx->spec->out;
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t e;
    size_t n = 0;

    for (size_t i = 0; out && out[i].name; i++)
        ctx->known[n++] = rd_kafka_topic_new(ctx->producer, mill_out_topic(ctx, i), NULL);
    if (ctx->rc.failures_topic && *ctx->rc.failures_topic)
        ctx->known[n++] = rd_kafka_topic_new(ctx->producer, ctx->rc.failures_topic, NULL);
    if (!n)
        return;
    /* 0: of the topics that it knows by name */
    e = rd_kafka_metadata(ctx->producer, 0, NULL, &md, CALL_MS);
    if (e)
        mill_log(MILL_INFO, "outputs_unknown", MILL_KV(MILL_KS("code", rd_kafka_err2name(e))), "%s",
                 rd_kafka_err2str(e));
    else
        rd_kafka_metadata_destroy(md);
}

void run_txn_end(struct mill_ctx *ctx)
{
    for (size_t i = 0; i < sizeof ctx->known / sizeof *ctx->known; i++) {
        if (ctx->known[i])
            rd_kafka_topic_destroy(ctx->known[i]);
        ctx->known[i] = NULL;
    }
    if (ctx->producer)
        rd_kafka_destroy(ctx->producer);
    ctx->producer = NULL;
}

enum mill_code run_txn_init(struct mill_ctx *ctx, struct mill_err *err)
{
    rd_kafka_error_t *e = NULL;
    uint32_t wait_ms = 0;

    ctx->producer = txn_producer(ctx, err);
    if (!ctx->producer)
        return MILL_E_CONFIG;
    while ((e = rd_kafka_init_transactions(ctx->producer, CALL_MS))) {
        if (!mill_rd_passes(e))
            return mill_rd_fail(err, "init_transactions", e);
        run_away(ctx, "waiting for the transaction coordinator");
        txn_say(MILL_WARN, "txn_init_wait", e);
        rd_kafka_error_destroy(e);
        if (!run_backoff(ctx, &wait_ms))
            return mill_fail(err, MILL_E_STATE, "init_transactions", "stopped while waiting");
    }
    txn_know_topics(ctx);
    run_away(ctx, NULL);
    return MILL_OK;
}

/* A producer that is of no use any more (its transaction outlived its time, say). A stage that
 * makes calls has outcomes in the batch, which a restart would turn into doubts: it writes them
 * with a new producer of the same transactional.id. That the group still wants us is the offsets'
 * matter. */
static bool txn_renew(struct mill_ctx *ctx, const rd_kafka_error_t *why)
{
    struct mill_err err = {0};

    if (!ctx->spec->on_batch || ctx->exit_code >= 0 || run_stopping(ctx) ||
        mill_rd_code(rd_kafka_error_code(why)) == MILL_E_AUTH)
        return false;
    txn_say(MILL_WARN, "txn_renew", why);
    run_txn_end(ctx); /* first: it reads from the batch */
    ctx->txn_open = false;
    ctx->produced = ctx->refused = 0;
    if (!run_txn_init(ctx, &err))
        return true;
    run_fail(ctx, "txn_renew_failed", &err);
    return false;
}

static bool txn_begin(struct mill_ctx *ctx)
{
    rd_kafka_error_t *e;

    if (ctx->txn_open)
        return true;
    e = rd_kafka_begin_transaction(ctx->producer);
    if (e && txn_renew(ctx, e)) {
        rd_kafka_error_destroy(e);
        e = rd_kafka_begin_transaction(ctx->producer);
    }
    if (e) {
        txn_fatal(ctx, e);
        rd_kafka_error_destroy(e);
        return false;
    }
    ctx->txn_open = true;
    return true;
}

static rd_kafka_resp_err_t txn_produce_one(struct mill_ctx *ctx, size_t at)
{
    const struct run_output *o = &ctx->outputs[at];
    rd_kafka_headers_t *hdrs = mill_rd_headers_new(o->headers);
    rd_kafka_resp_err_t e;

    if (o->headers.n && !hdrs)
        return RD_KAFKA_RESP_ERR__FAIL;
    e = rd_kafka_producev(
        ctx->producer, RD_KAFKA_V_TOPIC(o->topic),
        RD_KAFKA_V_PARTITION(o->partition < 0 ? RD_KAFKA_PARTITION_UA : o->partition),
        /* Not copied: the batch's memory outlives the transaction. */
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY((void *)(uintptr_t)o->key.p, o->key.n),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)o->value.p, o->value.n), RD_KAFKA_V_HEADERS(hdrs),
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)(at + 1)), RD_KAFKA_V_END);
    if (e && hdrs)
        rd_kafka_headers_destroy(hdrs);
    return e;
}

void run_txn_produce(struct mill_ctx *ctx)
{
    if (ctx->produced == ctx->outputs_n || ctx->refused || !txn_begin(ctx))
        return;
    while (ctx->produced < ctx->outputs_n && ctx->exit_code < 0) {
        rd_kafka_resp_err_t e = txn_produce_one(ctx, ctx->produced);
        if (!e) {
            ctx->produced++;
        } else if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            if (run_overdue(ctx))
                return;
            rd_kafka_poll(ctx->producer, QUEUE_WAIT_MS);
        } else if (e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            ctx->refused = ctx->produced + 1;
            return; /* the commit deals with it */
        } else if (e == RD_KAFKA_RESP_ERR__STATE || e == RD_KAFKA_RESP_ERR__FATAL) {
            /* The transaction has failed already; the commit will say how. */
            return;
        } else {
            mill_log(MILL_ERROR, "produce_failed",
                     MILL_KV(MILL_KS("code", rd_kafka_err2name(e)),
                             MILL_KS("topic", ctx->outputs[ctx->produced].topic)),
                     "%s", rd_kafka_err2str(e));
            run_exit(ctx, MILL_EXIT_CONFIG);
        }
    }
}

void run_txn_abort(struct mill_ctx *ctx)
{
    uint32_t wait_ms = 0;
    rd_kafka_error_t *e;

    ctx->produced = 0;
    if (!ctx->txn_open)
        return;
    while ((e = rd_kafka_abort_transaction(ctx->producer, CALL_MS)))
        if (ctx->exit_code >= 0 || !txn_again(ctx, "txn_abort_wait", e, &wait_ms)) {
            if (!txn_renew(ctx, e))
                txn_fatal(ctx, e);
            rd_kafka_error_destroy(e);
            break;
        }
    ctx->txn_open = false;
    if (ctx->exit_code < 0)
        run_away(ctx, NULL);
    mill_metric_add(ctx->run, RUN_M_ABORTS, 0, 1);
}

/* One try. NULL: committed. A retriable answer leaves the call's work under way: call again. */
static rd_kafka_error_t *txn_try(struct mill_ctx *ctx,
                                 const rd_kafka_topic_partition_list_t *offsets)
{
    uint32_t wait_ms = 0;
    rd_kafka_error_t *e = NULL;

    run_txn_produce(ctx);
    if (ctx->exit_code >= 0 || !txn_begin(ctx))
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR__FATAL, "the process is ending");
    if (ctx->refused)
        return rd_kafka_error_new(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "an output is too large");
    MILL_FAULT_POINT("commit.before-offsets");
    if (offsets && offsets->cnt) {
        while ((e = rd_kafka_send_offsets_to_transaction(ctx->producer, offsets, ctx->group_meta,
                                                         CALL_MS)))
            if (!txn_again(ctx, "txn_offsets_wait", e, &wait_ms))
                return e;
    }
    MILL_FAULT_POINT("commit.before-commit");
    while ((e = rd_kafka_commit_transaction(ctx->producer, CALL_MS)))
        if (!txn_again(ctx, "txn_commit_wait", e, &wait_ms))
            return e;
    MILL_FAULT_POINT("commit.after-commit");
    ctx->txn_open = false;
    run_away(ctx, NULL);
    return NULL;
}

enum run_txn run_txn_commit(struct mill_ctx *ctx, const rd_kafka_topic_partition_list_t *offsets)
{
    int64_t began = mill_tick_ms();
    uint32_t wait_ms = 0;
    bool renewed = false;
    rd_kafka_error_t *e;

    if (!ctx->outputs_n && !ctx->txn_open && (!offsets || !offsets->cnt))
        return RUN_TXN_OK;
    while ((e = txn_try(ctx, offsets))) {
        enum txn_class c = ctx->exit_code >= 0 ? TXN_FATAL : txn_classify(e);
        if (c == TXN_FATAL && !renewed && txn_renew(ctx, e)) {
            rd_kafka_error_destroy(e);
            renewed = true;
            continue;
        }
        if (c == TXN_FATAL)
            txn_fatal(ctx, e);
        else
            txn_say(MILL_WARN, c == TXN_GROUP ? "txn_refused" : "txn_aborted", e);
        rd_kafka_error_destroy(e);
        if (c == TXN_FATAL)
            return RUN_TXN_EXIT;
        run_txn_abort(ctx);
        if (ctx->exit_code >= 0 || run_overdue(ctx))
            return RUN_TXN_EXIT;
        if (c == TXN_GROUP)
            return RUN_TXN_LOST;
        if (ctx->refused && !run_refused_replace(ctx))
            return RUN_TXN_EXIT;
        run_backoff(ctx, &wait_ms); /* the same outputs again: they are still in the batch */
    }
    mill_metric_add(ctx->run, RUN_M_COMMITS, 0, 1);
    mill_metric_observe(ctx->run, RUN_M_COMMIT_SECONDS, 0,
                        (double)(mill_tick_ms() - began) / 1000.0);
    return RUN_TXN_OK;
}
