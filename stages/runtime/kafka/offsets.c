/* Where a partition's log begins, where it ends, and where it reaches a time.
 *
 * Not by rd_kafka_query_watermark_offsets: in librdkafka (2.8 to 2.15) the error of one of its two
 * answers is forgotten when the other is taken in the same turn, and low is then said to be high: a
 * stage skipped what was there, and a table that was empty called itself caught up. */
#include "kafka/rdkafka_int.h"

struct offsets_answer {
    rd_kafka_resp_err_t e;
    int64_t offset;
};

static void offsets_ask(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t spec,
                        int timeout_ms, rd_kafka_queue_t *queue, struct offsets_answer *to)
{
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    char text[128];

    to->e = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = spec;
    rd_kafka_AdminOptions_set_request_timeout(o, timeout_ms, text, sizeof text);
    rd_kafka_AdminOptions_set_opaque(o, to);
    rd_kafka_ListOffsets(rk, list, o, queue);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_AdminOptions_destroy(o);
}

static void offsets_take(rd_kafka_event_t *ev)
{
    struct offsets_answer *to = rd_kafka_event_opaque(ev);
    const rd_kafka_ListOffsetsResultInfo_t **infos;
    const rd_kafka_topic_partition_t *tp;
    size_t n = 0;

    to->e = rd_kafka_event_error(ev);
    if (to->e)
        return;
    infos = rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(ev), &n);
    tp = n ? rd_kafka_ListOffsetsResultInfo_topic_partition(infos[0]) : NULL;
    to->e = tp ? tp->err : RD_KAFKA_RESP_ERR__BAD_MSG;
    to->offset = tp ? tp->offset : -1;
}

/* "No leaders found" does not tell a partition whose leader is yet to be elected from one that
 * there is not: the metadata do. */
static rd_kafka_resp_err_t offsets_no_leader(rd_kafka_t *rk, const char *topic, int32_t partition,
                                             int timeout_ms)
{
    int32_t n;
    rd_kafka_resp_err_t e = mill_rd_partitions(rk, topic, timeout_ms, &n, NULL);

    if (!e && partition >= n)
        e = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    return e ? e : RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; /* or it has one since */
}

/* Asks for all at once. @param specs times in ms, or what RD_KAFKA_OFFSET_SPEC_ names */
static enum mill_code offsets_get(rd_kafka_t *rk, const char *topic, int32_t partition,
                                  const int64_t *specs, struct offsets_answer *answers, size_t n,
                                  int timeout_ms, struct mill_err *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    enum mill_code code = MILL_OK;

    for (size_t i = 0; i < n; i++)
        offsets_ask(rk, topic, partition, specs[i], timeout_ms, queue, &answers[i]);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_event_t *ev = rd_kafka_queue_poll(queue, timeout_ms + 1000);
        if (!ev)
            break;
        offsets_take(ev);
        rd_kafka_event_destroy(ev);
    }
    for (size_t i = 0; !code && i < n; i++) {
        if (answers[i].e == RD_KAFKA_RESP_ERR__NOENT)
            answers[i].e = offsets_no_leader(rk, topic, partition, timeout_ms);
        if (answers[i].e)
            code = mill_rd_fail_code(err, topic, answers[i].e);
    }
    rd_kafka_queue_destroy(queue);
    return code;
}

enum mill_code mill_rd_marks(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t *low,
                             int64_t *high, int timeout_ms, struct mill_err *err)
{
    static const int64_t specs[] = {RD_KAFKA_OFFSET_SPEC_EARLIEST, RD_KAFKA_OFFSET_SPEC_LATEST};
    struct offsets_answer answers[2];
    enum mill_code code = offsets_get(rk, topic, partition, specs, answers, 2, timeout_ms, err);

    if (code)
        return code;
    *low = answers[0].offset;
    *high = answers[1].offset;
    return MILL_OK;
}

enum mill_code mill_rd_offset_at(rd_kafka_t *rk, const char *topic, int32_t partition,
                                 int64_t time_ms, int64_t *offset, int timeout_ms,
                                 struct mill_err *err)
{
    struct offsets_answer answer;
    enum mill_code code = offsets_get(rk, topic, partition, &time_ms, &answer, 1, timeout_ms, err);

    if (!code)
        *offset = answer.offset;
    return code;
}
