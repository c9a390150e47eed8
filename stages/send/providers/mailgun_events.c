/**
 * @file mailgun_events.c
 * @brief Mailgun's webhook: one event a post, {"signature":{…},"event-data":{…}}.
 *
 * A split gives the text of event-data alone: the signature is looked at by ingest, and whoever
 * reads events need not have it. It is an HMAC-SHA256 over timestamp ‖ token, in the body itself.
 * It does not cover the events: who saw one post can forge others until it is too old, so that the
 * age is looked at (Mailgun repeats a post for 8 hours; whether it signs it anew is not known).
 * What is missing is missing (a delayed bounce has almost no envelope); fields of a strange type
 * are missing too.
 */
#include "base/hash.h"
#include "send/message_id.h"
#include "send/providers/events.h"
#include "send/providers/mailgun.h"

#define WHERE "callback.body"

static const struct mill_event_word words[] = {
    {"accepted", MILL_EVENT_PROCESSED},
    {"delivered", MILL_EVENT_DELIVERED},
    {"failed", MILL_EVENT_BOUNCED}, /* for good; see failed() */
    {"rejected", MILL_EVENT_DROPPED},
    {"opened", MILL_EVENT_OPENED},
    {"clicked", MILL_EVENT_CLICKED},
    {"complained", MILL_EVENT_COMPLAINED},
    {"unsubscribed", MILL_EVENT_UNSUBSCRIBED},
    {0},
};

struct mill_str mill_mailgun_id(struct mill_str id)
{
    if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
        return (struct mill_str){id.p + 1, id.n - 2};
    return id;
}

static struct mill_str header_id(const json_t *o)
{
    const json_t *message = json_object_get(o, "message");

    return mill_mailgun_id(mill_event_member(json_object_get(message, "headers"), "message-id"));
}

static struct mill_str our_id(const json_t *o)
{
    struct mill_str id = mill_event_member(json_object_get(o, "user-variables"), "mill_message_id");

    return mill_message_id_ok(id) ? id : (struct mill_str){NULL, 0};
}

static enum mill_code give(const json_t *o, struct mill_str raw, mill_split_fn each, void *arg,
                           struct mill_err *err)
{
    struct mill_split one = {.raw = raw, .message_id = our_id(o), .group = header_id(o)};

    if (!one.group.n)
        one.group = mill_event_member(o, "id");
    return each(arg, &one, err);
}

/** One member of the outer object. @return its value, and *at behind it */
static json_t *outer(struct mill_str body, size_t *at, bool *event, struct mill_str *raw,
                     struct mill_err *err)
{
    size_t end = 0, from = 0;
    json_t *name = mill_json_at(body, *at, false, &end, err), *v = NULL;

    if (name && !json_is_string(name)) {
        mill_fail(err, MILL_E_DATA, WHERE, "no name at byte %zu", *at);
        goto out;
    }
    if (!name)
        goto out;
    from = mill_json_skip(body, end);
    if (from >= body.n || body.p[from] != ':') {
        mill_fail(err, MILL_E_DATA, WHERE, "no colon at byte %zu", from);
        goto out;
    }
    from = mill_json_skip(body, from + 1);
    *event = mill_str_is(mill_json_text(name), "event-data");
    v = mill_json_at(body, from, *event, &end, err);
    *raw = (struct mill_str){body.p + from, end - from};
    *at = mill_json_skip(body, end);
out:
    json_decref(name);
    return v;
}

enum mill_code mill_mailgun_split(struct mill_str body, mill_split_fn each, void *arg,
                                  struct mill_err *err)
{
    size_t at = mill_json_skip(body, 0), seen = 0;
    bool more = true;

    if (mill_json_sane(body, err))
        return MILL_E_DATA;
    if (at >= body.n || body.p[at] != '{')
        return mill_fail(err, MILL_E_DATA, WHERE, "no JSON object");
    while (more) {
        struct mill_str raw = {NULL, 0};
        bool event = false;
        json_t *v = NULL;
        enum mill_code rc = MILL_OK;

        at = mill_json_skip(body, at + 1);
        v = outer(body, &at, &event, &raw, err);
        if (!v)
            return MILL_E_DATA;
        if (event && seen++)
            rc = mill_fail(err, MILL_E_DATA, WHERE, "event-data is there twice");
        else if (event)
            rc = give(v, raw, each, arg, err);
        json_decref(v);
        if (rc)
            return rc;
        more = at < body.n && body.p[at] == ',';
    }
    if (at >= body.n || body.p[at] != '}' || mill_json_skip(body, at + 1) != body.n)
        return mill_fail(err, MILL_E_DATA, WHERE, "the object does not end at byte %zu", at);
    return seen ? MILL_OK : mill_fail(err, MILL_E_DATA, WHERE, "event-data is missing");
}

/** A failure: for now; for good; or not even tried, as Mailgun has the address on its list. */
static enum mill_event_type failed(const json_t *o)
{
    if (mill_str_is(mill_json_str(o, "severity"), "temporary"))
        return MILL_EVENT_DEFERRED;
    if (mill_str_starts(mill_json_str(o, "reason"), "suppress"))
        return MILL_EVENT_DROPPED;
    return MILL_EVENT_BOUNCED;
}

/** The receiving server's words; Mailgun's where it has none. */
static struct mill_str why(const json_t *o)
{
    const json_t *status = json_object_get(o, "delivery-status");
    const struct mill_str all[] = {
        mill_event_member(status, "message"),
        mill_event_member(status, "description"),
        mill_event_member(json_object_get(o, "reject"), "reason"),
        mill_event_member(o, "reason"),
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].n)
            return all[i];
    return (struct mill_str){NULL, 0};
}

/** In few words, as SendGrid has them where Mailgun says as much; the reason's own word else. */
static struct mill_str bounce_class(const json_t *o)
{
    const json_t *status = json_object_get(o, "delivery-status");
    struct mill_str code = mill_event_member(status, "enhanced-code");

    if (!code.n)
        code = mill_event_member(status, "bounce-code");
    code = mill_event_class(code);
    return code.n ? code : mill_event_member(o, "reason");
}

static void fill(const json_t *o, struct mill_event *e)
{
    const json_t *client = json_object_get(o, "client-info");

    e->provider = MILL_STR("mailgun");
    e->provider_event = mill_event_member(o, "event");
    e->type = (int)mill_event_type_of(words, e->provider_event);
    if (e->type == MILL_EVENT_BOUNCED)
        e->type = (int)failed(o);
    e->message_id = our_id(o);
    e->provider_id = header_id(o);
    e->provider_event_id = mill_event_member(o, "id");
    e->recipient = mill_event_member(o, "recipient");
    e->occurred_at = mill_event_time(json_object_get(o, "timestamp"));
    if (e->type == MILL_EVENT_BOUNCED || e->type == MILL_EVENT_DROPPED)
        e->bounce_class = bounce_class(o);
    if (e->type == MILL_EVENT_OPENED && json_is_string(json_object_get(client, "bot")))
        e->machine_open = (struct mill_opt_bool){true, mill_event_member(client, "bot").n > 0};
    e->url = mill_event_member(o, "url");
    e->reason = why(o);
    e->ip = mill_event_member(o, "ip");
    if (!e->ip.p)
        e->ip = mill_event_member(json_object_get(o, "envelope"), "sending-ip");
    e->user_agent = mill_event_member(client, "user-agent");
}

enum mill_code mill_mailgun_event(struct mill_str raw, struct mill_arena *mem,
                                  struct mill_event *out, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    json_t *o = mill_json_object(raw, err);

    *out = (struct mill_event){0};
    if (!o)
        return MILL_E_DATA;
    fill(o, out);
    if (!mill_event_list(json_object_get(o, "tags"), mem, &out->categories) ||
        !mill_event_keep(out, out->provider_id, mem))
        rc = mill_fail(err, MILL_E_NOMEM, WHERE, "out of memory");
    json_decref(o);
    return rc;
}

enum { SECONDS_MAX = 12 /**< digits */, TOKEN_MAX = 128 /**< it is 50 */ };

/** What Mailgun says about itself in a post; borrowed from the JSON. */
struct webhook_words {
    struct mill_str timestamp, token, signature, parent;
};

/** Both ways: a digit moved from the token to the timestamp is signed as well. */
static bool webhook_fresh(struct mill_str timestamp, int64_t now_us, uint64_t max_age_ms)
{
    int64_t s = 0, age_ms;

    if (timestamp.n > SECONDS_MAX || !mill_str_i64(timestamp, &s) || s < 0)
        return false;
    age_ms = now_us / 1000 - s * 1000;
    return !max_age_ms || (uint64_t)(age_ms < 0 ? -age_ms : age_ms) <= max_age_ms;
}

static bool webhook_fits(const struct webhook_words *w, struct mill_str key)
{
    char text[SECONDS_MAX + TOKEN_MAX], hex[2 * MILL_SHA256_BYTES + 1];
    unsigned char mac[MILL_SHA256_BYTES];

    memcpy(text, w->timestamp.p, w->timestamp.n);
    memcpy(text + w->timestamp.n, w->token.p, w->token.n);
    if (!key.n || !mill_hmac_sha256(key, (struct mill_str){text, w->timestamp.n + w->token.n}, mac))
        return false;
    mill_hex(mac, sizeof mac, hex);
    return mill_equal_secret(mill_str(hex), w->signature) ||
           mill_equal_secret(mill_str(hex), w->parent);
}

/** Any key may fit the signature, or the parent's (events of a subaccount). */
static enum mill_code webhook_verify(const struct mill_webhook_keys *keys,
                                     const struct mill_webhook_post *post, struct mill_err *err)
{
    json_t *root = NULL, *o;
    struct webhook_words w;
    enum mill_code rc = mill_json_parse(post->body, &root, err);

    if (rc)
        return rc;
    o = json_object_get(root, "signature");
    w = (struct webhook_words){mill_json_str(o, "timestamp"), mill_json_str(o, "token"),
                               mill_json_str(o, "signature"), mill_json_str(o, "parent-signature")};
    rc = MILL_E_AUTH;
    if (!json_is_object(o)) {
        rc = mill_fail(err, MILL_E_DATA, "signature", "is missing");
    } else if (!w.token.n || w.token.n > TOKEN_MAX) {
        mill_fail(err, rc, "signature.token", "is missing or too long");
    } else if (!webhook_fresh(w.timestamp, post->now_us, keys->conf->max_age_ms)) {
        mill_fail(err, rc, "signature.timestamp", "is no time, or too far from now");
    } else {
        for (size_t i = 0; rc && i < keys->n; i++)
            if (webhook_fits(&w, keys->v[i].text))
                rc = MILL_OK;
        if (rc)
            mill_fail(err, rc, "signature", "does not fit");
    }
    json_decref(root);
    return rc;
}

#define OPT(m) .off = offsetof(struct mill_webhook_conf, m)
static const struct mill_opt webhook_opts[] = {
    {.name = "mailgun-signing-key",
     .type = MILL_OPT_STR,
     OPT(keys),
     .flags = MILL_OPT_SECRET,
     .help = "signing keys of Mailgun's webhooks, by comma or line; several while one is replaced"},
    {.name = "mailgun-max-age",
     .type = MILL_OPT_MS,
     OPT(max_age_ms),
     .def = "24h",
     .max = UINT64_C(31622400000),
     .help = "how old a Mailgun signature may be; 0 = any age. Mailgun repeats a post for 8 h"},
    {0},
};

const struct mill_webhook mill_mailgun_webhook = {.opts = webhook_opts, .verify = webhook_verify};
