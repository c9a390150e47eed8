/**
 * @file suppress.c
 * @brief Who is not to be mailed again: out of what providers report.
 *
 * in     events        mail.events        event.avsc        key message_id
 * out    suppressions  mail.suppressions  suppression.avsc  key of tenant, address, category
 * table  suppressions  mail.suppressions  what is known of the address so far
 *
 * A hard bounce, a complaint and an unsubscription suppress the address for the tenant whose mail
 * it was; so does a mail that the provider dropped for one of these reasons. Who leaves a group of
 * the provider (SendGrid's group_unsubscribe) gets no more mail of the message's category, where
 * that is one of unsubscribe-categories, and no mail at all where it is none. To subscribe again
 * lifts what unsubscribing has done, and nothing else. An event that was not matched to a mail of
 * ours names no tenant and suppresses nobody.
 * Verdicts: DONE; RETRY, STOP when the table cannot be read. An event that is older than what is
 * known changes nothing, so a replay does not bring back what was lifted meanwhile.
 */
#include "mail/controls.h"
#include "mail/records.h"
#include "mail/suppression.h"
#include "stage.h"
#include "table.h"

enum { OUT_SUPPRESSIONS };
enum { M_EVENTS };
/** Labels of the metric; from WAY_REASONS on in the order of enum mill_suppression_reason. */
enum { WAY_IGNORED, WAY_UNMATCHED, WAY_OLDER, WAY_LIFTED, WAY_REASONS };

struct suppress_conf {
    const char *hard_classes, *categories;
};

static const char *const ways[] = {
    "ignored",
    "unmatched",
    "older",
    "lifted",
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
    MILL_SUPPRESSION_CATEGORIES(struct suppress_conf, categories),
    {0},
};

static const struct mill_port in_ports[] = {{"events", "mail.events", &mill_event_desc}, {0}};
static const struct mill_port out_ports[] = {
    [OUT_SUPPRESSIONS] = {"suppressions", "mail.suppressions", &mill_suppression_desc},
    {0},
};

static const struct mill_table_port tables[] = {
    {.name = "suppressions",
     .topic = "mail.suppressions",
     .desc = &mill_suppression_desc,
     .global = true},
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

/** Does the event change what is known? A newer word does; but unsubscribing takes nothing away
 *  from a worse reason, and subscribing again lifts that alone. */
static bool suppress_changes(const struct mill_suppression *known,
                             const struct mill_suppression *record)
{
    if (known->since > record->since)
        return false;
    if (record->lifted)
        return !known->lifted && known->reason == MILL_SUPPRESSED_UNSUBSCRIBE;
    return known->lifted || record->reason != MILL_SUPPRESSED_UNSUBSCRIBE ||
           known->reason == MILL_SUPPRESSED_UNSUBSCRIBE;
}

/** @param way out: label of the metric */
static enum mill_code suppress_write(struct mill_ctx *ctx, struct mill_str key,
                                     const struct mill_suppression *record, size_t *way,
                                     struct mill_err *err)
{
    struct mill_table *table = mill_ctx_table(ctx, 0);
    struct mill_suppression known = {0};
    enum mill_code rc = mill_table_get(table, key, mill_batch_arena(ctx), &known, err);

    *way = record->lifted ? WAY_LIFTED : (size_t)(WAY_REASONS + record->reason);
    if (rc == MILL_E_NOENT && record->lifted)
        *way = WAY_IGNORED; /* there is nothing to lift */
    else if (!rc && !suppress_changes(&known, record))
        *way = WAY_OLDER;
    if (*way < WAY_LIFTED || (rc && rc != MILL_E_NOENT))
        return rc == MILL_E_NOENT ? MILL_OK : rc;
    rc = mill_emit(ctx, OUT_SUPPRESSIONS, key, record, err);
    /* The batch's next event of the same address is to find it. */
    return rc ? rc : mill_table_put(table, MILL_TABLE_BY_KEY, key, record, err);
}

static enum mill_verdict suppress_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                            struct mill_err *err)
{
    const struct suppress_conf *conf = mill_conf(ctx);
    const struct mill_event *e = in->value;
    bool again = e->type == MILL_EVENT_RESUBSCRIBED;
    int reason = again ? MILL_SUPPRESSED_UNSUBSCRIBE : suppress_reason(conf, e);
    char address[MILL_SUPPRESSION_ADDRESS_SIZE], key[MILL_SUPPRESSION_KEY_SIZE];
    const struct mill_suppression record = {
        .address = mill_suppression_address(e->recipient, address),
        .tenant = e->tenant.p ? e->tenant : MILL_STR(""),
        .reason = reason < 0 ? MILL_SUPPRESSED_OTHER : reason,
        .since = e->occurred_at > 0 ? e->occurred_at : e->received_at,
        .source = e->provider,
        .message_id = e->message_id,
        .event_id = e->event_id,
        .category =
            e->group.n ? mill_suppression_category(e->categories, conf->categories) : MILL_STR(""),
        .lifted = again,
    };
    size_t way = WAY_IGNORED;

    if (reason >= 0 && mill_suppression_key(e->tenant, e->recipient, record.category, key)) {
        way = WAY_UNMATCHED;
        if (e->matched && suppress_write(ctx, mill_str(key), &record, &way, err))
            return err->code == MILL_E_IO ? MILL_RETRY : MILL_STOP; /* no fault of the record */
    }
    mill_count(ctx, M_EVENTS, way, 1);
    return MILL_DONE;
}

MILL_STAGE(suppress) = {
    .name = "suppress",
    .summary = "note who is not to be mailed again",
    .in = in_ports,
    .out = out_ports,
    .tables = tables,
    .opts = opts,
    .conf_size = sizeof(struct suppress_conf),
    .metrics = metrics,
    .on_record = suppress_on_record,
};
