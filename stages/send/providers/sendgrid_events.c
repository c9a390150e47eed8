/**
 * @file sendgrid_events.c
 * @brief SendGrid's event webhook: a JSON array of flat objects, custom args at their top level.
 *
 * Types vary between accounts and years (a time may be seconds, milliseconds or a string; category
 * a string or a list), so nothing but the outer form is insisted on: a strange field is a missing
 * field. Duplicate keys are taken as the parser takes them: the last one wins. The signature is
 * over timestamp and raw body, in headers.
 */
#include "send/message_id.h"
#include "send/providers/events.h"
#include "send/providers/sendgrid.h"

#define WHERE "callback.body"

static const struct mill_event_word event_types[] = {
    {"processed", MILL_EVENT_PROCESSED},
    {"delivered", MILL_EVENT_DELIVERED},
    {"deferred", MILL_EVENT_DEFERRED},
    {"bounce", MILL_EVENT_BOUNCED},
    {"dropped", MILL_EVENT_DROPPED},
    {"open", MILL_EVENT_OPENED},
    {"click", MILL_EVENT_CLICKED},
    {"spamreport", MILL_EVENT_COMPLAINED},
    {"unsubscribe", MILL_EVENT_UNSUBSCRIBED},
    {"group_unsubscribe", MILL_EVENT_UNSUBSCRIBED},
    {"group_resubscribe", MILL_EVENT_RESUBSCRIBED},
    {0},
};

/** Custom args come flattened; older accounts nest them. */
static struct mill_str custom_arg(const json_t *o, const char *key)
{
    struct mill_str s = mill_event_member(o, key);
    if (!s.p)
        s = mill_event_member(json_object_get(o, "custom_args"), key);
    return s.p ? s : mill_event_member(json_object_get(o, "unique_args"), key);
}

/** sg_message_id is the call's X-Message-Id, a dot, and what SendGrid adds for the recipient. */
static struct mill_str call_id(struct mill_str sg_message_id)
{
    const char *dot = sg_message_id.n ? memchr(sg_message_id.p, '.', sg_message_id.n) : NULL;
    if (dot)
        sg_message_id.n = (size_t)(dot - sg_message_id.p);
    return sg_message_id;
}

static enum mill_code give(const json_t *o, struct mill_str raw, int64_t index, mill_split_fn each,
                           void *arg, struct mill_err *err)
{
    struct mill_split one = {.raw = raw, .index = index};

    one.message_id = custom_arg(o, "mill_message_id");
    if (!mill_message_id_ok(one.message_id))
        one.message_id = (struct mill_str){NULL, 0};
    one.group = call_id(mill_event_member(o, "sg_message_id"));
    if (!one.group.n)
        one.group = mill_event_member(o, "sg_event_id");
    return each(arg, &one, err);
}

enum mill_code mill_sendgrid_split(struct mill_str body, mill_split_fn each, void *arg,
                                   struct mill_err *err)
{
    size_t at = mill_json_skip(body, 0), end = at;
    bool more = false;

    if (mill_json_sane(body, err))
        return MILL_E_DATA;
    if (at >= body.n || body.p[at] != '[')
        return mill_fail(err, MILL_E_DATA, WHERE, "no JSON array");
    at = mill_json_skip(body, at + 1);
    more = at < body.n && body.p[at] != ']';
    for (int64_t index = 0; more; index++) {
        json_t *o = mill_json_at(body, at, true, &end, err);
        enum mill_code rc = MILL_E_DATA;

        if (o)
            rc = give(o, (struct mill_str){body.p + at, end - at}, index, each, arg, err);
        json_decref(o);
        if (rc)
            return rc;
        at = mill_json_skip(body, end);
        more = at < body.n && body.p[at] == ',';
        at = more ? mill_json_skip(body, at + 1) : at;
    }
    if (at >= body.n || body.p[at] != ']' || mill_json_skip(body, at + 1) != body.n)
        return mill_fail(err, MILL_E_DATA, WHERE, "the array does not end at byte %zu", at);
    return MILL_OK;
}

/** An id of an unsubscribe group: a number, or the text of one. Other events name the group of
 *  their mail too. */
static struct mill_str group_of(const json_t *o, struct mill_str event, struct mill_arena *mem)
{
    const json_t *id = json_object_get(o, "asm_group_id");

    if (!mill_str_starts(event, "group_"))
        return (struct mill_str){NULL, 0};
    if (json_is_integer(id))
        return mill_arena_printf(mem, "%lld", (long long)json_integer_value(id));
    return mill_event_member(o, "asm_group_id").n ? mill_event_member(o, "asm_group_id")
                                                  : MILL_STR("?");
}

static void fill(const json_t *o, struct mill_arena *mem, struct mill_event *e)
{
    bool bounce = false;

    e->provider = MILL_STR("sendgrid");
    e->provider_event = mill_event_member(o, "event");
    e->type = (int)mill_event_type_of(event_types, e->provider_event);
    bounce = e->type == MILL_EVENT_BOUNCED || e->type == MILL_EVENT_DROPPED;
    e->message_id = custom_arg(o, "mill_message_id");
    e->provider_id = call_id(mill_event_member(o, "sg_message_id"));
    e->provider_event_id = mill_event_member(o, "sg_event_id");
    e->recipient = mill_event_member(o, "email");
    e->occurred_at = mill_event_time(json_object_get(o, "timestamp"));
    e->bounce_class = bounce ? mill_event_member(o, "bounce_classification") : e->bounce_class;
    if (e->type == MILL_EVENT_BOUNCED && !e->bounce_class.p)
        e->bounce_class =
            mill_event_member(o, "type"); /* "bounce" or "blocked", where there is no better */
    if (e->type == MILL_EVENT_OPENED)
        e->machine_open = mill_event_flag(json_object_get(o, "sg_machine_open"));
    e->url = mill_event_member(o, "url");
    e->reason = mill_event_member(o, "reason");
    if (!e->reason.p)
        e->reason = mill_event_member(o, "response");
    e->ip = mill_event_member(o, "ip");
    e->user_agent = mill_event_member(o, "useragent");
    e->group = group_of(o, e->provider_event, mem);
}

enum mill_code mill_sendgrid_event(struct mill_str raw, struct mill_arena *mem,
                                   struct mill_event *out, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    json_t *o = mill_json_object(raw, err);

    *out = (struct mill_event){0};
    if (!o)
        return MILL_E_DATA;
    fill(o, mem, out);
    if (!mill_message_id_ok(out->message_id))
        out->message_id = (struct mill_str){NULL, 0};
    if (!mill_event_list(json_object_get(o, "category"), mem, &out->categories) ||
        !mill_event_keep(out, mill_event_member(o, "sg_message_id"), mem))
        rc = mill_fail(err, MILL_E_NOMEM, WHERE, "out of memory");
    json_decref(o);
    return rc;
}

enum { HEADER_SIGNATURE, HEADER_TIMESTAMP };

static enum mill_code webhook_key(struct mill_webhook_key *key, struct mill_err *err)
{
    return mill_verify_key_new(&key->parsed, key->text, err);
}

static enum mill_code webhook_verify(const struct mill_webhook_keys *keys,
                                     const struct mill_webhook_post *post, struct mill_err *err)
{
    struct mill_str timestamp = post->headers[HEADER_TIMESTAMP];
    struct mill_str signature = post->headers[HEADER_SIGNATURE];
    enum mill_code rc = MILL_E_AUTH;

    if (!timestamp.p || !signature.p)
        return mill_fail(err, rc, "signature", "is missing");
    for (size_t i = 0; rc && i < keys->n; i++)
        rc = mill_signature_verify(keys->v[i].parsed, timestamp, post->body, signature, err);
    return rc;
}

static const struct mill_opt webhook_opts[] = {
    {.name = "sendgrid-public-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct mill_webhook_conf, keys),
     .help = "verification keys of SendGrid's Event Webhook, base64, a comma list"},
    {0},
};

const struct mill_webhook mill_sendgrid_webhook = {
    .opts = webhook_opts,
    .headers = {[HEADER_SIGNATURE] = "X-Twilio-Email-Event-Webhook-Signature",
                [HEADER_TIMESTAMP] = "X-Twilio-Email-Event-Webhook-Timestamp"},
    .key = webhook_key,
    .verify = webhook_verify,
};
