/**
 * @file deadletter.c
 * @brief The one place of retry policy: what becomes of a record that a stage has failed on.
 *
 * in   failures  mail.failures  raw: original bytes, failure headers
 * out  dlq       mail.dlq       for a person to look at
 *      parked    mail.parked    redriven too often: nobody redrives it again by accident
 *      delay-1s… mail.delay.*   to come back to mail.retry.<stage>, same partition number
 *      status    mail.status    key message_id or request_id; DEAD_LETTER, class, reason: of a
 *                               mail whose stage has not said itself how it ended
 *
 * A record waits longer after each attempt (waits_ms); after so many, or so long, it is a dead
 * letter. Verdicts: DONE; STOP where it cannot pass a letter on (never a failure of its own: that
 * would have nowhere to go). A record whose headers make no sense goes to the DLQ as it is.
 * State: none.
 */
#include "base/clock.h"
#include "mail/records.h"
#include "mail/request_rules.h"
#include "send/message_id.h"
#include "timer.h"
#include <stdio.h>

enum { OUT_DLQ, OUT_PARKED, OUT_DELAY, OUT_STATUS = OUT_DELAY + MILL_TIMERS };
enum { M_RECORDS };

struct deadletter_conf {
    uint32_t transient_attempts, throttled_attempts, max_redrives;
    uint64_t retry_for_ms;
    const char *retry_prefix, *mail_topics;
};

/** Waits before the next attempt: each about three times the one before. What is waited is between
 *  half of it and all of it, so that what failed together does not come back together. */
static const int64_t waits_ms[] = {1000, 3000, 9000, 27000, 81000, 243000, 600000};
enum { WAIT_1S, WAIT_3S, WAIT_9S, WAIT_10M = 6 };

/** Class → how it is tried again. A class that is not here is not: poison, permanent, unknown,
 *  expired, idempotency-conflict and all that we have never heard of. */
static const struct policy {
    const char *cls;
    size_t cap_off;     /**< of the option with the highest attempt count; SIZE_MAX: no end */
    size_t first, last; /**< of waits_ms */
} policies[] = {
    {"transient", offsetof(struct deadletter_conf, transient_attempts), WAIT_1S, WAIT_10M},
    {"throttled", offsetof(struct deadletter_conf, throttled_attempts), WAIT_3S, WAIT_10M},
    /* The provider refuses us, not the mail: that is for an operator, and no mail's fault. */
    {"credential", SIZE_MAX, WAIT_9S, WAIT_9S},
};

/** In the order of the out ports; all the tiers are one. */
static const char *const ways[] = {"dlq", "parked", "delay", NULL};
static const struct mill_metric metrics[] = {
    [M_RECORDS] = {"mill_deadletter_records_total", MILL_COUNTER, "Failed records, by their way.",
                   "to", ways},
    {0},
};

static const struct mill_opt opts[] = {
    {.name = "transient-attempts",
     .type = MILL_OPT_U32,
     .off = offsetof(struct deadletter_conf, transient_attempts),
     .def = "200",
     .min = 1,
     .max = 100000,
     .help = "attempts of a record of class transient before it is a dead letter"},
    {.name = "throttled-attempts",
     .type = MILL_OPT_U32,
     .off = offsetof(struct deadletter_conf, throttled_attempts),
     .def = "500",
     .min = 1,
     .max = 100000,
     .help = "the same for class throttled"},
    {.name = "retry-for-ms",
     .type = MILL_OPT_MS,
     .off = offsetof(struct deadletter_conf, retry_for_ms),
     .def = "3d",
     .min = 1000,
     .max = UINT64_C(31622400000),
     .help = "a record that failed first longer ago is not tried again (classes with a last "
             "attempt)"},
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
    {.name = "mail-topics",
     .type = MILL_OPT_STR,
     .off = offsetof(struct deadletter_conf, mail_topics),
     .def = "mail.requests,mail.messages,mail.retry.validate,mail.retry.send,mail.delay.1s,"
            "mail.delay.10s,mail.delay.1m,mail.delay.10m,mail.delay.1h,mail.delay.1d",
     .help = "topics of mails, by commas: mail.status tells of the dead letters of what failed "
             "first there"},
    {0},
};

static const struct mill_port in_ports[] = {{"failures", "mail.failures", NULL}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_DLQ] = {"dlq", "mail.dlq", NULL},
    [OUT_PARKED] = {"parked", "mail.parked", NULL},
    MILL_TIMER_OUT(OUT_DELAY),
    [OUT_STATUS] = {"status", "mail.status", &mill_status_desc},
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

static bool partition_ok(const struct mill_record *in)
{
    int64_t n = number(in, "__connect.errors.partition");

    return n >= 0 && n <= INT32_MAX;
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

/** Tried often enough, or for long enough? */
static bool exhausted(const struct deadletter_conf *conf, const struct mill_record *in,
                      const struct policy *policy, int64_t attempt)
{
    int64_t since_us = 0;

    if (policy->cap_off == SIZE_MAX)
        return false;
    if (attempt >= *(const uint32_t *)((const char *)conf + policy->cap_off))
        return true;
    return mill_time_parse(mill_header(in, "mill.first-failed-at"), &since_us) &&
           (mill_now_us() - since_us) / 1000 > (int64_t)conf->retry_for_ms;
}

static size_t deadletter_way(const struct deadletter_conf *conf, const struct mill_record *in,
                             const struct policy *policy)
{
    int64_t attempt = number(in, "mill.attempt");

    if (number(in, "mill.redrives") > (int64_t)conf->max_redrives)
        return OUT_PARKED;
    if (!policy || attempt < 0 || !stage_name_ok(mill_header(in, "mill.stage")) ||
        !partition_ok(in))
        return OUT_DLQ;
    return exhausted(conf, in, policy, attempt) ? OUT_DLQ : OUT_DELAY;
}

/** FNV-1a of the record's origin and attempt: a second run of the same record waits the same. */
static uint64_t spread(const struct mill_record *in, uint64_t attempt)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ attempt;

    for (size_t i = 0; i < in->origin.n; i++)
        h = (h ^ (unsigned char)in->origin.p[i]) * UINT64_C(1099511628211);
    h = (h ^ attempt) * UINT64_C(1099511628211);
    return h >> 16;
}

static int64_t deadletter_wait_ms(const struct mill_record *in, const struct policy *policy)
{
    int64_t attempt = number(in, "mill.attempt");
    size_t step = policy->first + (attempt > 1 ? (size_t)attempt - 1 : 0);
    int64_t half = waits_ms[step < policy->last ? step : policy->last] / 2;

    return half + (int64_t)(spread(in, (uint64_t)attempt) % (uint64_t)(half + 1));
}

/** To wait, and then to the stage that failed: same partition number, its own retry topic. */
static enum mill_code deadletter_delay(struct mill_ctx *ctx, const struct mill_record *in,
                                       const struct policy *policy, struct mill_err *err)
{
    const struct deadletter_conf *conf = mill_conf(ctx);
    char target[MILL_TIMER_TARGET_MAX + 1];
    int64_t partition = number(in, "__connect.errors.partition");
    int len = snprintf(target, sizeof(target), "%s%.*s", conf->retry_prefix,
                       MILL_FMT(mill_header(in, "mill.stage")));

    if (len < 0 || (size_t)len >= sizeof(target))
        return mill_fail(err, MILL_E_CONFIG, "retry-prefix", "too long for a topic's name");
    return mill_timer_forward(ctx, OUT_DELAY, in,
                              mill_now_us() / 1000 + deadletter_wait_ms(in, policy), target,
                              (int32_t)partition, (struct mill_map){NULL, 0}, err);
}

/** Is it a mail of which nobody has said yet how it ends? Who rejects a record for good says so
 *  himself, where he can read it; who says that he tries again means that it goes on. What a sink
 *  could not store goes its way all the same. */
static bool untold(const struct deadletter_conf *conf, const struct mill_record *in,
                   const struct policy *policy)
{
    return !mill_str_is(mill_header(in, "mill.kind"), "sink") &&
           mill_str_listed(mill_header(in, "__connect.errors.topic"), conf->mail_topics) &&
           (policy || !mill_str_in(MILL_STR("status"), mill_header(in, "mill.emitted"))) &&
           (mill_message_id_ok(in->key) || mill_id_ok(in->key));
}

/** The last word on it, as of the time of its failure: what another copy has come to since then is
 *  later. */
static enum mill_code deadletter_status(struct mill_ctx *ctx, const struct mill_record *in,
                                        size_t way, bool given_up, struct mill_err *err)
{
    struct mill_str key = in->key, request_id = mill_str_take(&key, '/');
    struct mill_str cls = mill_header(in, "mill.class");
    struct mill_str why = mill_header(in, "__connect.errors.exception.message");
    struct mill_str tenant = mill_header(in, "mill.tenant"); /* of who could read the record */
    const char *how = way == OUT_PARKED ? "redriven too often: "
                      : given_up        ? "tried too often, or for too long: "
                                        : "";
    const struct mill_status status = {
        .message_id = in->key,
        .request_id = request_id,
        .tenant = mill_str_utf8(tenant) ? tenant : (struct mill_str){0},
        .state = MILL_STATE_DEAD_LETTER,
        .cls = mill_str_utf8(cls) ? cls : (struct mill_str){0},
        .reason = mill_arena_printf(mill_batch_arena(ctx), "%s%.*s", how,
                                    MILL_FMT(mill_str_utf8(why) ? why : MILL_STR("no reason"))),
        .at = in->timestamp_us,
    };

    return mill_emit(ctx, OUT_STATUS, in->key, &status, err);
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
    if (!rc && way != OUT_DELAY && untold(mill_conf(ctx), in, policy))
        rc = deadletter_status(ctx, in, way, policy != NULL, err);
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
