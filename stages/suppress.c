/**
 * @file suppress.c
 * @brief Who is not to be mailed again: out of what providers report.
 *
 * in   events        mail.events        event.avsc        key message_id
 * out  suppressions  mail.suppressions  suppression.avsc  key of tenant and address
 *
 * A hard bounce, a complaint and an unsubscription suppress the address for the tenant whose mail
 * it was; so does a mail that the provider dropped for one of these reasons. An event that was not
 * matched to a mail of ours names no tenant and suppresses nobody.
 * Verdicts: DONE, always. State: none. A replay writes the same records again, so it brings back
 * what an operator has lifted meanwhile.
 */
#include "mail/controls.h"
#include "mail/records.h"
#include "mail/suppression.h"
#include "stage.h"

enum { OUT_SUPPRESSIONS };
enum { M_EVENTS };
/** Labels of the metric; from WAY_REASONS on in the order of enum mill_suppression_reason. */
enum { WAY_IGNORED, WAY_UNMATCHED, WAY_REASONS };

struct suppress_conf {
    const char *hard_classes;
};

static const char *const ways[] = {
    "ignored",
    "unmatched",
    [WAY_REASONS + MILL_SUPPRESSED_OTHER] = "other",
    [WAY_REASONS + MILL_SUPPRESSED_HARD_BOUNCE] = "hard_bounce",
    [WAY_REASONS + MILL_SUPPRESSED_COMPLAINT] = "complaint",
    [WAY_REASONS + MILL_SUPPRESSED_UNSUBSCRIBE] = "unsubscribe",
    NULL,
};
static const struct mill_metric metrics[] = {
    [M_EVENTS] = {"mill_suppress_events_total", MILL_COUNTER,
                  "Events, by what they did to their address.", "way", ways},
    {0},
};

static const struct mill_opt opts[] = {
    {.name = "hard-classes",
     .type = MILL_OPT_STR,
     .off = offsetof(struct suppress_conf, hard_classes),
     .def = "Invalid Address,bounce",
     .help = "values of an event's bounce_class that mean an address is no good for ever, with "
             "commas between; `bounce` is the providers' word where they give no better one"},
    {0},
};

static const struct mill_port in_ports[] = {{"events", "mail.events", &mill_event_desc}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_SUPPRESSIONS] = {"suppressions", "mail.suppressions", &mill_suppression_desc},
    {0},
};

/** Why a provider did not even try: its own list has the address. SendGrid's words (reason) and
 *  Mailgun's (class). */
static const struct dropped {
    const char *word;
    enum mill_suppression_reason reason;
} drops[] = {
    {"Bounced Address", MILL_SUPPRESSED_HARD_BOUNCE},
    {"suppress-bounce", MILL_SUPPRESSED_HARD_BOUNCE},
    {"Spam Reporting Address", MILL_SUPPRESSED_COMPLAINT},
    {"suppress-complaint", MILL_SUPPRESSED_COMPLAINT},
    {"Unsubscribed Address", MILL_SUPPRESSED_UNSUBSCRIBE},
    {"suppress-unsubscribe", MILL_SUPPRESSED_UNSUBSCRIBE},
};

static int dropped_reason(const struct mill_event *e)
{
    for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++)
        if (mill_str_is(e->reason, drops[i].word) || mill_str_is(e->bounce_class, drops[i].word))
            return (int)drops[i].reason;
    return -1;
}

/** @return enum mill_suppression_reason; -1 = none */
static int suppress_reason(const struct suppress_conf *conf, const struct mill_event *e)
{
    switch (e->type) {
    case MILL_EVENT_BOUNCED:
        return mill_str_listed(e->bounce_class, conf->hard_classes) ? MILL_SUPPRESSED_HARD_BOUNCE
                                                                    : -1;
    case MILL_EVENT_DROPPED:
        return dropped_reason(e);
    case MILL_EVENT_COMPLAINED:
        return MILL_SUPPRESSED_COMPLAINT;
    case MILL_EVENT_UNSUBSCRIBED:
        return MILL_SUPPRESSED_UNSUBSCRIBE;
    default:
        return -1;
    }
}

static enum mill_verdict suppress_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                            struct mill_err *err)
{
    const struct mill_event *e = in->value;
    int reason = suppress_reason(mill_conf(ctx), e);
    char address[MILL_SUPPRESSION_ADDRESS_SIZE], key[MILL_SUPPRESSION_KEY_SIZE];
    const struct mill_suppression record = {
        .address = mill_suppression_address(e->recipient, address),
        .tenant = e->tenant.p ? e->tenant : MILL_STR(""),
        .reason = reason < 0 ? MILL_SUPPRESSED_OTHER : reason,
        .since = e->occurred_at > 0 ? e->occurred_at : e->received_at,
        .source = e->provider,
        .message_id = e->message_id,
        .event_id = e->event_id,
    };

    if (reason < 0 || !mill_suppression_key(e->tenant, e->recipient, key)) {
        mill_count(ctx, M_EVENTS, WAY_IGNORED, 1);
        return MILL_DONE;
    }
    if (!e->matched) {
        mill_count(ctx, M_EVENTS, WAY_UNMATCHED, 1);
        return MILL_DONE;
    }
    if (mill_emit(ctx, OUT_SUPPRESSIONS, mill_str(key), &record, err))
        return MILL_STOP; /* it is smaller than the event, so the world is wrong, not the record */
    mill_count(ctx, M_EVENTS, (size_t)(WAY_REASONS + reason), 1);
    return MILL_DONE;
}

MILL_STAGE(suppress) = {
    .name = "suppress",
    .summary = "note who is not to be mailed again",
    .in = in_ports,
    .out = out_ports,
    .opts = opts,
    .conf_size = sizeof(struct suppress_conf),
    .metrics = metrics,
    .on_record = suppress_on_record,
};
