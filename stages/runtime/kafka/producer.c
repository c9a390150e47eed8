/* The plain idempotent producer; see producer.h. */
#include "kafka/producer.h"
#include "kafka/rdkafka_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct mill_producer {
    rd_kafka_t *rk;
    pthread_t poller;
    bool polling;
    atomic_bool stop;
};

/** What a delivery report finds its way back by. */
struct producer_call {
    mill_delivery_fn done;
    void *arg;
};

static enum mill_delivery producer_outcome(const rd_kafka_message_t *m)
{
    if (!m->err)
        return MILL_DELIVERED;
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return MILL_TOO_LARGE;
    /* Anything that was possibly persisted is in doubt, whatever the error says. */
    return rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? MILL_UNDELIVERED
                                                                           : MILL_DOUBTFUL;
}

static void producer_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct producer_call *call = m->_private;

    (void)rk;
    (void)opaque;
    if (call)
        call->done(call->arg, producer_outcome(m), m->partition, m->offset,
                   m->err ? rd_kafka_err2str(m->err) : NULL);
    free(call);
}

static void *producer_poll(void *arg)
{
    struct mill_producer *p = arg;

    while (!atomic_load(&p->stop))
        rd_kafka_poll(p->rk, 100);
    return NULL;
}

enum mill_code mill_producer_new(struct mill_producer **out, const struct mill_kafka_conf *conf,
                                 struct mill_err *err)
{
    static const struct mill_prop props[] = {
        {"linger.ms", "2"},
        {"compression.type", "lz4"},
        {"message.max.bytes", "4194304"},
        {"queue.buffering.max.kbytes", "131072"},
        {"delivery.timeout.ms", "10000"}, /* a caller waits for its 202: no longer than it would */
        {NULL, NULL},
    };
    struct mill_producer *p = calloc(1, sizeof *p);
    rd_kafka_conf_t *rc = NULL;
    enum mill_code rc_code = MILL_OK;

    *out = NULL;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "producer", "out of memory");
    rc = mill_rd_conf(RD_KAFKA_PRODUCER, conf, props, err);
    if (!rc) {
        rc_code = MILL_E_CONFIG;
        goto out;
    }
    /* Last, so that no pass-through weakens them: a 202 rests on these two. */
    rc_code = mill_rd_set(rc, "acks", "all", err);
    if (!rc_code)
        rc_code = mill_rd_set(rc, "enable.idempotence", "true", err);
    if (rc_code) {
        rd_kafka_conf_destroy(rc);
        goto out;
    }
    rd_kafka_conf_set_dr_msg_cb(rc, producer_delivered);
    p->rk = mill_rd_new(RD_KAFKA_PRODUCER, rc, err);
    if (!p->rk) {
        rc_code = MILL_E_CONFIG;
        goto out;
    }
    if (pthread_create(&p->poller, NULL, producer_poll, p)) {
        rc_code = mill_fail(err, MILL_E_NOMEM, "producer", "cannot start a thread");
        goto out;
    }
    p->polling = true;
    *out = p;
    p = NULL;
out:
    mill_producer_free(p, 0);
    return rc_code;
}

void mill_producer_free(struct mill_producer *p, uint32_t timeout_ms)
{
    if (!p)
        return;
    if (p->rk && timeout_ms)
        rd_kafka_flush(p->rk, (int)timeout_ms);
    if (p->polling) {
        atomic_store(&p->stop, true);
        pthread_join(p->poller, NULL);
    }
    if (p->rk) {
        /* What is left gets its delivery report (undelivered, or in doubt) before we go. */
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(p->rk, 1000);
        rd_kafka_destroy(p->rk);
    }
    free(p);
}

enum mill_code mill_producer_send(struct mill_producer *p, const char *topic, int32_t partition,
                                  struct mill_str key, struct mill_str value,
                                  struct mill_map headers, mill_delivery_fn done, void *arg,
                                  struct mill_err *err)
{
    struct producer_call *call = NULL;
    rd_kafka_headers_t *hdrs = NULL;
    rd_kafka_resp_err_t e;
    enum mill_code code = MILL_OK;

    call = malloc(sizeof *call);
    hdrs = mill_rd_headers_new(headers);
    if (!call || (headers.n && !hdrs)) {
        code = mill_fail(err, MILL_E_NOMEM, topic, "out of memory");
        goto out;
    }
    *call = (struct producer_call){done, arg};
    e = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(partition < 0 ? RD_KAFKA_PARTITION_UA : partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)(uintptr_t)key.p, key.n),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value.p, value.n), RD_KAFKA_V_HEADERS(hdrs),
        RD_KAFKA_V_OPAQUE(done ? call : NULL), RD_KAFKA_V_END);
    if (e) {
        code = mill_rd_fail_code(err, topic, e);
        goto out;
    }
    hdrs = NULL; /* librdkafka has it */
    if (done)
        call = NULL; /* the delivery report frees it */
out:
    if (hdrs)
        rd_kafka_headers_destroy(hdrs);
    free(call);
    return code;
}

bool mill_producer_ready(struct mill_producer *p, const char *topic, uint32_t timeout_ms)
{
    int32_t n;

    return !mill_rd_partitions(p->rk, topic, (int)timeout_ms, &n, NULL) && n > 0;
}

size_t mill_producer_queued(const struct mill_producer *p)
{
    return (size_t)rd_kafka_outq_len(p->rk);
}
