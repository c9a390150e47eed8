/**
 * @file sendgrid.c
 * @brief SendGrid v3 mail/send: one personalization a call, our message id in its custom args.
 *
 * The body is written by hand, in the order of SendGrid's schema; what is empty is left out, as
 * empty strings and lists are refused there. SendGrid has no idempotency of any kind.
 */
#include "send/providers/sendgrid.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "send/providers/wait.h"

enum {
    BODY_MAX_BYTES = 48 << 20, /**< 30 MB of mail, a third more in base64, and room */
};

/** Writes "key": with the comma that is needed; first says whether it is the first member. */
static void key(struct mill_buf *b, bool *first, const char *name)
{
    mill_buf_puts(b, *first ? "" : ",");
    *first = false;
    mill_buf_json(b, mill_str(name));
    mill_buf_putc(b, ':');
}

static void pair(struct mill_buf *b, bool *first, const char *name, struct mill_str value)
{
    if (value.n) {
        key(b, first, name);
        mill_buf_json(b, value);
    }
}

static void address(struct mill_buf *b, const struct mill_address *a)
{
    bool first = true;

    mill_buf_putc(b, '{');
    pair(b, &first, "email", a->email);
    pair(b, &first, "name", a->name);
    mill_buf_putc(b, '}');
}

static void addresses(struct mill_buf *b, bool *first, const char *name, struct mill_addresses list)
{
    if (!list.n)
        return;
    key(b, first, name);
    for (size_t i = 0; i < list.n; i++) {
        mill_buf_putc(b, i ? ',' : '[');
        address(b, &list.v[i]);
    }
    mill_buf_putc(b, ']');
}

static void custom_args(struct mill_buf *b, bool *first, const struct mill_message *m)
{
    bool inner = true;

    key(b, first, "custom_args");
    mill_buf_putc(b, '{');
    pair(b, &inner, "mill_message_id", m->message_id);
    pair(b, &inner, "mill_tenant", m->tenant);
    for (size_t i = 0; i < m->metadata.n; i++) {
        const struct mill_pair *kv = &m->metadata.v[i];
        if (mill_str_is(kv->key, "mill_message_id") || mill_str_is(kv->key, "mill_tenant"))
            continue; /* ours; a repeated name would leave the winner to SendGrid's parser */
        mill_buf_puts(b, inner ? "" : ",");
        inner = false;
        mill_buf_json(b, kv->key);
        mill_buf_putc(b, ':');
        mill_buf_json(b, kv->value);
    }
    mill_buf_putc(b, '}');
}

/** template_data is JSON text of somebody else: it goes in only if it is one object. */
static enum mill_code template_data(struct mill_buf *b, bool *first, struct mill_str data,
                                    struct mill_err *err)
{
    json_t *o = NULL;
    enum mill_code rc = MILL_OK;

    if (!data.n)
        return MILL_OK;
    rc = mill_json_parse(data, &o, err);
    if (rc)
        return rc;
    if (json_is_object(o)) {
        key(b, first, "dynamic_template_data");
        mill_buf_str_add(b, data);
    } else {
        rc = mill_fail(err, MILL_E_DATA, "template_data", "is no JSON object");
    }
    json_decref(o);
    return rc;
}

static enum mill_code personalization(struct mill_buf *b, const struct mill_message *m,
                                      struct mill_err *err)
{
    bool first = true;
    enum mill_code rc = MILL_OK;

    mill_buf_puts(b, "\"personalizations\":[{");
    addresses(b, &first, "to", m->to);
    addresses(b, &first, "cc", m->cc);
    addresses(b, &first, "bcc", m->bcc);
    custom_args(b, &first, m);
    if (m->template_id.n)
        rc = template_data(b, &first, m->template_data, err);
    mill_buf_puts(b, "}]");
    return rc;
}

static void content(struct mill_buf *b, bool *first, const struct mill_message *m)
{
    bool any = false;
    const struct {
        const char *type;
        struct mill_str text;
    } part[] = {{"text/plain", m->text}, {"text/html", m->html}}; /* this order is demanded */

    for (size_t i = 0; i < 2; i++) {
        bool inner = true;
        if (!part[i].text.n)
            continue;
        if (!any)
            key(b, first, "content");
        mill_buf_puts(b, any ? ",{" : "[{");
        any = true;
        pair(b, &inner, "type", mill_str(part[i].type));
        pair(b, &inner, "value", part[i].text);
        mill_buf_putc(b, '}');
    }
    mill_buf_puts(b, any ? "]" : "");
}

static enum mill_code attachments(struct mill_buf *b, bool *first, const struct mill_message *m,
                                  struct mill_err *err)
{
    for (size_t i = 0; i < m->attachments.n; i++) {
        const struct mill_attachment *a = &m->attachments.v[i];
        bool inner = true;

        if (!a->content.p)
            return mill_fail(err, MILL_E_DATA, "attachments", "number %zu has no content", i);
        if (i == 0)
            key(b, first, "attachments");
        mill_buf_puts(b, i ? ",{" : "[{");
        key(b, &inner, "content");
        mill_buf_putc(b, '"');
        mill_base64_add(b, a->content);
        mill_buf_putc(b, '"');
        pair(b, &inner, "filename", a->filename);
        pair(b, &inner, "type", a->type);
        pair(b, &inner, "disposition", a->disposition);
        pair(b, &inner, "content_id", a->content_id);
        mill_buf_putc(b, '}');
    }
    mill_buf_puts(b, m->attachments.n ? "]" : "");
    return MILL_OK;
}

static void lists(struct mill_buf *b, bool *first, const struct mill_message *m)
{
    if (m->headers.n) {
        key(b, first, "headers");
        for (size_t i = 0; i < m->headers.n; i++) {
            mill_buf_putc(b, i ? ',' : '{');
            mill_buf_json(b, m->headers.v[i].key);
            mill_buf_putc(b, ':');
            mill_buf_json(b, m->headers.v[i].value);
        }
        mill_buf_putc(b, '}');
    }
    if (m->categories.n) {
        key(b, first, "categories");
        for (size_t i = 0; i < m->categories.n; i++) {
            mill_buf_putc(b, i ? ',' : '[');
            mill_buf_json(b, m->categories.v[i]);
        }
        mill_buf_putc(b, ']');
    }
}

static enum mill_code body(struct mill_buf *b, const struct mill_message *m, struct mill_err *err)
{
    bool first = false;
    enum mill_code rc = MILL_OK;

    mill_buf_init(b, BODY_MAX_BYTES);
    mill_buf_putc(b, '{');
    rc = personalization(b, m, err);
    if (rc)
        return rc;
    key(b, &first, "from");
    address(b, &m->from);
    if (m->reply_to.n == 1) {
        key(b, &first, "reply_to");
        address(b, &m->reply_to.v[0]);
    } else {
        addresses(b, &first, "reply_to_list", m->reply_to);
    }
    pair(b, &first, "subject", m->subject);
    content(b, &first, m);
    rc = attachments(b, &first, m, err);
    if (rc)
        return rc;
    pair(b, &first, "template_id", m->template_id);
    lists(b, &first, m);
    mill_buf_putc(b, '}');
    if (b->nomem)
        return mill_fail(err, MILL_E_NOMEM, "message", "out of memory");
    return b->failed ? mill_fail(err, MILL_E_DATA, "message", "over SendGrid's size limit")
                     : MILL_OK;
}

static enum mill_code sendgrid_build(const struct mill_account *account,
                                     const struct mill_message *m, int64_t now_us,
                                     struct mill_outgoing *out, struct mill_err *err)
{
    struct mill_str url = mill_arena_printf(&out->mem, "%s/v3/mail/send", account->url);
    struct mill_str auth =
        mill_arena_printf(&out->mem, "Bearer %s", account->secret ? account->secret : "");
    struct mill_pair *h = mill_arena_calloc(&out->mem, 2, sizeof(*h));
    enum mill_code rc = MILL_OK;

    (void)now_us; /* SendGrid dates the mail */
    if (!url.p || !auth.p || !h)
        return mill_fail(err, MILL_E_NOMEM, "sendgrid", "out of memory");
    rc = body(&out->body, m, err);
    if (rc)
        return rc;
    h[0] = (struct mill_pair){MILL_STR("Authorization"), auth};
    h[1] = (struct mill_pair){MILL_STR("Content-Type"), MILL_STR("application/json")};
    out->http.method = "POST";
    out->http.url = url.p;
    out->http.headers = (struct mill_map){h, 2};
    out->http.body = mill_buf_view(&out->body);
    out->http.tls_ca = account->tls_ca;
    return MILL_OK;
}

/** {"errors":[{"message","field"}]} as "field: message"; the first one says enough. */
static struct mill_str error_text(const struct mill_http_reply *r, struct mill_arena *mem)
{
    json_t *o = NULL;
    const json_t *first = NULL;
    struct mill_str field, text, out;

    if (r->body.n && mill_json_parse(r->body, &o, NULL))
        o = NULL;
    first = json_array_get(json_object_get(o, "errors"), 0);
    field = mill_json_str(first, "field");
    text = mill_json_str(first, "message");
    out = mill_arena_printf(mem, "HTTP %ld%s%.*s%s%.*s", r->status, field.n ? " " : "",
                            MILL_FMT(field), text.n ? ": " : "", MILL_FMT(text));
    json_decref(o);
    return mill_answer_text(mem, out);
}

/** 202 (200 in the sandbox) is the one "yes"; an undocumented 2xx proves nothing. Nor does a 5xx:
 *  a gateway says it of a mail that has gone through. Only a 503 that names a time to come back at
 *  is the service's own word that it did not take the mail. */
static enum mill_outcome outcome_of(const struct mill_http_reply *r)
{
    long status = r->status;

    if (status == 202 || status == 200)
        return MILL_OUTCOME_ACCEPTED;
    if (status == 401)
        return MILL_OUTCOME_CREDENTIAL;
    if (status == 429)
        return MILL_OUTCOME_THROTTLED;
    if (status == 408 || (status >= 300 && status < 400) ||
        (status == 503 && mill_http_header(r, "Retry-After").n))
        return MILL_OUTCOME_TRANSIENT;
    return status >= 400 && status < 500 ? MILL_OUTCOME_PERMANENT : MILL_OUTCOME_UNKNOWN;
}

static void sendgrid_classify(const struct mill_http_reply *r, struct mill_arena *mem,
                              struct mill_answer *out)
{
    *out = (struct mill_answer){.outcome = MILL_OUTCOME_UNKNOWN};
    if (r->end == MILL_HTTP_REPLIED)
        out->outcome = outcome_of(r);
    else if (r->end == MILL_HTTP_UNSENT)
        out->outcome = MILL_OUTCOME_TRANSIENT;
    if (out->outcome == MILL_OUTCOME_ACCEPTED)
        out->provider_id = mill_arena_dup(mem, mill_http_header(r, "X-Message-Id"));
    else if (r->end == MILL_HTTP_REPLIED)
        out->reason = error_text(r, mem);
    else
        out->reason = mill_answer_text(mem, mill_str(r->reason ? r->reason : "no reply"));
    if (out->outcome == MILL_OUTCOME_THROTTLED || out->outcome == MILL_OUTCOME_TRANSIENT)
        out->wait_ms = mill_wait_headers(r, mill_now_us());
}

#define OPT(m) .off = offsetof(struct mill_account, m)
static const struct mill_opt sendgrid_opts[] = {
    {.name = "sendgrid-url",
     .type = MILL_OPT_STR,
     OPT(url),
     .def = "https://api.sendgrid.com",
     .help = "base URL of the SendGrid API"},
    {.name = "sendgrid-key",
     .type = MILL_OPT_STR,
     OPT(secret),
     .flags = MILL_OPT_SECRET,
     .help = "SendGrid API key"},
    MILL_ACCOUNT_RATE("sendgrid"),
    {0},
};

static enum mill_code sendgrid_check(const struct mill_account *account, struct mill_err *err)
{
    return mill_account_complete(account, "sendgrid", true, err);
}

const struct mill_provider mill_provider_sendgrid = {
    .name = "sendgrid",
    .idem = MILL_IDEM_NONE,
    .max_recipients = 1000,
    .schedules = true,
    .opts = sendgrid_opts,
    .check = sendgrid_check,
    .build = sendgrid_build,
    .classify = sendgrid_classify,
    .webhook = &mill_sendgrid_webhook,
    .split = mill_sendgrid_split,
    .parse_event = mill_sendgrid_event,
};
