/**
 * @file smtp.c
 * @brief Any SMTP server: the mail built here, carried by libcurl, one transaction a message.
 *
 * Outcome by recipient: a message is one transaction, and one that some recipients were taken for
 * cannot be tried again for the others without mailing the former twice. So
 *
 *   all taken                  accepted
 *   some taken, some refused   accepted, the reason says how many were not; for each refused one an
 *                              event: bounced (5yz), or dropped (4yz)
 *   none taken, some for now   throttled: the whole message is tried again, nobody has it
 *   none taken, all for good   permanent, and the events
 *   lost behind the final dot  unknown, of all of them: SMTP has no idempotency
 */
#include "send/providers/smtp.h"
#include "send/mime.h"

enum { MAIL_MAX_BYTES = 48 << 20 };

static bool has_control(struct mill_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

/** All of to, cc and bcc, each address once. @return NULL when out of memory */
static const char **recipients(const struct mill_message *m, struct mill_arena *mem)
{
    const struct mill_addresses lists[] = {m->to, m->cc, m->bcc};
    const char **rcpt = mill_arena_calloc(mem, m->to.n + m->cc.n + m->bcc.n + 1, sizeof(*rcpt));
    size_t n = 0;

    for (size_t l = 0; rcpt && l < 3; l++) {
        for (size_t i = 0; i < lists[l].n; i++) {
            struct mill_str email = lists[l].v[i].email;
            size_t seen = 0;

            while (seen < n && !mill_str_is(email, rcpt[seen]))
                seen++;
            if (seen < n)
                continue;
            rcpt[n] = mill_arena_dup(mem, email).p;
            if (!rcpt[n++])
                return NULL;
        }
    }
    return rcpt;
}

static bool envelope_safe(const struct mill_message *m)
{
    const struct mill_addresses lists[] = {m->to, m->cc, m->bcc};

    for (size_t l = 0; l < 3; l++) {
        for (size_t i = 0; i < lists[l].n; i++)
            if (has_control(lists[l].v[i].email))
                return false;
    }
    return !has_control(m->from.email);
}

static enum mill_code smtp_build(const struct mill_account *account, const struct mill_message *m,
                                 int64_t now_us, struct mill_outgoing *out, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;

    if (m->template_id.n)
        return mill_fail(err, MILL_E_DATA, "template_id", "SMTP has no templates");
    if (!envelope_safe(m))
        return mill_fail(err, MILL_E_DATA, "to", "control character in an address");
    out->http.mail_from = mill_arena_dup(&out->mem, m->from.email).p;
    out->http.rcpt = recipients(m, &out->mem);
    if (!out->http.mail_from || !out->http.rcpt)
        return mill_fail(err, MILL_E_NOMEM, "smtp", "out of memory");
    mill_buf_init(&out->body, MAIL_MAX_BYTES);
    rc = mill_mime_build(m, now_us, &out->body, err);
    if (rc)
        return rc;
    out->http.url = account->url;
    out->http.user = account->user;
    out->http.password = account->secret;
    out->http.tls_ca = account->tls_ca;
    out->http.body = mill_buf_view(&out->body);
    return MILL_OK;
}

/** A reply code with which the server refused. */
static enum mill_outcome refused(long code)
{
    switch (code) {
    case 530: /* authentication required */
    case 534: /* mechanism too weak */
    case 535: /* credentials invalid */
        return MILL_OUTCOME_CREDENTIAL;
    case 421:
    case 450:
    case 451:
    case 452:
        return MILL_OUTCOME_THROTTLED;
    default:
        return code >= 500 && code < 600 ? MILL_OUTCOME_PERMANENT : MILL_OUTCOME_TRANSIENT;
    }
}

/** What became of the recipients. */
struct tally {
    struct mill_refusal *refused;
    size_t n, refused_n;
    bool for_now; /**< at least one was refused with 4yz */
};

/** The last line of each answer to RCPT, in the order of the call's recipients.
 *  @return false when out of memory */
static bool count(const struct mill_http_reply *r, struct mill_arena *mem, struct tally *t)
{
    t->refused = mill_arena_calloc(mem, r->headers.n + 1, sizeof(*t->refused));
    for (size_t i = 0; t->refused && i < r->headers.n; i++) {
        struct mill_str line = mill_str_trim(r->headers.v[i].value);

        if (!mill_str_is(r->headers.v[i].key, "RCPT") || line.n < 3 ||
            (line.n > 3 && line.p[3] == '-'))
            continue;
        if (line.p[0] != '2') {
            t->refused[t->refused_n++] = (struct mill_refusal){t->n, mill_answer_text(mem, line)};
            t->for_now = t->for_now || line.p[0] == '4';
        }
        t->n++;
    }
    return t->refused != NULL;
}

static void smtp_classify(const struct mill_http_reply *r, struct mill_arena *mem,
                          struct mill_answer *out)
{
    struct tally t = {0};
    struct mill_str why;
    bool none;

    *out = (struct mill_answer){.outcome = MILL_OUTCOME_UNKNOWN};
    if (!count(r, mem, &t))
        t = (struct tally){0};
    none = t.n && t.refused_n == t.n;
    if (r->end == MILL_HTTP_REPLIED && r->status >= 200 && r->status < 300)
        out->outcome = MILL_OUTCOME_ACCEPTED;
    else if (r->end != MILL_HTTP_LOST && none)
        out->outcome = t.for_now ? MILL_OUTCOME_THROTTLED : MILL_OUTCOME_PERMANENT;
    else if (r->end == MILL_HTTP_UNSENT || (r->end == MILL_HTTP_REPLIED && r->status >= 400))
        out->outcome = refused(r->status);
    if (out->outcome == MILL_OUTCOME_THROTTLED && r->status != 421)
        out->wait_ms = -1; /* a mailbox or a sender is meant, not us */
    if (out->outcome == MILL_OUTCOME_ACCEPTED || (none && out->outcome == MILL_OUTCOME_PERMANENT)) {
        out->refusals = t.refused;
        out->refusals_n = t.refused_n;
    }
    if (out->outcome == MILL_OUTCOME_ACCEPTED && !t.refused_n)
        return;
    if (t.refused_n)
        why = mill_arena_printf(mem, "%zu of %zu recipients refused, the first with: %.*s",
                                t.refused_n, t.n, MILL_FMT(t.refused[0].reply));
    else
        why = mill_arena_printf(mem, "SMTP %ld %s", r->status, r->reason ? r->reason : "no reply");
    out->reason = mill_answer_text(mem, why);
}

#define OPT(m) .off = offsetof(struct mill_account, m)
static const struct mill_opt smtp_opts[] = {
    {.name = "smtp-url",
     .type = MILL_OPT_STR,
     OPT(url),
     .help = "smtp://host:port or smtps://host:port"},
    {.name = "smtp-user", .type = MILL_OPT_STR, OPT(user), .help = "SMTP user name"},
    {.name = "smtp-password",
     .type = MILL_OPT_STR,
     OPT(secret),
     .flags = MILL_OPT_SECRET,
     .help = "SMTP password"},
    MILL_ACCOUNT_RATE("smtp"),
    {0},
};

static enum mill_code smtp_check(const struct mill_account *account, struct mill_err *err)
{
    return mill_account_complete(account, "smtp", false, err);
}

const struct mill_provider mill_provider_smtp = {
    .name = "smtp",
    .idem = MILL_IDEM_NONE,
    .max_recipients = 1000,
    .opts = smtp_opts,
    .check = smtp_check,
    .build = smtp_build,
    .classify = smtp_classify,
    .parse_event = mill_smtp_event,
    .refusal_event = mill_smtp_refusal,
};
