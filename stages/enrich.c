/**
 * @file enrich.c
 * @brief A provider's event, put into our own form and joined to the mail that caused it.
 *
 * in     events  mail.callbacks.events  callback_event.avsc  key: message_id
 * table  ledger  mail.ledger            ledger.avsc          key: message_id/attempt/writer
 * out    events  mail.events            event.avsc           key: message_id, else event_id
 *        status  mail.status            status.avsc          key: message_id
 *        ledger  mail.ledger            ledger.avsc          EVIDENCE, key:
 * message_id/attempt/evidence Verdicts: DONE; REJECT when the provider is unknown or the event no
 * JSON object; RETRY when the ledger does not know the message (the event may have overtaken its
 * INTENT), `miss-attempts` times: then it goes out with matched=false. No event is ever dropped. An
 * event of a message whose call is in doubt proves that the provider took it: EVIDENCE, and status
 * SENT before what the event itself says. State: none; replay gives the same events with the same
 * event_id.
 */
#include "send/ledger.h"
#include "send/provider.h"
#include "stage.h"

enum { OUT_EVENTS, OUT_STATUS, OUT_LEDGER };
enum { TABLE_LEDGER };
enum { M_EVENTS, M_LATENCY, M_SETTLED };
enum { JOINED, UNMATCHED };

struct enrich_conf {
    uint32_t miss_attempts;
    uint64_t catch_up_ms;
};

static const char *const joins[] = {"joined", "unmatched", NULL};
static const struct mill_metric metrics[] = {
    [M_EVENTS] = {"mill_enrich_events_total", MILL_COUNTER, "Events emitted.", "join", joins},
    [M_LATENCY] = {"mill_enrich_delivery_seconds", MILL_HISTOGRAM,
                   "From the mail's acceptance to the provider's word of its delivery.", NULL,
                   NULL},
    [M_SETTLED] = {"mill_enrich_settled_total", MILL_COUNTER,
                   "Calls of unknown outcome that an event has proved.", NULL, NULL},
    {0},
};

static const struct mill_opt opts[] = {
    {.name = "miss-attempts",
     .type = MILL_OPT_U32,
     .off = offsetof(struct enrich_conf, miss_attempts),
     .def = "3",
     .max = 100,
     .help = "retries of an event whose message the ledger does not know"},
    {.name = "catch-up-ms",
     .type = MILL_OPT_MS,
     .off = offsetof(struct enrich_conf, catch_up_ms),
     .def = "5s",
     .min = 1,
     .max = 60000,
     .help = "longest wait for the ledger's newest records before a retry"},
    {0},
};

static const struct mill_port in_ports[] = {
    {"events", "mail.callbacks.events", &mill_callback_event_desc},
    {0},
};
static const struct mill_port out_ports[] = {
    [OUT_EVENTS] = {"events", "mail.events", &mill_event_desc},
    [OUT_STATUS] = {"status", "mail.status", &mill_status_desc},
    [OUT_LEDGER] = {"ledger", "mail.ledger", &mill_ledger_desc},
    {0},
};
static const struct mill_table_port tables[] = {
    [TABLE_LEDGER] = {.name = "ledger", .topic = "mail.ledger", .desc = &mill_ledger_desc},
    {0},
};

/** Events that say where a mail has got to; the others only happen to it. */
static enum mill_state state_of(int event_type)
{
    switch (event_type) {
    case MILL_EVENT_DELIVERED:
        return MILL_STATE_DELIVERED;
    case MILL_EVENT_BOUNCED:
        return MILL_STATE_BOUNCED;
    case MILL_EVENT_DROPPED:
        return MILL_STATE_FAILED;
    default:
        return MILL_STATE_OTHER;
    }
}

/** Look the message up; where it is not there, once more after the ledger was read up to now. */
static enum mill_code enrich_look(struct mill_ctx *ctx, const struct mill_ledger_ask *ask,
                                  struct mill_ledger_view *view, struct mill_err *err)
{
    const struct enrich_conf *conf = mill_conf(ctx);
    struct mill_table *ledger = mill_ctx_table(ctx, TABLE_LEDGER);
    struct mill_arena *mem = mill_batch_arena(ctx);
    enum mill_code rc = mill_ledger_look(ledger, ask, mem, view, err);

    if (rc || view->attempts)
        return rc;
    rc = mill_table_catch_up(ledger, ask->partition, (uint32_t)conf->catch_up_ms, err);
    return rc ? rc : mill_ledger_look(ledger, ask, mem, view, err);
}

/** An event of a message in doubt: the provider has it. Said before the event's own state, of which
 *  this one is the earlier. */
static enum mill_code enrich_settle(struct mill_ctx *ctx, const struct mill_ledger_ask *ask,
                                    const struct mill_event *event, struct mill_err *err)
{
    struct mill_table *ledger = mill_ctx_table(ctx, TABLE_LEDGER);
    struct mill_ledger proof;
    struct mill_status status;
    char buf[MILL_LEDGER_KEY_MAX + 1];
    struct mill_str key;
    enum mill_code rc = mill_ledger_proven(ledger, ask, event->provider, event->provider_id,
                                           mill_batch_arena(ctx), &proof, err);

    if (rc || !proof.attempt)
        return rc;
    proof.kind = MILL_LEDGER_EVIDENCE;
    proof.outcome = MILL_OUTCOME_NONE;
    proof.provider_id = event->provider_id;
    proof.at = event->received_at;
    status = (struct mill_status){
        .message_id = proof.message_id,
        .request_id = proof.request_id,
        .tenant = proof.tenant,
        .state = MILL_STATE_SENT,
        .reason = MILL_STR("settled by evidence"),
        .provider = proof.provider,
        .attempt = proof.attempt,
        .at = event->occurred_at,
    };
    key = mill_ledger_key(buf, proof.message_id, proof.attempt, "evidence");
    rc = mill_emit(ctx, OUT_LEDGER, key, &proof, err);
    if (!rc)
        rc = mill_emit(ctx, OUT_STATUS, status.message_id, &status, err);
    /* The batch's next event of the same message need not prove it again. */
    if (!rc)
        rc = mill_table_put(ledger, ask->partition, key, &proof, err);
    mill_count(ctx, M_SETTLED, 0, !rc);
    return rc;
}

static void enrich_join(struct mill_event *event, const struct mill_ledger *facts)
{
    event->matched = true;
    event->request_id = facts->request_id;
    event->tenant = facts->tenant;
    event->categories = facts->categories;
    event->metadata = facts->metadata;
    if (!event->provider_id.p)
        event->provider_id = facts->provider_id;
    if (facts->accepted_at > 0) {
        /* Providers tell whole seconds: what looks like before the request was in its second. */
        int64_t us = event->occurred_at - facts->accepted_at;
        event->latency_ms = (struct mill_opt_i64){true, us > 0 ? us / 1000 : 0};
    }
}

static enum mill_code enrich_emit(struct mill_ctx *ctx, const struct mill_event *event,
                                  int64_t attempt, struct mill_err *err)
{
    const struct mill_status status = {
        .message_id = event->message_id,
        .request_id = event->request_id,
        .tenant = event->tenant,
        .state = (int)state_of(event->type),
        .cls = event->bounce_class,
        .reason = event->reason,
        .provider = event->provider,
        .attempt = attempt,
        .at = event->occurred_at,
    };
    enum mill_code rc = mill_emit(
        ctx, OUT_EVENTS, event->message_id.p ? event->message_id : event->event_id, event, err);

    mill_count(ctx, M_EVENTS, event->matched ? JOINED : UNMATCHED, 1);
    if (rc || !event->matched || status.state == MILL_STATE_OTHER)
        return rc;
    if (status.state == MILL_STATE_DELIVERED && event->latency_ms.has)
        mill_observe(ctx, M_LATENCY, 0, (double)event->latency_ms.v / 1000.0);
    return mill_emit(ctx, OUT_STATUS, event->message_id, &status, err);
}

/** The event in our form, without what only the ledger knows. */
static enum mill_code enrich_parse(struct mill_ctx *ctx, const struct mill_callback_event *cb,
                                   struct mill_event *event, struct mill_err *err)
{
    const struct mill_provider *provider = mill_provider_find(cb->provider);
    enum mill_code rc = MILL_OK;

    if (!provider || !provider->parse_event)
        return mill_fail(err, MILL_E_DATA, "provider", "posts no events that we know");
    rc = provider->parse_event(cb->raw, mill_batch_arena(ctx), event, err);
    if (!event->message_id.p && mill_message_id_ok(cb->message_id))
        event->message_id = cb->message_id;
    event->received_at = cb->received_at;
    if (!event->occurred_at)
        event->occurred_at = cb->received_at;
    return rc;
}

static enum mill_verdict enrich_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                          struct mill_err *err)
{
    const struct enrich_conf *conf = mill_conf(ctx);
    struct mill_ledger_view view = {0};
    struct mill_ledger_ask ask = {.partition = in->partition};
    struct mill_event event = {0};
    enum mill_code rc = enrich_parse(ctx, in->value, &event, err);

    if (rc)
        return rc == MILL_E_DATA ? MILL_REJECT : MILL_RETRY;
    ask.message_id = event.message_id;
    if (event.message_id.p)
        rc = enrich_look(ctx, &ask, &view, err);
    if (rc == MILL_E_STATE)
        return MILL_STOP; /* the partition's ledger is not ours: the topology is wrong */
    if (event.message_id.p && !view.attempts && in->attempt < conf->miss_attempts) {
        if (!rc) {
            mill_fail(err, MILL_E_NOENT, "message_id", "the ledger does not know %.*s (yet)",
                      MILL_FMT(event.message_id));
        }
        return MILL_RETRY;
    }
    if (view.attempts)
        enrich_join(&event, &view.facts);
    if (view.doubt)
        rc = enrich_settle(ctx, &ask, &event, err);
    if (!rc)
        rc = enrich_emit(ctx, &event, view.attempts, err);
    if (rc)
        return rc == MILL_E_DATA ? MILL_REJECT : MILL_RETRY;
    return MILL_DONE;
}

MILL_STAGE(enrich) = {
    .name = "enrich",
    .summary = "join provider events to the mail that caused them",
    .in = in_ports,
    .out = out_ports,
    .tables = tables,
    .opts = opts,
    .conf_size = sizeof(struct enrich_conf),
    .metrics = metrics,
    .on_record = enrich_on_record,
};
