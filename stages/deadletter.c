/**
 * @file deadletter.c
 * @brief The one place of retry policy: what becomes of a record that a stage has failed on.
 *
 * in   failures  mail.failures   raw: original bytes, failure headers
 * out  delay     mail.delay.10s  to come back to mail.retry.<stage>, same partition number
 *      dlq       mail.dlq        for a person to look at
 *      parked    mail.parked     redriven too often: nobody redrives it again by accident
 * Verdicts: DONE, always: a failure of the failure path would have nowhere to go. A record whose
 * headers make no sense goes to the DLQ as it is. State: none.
 */
#include "base/clock.h"
#include "stage.h"
#include <stdio.h>

enum { OUT_DELAY, OUT_DLQ, OUT_PARKED };
enum { M_RECORDS };
enum { TARGET_MAX = 249 }; /**< longest topic name that Kafka takes */

struct deadletter_conf {
    uint32_t transient_attempts, throttled_attempts, max_redrives;
    const char *retry_prefix;
};

/** Class → how often it is tried. A class that is not here is not tried again. */
static const struct policy {
    const char *cls;
    size_t cap_off;   /**< of the option with the highest attempt count; SIZE_MAX for no cap */
    int64_t first_ms; /**< wait before the second attempt */
} policies[] = {
    {"transient", offsetof(struct deadletter_conf, transient_attempts), 10000},
    {"throttled", offsetof(struct deadletter_conf, throttled_attempts), 10000},
    /* The provider refuses us, not the mail: that is for an operator, and no mail's fault. */
    {"credential", SIZE_MAX, 10000},
};

static const char *const ways[] = {"delay", "dlq", "parked", NULL};
static const struct mill_metric metrics[] = {
    [M_RECORDS] = {"mill_deadletter_records_total", MILL_COUNTER, "Failed records, by their way.",
                   "to", ways},
    {0},
};

static const struct mill_opt opts[] = {
    {.name = "transient-attempts",
     .type = MILL_OPT_U32,
     .off = offsetof(struct deadletter_conf, transient_attempts),
     .def = "30",
     .min = 1,
     .max = 100000,
     .help = "attempts of a record of class transient before it is a dead letter"},
    {.name = "throttled-attempts",
     .type = MILL_OPT_U32,
     .off = offsetof(struct deadletter_conf, throttled_attempts),
     .def = "360",
     .min = 1,
     .max = 100000,
     .help = "the same for class throttled"},
    {.name = "max-redrives",
     .type = MILL_OPT_U32,
     .off = offsetof(struct deadletter_conf, max_redrives),
     .def = "5",
     .min = 1,
     .max = 1000,
     .help = "redrives out of the DLQ before a record is parked"},
    {.name = "retry-prefix",
     .type = MILL_OPT_STR,
     .off = offsetof(struct deadletter_conf, retry_prefix),
     .def = "mail.retry.",
     .help = "retry topics are this and the stage's name"},
    {0},
};

static const struct mill_port in_ports[] = {{"failures", "mail.failures", NULL}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_DELAY] = {"delay", "mail.delay.10s", NULL},
    [OUT_DLQ] = {"dlq", "mail.dlq", NULL},
    [OUT_PARKED] = {"parked", "mail.parked", NULL},
    {0},
};

static const struct policy *deadletter_policy(struct mill_str cls)
{
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        if (mill_str_is(cls, policies[i].cls))
            return &policies[i];
    return NULL;
}

/** A header that counts something; -1 when it is not there or no such number. */
static int64_t number(const struct mill_record *in, const char *name)
{
    int64_t n = -1;

    return mill_str_i64(mill_header(in, name), &n) && n >= 0 ? n : -1;
}

static bool stage_name_ok(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return s.n > 0 && s.n < 100;
}

static size_t deadletter_way(const struct deadletter_conf *conf, const struct mill_record *in,
                             const struct policy *policy)
{
    int64_t attempt = number(in, "mill.attempt");
    int64_t cap = INT64_MAX;

    if (number(in, "mill.redrives") > (int64_t)conf->max_redrives)
        return OUT_PARKED;
    if (!policy || attempt < 0 || !stage_name_ok(mill_header(in, "mill.stage")) ||
        number(in, "__connect.errors.partition") < 0)
        return OUT_DLQ;
    if (policy->cap_off != SIZE_MAX)
        cap = *(const uint32_t *)((const char *)conf + policy->cap_off);
    return attempt < cap ? OUT_DELAY : OUT_DLQ;
}

/** The record's headers, the old delay's ones replaced. */
static enum mill_code deadletter_delay(struct mill_ctx *ctx, const struct mill_record *in,
                                       const struct policy *policy, struct mill_err *err)
{
    const struct deadletter_conf *conf = mill_conf(ctx);
    struct mill_pair *h = mill_arena_calloc(mill_batch_arena(ctx), in->headers.n + 3, sizeof(*h));
    char due[24], target[TARGET_MAX + 1];
    size_t n = in->headers.n;
    int len = snprintf(target, sizeof(target), "%s%.*s", conf->retry_prefix,
                       MILL_FMT(mill_header(in, "mill.stage")));

    if (!h || len < 0 || (size_t)len >= sizeof(target))
        return mill_fail(err, MILL_E_NOMEM, "headers", "no room for the delay headers");
    snprintf(due, sizeof(due), "%lld", (long long)(mill_now_us() / 1000 + policy->first_ms));
    if (n)
        memcpy(h, in->headers.v, n * sizeof(*h));
    h[n++] = (struct mill_pair){MILL_STR("mill.due"), mill_str(due)};
    h[n++] = (struct mill_pair){MILL_STR("mill.target"), mill_str(target)};
    h[n++] = (struct mill_pair){MILL_STR("mill.target-partition"),
                                mill_header(in, "__connect.errors.partition")};
    return mill_forward(ctx, mill_out_topic(ctx, OUT_DELAY), -1, in, (struct mill_map){h, n}, err);
}

static enum mill_verdict deadletter_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                              struct mill_err *err)
{
    const struct policy *policy = deadletter_policy(mill_header(in, "mill.class"));
    size_t way = deadletter_way(mill_conf(ctx), in, policy);
    enum mill_code rc = MILL_OK;

    if (way == OUT_DELAY)
        rc = deadletter_delay(ctx, in, policy, err);
    else
        rc = mill_forward(ctx, mill_out_topic(ctx, way), -1, in, in->headers, err);
    mill_count(ctx, M_RECORDS, way, 1);
    return rc ? MILL_STOP : MILL_DONE; /* never to mail.failures: start again instead */
}

MILL_STAGE(deadletter) = {
    .name = "deadletter",
    .summary = "decide what becomes of failed records",
    .in = in_ports,
    .out = out_ports,
    .opts = opts,
    .conf_size = sizeof(struct deadletter_conf),
    .metrics = metrics,
    .no_retry = true,
    .on_record = deadletter_on_record,
};
