/**
 * @file postbox.c
 * @brief A provider that Sendmill does not know: the one file that it needs. Of no real service.
 *
 * Call: POST url/send, one JSON object. Its posts: one event each, signed by HMAC-SHA256 of the raw
 * body, as hexadecimal digits in X-Postbox-Signature.
 */
#include "base/hash.h"
#include "send/message_id.h"
#include "send/provider.h"
#include "send/providers/events.h"

enum { BODY_MAX = 1 << 20 };

static enum mill_code postbox_build(const struct mill_account *account,
                                    const struct mill_message *m, int64_t now_us,
                                    struct mill_outgoing *out, struct mill_err *err)
{
    (void)now_us;
    mill_buf_init(&out->body, BODY_MAX);
    mill_buf_puts(&out->body, "{\"ref\":");
    mill_buf_json(&out->body, m->message_id);
    mill_buf_puts(&out->body, ",\"to\":");
    mill_buf_json(&out->body, m->to.v[0].email);
    mill_buf_putc(&out->body, '}');
    out->http.method = "POST";
    out->http.url = mill_arena_printf(&out->mem, "%s/send", account->url).p;
    out->http.body = mill_buf_view(&out->body);
    return out->http.url && !out->body.failed
               ? MILL_OK
               : mill_fail(err, MILL_E_NOMEM, "postbox", "out of memory");
}

static void postbox_classify(const struct mill_http_reply *r, struct mill_arena *mem,
                             struct mill_answer *out)
{
    (void)mem;
    *out = (struct mill_answer){.outcome = MILL_OUTCOME_UNKNOWN, .reason = MILL_STR("no answer")};
    if (r->end == MILL_HTTP_REPLIED && r->status == 200)
        *out = (struct mill_answer){.outcome = MILL_OUTCOME_ACCEPTED};
}

static enum mill_code postbox_split(struct mill_str body, mill_split_fn each, void *arg,
                                    struct mill_err *err)
{
    json_t *o = mill_json_object(body, err);
    struct mill_split one = {.raw = body, .message_id = mill_json_str(o, "ref")};
    enum mill_code rc = MILL_E_DATA;

    if (o && !mill_message_id_ok(one.message_id))
        one.message_id = (struct mill_str){NULL, 0};
    if (o)
        rc = each(arg, &one, err);
    json_decref(o);
    return rc;
}

static enum mill_code postbox_event(struct mill_str raw, struct mill_arena *mem,
                                    struct mill_event *out, struct mill_err *err)
{
    json_t *o = mill_json_object(raw, err);

    *out = (struct mill_event){.provider = MILL_STR("postbox"), .type = MILL_EVENT_DELIVERED};
    if (!o)
        return MILL_E_DATA;
    out->message_id = mill_arena_dup(mem, mill_json_str(o, "ref"));
    json_decref(o);
    return MILL_OK;
}

static enum mill_code postbox_verify(const struct mill_webhook_keys *keys,
                                     const struct mill_webhook_post *post, struct mill_err *err)
{
    unsigned char mac[MILL_SHA256_BYTES];
    char hex[2 * MILL_SHA256_BYTES + 1];

    for (size_t i = 0; i < keys->n; i++)
        if (mill_hmac_sha256(keys->v[i].text, post->body, mac) &&
            mill_equal_secret(mill_str(mill_hex(mac, sizeof mac, hex)), post->headers[0]))
            return MILL_OK;
    return mill_fail(err, MILL_E_AUTH, "signature", "does not fit");
}

static enum mill_code postbox_check(const struct mill_account *account, struct mill_err *err)
{
    return mill_account_complete(account, "postbox", false, err);
}

static const struct mill_opt opts[] = {
    {.name = "postbox-url",
     .type = MILL_OPT_STR,
     .off = offsetof(struct mill_account, url),
     .help = "base URL of Postbox"},
    MILL_ACCOUNT_RATE("postbox"),
    {0},
};
static const struct mill_opt webhook_opts[] = {
    {.name = "postbox-webhook-key",
     .type = MILL_OPT_STR,
     .off = offsetof(struct mill_webhook_conf, keys),
     .flags = MILL_OPT_SECRET,
     .help = "keys of Postbox's webhooks"},
    {0},
};
static const struct mill_webhook webhook = {
    .opts = webhook_opts, .headers = {"X-Postbox-Signature"}, .verify = postbox_verify};

const struct mill_provider mill_provider_postbox = {
    .name = "postbox",
    .max_recipients = 1,
    .opts = opts,
    .check = postbox_check,
    .build = postbox_build,
    .classify = postbox_classify,
    .webhook = &webhook,
    .split = postbox_split,
    .parse_event = postbox_event,
};
