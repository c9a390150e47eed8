#include "mail/request_rules.h"

#include "mail/charset.h"
#include "mail/rules.h"

static const struct mill_charset id_set = MILL_SET_ID;

static const int64_t day_us = INT64_C(86400) * 1000000;
static const int64_t year_2000_us = INT64_C(946684800) * 1000000;

bool mill_id_ok(struct mill_str id)
{
    return id.n <= MILL_ID_BYTES_MAX && mill_all_in(&id_set, id);
}

/** One line of at most max bytes; absent and empty pass. */
static void request_line(const struct rules_walk *w, const struct mill_step *at, struct mill_str s,
                         size_t max)
{
    const char *why = rules_line(s, false);

    if (why)
        mill_faults_add(w->out, at, "%s", why);
    else if (s.n > max)
        mill_faults_add(w->out, at, "is longer than %zu bytes", max);
}

static void request_identity(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;
    struct mill_faults *out = w->out;

    if (r->request_id.p && !mill_id_ok(r->request_id))
        mill_faults_add(out, MILL_AT(NULL, "request_id"),
                        "is not 1 to 128 of A-Z a-z 0-9 . _ ~ : -");
    if (r->resend_id.p && !mill_id_ok(r->resend_id))
        mill_faults_add(out, MILL_AT(NULL, "resend_id"),
                        "is not 1 to 128 of A-Z a-z 0-9 . _ ~ : -");
    if ((r->resend_id.p != NULL) != r->resend_at.has)
        mill_faults_add(out, MILL_AT(NULL, "resend_at"), "resend_id and resend_at go together");
    request_line(w, MILL_AT(NULL, "tenant"), r->tenant, MILL_ID_BYTES_MAX);
    request_line(w, MILL_AT(NULL, "client"), r->client, MILL_ID_BYTES_MAX);
    if (r->accepted_at &&
        (r->accepted_at < year_2000_us || r->accepted_at > w->rules->now_us + day_us))
        mill_faults_add(out, MILL_AT(NULL, "accepted_at"),
                        "is before 2000 or in the future (µs since 1970?)");
    if (r->fingerprint.p && (r->fingerprint.n < 16 || !mill_id_ok(r->fingerprint)))
        mill_faults_add(out, MILL_AT(NULL, "fingerprint"), "is no fingerprint");
}

/** UTF-8 without NUL; an empty text counts as none. */
static void request_body(const struct rules_walk *w, const struct mill_step *at, struct mill_str s)
{
    if (s.n && memchr(s.p, '\0', s.n))
        mill_faults_add(w->out, at, "has a NUL");
    else if (!mill_str_utf8(s))
        mill_faults_add(w->out, at, "is no UTF-8");
}

static void request_subject(const struct rules_walk *w, const struct mill_step *at,
                            struct mill_str subject, bool needed)
{
    const char *why = rules_line(subject, false);

    if (why)
        mill_faults_add(w->out, at, "%s", why);
    else if (!subject.n && needed)
        mill_faults_add(w->out, at, "is missing");
    else if (subject.n > MILL_SUBJECT_CHARS && rules_chars(subject) > MILL_SUBJECT_CHARS)
        mill_faults_add(w->out, at, "is longer than 998 characters");
}

static void request_categories(const struct rules_walk *w)
{
    struct mill_strs c = w->request->categories;

    if (c.n > MILL_CATEGORIES_MAX) {
        mill_faults_add(w->out, MILL_AT(NULL, "categories"), "has more than 10 entries");
        return;
    }
    for (size_t i = 0; i < c.n; i++) {
        const struct mill_step *at = MILL_AT_N(NULL, "categories", i);
        const char *why = rules_line(c.v[i], false);
        if (!c.v[i].n)
            mill_faults_add(w->out, at, "is empty");
        else if (why)
            mill_faults_add(w->out, at, "%s", why);
        else if (rules_chars(c.v[i]) > MILL_CATEGORY_CHARS)
            mill_faults_add(w->out, at, "is longer than 255 characters");
        for (size_t k = 0; k < i; k++)
            if (mill_str_eq(c.v[k], c.v[i]))
                mill_faults_add(w->out, at, "is there twice");
    }
}

static void request_send_at(const struct rules_walk *w, const struct mill_step *at,
                            struct mill_opt_i64 send_at)
{
    if (!send_at.has)
        return;
    if (send_at.v < year_2000_us)
        mill_faults_add(w->out, at, "is before the year 2000");
    else if (send_at.v > w->base_us + 366 * day_us)
        mill_faults_add(w->out, at, "is more than a year ahead");
}

/** A mail that could only expire before it is sent was not meant. */
static void request_expires_at(const struct rules_walk *w, struct mill_opt_i64 send_at)
{
    struct mill_opt_i64 expires_at = w->request->expires_at;
    int64_t from = send_at.has && send_at.v > w->base_us ? send_at.v : w->base_us;

    if (!expires_at.has)
        return;
    if (expires_at.v <= from)
        mill_faults_add(w->out, MILL_AT(NULL, "expires_at"), "is not after send_at and now");
    else if (expires_at.v > w->base_us + 2 * 366 * day_us)
        mill_faults_add(w->out, MILL_AT(NULL, "expires_at"), "is more than two years ahead");
}

static void request_personalization(const struct rules_walk *w, size_t i)
{
    const struct mill_request *r = w->request;
    const struct mill_personalization *p = &r->personalizations.v[i];
    const struct mill_step *at = MILL_AT_N(NULL, "personalizations", i);

    rules_recipients(w, at, p);
    request_subject(w, MILL_AT(at, "subject"), p->subject, false);
    if (!p->subject.n && !r->subject.n && !r->template_id.n)
        request_subject(w, MILL_AT(NULL, "subject"), r->subject, true);
    rules_headers(w, MILL_AT(at, "headers"), p->headers);
    rules_metadata(w, MILL_AT(at, "metadata"), p->metadata, r->metadata);
    rules_json(w, MILL_AT(at, "data"), p->data);
    request_send_at(w, MILL_AT(at, "send_at"), p->send_at);
    request_expires_at(w, p->send_at.has ? p->send_at : r->send_at);
}

static size_t request_recipients_n(const struct mill_request *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->personalizations.n; i++) {
        const struct mill_personalization *p = &r->personalizations.v[i];
        n += p->to.n + p->cc.n + p->bcc.n;
    }
    return n;
}

static void request_personalizations(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;
    const struct mill_step *at = MILL_AT(NULL, "personalizations");
    size_t recipients = request_recipients_n(r);

    if (!r->personalizations.n)
        mill_faults_add(w->out, at, "at least one is needed");
    if (r->personalizations.n > MILL_RECIPIENTS_MAX)
        mill_faults_add(w->out, at, "has more than 1000 entries");
    else if (recipients > MILL_RECIPIENTS_MAX)
        mill_faults_add(w->out, at, "%zu recipients in to, cc and bcc: 1000 are allowed",
                        recipients);
    for (size_t i = 0; i < r->personalizations.n && i < MILL_RECIPIENTS_MAX; i++)
        request_personalization(w, i);
}

static void request_addresses(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;

    rules_address(w, MILL_AT(NULL, "from"), &r->from, false);
    if (r->reply_to.n > MILL_RECIPIENTS_MAX)
        mill_faults_add(w->out, MILL_AT(NULL, "reply_to"), "has more than 1000 entries");
    for (size_t i = 0; i < r->reply_to.n && i < MILL_RECIPIENTS_MAX; i++)
        rules_address(w, MILL_AT_N(NULL, "reply_to", i), &r->reply_to.v[i], false);
}

static void request_content(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;

    if (!r->text.n && !r->html.n && !r->template_id.n)
        mill_faults_add(w->out, MILL_AT(NULL, "text"), "text, html or template_id is needed");
    request_body(w, MILL_AT(NULL, "text"), r->text);
    request_body(w, MILL_AT(NULL, "html"), r->html);
    request_line(w, MILL_AT(NULL, "template_id"), r->template_id, MILL_NAME_BYTES_MAX);
    rules_json(w, MILL_AT(NULL, "template_data"), r->template_data);
    request_subject(w, MILL_AT(NULL, "subject"), r->subject, false);
    for (size_t i = 0; i < r->attachments.n; i++)
        rules_attachment(w, MILL_AT_N(NULL, "attachments", i), &r->attachments.v[i]);
}

static size_t request_map_bytes(struct mill_map m)
{
    size_t n = 0;

    for (size_t i = 0; i < m.n; i++)
        n += m.v[i].key.n + m.v[i].value.n + 2;
    return n;
}

static size_t request_list_bytes(struct mill_addresses list)
{
    size_t n = 0;

    for (size_t i = 0; i < list.n; i++)
        n += list.v[i].email.n + list.v[i].name.n + 2;
    return n;
}

/** What every message of the request carries. */
static size_t request_shared_bytes(const struct mill_request *r)
{
    size_t n = r->request_id.n + r->tenant.n + r->client.n + r->fingerprint.n + r->from.email.n +
               r->from.name.n + r->subject.n + r->text.n + r->html.n + r->template_id.n +
               r->template_data.n + r->resend_id.n + request_list_bytes(r->reply_to) +
               request_map_bytes(r->headers) + request_map_bytes(r->metadata);

    for (size_t i = 0; i < r->categories.n; i++)
        n += r->categories.v[i].n + 1;
    for (size_t i = 0; i < r->attachments.n; i++) {
        const struct mill_attachment *a = &r->attachments.v[i];
        n += a->filename.n + a->type.n + a->disposition.n + a->content_id.n + a->content.n;
        n += a->ref ? a->ref->sha256.n + a->ref->key.n : 0;
    }
    return n;
}

uint64_t mill_attachments_bytes(struct mill_attachments v)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < v.n; i++) {
        const struct mill_attachment *a = &v.v[i];
        uint64_t n = a->content.n;
        if (a->ref && a->ref->bytes > 0)
            n = (uint64_t)a->ref->bytes;
        bytes += n > MILL_MAIL_BYTES_MAX ? MILL_MAIL_BYTES_MAX : (n + 2) / 3 * 4;
    }
    return bytes;
}

/** What the provider will carry: texts as they are, attachments as base64. */
static void request_mail_size(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;
    uint64_t bytes = r->text.n + r->html.n + r->template_data.n;

    if (bytes + mill_attachments_bytes(r->attachments) < MILL_MAIL_BYTES_MAX)
        return;
    mill_faults_add(w->out, NULL, "the mail with its attachments is not below 30 MB");
    w->out->too_large = true;
}

/** A record of 2 MiB may ask for a thousand messages of that size: more than a batch can hold. */
static void request_split_size(const struct rules_walk *w)
{
    const struct mill_request *r = w->request;
    uint64_t bytes = (uint64_t)request_shared_bytes(r) * r->personalizations.n;

    if (r->personalizations.n > 1 && bytes > MILL_SPLIT_BYTES_MAX)
        mill_faults_add(w->out, MILL_AT(NULL, "personalizations"),
                        "the messages together are over 128 MiB: send it in parts");
}

void mill_request_check(const struct mill_request *r, const struct mill_rules *rules,
                        struct mill_faults *out)
{
    const struct rules_walk w = {
        .request = r,
        .rules = rules,
        .out = out,
        .base_us = r->accepted_at ? r->accepted_at : rules->now_us,
    };

    request_identity(&w);
    request_addresses(&w);
    request_content(&w);
    request_categories(&w);
    rules_headers(&w, MILL_AT(NULL, "headers"), r->headers);
    rules_metadata(&w, MILL_AT(NULL, "metadata"), r->metadata, (struct mill_map){0});
    request_send_at(&w, MILL_AT(NULL, "send_at"), r->send_at);
    request_expires_at(&w, r->send_at);
    request_personalizations(&w);
    request_mail_size(&w);
    request_split_size(&w);
}
