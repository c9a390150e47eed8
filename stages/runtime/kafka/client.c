/* What every Kafka client of ours shares; see client.h and rdkafka_int.h. */
#include "kafka/rdkafka_int.h"

#include "base/log.h"
#include <stdatomic.h>
#include <string.h>
#include <syslog.h>

/* Java's murmur2 as the default partitioner uses it, restated: seed and constants are the format.
 */
static uint32_t client_murmur2(const unsigned char *p, size_t n)
{
    const uint32_t m = 0x5bd1e995u;
    uint32_t h = 0x9747b28cu ^ (uint32_t)n;

    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    if (n >= 3)
        h ^= (uint32_t)p[2] << 16;
    if (n >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (n >= 1)
        h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t mill_partition(struct mill_str key, int32_t partitions)
{
    const char *slash = key.n ? memchr(key.p, '/', key.n) : NULL;
    size_t n = slash ? (size_t)(slash - key.p) : key.n;

    if (partitions <= 0)
        return 0;
    return (int32_t)(client_murmur2((const unsigned char *)key.p, n) & 0x7fffffffu) % partitions;
}

struct mill_str mill_origin(struct mill_arena *a, const char *topic_id, int32_t partition,
                            int64_t offset, int64_t timestamp_us)
{
    return mill_arena_printf(a, "%s/%d/%lld/%lld", topic_id, partition, (long long)offset,
                             (long long)timestamp_us);
}

const char *mill_kafka_version(void)
{
    return rd_kafka_version_str();
}

/* librdkafka's own lines go where ours go. */
static void client_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    enum mill_level lvl = level <= LOG_ERR       ? MILL_ERROR
                          : level <= LOG_WARNING ? MILL_WARN
                          : level <= LOG_INFO    ? MILL_INFO
                                                 : MILL_DEBUG;

    mill_log(lvl, "rdkafka", MILL_KV(MILL_KS("fac", fac), MILL_KS("client", rd_kafka_name(rk))),
             "%s", text);
}

/* Why a broker would not talk to us, last; a process has one set of credentials. */
static atomic_int client_refused;

/* Errors of a handle as a whole (brokers down …): the log line above says them too, and acting on
 * them is the caller's. */
static void client_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)opaque;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL)
        atomic_store(&client_refused, code);
    mill_log(MILL_DEBUG, "kafka_error",
             MILL_KV(MILL_KS("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)),
                     MILL_KS("client", rd_kafka_name(rk))),
             "%s", reason);
}

/* Where a keyed record goes, for every producer of ours: librdkafka knows the partition count. */
static int32_t client_partitioner(const rd_kafka_topic_t *rkt, const void *key, size_t n,
                                  int32_t partitions, void *opaque, void *msg_opaque)
{
    if (!key)
        return rd_kafka_msg_partitioner_random(rkt, key, n, partitions, opaque, msg_opaque);
    return mill_partition((struct mill_str){key, n}, partitions);
}

enum mill_code mill_rd_set(rd_kafka_conf_t *rc, const char *name, const char *value,
                           struct mill_err *err)
{
    char text[200];

    if (rd_kafka_conf_set(rc, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        return mill_fail(err, MILL_E_CONFIG, name, "%s", text);
    return MILL_OK;
}

rd_kafka_conf_t *mill_rd_conf(rd_kafka_type_t type, const struct mill_kafka_conf *conf,
                              const struct mill_prop *props, struct mill_err *err)
{
    rd_kafka_conf_t *rc = rd_kafka_conf_new();
    enum mill_code code = MILL_OK;
    struct mill_arena mem = {0}; /* NUL-terminated copies: a PEM is of any length */

    rd_kafka_conf_set_log_cb(rc, client_log);
    rd_kafka_conf_set_error_cb(rc, client_error);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_topic_conf_t *tc = rd_kafka_topic_conf_new();
        rd_kafka_topic_conf_set_partitioner_cb(tc, client_partitioner);
        rd_kafka_conf_set_default_topic_conf(rc, tc); /* rc owns it now */
    }
    code = mill_rd_set(rc, "bootstrap.servers", conf->brokers, err);
    if (!code && conf->client_id)
        code = mill_rd_set(rc, "client.id", conf->client_id, err);
    /* Reconnect soon after an outage: the default may wait 10 s. */
    if (!code)
        code = mill_rd_set(rc, "reconnect.backoff.max.ms", "2000", err);
    for (; !code && props && props->name; props++)
        code = mill_rd_set(rc, props->name, props->value, err);
    for (size_t i = 0; !code && i < conf->rdkafka.n; i++) {
        const char *name = mill_arena_dup(&mem, conf->rdkafka.v[i].key).p;
        const char *value = mill_arena_dup(&mem, conf->rdkafka.v[i].value).p;
        code = name && value ? mill_rd_set(rc, name, value, err)
                             : mill_fail(err, MILL_E_NOMEM, "rdkafka", "out of memory");
    }
    mill_arena_release(&mem);
    if (code) {
        rd_kafka_conf_destroy(rc);
        return NULL;
    }
    return rc;
}

rd_kafka_t *mill_rd_new(rd_kafka_type_t type, rd_kafka_conf_t *rc, struct mill_err *err)
{
    char text[200];
    rd_kafka_t *rk = rd_kafka_new(type, rc, text, sizeof text);

    if (!rk) {
        rd_kafka_conf_destroy(rc); /* rd_kafka_new takes it on success only */
        mill_fail(err, MILL_E_CONFIG, "rdkafka", "%s", text);
    }
    return rk;
}

enum mill_code mill_rd_fail(struct mill_err *err, const char *where, rd_kafka_error_t *e)
{
    enum mill_code code = mill_rd_code(rd_kafka_error_code(e));

    if (code == MILL_E_KAFKA && mill_rd_passes(e))
        code = MILL_E_IO;
    mill_fail(err, code, where, "%s: %s", rd_kafka_error_name(e), rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return code;
}

enum mill_code mill_rd_fail_code(struct mill_err *err, const char *where, rd_kafka_resp_err_t e)
{
    return mill_fail(err, mill_rd_code(e), where, "%s: %s", rd_kafka_err2name(e),
                     rd_kafka_err2str(e));
}

enum mill_code mill_rd_fail_call(struct mill_err *err, const char *where, rd_kafka_t *rk,
                                 rd_kafka_resp_err_t e)
{
    enum mill_code code = mill_rd_fail_code(err, where, e);
    int refused;

    if (code != MILL_E_IO)
        return code;
    rd_kafka_poll(rk, 0); /* what happened to the handle is said by events */
    refused = atomic_exchange(&client_refused, 0);
    if (refused == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return mill_fail(err, MILL_E_AUTH, where, "the broker refuses our user or password");
    if (refused == RD_KAFKA_RESP_ERR__SSL)
        mill_fail(err, MILL_E_IO, where, "no TLS with the broker: is ssl.ca.location its CA?");
    return code;
}

bool mill_rd_headers(const rd_kafka_message_t *m, struct mill_arena *arena, struct mill_map *out)
{
    rd_kafka_headers_t *hdrs = NULL;
    struct mill_pair *v;
    size_t n = 0, count;

    *out = (struct mill_map){0};
    if (rd_kafka_message_headers(m, &hdrs) || !(count = rd_kafka_header_cnt(hdrs)))
        return true;
    v = mill_arena_calloc(arena, count, sizeof *v);
    if (!v)
        return false;
    for (; n < count; n++) {
        const char *name;
        const void *value;
        size_t size;
        if (rd_kafka_header_get_all(hdrs, n, &name, &value, &size))
            break;
        v[n].key = mill_str(name);
        v[n].value = value ? (struct mill_str){value, size} : MILL_STR("");
    }
    *out = (struct mill_map){v, n};
    return true;
}

rd_kafka_headers_t *mill_rd_headers_new(struct mill_map map)
{
    rd_kafka_headers_t *hdrs;

    if (!map.n)
        return NULL;
    hdrs = rd_kafka_headers_new(map.n);
    for (size_t i = 0; hdrs && i < map.n; i++) {
        const struct mill_pair *h = &map.v[i];
        if (rd_kafka_header_add(hdrs, h->key.p, (ssize_t)h->key.n, h->value.p,
                                (ssize_t)h->value.n)) {
            rd_kafka_headers_destroy(hdrs);
            return NULL;
        }
    }
    return hdrs;
}

rd_kafka_resp_err_t mill_rd_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms,
                                       int32_t *n, int32_t *broker)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t e =
        rkt ? rd_kafka_metadata(rk, 0, rkt, &md, timeout_ms) : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;

    if (!e)
        e = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    *n = e ? 0 : md->topics[0].partition_cnt;
    if (broker)
        *broker = e ? -1 : md->orig_broker_id;
    if (broker && !e && *broker < 0 && md->broker_cnt)
        *broker = md->brokers[0].id; /* it was asked before it had told its id */
    if (md)
        rd_kafka_metadata_destroy(md);
    if (rkt)
        rd_kafka_topic_destroy(rkt);
    return e;
}
