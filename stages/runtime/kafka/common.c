/** @file common.c  @brief See common.h. */
#include "kafka/common.h"
#include "kafka/rdkafka_int.h"

#include <stddef.h>

#define OFF(member) offsetof(struct mill_common, member)
const struct mill_opt mill_client_opts[] = {
    {.name = "brokers",
     .type = MILL_OPT_STR,
     .off = OFF(brokers),
     .def = "127.0.0.1:9092",
     .help = "Kafka brokers, host:port with commas between"},
    {.name = "registry",
     .type = MILL_OPT_STR,
     .off = OFF(registry),
     .def = "http://127.0.0.1:8081",
     .help = "base URL of the schema registry"},
    {.name = "rdkafka.",
     .type = MILL_OPT_PREFIX,
     .off = OFF(rdkafka),
     .help = "any librdkafka property"},
    {0},
};

const struct mill_opt mill_common_opts[] = {
    {.name = "instance",
     .type = MILL_OPT_STR,
     .off = OFF(instance),
     .def = "0",
     .help = "name of this instance, stable over restarts, unique in the group"},
    {.name = "status-listen",
     .type = MILL_OPT_STR,
     .off = OFF(status_listen),
     .help = "host:port of /healthz, /readyz and /metrics; none if not given"},
    {.name = "log-level",
     .type = MILL_OPT_STR,
     .off = OFF(log_level),
     .def = "info",
     .help = "debug, info, warn or error"},
    {.name = "drain-ms",
     .type = MILL_OPT_MS,
     .off = OFF(drain_ms),
     .def = "60s",
     .min = 1,
     .max = 600000,
     .help = "longest wait for running calls after SIGTERM"},
    {0},
};
#undef OFF

/* What exactly-once rests on is not for passing through. */
static bool common_fixed(struct mill_str name)
{
    static const char *const fixed[] = {
        "group.id",          "group.instance.id",  "partition.assignment.strategy",
        "isolation.level",   "enable.auto.commit", "enable.auto.offset.store",
        "auto.offset.reset", "transactional.id",   "enable.partition.eof",
        "enable.idempotence"};

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (mill_str_is(name, fixed[i]))
            return true;
    return false;
}

enum mill_code mill_common_check(const struct mill_common *c, enum mill_level *level,
                                 struct mill_err *err)
{
    const struct mill_kafka_conf kafka = {.brokers = c->brokers, .rdkafka = c->rdkafka};
    rd_kafka_conf_t *rc;

    if (!mill_level_parse(c->log_level, level))
        return mill_fail(err, MILL_E_CONFIG, "log-level", "is none of debug, info, warn, error");
    for (size_t i = 0; i < c->rdkafka.n; i++)
        if (common_fixed(c->rdkafka.v[i].key))
            return mill_fail(err, MILL_E_CONFIG, "rdkafka.", "%.*s is the runtime's own",
                             MILL_FMT(c->rdkafka.v[i].key));
    rc = mill_rd_conf(RD_KAFKA_CONSUMER, &kafka, NULL, err);
    if (!rc)
        return MILL_E_CONFIG;
    rd_kafka_conf_destroy(rc);
    return MILL_OK;
}
