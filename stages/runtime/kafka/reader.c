/* Partitions read without a group; see reader.h. */
#include "kafka/reader.h"
#include "base/clock.h"
#include "kafka/rdkafka_int.h"

#include <stdlib.h>

enum { ASK_MS = 10000 };

struct mill_reader {
    rd_kafka_t *rk;   /**< reads committed records */
    rd_kafka_t *asks; /**< offsets and metadata: polled for its events, it has no record to lose */
    rd_kafka_topic_partition_list_t *parts; /**< what is read; offset = position, markers counted */
    rd_kafka_message_t *last;               /**< what the caller has borrowed */
    struct mill_arena arena;                /**< headers of last */
};

static rd_kafka_t *reader_handle(const struct mill_kafka_conf *conf, struct mill_err *err)
{
    const struct mill_prop props[] = {
        {"group.id", "mill.reader"}, /* demanded by librdkafka; never joined, nothing committed */
        {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"}, {"fetch.queue.backoff.ms", "10"},
        {"fetch.wait.max.ms", "100"},          {NULL, NULL},
    };
    rd_kafka_conf_t *rc = mill_rd_conf(RD_KAFKA_CONSUMER, conf, props, err);
    rd_kafka_t *rk = rc ? mill_rd_new(RD_KAFKA_CONSUMER, rc, err) : NULL;

    if (rk)
        rd_kafka_poll_set_consumer(rk);
    return rk;
}

enum mill_code mill_reader_new(struct mill_reader **out, const struct mill_kafka_conf *conf,
                               struct mill_err *err)
{
    struct mill_reader *r = calloc(1, sizeof *r);

    *out = NULL;
    if (!r)
        return mill_fail(err, MILL_E_NOMEM, "reader", "out of memory");
    r->rk = reader_handle(conf, err);
    r->asks = r->rk ? reader_handle(conf, err) : NULL;
    r->parts = r->asks ? rd_kafka_topic_partition_list_new(4) : NULL;
    if (!r->parts) {
        mill_reader_free(r);
        return MILL_E_CONFIG;
    }
    *out = r;
    return MILL_OK;
}

static void reader_drop_last(struct mill_reader *r)
{
    if (r->last)
        rd_kafka_message_destroy(r->last);
    r->last = NULL;
    mill_arena_reset(&r->arena);
}

void mill_reader_free(struct mill_reader *r)
{
    if (!r)
        return;
    reader_drop_last(r);
    mill_arena_release(&r->arena);
    if (r->parts)
        rd_kafka_topic_partition_list_destroy(r->parts);
    if (r->rk) {
        rd_kafka_assign(r->rk, NULL);
        rd_kafka_consumer_close(r->rk);
        rd_kafka_destroy(r->rk);
    }
    if (r->asks) {
        rd_kafka_consumer_close(r->asks);
        rd_kafka_destroy(r->asks);
    }
    free(r);
}

enum mill_code mill_reader_partitions(struct mill_reader *r, const char *topic, int32_t *n,
                                      struct mill_err *err)
{
    rd_kafka_resp_err_t e = mill_rd_partitions(r->asks, topic, ASK_MS, n, NULL);

    return e ? mill_rd_fail_call(err, topic, r->asks, e) : MILL_OK;
}

enum mill_code mill_reader_marks(struct mill_reader *r, const char *topic, int32_t partition,
                                 int64_t *low, int64_t *high, struct mill_err *err)
{
    return mill_rd_marks(r->asks, topic, partition, low, high, ASK_MS, err);
}

enum mill_code mill_reader_offset_at(struct mill_reader *r, const char *topic, int32_t partition,
                                     int64_t time_ms, int64_t *offset, struct mill_err *err)
{
    int64_t low;
    enum mill_code code =
        mill_rd_offset_at(r->asks, topic, partition, time_ms, offset, ASK_MS, err);

    if (!code && *offset < 0)
        code = mill_reader_marks(r, topic, partition, &low, offset, err);
    return code;
}

static enum mill_code reader_assign(struct mill_reader *r, struct mill_err *err)
{
    rd_kafka_resp_err_t e;

    e = rd_kafka_assign(r->rk, r->parts->cnt ? r->parts : NULL);
    return e ? mill_rd_fail_code(err, "assign", e) : MILL_OK;
}

enum mill_code mill_reader_add(struct mill_reader *r, const char *topic, int32_t partition,
                               int64_t offset, struct mill_err *err)
{
    int64_t low, high;
    enum mill_code code = MILL_OK;

    if (offset == MILL_READ_START || offset == MILL_READ_END) {
        code = mill_reader_marks(r, topic, partition, &low, &high, err);
        if (code)
            return code;
        offset = offset == MILL_READ_START ? low : high;
    }
    return mill_reader_resume(
        r, topic, &(struct mill_reader_at){.partition = partition, .epoch = -1, .offset = offset},
        1, err);
}

/* librdkafka (2.8) compares leader epochs on a seek and when the leader changes, but not where an
 * assignment begins. */
static enum mill_code reader_compare(struct mill_reader *r, const char *topic,
                                     const struct mill_reader_at *at, size_t n,
                                     struct mill_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n + 1);
    rd_kafka_error_t *e = NULL;

    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *tp;
        if (at[i].epoch < 0)
            continue;
        tp = rd_kafka_topic_partition_list_add(list, topic, at[i].partition);
        tp->offset = at[i].offset;
        rd_kafka_topic_partition_set_leader_epoch(tp, at[i].epoch);
    }
    if (list->cnt)
        e = rd_kafka_seek_partitions(r->rk, list, ASK_MS);
    rd_kafka_topic_partition_list_destroy(list);
    return e ? mill_rd_fail(err, topic, e) : MILL_OK;
}

enum mill_code mill_reader_resume(struct mill_reader *r, const char *topic,
                                  const struct mill_reader_at *at, size_t n, struct mill_err *err)
{
    enum mill_code code;

    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *tp;
        rd_kafka_topic_partition_list_del(r->parts, topic, at[i].partition);
        tp = rd_kafka_topic_partition_list_add(r->parts, topic, at[i].partition);
        tp->offset = at[i].offset;
        rd_kafka_topic_partition_set_leader_epoch(tp, at[i].epoch);
    }
    code = reader_assign(r, err);
    return code ? code : reader_compare(r, topic, at, n, err);
}

enum mill_code mill_reader_remove(struct mill_reader *r, const char *topic, int32_t partition,
                                  struct mill_err *err)
{
    if (!rd_kafka_topic_partition_list_del(r->parts, topic, partition))
        return MILL_OK;
    return reader_assign(r, err);
}

static void reader_moved(struct mill_reader *r, const rd_kafka_message_t *m)
{
    rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_find(r->parts, rd_kafka_topic_name(m->rkt), m->partition);
    int64_t to = m->offset + (m->err ? 0 : 1);

    if (!at)
        return;
    at->opaque = r; /* heard of */
    if (to <= at->offset)
        return;
    at->offset = to;
    if (!m->err)
        rd_kafka_topic_partition_set_leader_epoch(at, rd_kafka_message_leader_epoch(m));
}

/* True when the message is a record; ends of partitions and passing errors are not. */
static enum mill_code reader_take(struct mill_reader *r, rd_kafka_message_t *m, bool *got,
                                  struct mill_err *err)
{
    enum mill_code code = MILL_OK;

    *got = !m->err;
    /* An end of partition carries the offset behind the last marker: a record's alone would not. */
    if (m->rkt && (!m->err || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF))
        reader_moved(r, m);
    if (!m->err) {
        r->last = m;
        return MILL_OK;
    }
    code = m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ? MILL_E_DATA : mill_rd_code(m->err);
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == MILL_E_IO)
        code = MILL_OK;
    if (code)
        mill_fail(err, code, m->rkt ? rd_kafka_topic_name(m->rkt) : "reader", "%s",
                  rd_kafka_message_errstr(m));
    rd_kafka_message_destroy(m);
    return code;
}

enum mill_code mill_reader_next(struct mill_reader *r, int wait_ms, struct mill_record *in,
                                bool *got, struct mill_err *err)
{
    int64_t until = mill_tick_ms() + wait_ms;
    enum mill_code code = MILL_OK;

    *got = false;
    reader_drop_last(r);
    while (!code && !*got) {
        int64_t left = until - mill_tick_ms();
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, left > 0 ? (int)left : 0);
        if (m)
            code = reader_take(r, m, got, err);
        else if (left <= 0)
            break;
    }
    if (*got) {
        rd_kafka_timestamp_type_t type;
        *in = (struct mill_record){
            .topic = rd_kafka_topic_name(r->last->rkt),
            .partition = r->last->partition,
            .offset = r->last->offset,
            .timestamp_us = rd_kafka_message_timestamp(r->last, &type) * 1000,
            .key = {r->last->key, r->last->key_len},
            .raw = {r->last->payload, r->last->len},
        };
        in->append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
        if (!mill_rd_headers(r->last, &r->arena, &in->headers)) {
            *got = false;
            code = mill_fail(err, MILL_E_NOMEM, in->topic, "out of memory");
        }
    }
    return code;
}

int64_t mill_reader_position(struct mill_reader *r, const char *topic, int32_t partition)
{
    const rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_find(r->parts, topic, partition);

    return at ? at->offset : -1;
}

int64_t mill_reader_lag(struct mill_reader *r, const char *topic, int32_t partition)
{
    int64_t low = 0, high = 0, at = mill_reader_position(r, topic, partition);

    if (rd_kafka_get_watermark_offsets(r->rk, topic, partition, &low, &high) || high < 0 || at < 0)
        return -1;
    return high > at ? high - at : 0;
}

int32_t mill_reader_epoch(struct mill_reader *r, const char *topic, int32_t partition)
{
    const rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_find(r->parts, topic, partition);

    return at ? rd_kafka_topic_partition_get_leader_epoch(at) : -1;
}

bool mill_reader_heard(struct mill_reader *r, const char *topic, int32_t partition)
{
    const rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_find(r->parts, topic, partition);

    return at && at->opaque;
}
