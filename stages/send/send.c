/**
 * @file send.c
 * @brief Hands messages to a mail provider, with at most one call per decision.
 *
 * in     messages       mail.messages       message.avsc       key: message_id
 *        cancellations  mail.cancellations  cancellation.avsc  (cancel.c)
 * table  ledger         mail.ledger         ledger.avsc        key: message_id/attempt/writer
 *        cancellations  mail.cancellations  cancellation.avsc  key: request_id or message_id
 *        pauses         mail.pauses         pause.avsc         key: category; global
 *        suppressions   mail.suppressions   suppression.avsc   key of tenant and address; global
 * out    ledger     mail.ledger   ledger.avsc  CLAIM and INTENT before the call, OUTCOME after it
 *        status     mail.status   status.avsc  key: message_id
 *        events     mail.callbacks.events  callback_event.avsc  recipients that SMTP refused
 *        delay-1s…  mail.delay.*  raw; messages that wait: for send_at, evidence, a provider, a
 *                                 pause to end
 *
 * on_batch decides for each record (plan.c) and emits INTENTs, which are committed with unmoved
 * offsets: transaction A. From there on the provider may be called, once; the answers become
 * OUTCOME, status and verdict in the batch's own transaction B. A crash between the two leaves an
 * INTENT without OUTCOME: the next life does not call. It says UNKNOWN (status; DOUBT in the
 * ledger, so that it is said once), as it does of a lost reply, and the message waits for evidence
 * (doubt.c). Verdicts: DONE accepted, duplicate, early, in doubt, paused, cancelled; REJECT
 * permanent, unknown (held), expired, idempotency-conflict; RETRY throttled, transient, credential.
 * State: the ledger (a topic), and what this process itself has under way (life.h). Replay calls
 * nobody for what was accepted.
 */
#include "send/send.h"
#include "base/clock.h"
#include "timer.h"
#include <stdlib.h>
#include <time.h>

enum {
    LIFE_DEEDS = 8192,
    /** INTENTs of one transaction A: so many are in doubt at most after a crash. Two rounds of the
     *  default concurrency, so that the commits around them cost little. */
    BATCH_MAX = 1024,
    HOLD_MS = 5000, /**< longest wait in hand for a provider */
    REFRESH_MS = 50,
};

static const char *const outcomes[] = {"none",      "accepted", "permanent",  "throttled",
                                       "transient", "unknown",  "credential", NULL};
static const char *const plans[] = {
    [SEND_BROKEN] = "broken",
    [SEND_CALL] = "call",
    [SEND_AGAIN] = "again",
    [SEND_DUPLICATE] = "duplicate",
    [SEND_DOUBT] = "doubt",
    [SEND_HOLD] = "hold",
    [SEND_REFUSED] = "refused",
    [SEND_CONFLICT] = "conflict",
    [SEND_EXPIRED] = "expired",
    [SEND_EARLY] = "early",
    [SEND_OVERSIZE] = "oversize",
    [SEND_WAIT] = "wait",
    [SEND_CANCELLED] = "cancelled",
    [SEND_HALTED] = "paused",
    [SEND_SUPPRESSED] = "suppressed",
    [SEND_CANCELLATION] = "cancellation",
    [SEND_BUSY] = "busy",
    NULL,
};
static const struct mill_metric metrics[] = {
    [SEND_M_OUTCOMES] = {"mill_send_outcomes_total", MILL_COUNTER, "Provider calls, by outcome.",
                         "outcome", outcomes},
    [SEND_M_SKIPPED] = {"mill_send_decisions_total", MILL_COUNTER, "Messages, by decision.",
                        "decision", plans},
    [SEND_M_CALL] = {"mill_send_call_seconds", MILL_HISTOGRAM, "Time of a provider call.", NULL,
                     NULL},
    [SEND_M_IN_FLIGHT] = {"mill_send_in_flight", MILL_GAUGE, "Provider calls that run.", NULL,
                          NULL},
    [SEND_M_PAUSED] = {"mill_send_paused_providers", MILL_GAUGE,
                       "Providers that refuse our credentials.", NULL, NULL},
    [SEND_M_BREAKER] = {"mill_send_breaker_state", MILL_GAUGE,
                        "0 closed, 1 half-open, 2 open, 3 paused (credentials refused).",
                        "provider", mill_provider_names},
    [SEND_M_TOKENS] = {"mill_send_tokens", MILL_GAUGE,
                       "Calls that the provider's rate allows at once.", "provider",
                       mill_provider_names},
#define CALLS(outcome, name)                                                                       \
    [SEND_M_PROVIDER + MILL_OUTCOME_##outcome - MILL_OUTCOME_ACCEPTED] = {                         \
        "mill_send_calls_" name "_total", MILL_COUNTER, "Calls that ended as " name ".",           \
        "provider", mill_provider_names}
    CALLS(ACCEPTED, "accepted"),
    CALLS(PERMANENT, "permanent"),
    CALLS(THROTTLED, "throttled"),
    CALLS(TRANSIENT, "transient"),
    CALLS(UNKNOWN, "unknown"),
    CALLS(CREDENTIAL, "credential"),
    {0},
};

#define OPT(m) .off = offsetof(struct send_conf, m)
static const struct mill_opt opts[] = {
    {.name = "concurrency",
     .type = MILL_OPT_U32,
     OPT(concurrency),
     .def = "512",
     .min = 1,
     .max = 1000,
     .help = "provider calls at once"},
    {.name = "call-timeout-ms",
     .type = MILL_OPT_MS,
     OPT(call_timeout_ms),
     .def = "20s",
     .min = 100,
     .max = 120000,
     .help = "longest provider call; after it the outcome is unknown"},
    {.name = "intent-max-ms",
     .type = MILL_OPT_MS,
     OPT(intent_max_ms),
     .def = "30s",
     .min = 1,
     .max = 30000,
     .help = "a message is not called any more when its intent is older"},
    {.name = "max-age-ms",
     .type = MILL_OPT_MS,
     OPT(max_age_ms),
     .def = "7d",
     .min = 1000,
     .max = UINT64_C(31622400000),
     .help = "older messages are refused; at least a day less than the ledger is kept"},
    {.name = "unknown-wait-ms",
     .type = MILL_OPT_MS,
     OPT(unknown_wait_ms),
     .def = "10m",
     .min = 100,
     .max = 86400000,
     .help = "how long a message whose outcome nobody knows waits for an event that proves it; "
             "not less than intent-max-ms"},
    {.name = "return-topic",
     .type = MILL_OPT_STR,
     OPT(return_topic),
     .def = "mail.retry.send",
     .help = "where a message that waited comes back"},
    {0},
};

/** The routes' options, those about recipients and attachments, then each provider's. */
static const struct mill_opt *send_opts_more(size_t n, size_t *off)
{
    if (n == 0) {
        *off = offsetof(struct send_conf, routes);
        return send_routes_opts;
    }
    if (n == 1) {
        *off = offsetof(struct send_conf, suppress);
        return send_suppress_opts;
    }
    if (n == 2) {
        *off = offsetof(struct send_conf, attach);
        return send_attach_opts;
    }
    n -= 3;
    if (n >= MILL_PROVIDERS_N)
        return NULL;
    *off = offsetof(struct send_conf, accounts) + n * sizeof(union mill_account_room);
    return mill_providers[n]->opts;
}

static const struct mill_port in_ports[] = {
    [SEND_IN_MESSAGES] = {"messages", "mail.messages", &mill_message_desc},
    [SEND_IN_CANCELLATIONS] = {"cancellations", "mail.cancellations", &mill_cancellation_desc},
    {0},
};
static const struct mill_port out_ports[] = {
    [SEND_OUT_LEDGER] = {"ledger", "mail.ledger", &mill_ledger_desc},
    [SEND_OUT_STATUS] = {"status", "mail.status", &mill_status_desc},
    MILL_TIMER_OUT(SEND_OUT_DELAY),
    [SEND_OUT_EVENTS] = {"events", "mail.callbacks.events", &mill_callback_event_desc},
    {0},
};
static const struct mill_table_port tables[] = {
    [SEND_TABLE_LEDGER] = {.name = "ledger", .topic = "mail.ledger", .desc = &mill_ledger_desc},
    [SEND_TABLE_CANCELLATIONS] = {.name = "cancellations",
                                  .topic = "mail.cancellations",
                                  .desc = &mill_cancellation_desc},
    [SEND_TABLE_PAUSES] = {.name = "pauses",
                           .topic = "mail.pauses",
                           .desc = &mill_pause_desc,
                           .global = true},
    [SEND_TABLE_SUPPRESSIONS] = {.name = "suppressions",
                                 .topic = "mail.suppressions",
                                 .desc = &mill_suppression_desc,
                                 .global = true},
    {0},
};

static void send_settled(void *arg, struct send_job *job)
{
    struct mill_ctx *ctx = arg;
    struct send_state *st = mill_state(ctx);
    struct mill_err err = {0};
    enum mill_verdict v;

    if (job->plan == SEND_CALL) {
        send_life_end(st->life, job);
        send_watch_note(ctx, job);
    }
    if (job->called && job->plan == SEND_CALL) {
        mill_count(ctx, SEND_M_OUTCOMES, job->answer.outcome, 1);
        mill_observe(ctx, SEND_M_CALL, 0, (double)job->took_ms / 1000.0);
    }
    mill_current(ctx, job->in);
    v = send_conclude(ctx, job, &err);
    mill_settle(ctx, job->in, v, &err);
    mill_current(ctx, NULL);
}

/** Cancelled while it waited for its call: a look into the table, which has read on meanwhile. */
static const char *send_forbids(void *arg, struct send_job *job)
{
    struct mill_err err = {0};

    if (send_cancel_look(arg, job, &job->cancelled, &err))
        return "not called: the cancellations cannot be read";
    return job->cancelled ? "not called: cancelled" : NULL;
}

static enum mill_code send_open(struct mill_ctx *ctx, struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);
    struct send_state *st = mill_state(ctx);
    const struct send_dispatch_conf dispatch = {
        .concurrency = conf->concurrency,
        .timeout_ms = (uint32_t)conf->call_timeout_ms,
        .intent_max_ms = (int64_t)conf->intent_max_ms,
        .settled = send_settled,
        .forbids = send_forbids,
        .arg = ctx,
        .attach = &conf->attach,
    };
    enum mill_code rc = send_routes_open(&st->routes, &conf->routes, conf->accounts, err);

    if (!rc && conf->unknown_wait_ms < conf->intent_max_ms) {
        rc = mill_fail(err, MILL_E_CONFIG, "unknown-wait-ms",
                       "is less than intent-max-ms: a stale owner might still call");
    }
    if (!rc)
        rc = send_suppress_open(&st->unsubscribe, &conf->suppress, err);
    if (rc)
        return rc;
    st->life = send_life_new(LIFE_DEEDS);
    if (!st->life)
        return mill_fail(err, MILL_E_NOMEM, "send", "out of memory");
    return send_dispatch_new(&st->dispatch, &dispatch, err);
}

static void send_close(struct mill_ctx *ctx)
{
    struct send_state *st = mill_state(ctx);

    send_dispatch_free(st->dispatch); /* first: running calls read the jobs' bodies */
    send_batch_drop(st);
    send_life_free(st->life);
    send_routes_close(&st->routes);
    st->dispatch = NULL;
    st->life = NULL;
}

/** A message of an order whose providers all are away steps aside, so that others pass it. Where
 *  nobody can be called, all wait here: what is outside is not stirred. */
static enum mill_verdict send_wait(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);
    int64_t wait = 0;

    if (!job->choice.others) {
        job->wait_ms = mill_tick_ms();
        send_queue_add(&st->waiting, job);
        return MILL_PENDING;
    }
    wait = job->choice.until_ms - mill_tick_ms();
    wait = wait > SEND_ASIDE_MS ? wait : SEND_ASIDE_MS;
    return send_round(ctx, job, wait, err) ? MILL_STOP : MILL_DONE;
}

static enum mill_verdict send_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                        struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);
    struct send_job *job = NULL;

    while (st->cursor < st->jobs_n && st->jobs[st->cursor].in != in)
        st->cursor++;
    if (st->cursor == st->jobs_n) {
        mill_fail(err, MILL_E_STATE, "send", "a record that was not in its batch");
        return MILL_STOP;
    }
    job = &st->jobs[st->cursor++];
    switch (job->plan) {
    case SEND_CALL: /* its INTENT is committed: from here on we answer for it */
        job->started = true;
        send_dispatch_push(st->dispatch, job);
        return MILL_PENDING;
    case SEND_AGAIN:
        send_dispatch_answered(st->dispatch, job);
        return MILL_PENDING;
    case SEND_WAIT:
        return send_wait(ctx, job, err);
    default:
        return send_conclude_uncalled(ctx, job, err);
    }
}

/** Held until a provider may be called, but not for long: the batch's outcomes wait with it. Then
 *  they come back by the delay topics, to be planned anew, with no attempt counted. */
static void send_release_waiting(struct mill_ctx *ctx)
{
    struct send_state *st = mill_state(ctx);
    int64_t now = mill_tick_ms(), until = send_routes_ready(&st->routes, now);
    struct send_job *job = NULL;

    if (now < until && now - st->waiting.head->wait_ms < HOLD_MS && !mill_draining(ctx))
        return;
    while ((job = send_queue_take(&st->waiting))) {
        struct mill_err err = {0};
        mill_current(ctx, job->in);
        mill_settle(ctx, job->in, send_round(ctx, job, until - now, &err) ? MILL_STOP : MILL_DONE,
                    &err);
        mill_current(ctx, NULL);
    }
}

/** Cancellations that come while calls of the batch still wait. Where they cannot be read, those
 * that are known count: TOO_LATE is said of the others. */
static void send_refresh(struct mill_ctx *ctx)
{
    struct send_state *st = mill_state(ctx);
    struct mill_err err = {0};
    int64_t now = mill_tick_ms();

    if (now - st->refreshed_ms < REFRESH_MS)
        return;
    st->refreshed_ms = now;
    if (mill_table_refresh(mill_ctx_table(ctx, SEND_TABLE_CANCELLATIONS), &err))
        mill_log_err(MILL_WARN, "cancellations", &err);
}

static enum mill_verdict send_on_poll(struct mill_ctx *ctx, int wait_ms, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);

    if (wait_ms > 0)
        send_refresh(ctx);
    (void)err;
    send_dispatch_run(st->dispatch, wait_ms, mill_draining(ctx));
    if (st->waiting.head) {
        if (!send_dispatch_running(st->dispatch) && wait_ms > 0) {
            const struct timespec nap = {0, (wait_ms < 100 ? wait_ms : 100) * 1000000L};
            nanosleep(&nap, NULL);
        }
        send_release_waiting(ctx);
    }
    send_watch_report(ctx);
    mill_gauge(ctx, SEND_M_IN_FLIGHT, 0, (double)send_dispatch_running(st->dispatch));
    return MILL_DONE;
}

MILL_STAGE(send) = {
    .name = "send",
    .summary = "hand messages to a mail provider",
    .in = in_ports,
    .out = out_ports,
    .tables = tables,
    .opts = opts,
    .opts_more = send_opts_more,
    .conf_size = sizeof(struct send_conf),
    .state_size = sizeof(struct send_state),
    .metrics = metrics,
    .batch_max = BATCH_MAX,
    .open = send_open,
    .close = send_close,
    .on_assigned = send_doubt_assigned,
    .on_batch = send_batch_begin,
    .told = "tenant",
    .on_record = send_on_record,
    .on_poll = send_on_poll,
};
