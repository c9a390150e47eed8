/* What librdkafka's errors mean to us: the one table of what may pass by itself, and of what has a
 * code of its own. */
#include "kafka/rdkafka_int.h"

#define PASSES(e)                                                                                  \
    {                                                                                              \
        RD_KAFKA_RESP_ERR_##e, MILL_E_IO, false                                                    \
    }
#define MOVES(e)                                                                                   \
    {                                                                                              \
        RD_KAFKA_RESP_ERR_##e, MILL_E_IO, true                                                     \
    } /* a coordinator is elsewhere, or not yet */
#define IS(e, code)                                                                                \
    {                                                                                              \
        RD_KAFKA_RESP_ERR_##e, code, false                                                         \
    }

/** An error that is not here is MILL_E_KAFKA: nobody has thought of it, and it ends the process. */
static const struct {
    rd_kafka_resp_err_t e;
    enum mill_code code;
    bool moves;
} codes[] = {
    IS(NO_ERROR, MILL_OK),
    IS(MSG_SIZE_TOO_LARGE, MILL_E_DATA),
    IS(RECORD_LIST_TOO_LARGE, MILL_E_DATA),
    IS(UNKNOWN_TOPIC_OR_PART, MILL_E_NOENT), /* a broker that has just started says so too */
    IS(_UNKNOWN_TOPIC, MILL_E_NOENT),
    IS(_UNKNOWN_PARTITION, MILL_E_NOENT),
    IS(_AUTHENTICATION, MILL_E_AUTH),
    IS(SASL_AUTHENTICATION_FAILED, MILL_E_AUTH),
    IS(TOPIC_AUTHORIZATION_FAILED, MILL_E_AUTH),
    IS(GROUP_AUTHORIZATION_FAILED, MILL_E_AUTH),
    IS(CLUSTER_AUTHORIZATION_FAILED, MILL_E_AUTH),
    IS(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, MILL_E_AUTH),
    /* librdkafka's own: no answer, or nobody to ask. */
    PASSES(_TIMED_OUT),
    PASSES(_TIMED_OUT_QUEUE),
    PASSES(_MSG_TIMED_OUT),
    PASSES(_TRANSPORT),
    PASSES(_RESOLVE),
    PASSES(_ALL_BROKERS_DOWN),
    PASSES(_QUEUE_FULL),
    PASSES(_WAIT_CACHE),
    PASSES(_RETRY),
    MOVES(_WAIT_COORD),
    /* A broker is slow, full or ill. */
    PASSES(REQUEST_TIMED_OUT),
    PASSES(NETWORK_EXCEPTION),
    PASSES(BROKER_NOT_AVAILABLE),
    PASSES(NOT_ENOUGH_REPLICAS),
    PASSES(NOT_ENOUGH_REPLICAS_AFTER_APPEND),
    PASSES(KAFKA_STORAGE_ERROR),
    PASSES(THROTTLING_QUOTA_EXCEEDED),
    /* A partition or the controller has moved, or is about to. */
    PASSES(LEADER_NOT_AVAILABLE),
    PASSES(NOT_LEADER_FOR_PARTITION),
    PASSES(FENCED_LEADER_EPOCH),
    PASSES(UNKNOWN_LEADER_EPOCH),
    PASSES(OFFSET_NOT_AVAILABLE),
    PASSES(REPLICA_NOT_AVAILABLE),
    PASSES(PREFERRED_LEADER_NOT_AVAILABLE),
    PASSES(ELIGIBLE_LEADERS_NOT_AVAILABLE),
    PASSES(LISTENER_NOT_FOUND),
    PASSES(NOT_CONTROLLER),
    /* The coordinator of a group or of transactions. */
    MOVES(NOT_COORDINATOR),
    MOVES(COORDINATOR_NOT_AVAILABLE),
    MOVES(COORDINATOR_LOAD_IN_PROGRESS),
    PASSES(UNSTABLE_OFFSET_COMMIT),
    PASSES(CONCURRENT_TRANSACTIONS),
};

enum mill_code mill_rd_code(rd_kafka_resp_err_t e)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].e == e)
            return codes[i].code;
    return MILL_E_KAFKA;
}

bool mill_rd_moves(rd_kafka_resp_err_t e)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].e == e)
            return codes[i].moves;
    return false;
}

bool mill_rd_passes(const rd_kafka_error_t *e)
{
    if (rd_kafka_error_is_fatal(e) || rd_kafka_error_txn_requires_abort(e))
        return false;
    return rd_kafka_error_is_retriable(e) || mill_rd_code(rd_kafka_error_code(e)) == MILL_E_IO;
}
