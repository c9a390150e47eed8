/**
 * @file smtp_events.c
 * @brief A refused recipient as an event. SMTP posts nothing: the answer to RCPT is all there is,
 * and the mail may have gone to the others.
 */
#include "send/message_id.h"
#include "send/providers/events.h"
#include "send/providers/smtp.h"

#define WHERE "callback.body"

bool mill_smtp_refusal(struct mill_buf *b, struct mill_str message_id, struct mill_str address,
                       struct mill_str reply, int64_t at_us)
{
    mill_buf_puts(b, "{\"event\":\"refused\",\"mill_message_id\":");
    mill_buf_json(b, message_id);
    mill_buf_puts(b, ",\"recipient\":");
    mill_buf_json(b, address);
    mill_buf_puts(b, ",\"reply\":");
    mill_buf_json(b, reply);
    mill_buf_printf(b, ",\"timestamp\":%lld.%06lld}", (long long)(at_us / 1000000),
                    (long long)(at_us % 1000000));
    return !b->failed;
}

/** "550 5.1.1 no such user": the second word, where it is such a code. */
static struct mill_str enhanced(struct mill_str reply)
{
    struct mill_str rest = reply, code;

    code = mill_str_take(&rest, ' ');
    code = mill_str_take(&rest, ' ');
    return code.n >= 5 && code.p[1] == '.' ? code : (struct mill_str){NULL, 0};
}

enum mill_code mill_smtp_event(struct mill_str raw, struct mill_arena *mem, struct mill_event *out,
                               struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    json_t *o = mill_json_object(raw, err);
    bool for_good = false;

    *out = (struct mill_event){0};
    if (!o)
        return MILL_E_DATA;
    out->provider = MILL_STR("smtp");
    out->provider_event = mill_event_member(o, "event");
    out->message_id = mill_event_member(o, "mill_message_id");
    if (!mill_message_id_ok(out->message_id))
        out->message_id = (struct mill_str){NULL, 0};
    out->recipient = mill_event_member(o, "recipient");
    out->reason = mill_event_member(o, "reply");
    out->occurred_at = mill_event_time(json_object_get(o, "timestamp"));
    if (mill_str_is(out->provider_event, "refused")) {
        for_good = mill_str_starts(out->reason, "5");
        out->type = for_good ? MILL_EVENT_BOUNCED : MILL_EVENT_DROPPED;
        out->bounce_class = mill_event_class(enhanced(out->reason));
        if (!out->bounce_class.p)
            out->bounce_class = for_good ? MILL_STR("refused") : MILL_STR("refused for now");
    }
    if (!mill_event_keep(out, out->message_id, mem))
        rc = mill_fail(err, MILL_E_NOMEM, WHERE, "out of memory");
    json_decref(o);
    return rc;
}
