/* All or none, without a group; see transact.h. */
#include "kafka/transact.h"
#include "base/clock.h"
#include "kafka/rdkafka_int.h"

#include <stdlib.h>

enum { CALL_MS = 3000, PATIENCE_MS = 30000, QUEUE_WAIT_MS = 50 };

struct mill_transact {
    rd_kafka_t *rk;
    bool open;
    rd_kafka_resp_err_t refused; /**< why the first of the records was not written */
};

static void transact_undelivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct mill_transact *t = opaque;

    (void)rk;
    /* What was purged went with the one that failed first. */
    if (m->err && !t->refused && m->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
        m->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        t->refused = m->err;
}

/* What a failed call means to the caller. @own steals e */
static enum mill_code transact_fail(struct mill_err *err, const char *where, rd_kafka_error_t *e)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(e);
    enum mill_code rc = mill_rd_fail(err, where, e);

    switch (code) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return mill_fail(err, MILL_E_STATE, where, "somebody else has begun to do this job");
    default:
        return rc;
    }
}

/* A retriable answer leaves the work under way: the same call again. @return true: do so, e is
 * gone; false: e is the caller's */
static bool transact_again(rd_kafka_error_t *e, int64_t until_ms)
{
    if (!mill_rd_passes(e) || mill_tick_ms() > until_ms)
        return false;
    rd_kafka_error_destroy(e);
    return true;
}

static rd_kafka_t *transact_handle(struct mill_transact *t, const struct mill_kafka_conf *conf,
                                   const char *id, struct mill_err *err)
{
    const struct mill_prop props[] = {
        {"transactional.id", id},
        {"transaction.timeout.ms", "60000"},
        {"retry.backoff.ms", "5"},
        {"linger.ms", "5"},
        {"compression.type", "lz4"},
        {"message.max.bytes", "8388608"},
        {"queue.buffering.max.kbytes", "131072"},
        {"delivery.report.only.error", "true"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *rc = mill_rd_conf(RD_KAFKA_PRODUCER, conf, props, err);

    if (!rc)
        return NULL;
    rd_kafka_conf_set_dr_msg_cb(rc, transact_undelivered);
    rd_kafka_conf_set_opaque(rc, t);
    return mill_rd_new(RD_KAFKA_PRODUCER, rc, err);
}

enum mill_code mill_transact_new(struct mill_transact **out, const struct mill_kafka_conf *conf,
                                 const char *id, struct mill_err *err)
{
    struct mill_transact *t = calloc(1, sizeof *t);
    int64_t until_ms = mill_tick_ms() + PATIENCE_MS;
    rd_kafka_error_t *e;
    enum mill_code code = MILL_OK;

    *out = NULL;
    if (!t)
        return mill_fail(err, MILL_E_NOMEM, "transaction", "out of memory");
    t->rk = transact_handle(t, conf, id, err);
    if (!t->rk)
        code = MILL_E_CONFIG;
    while (!code && (e = rd_kafka_init_transactions(t->rk, CALL_MS)))
        if (!transact_again(e, until_ms))
            code = transact_fail(err, "init_transactions", e);
    if (code)
        mill_transact_free(t);
    else
        *out = t;
    return code;
}

static void transact_abort(struct mill_transact *t)
{
    int64_t until_ms = mill_tick_ms() + CALL_MS;
    rd_kafka_error_t *e;

    while (t->open && (e = rd_kafka_abort_transaction(t->rk, CALL_MS)))
        if (!transact_again(e, until_ms)) {
            rd_kafka_error_destroy(e); /* the broker does it after the transaction's time */
            break;
        }
    t->open = false;
    t->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
}

void mill_transact_free(struct mill_transact *t)
{
    if (!t)
        return;
    if (t->rk) {
        transact_abort(t);
        rd_kafka_destroy(t->rk);
    }
    free(t);
}

static enum mill_code transact_begin(struct mill_transact *t, struct mill_err *err)
{
    rd_kafka_error_t *e = t->open ? NULL : rd_kafka_begin_transaction(t->rk);

    if (e)
        return transact_fail(err, "begin_transaction", e);
    t->open = true;
    return MILL_OK;
}

static rd_kafka_resp_err_t transact_produce(struct mill_transact *t, const char *topic,
                                            int32_t partition, struct mill_str key,
                                            struct mill_str value, struct mill_map headers)
{
    rd_kafka_headers_t *hdrs = mill_rd_headers_new(headers);
    rd_kafka_resp_err_t e;

    if (headers.n && !hdrs)
        return RD_KAFKA_RESP_ERR__FAIL;
    e = rd_kafka_producev(t->rk, RD_KAFKA_V_TOPIC(topic),
                          RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY((void *)(uintptr_t)key.p, key.n),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value.p, value.n),
                          RD_KAFKA_V_HEADERS(hdrs), RD_KAFKA_V_END);
    if (e && hdrs)
        rd_kafka_headers_destroy(hdrs);
    return e;
}

enum mill_code mill_transact_send(struct mill_transact *t, const char *topic, int32_t partition,
                                  struct mill_str key, struct mill_str value,
                                  struct mill_map headers, struct mill_err *err)
{
    int64_t until_ms = mill_tick_ms() + PATIENCE_MS;
    enum mill_code code = transact_begin(t, err);
    rd_kafka_resp_err_t e;

    if (code)
        return code;
    while ((e = transact_produce(t, topic, partition, key, value, headers)) ==
               RD_KAFKA_RESP_ERR__QUEUE_FULL &&
           mill_tick_ms() < until_ms)
        rd_kafka_poll(t->rk, QUEUE_WAIT_MS);
    rd_kafka_poll(t->rk, 0);
    /* __STATE: the transaction has failed already, and the commit says how. */
    return e && e != RD_KAFKA_RESP_ERR__STATE ? mill_rd_fail_code(err, topic, e) : MILL_OK;
}

enum mill_code mill_transact_commit(struct mill_transact *t, struct mill_err *err)
{
    int64_t until_ms = mill_tick_ms() + PATIENCE_MS;
    enum mill_code code = MILL_OK;
    rd_kafka_error_t *e;

    if (!t->open)
        return MILL_OK;
    while (!code && (e = rd_kafka_commit_transaction(t->rk, CALL_MS)))
        if (!transact_again(e, until_ms))
            code = transact_fail(err, "commit_transaction", e);
    if (!code) {
        t->open = false;
        return MILL_OK;
    }
    if (t->refused)
        code = mill_rd_fail_code(err, "transaction", t->refused);
    transact_abort(t);
    return code;
}
