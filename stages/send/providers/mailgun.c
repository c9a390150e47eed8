/**
 * @file mailgun.c
 * @brief Mailgun v3 messages: multipart/form-data, our message id as a variable of the mail.
 *
 * The form is written by hand, because it must travel without a way back (a body that libcurl could
 * rewind may be sent twice). Mailgun has no idempotency of any kind, and is known to answer 5xx for
 * mail that it has sent: such an answer is unknown, not refused.
 * A wrong domain (404) or an unpaid bill (402) is no mail's fault: the provider is paused for it,
 * as for a refused key.
 */
#include "send/providers/mailgun.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "send/providers/wait.h"

enum {
    BODY_MAX_BYTES = 25 << 20,   /**< Mailgun's limit of a message */
    EXTRAS_MAX_BYTES = 16 << 10, /**< of all o:, h:, v: and t: fields together */
    BOUNDARY_RANDOM = 18,        /**< bytes */
    ADDRESS_MAX_BYTES = 16 << 10,
};

struct mailgun_account {
    struct mill_account base; /**< first */
    const char *domain;
};

/** The form in the making; the first fault stays. */
struct form {
    struct mill_buf *b;
    char boundary[2 * BOUNDARY_RANDOM + 8];
    size_t extras;
    struct mill_err *err;
    enum mill_code rc;
};

static void form_fail(struct form *f, const char *where, const char *text)
{
    if (!f->rc)
        f->rc = mill_fail(f->err, MILL_E_DATA, where, "%s", text);
}

static bool plain(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

/** A name inside quotes, as browsers write it. */
static void quoted(struct form *f, const char *prefix, struct mill_str name)
{
    mill_buf_putc(f->b, '"');
    mill_buf_puts(f->b, prefix);
    for (size_t i = 0; i < name.n; i++) {
        switch (name.p[i]) {
        case '"':
            mill_buf_puts(f->b, "%22");
            break;
        case '\r':
            mill_buf_puts(f->b, "%0D");
            break;
        case '\n':
            mill_buf_puts(f->b, "%0A");
            break;
        default:
            mill_buf_putc(f->b, name.p[i]);
        }
    }
    mill_buf_putc(f->b, '"');
}

static void part(struct form *f, const char *prefix, struct mill_str name)
{
    mill_buf_printf(f->b, "--%s\r\nContent-Disposition: form-data; name=", f->boundary);
    quoted(f, prefix, name);
}

static void value(struct form *f, struct mill_str text)
{
    mill_buf_puts(f->b, "\r\n\r\n");
    mill_buf_str_add(f->b, text);
    mill_buf_puts(f->b, "\r\n");
}

static void field(struct form *f, const char *name, struct mill_str text)
{
    if (text.n) {
        part(f, "", mill_str(name));
        value(f, text);
    }
}

/** An o:, h:, v: or t: field: they have a limit of their own. An empty variable is one all the
 * same.
 */
static void extra(struct form *f, const char *prefix, struct mill_str name, struct mill_str text)
{
    f->extras += strlen(prefix) + name.n + text.n;
    part(f, prefix, name);
    value(f, text);
}

/** Text that becomes a header of the mail: it must not start another one. */
static void header_field(struct form *f, const char *name, struct mill_str text)
{
    if (!plain(text))
        form_fail(f, name, "control character");
    field(f, name, text);
}

/** name <address>, the name in quotes. */
static void address_add(struct mill_buf *b, const struct mill_address *a)
{
    if (!a->name.n) {
        mill_buf_str_add(b, a->email);
        return;
    }
    mill_buf_putc(b, '"');
    for (size_t i = 0; i < a->name.n; i++) {
        if (a->name.p[i] == '"' || a->name.p[i] == '\\')
            mill_buf_putc(b, '\\');
        mill_buf_putc(b, a->name.p[i]);
    }
    mill_buf_puts(b, "\" <");
    mill_buf_str_add(b, a->email);
    mill_buf_putc(b, '>');
}

/** One field an address: a comma inside a name parts nothing then. */
static void addresses(struct form *f, const char *name, struct mill_addresses list)
{
    for (size_t i = 0; i < list.n; i++) {
        if (!plain(list.v[i].email) || !plain(list.v[i].name))
            form_fail(f, name, "control character in an address");
        part(f, "", mill_str(name));
        mill_buf_puts(f->b, "\r\n\r\n");
        address_add(f->b, &list.v[i]);
        mill_buf_puts(f->b, "\r\n");
    }
}

static void reply_to(struct form *f, struct mill_addresses list)
{
    struct mill_buf text;

    if (!list.n)
        return;
    mill_buf_init(&text, ADDRESS_MAX_BYTES);
    for (size_t i = 0; i < list.n; i++) {
        mill_buf_puts(&text, i ? ", " : "");
        address_add(&text, &list.v[i]);
    }
    if (text.failed || !plain(mill_buf_view(&text)))
        form_fail(f, "reply_to", "control character, or too long");
    else
        extra(f, "h:", MILL_STR("Reply-To"), mill_buf_view(&text));
    mill_buf_release(&text);
}

static void extras(struct form *f, const struct mill_message *m)
{
    reply_to(f, m->reply_to);
    for (size_t i = 0; i < m->headers.n; i++) {
        if (!plain(m->headers.v[i].key) || !plain(m->headers.v[i].value))
            form_fail(f, "headers", "control character");
        extra(f, "h:", m->headers.v[i].key, m->headers.v[i].value);
    }
    extra(f, "v:", MILL_STR("mill_message_id"), m->message_id);
    if (m->tenant.n)
        extra(f, "v:", MILL_STR("mill_tenant"), m->tenant);
    for (size_t i = 0; i < m->metadata.n; i++) {
        const struct mill_pair *kv = &m->metadata.v[i];
        if (!mill_str_is(kv->key, "mill_message_id") && !mill_str_is(kv->key, "mill_tenant"))
            extra(f, "v:", kv->key, kv->value);
    }
    for (size_t i = 0; i < m->categories.n; i++)
        extra(f, "o:", MILL_STR("tag"), m->categories.v[i]);
    if (f->extras > EXTRAS_MAX_BYTES)
        form_fail(f, "message", "headers, metadata, categories and template data are over 16 KB");
}

/** A template's text and HTML come from Mailgun, which refuses ours beside it. */
static void content(struct form *f, const struct mill_message *m)
{
    json_t *o = NULL;

    if (!m->template_id.n) {
        field(f, "text", m->text);
        field(f, "html", m->html);
        return;
    }
    header_field(f, "template", m->template_id);
    if (m->text.n)
        field(f, "text", m->text);
    if (!m->template_data.n)
        return;
    if (mill_json_parse(m->template_data, &o, NULL) || !json_is_object(o))
        form_fail(f, "template_data", "is no JSON object");
    json_decref(o);
    extra(f, "t:", MILL_STR("variables"), m->template_data);
}

/** Mailgun takes the file's name of an inline part as its Content-ID. */
static void attachments(struct form *f, const struct mill_message *m)
{
    for (size_t i = 0; i < m->attachments.n; i++) {
        const struct mill_attachment *a = &m->attachments.v[i];
        bool in_text = mill_str_is(a->disposition, "inline");
        struct mill_str type = a->type.n ? a->type : MILL_STR("application/octet-stream");

        if (!a->content.p)
            form_fail(f, "attachments", "one has no content");
        if (!plain(type) || !plain(a->filename) || !plain(a->content_id))
            form_fail(f, "attachments", "control character");
        part(f, "", in_text ? MILL_STR("inline") : MILL_STR("attachment"));
        mill_buf_puts(f->b, "; filename=");
        quoted(f, "", in_text && a->content_id.n ? a->content_id : a->filename);
        mill_buf_puts(f->b, "\r\nContent-Type: ");
        mill_buf_str_add(f->b, type);
        value(f, a->content);
    }
}

static enum mill_code form_build(struct form *f, const struct mill_message *m)
{
    unsigned char random[BOUNDARY_RANDOM];

    if (!mill_random(random, sizeof random))
        return mill_fail(f->err, MILL_E_NOMEM, "mailgun", "no random bytes");
    memcpy(f->boundary, "mill-", 5);
    mill_hex(random, sizeof random, f->boundary + 5);
    mill_buf_init(f->b, BODY_MAX_BYTES);
    addresses(f, "from", (struct mill_addresses){&m->from, 1});
    addresses(f, "to", m->to);
    addresses(f, "cc", m->cc);
    addresses(f, "bcc", m->bcc);
    header_field(f, "subject", m->subject);
    content(f, m);
    extras(f, m);
    attachments(f, m);
    mill_buf_printf(f->b, "--%s--\r\n", f->boundary);
    if (f->b->nomem)
        return mill_fail(f->err, MILL_E_NOMEM, "message", "out of memory");
    if (f->b->failed)
        form_fail(f, "message", "over Mailgun's size limit");
    return f->rc;
}

static enum mill_code mailgun_build(const struct mill_account *account,
                                    const struct mill_message *m, int64_t now_us,
                                    struct mill_outgoing *out, struct mill_err *err)
{
    const struct mailgun_account *a = (const struct mailgun_account *)(const void *)account;
    struct mill_str url =
        mill_arena_printf(&out->mem, "%s/v3/%s/messages", account->url, a->domain);
    struct mill_pair *h = mill_arena_calloc(&out->mem, 1, sizeof(*h));
    struct form f = {.b = &out->body, .err = err};
    enum mill_code rc = form_build(&f, m);

    (void)now_us; /* Mailgun dates the mail */
    if (rc)
        return rc;
    if (url.p && h)
        *h = (struct mill_pair){
            MILL_STR("Content-Type"),
            mill_arena_printf(&out->mem, "multipart/form-data; boundary=%s", f.boundary),
        };
    if (!url.p || !h || !h->value.p)
        return mill_fail(err, MILL_E_NOMEM, "mailgun", "out of memory");
    out->http.method = "POST";
    out->http.url = url.p;
    out->http.user = "api";
    out->http.password = account->secret;
    out->http.headers = (struct mill_map){h, 1};
    out->http.body = mill_buf_view(&out->body);
    out->http.tls_ca = account->tls_ca;
    return MILL_OK;
}

static enum mill_outcome outcome_of(long status)
{
    switch (status) {
    case 200:
        return MILL_OUTCOME_ACCEPTED;
    case 401:
    case 402:
    case 404:
        return MILL_OUTCOME_CREDENTIAL;
    case 429:
        return MILL_OUTCOME_THROTTLED;
    case 408:
        return MILL_OUTCOME_TRANSIENT;
    default:
        if (status >= 300 && status < 400)
            return MILL_OUTCOME_TRANSIENT;
        return status >= 400 && status < 500 ? MILL_OUTCOME_PERMANENT : MILL_OUTCOME_UNKNOWN;
    }
}

static void read_reply(const struct mill_http_reply *r, struct mill_arena *mem,
                       struct mill_answer *out)
{
    json_t *o = NULL;
    struct mill_str text;

    if (r->body.n && mill_json_parse(r->body, &o, NULL))
        o = NULL;
    text = mill_json_str(o, "message");
    if (out->outcome == MILL_OUTCOME_ACCEPTED) {
        out->provider_id = mill_arena_dup(mem, mill_mailgun_id(mill_json_str(o, "id")));
    } else {
        struct mill_str why =
            mill_arena_printf(mem, "HTTP %ld%s%.*s", r->status, text.n ? " " : "", MILL_FMT(text));
        out->reason = mill_answer_text(mem, why);
    }
    if (out->outcome == MILL_OUTCOME_THROTTLED) {
        int64_t now = mill_now_us(), words = mill_wait_words(text, now);
        int64_t headers = mill_wait_headers(r, now);
        out->wait_ms = words > headers ? words : headers;
    }
    json_decref(o);
}

static void mailgun_classify(const struct mill_http_reply *r, struct mill_arena *mem,
                             struct mill_answer *out)
{
    *out = (struct mill_answer){.outcome = MILL_OUTCOME_UNKNOWN};
    if (r->end == MILL_HTTP_REPLIED) {
        out->outcome = outcome_of(r->status);
        read_reply(r, mem, out);
        return;
    }
    if (r->end == MILL_HTTP_UNSENT)
        out->outcome = MILL_OUTCOME_TRANSIENT;
    out->reason = mill_answer_text(mem, mill_str(r->reason ? r->reason : "no reply"));
}

#define OPT(m) .off = offsetof(struct mill_account, m)
static const struct mill_opt mailgun_opts[] = {
    {.name = "mailgun-url",
     .type = MILL_OPT_STR,
     OPT(url),
     .def = "https://api.mailgun.net",
     .help = "base URL of the Mailgun API"},
    {.name = "mailgun-domain",
     .type = MILL_OPT_STR,
     .off = offsetof(struct mailgun_account, domain),
     .help = "domain at Mailgun that mail is sent by"},
    {.name = "mailgun-key",
     .type = MILL_OPT_STR,
     OPT(secret),
     .flags = MILL_OPT_SECRET,
     .help = "Mailgun API key"},
    MILL_ACCOUNT_RATE("mailgun"),
    {0},
};

static enum mill_code mailgun_check(const struct mill_account *account, struct mill_err *err)
{
    const struct mailgun_account *a = (const struct mailgun_account *)(const void *)account;

    if (!a->domain || !a->domain[0] || strpbrk(a->domain, "/?#% "))
        return mill_fail(err, MILL_E_CONFIG, "mailgun", "its domain is not set, or is none");
    return mill_account_complete(account, "mailgun", true, err);
}

const struct mill_provider mill_provider_mailgun = {
    .name = "mailgun",
    .idem = MILL_IDEM_NONE,
    .max_recipients = 1000,
    .max_bytes = 25000000,
    .schedules = true,
    .opts = mailgun_opts,
    .check = mailgun_check,
    .build = mailgun_build,
    .classify = mailgun_classify,
    .webhook = &mill_mailgun_webhook,
    .split = mill_mailgun_split,
    .parse_event = mill_mailgun_event,
};
