/**
 * @file unpack.c
 * @brief A provider's post, stored as it came, becomes single events.
 *
 * in   callbacks  mail.callbacks         callback.avsc        key: any
 * out  events     mail.callbacks.events  callback_event.avsc  key: message_id; where an event names
 *                                        none of ours, the provider's id of the mail
 * Verdicts: DONE; REJECT when the provider is unknown or its post malformed (nothing of such a post
 * is emitted: it is in the DLQ as a whole). State: none. Replay gives the same records again.
 */
#include "send/provider.h"
#include "stage.h"

enum { OUT_EVENTS };
enum { M_EVENTS };

static const char *const ours[] = {"ours", "foreign", NULL};
static const struct mill_metric metrics[] = {
    [M_EVENTS] = {"mill_unpack_events_total", MILL_COUNTER, "Events taken out of callbacks.",
                  "message", ours},
    {0},
};

static const struct mill_port in_ports[] = {
    {"callbacks", "mail.callbacks", &mill_callback_desc},
    {0},
};
static const struct mill_port out_ports[] = {
    [OUT_EVENTS] = {"events", "mail.callbacks.events", &mill_callback_event_desc},
    {0},
};

struct unpack_run {
    struct mill_ctx *ctx;
    const struct mill_record *in;
    bool emit; /**< false: only look whether all of it can be read */
};

static enum mill_code unpack_each(void *arg, const struct mill_split *one, struct mill_err *err)
{
    const struct unpack_run *run = arg;
    const struct mill_callback *cb = run->in->value;
    const struct mill_callback_event event = {
        .message_id = one->message_id,
        .provider = cb->provider,
        .raw = one->raw,
        .received_at = cb->received_at,
        .callback_topic = mill_str(run->in->topic),
        .callback_partition = run->in->partition,
        .callback_offset = run->in->offset,
        .index = one->index,
    };

    if (!run->emit)
        return MILL_OK;
    mill_count(run->ctx, M_EVENTS, one->message_id.p ? 0 : 1, 1);
    return mill_emit(run->ctx, OUT_EVENTS, one->message_id.p ? one->message_id : one->group, &event,
                     err);
}

static enum mill_verdict unpack_on_record(struct mill_ctx *ctx, const struct mill_record *in,
                                          struct mill_err *err)
{
    const struct mill_callback *cb = in->value;
    const struct mill_provider *provider = mill_provider_find(cb->provider);
    struct unpack_run run = {ctx, in, false};
    enum mill_code rc = MILL_OK;

    if (!provider || !provider->split) {
        mill_fail(err, MILL_E_DATA, "callback.provider", "\"%.*s\" posts no events that we know",
                  (int)(cb->provider.n < 40 ? cb->provider.n : 40),
                  cb->provider.p ? cb->provider.p : "");
        return MILL_REJECT;
    }
    /* Twice over the body: a post that is malformed at its end must not leave half its events. */
    rc = provider->split(cb->body, unpack_each, &run, err);
    if (!rc) {
        run.emit = true;
        rc = provider->split(cb->body, unpack_each, &run, err);
    }
    if (rc)
        return rc == MILL_E_NOMEM ? MILL_RETRY : MILL_REJECT;
    return MILL_DONE;
}

MILL_STAGE(unpack) = {
    .name = "unpack",
    .summary = "cut provider callbacks into single events",
    .in = in_ports,
    .out = out_ports,
    .metrics = metrics,
    .on_record = unpack_on_record,
};
