/**
 * @file suppress.c
 * @brief Before a call: who of the recipients is not to be mailed, and the one-click link (RFC
 * 8058) for the one who may be.
 *
 * A recipient is left out when mail.suppressions has the address for the message's tenant or for
 * every tenant, for all mail or for a category of the message, unless a category of the message is
 * exempt. The others get their mail. The link unsubscribes from the first of the message's
 * categories that is one of unsubscribe-categories; where there is none, from all mail.
 */
#include "send/suppress.h"
#include "mail/controls.h"
#include "mail/suppression.h"
#include "send/send.h"
#include "table.h"

enum { LEFT_OUT_BYTES = 300 };

#define OPT(m) .type = MILL_OPT_STR, .off = offsetof(struct send_suppress_conf, m)
const struct mill_opt send_suppress_opts[] = {
    {.name = "exempt-categories",
     OPT(exempt_categories),
     .def = "transactional",
     .help = "mail of these categories also goes to suppressed addresses, and has no unsubscribe "
             "link; commas between"},
    MILL_SUPPRESSION_CATEGORIES(struct send_suppress_conf, unsubscribe_categories),
    {.name = "unsubscribe-url",
     OPT(unsubscribe_url),
     .help = "where ingest is reached from outside, https://host: one-click links "
             "(List-Unsubscribe) lead there. None: no links"},
    {.name = "unsubscribe-key",
     OPT(unsubscribe_keys),
     .flags = MILL_OPT_SECRET,
     .help = "keys of the unsubscribe links, as ingest has them; the first one signs"},
    {0},
};

static const char *const reasons[] = {
    [MILL_SUPPRESSED_OTHER] = "suppressed",      [MILL_SUPPRESSED_HARD_BOUNCE] = "hard bounce",
    [MILL_SUPPRESSED_COMPLAINT] = "complaint",   [MILL_SUPPRESSED_UNSUBSCRIBE] = "unsubscribed",
    [MILL_SUPPRESSED_MANUAL] = "by an operator",
};

static bool set(const char *option)
{
    return option && *option;
}

enum mill_code send_suppress_open(struct mill_unsubscribe_keys *keys,
                                  const struct send_suppress_conf *conf, struct mill_err *err)
{
    struct mill_str url = mill_str(conf->unsubscribe_url);
    enum mill_code rc = mill_unsubscribe_keys_read(keys, mill_str(conf->unsubscribe_keys), err);

    if (rc)
        return rc;
    if (set(conf->unsubscribe_url) != (keys->n > 0))
        return mill_fail(err, MILL_E_CONFIG, "unsubscribe-url",
                         "unsubscribe-url and unsubscribe-key belong together");
    /* RFC 8058 wants https; this machine may do without. */
    if (url.n && !mill_str_starts(url, "https://") && !mill_str_starts(url, "http://127.0.0.1"))
        return mill_fail(err, MILL_E_CONFIG, "unsubscribe-url", "is no https:// URL");
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~' || strchr("<>\"?#", url.p[i]))
            return mill_fail(err, MILL_E_CONFIG, "unsubscribe-url",
                             "byte %zu does not belong there", i);
    return MILL_OK;
}

static bool exempt(const struct send_suppress_conf *conf, const struct mill_message *m)
{
    for (size_t i = 0; i < m->categories.n; i++)
        if (mill_str_listed(m->categories.v[i], conf->exempt_categories))
            return true;
    return false;
}

/** One look. @param found out, when there is one that counts @return MILL_E_NOENT when there is not
 */
static enum mill_code suppress_get(struct mill_table *table, struct mill_str tenant,
                                   struct mill_str address, struct mill_str category,
                                   struct mill_arena *mem, struct mill_suppression *found,
                                   struct mill_err *err)
{
    char key[MILL_SUPPRESSION_KEY_SIZE];
    enum mill_code rc = MILL_E_NOENT;

    /* An address without a key is none that anybody could have reported. */
    if (mill_suppression_key(tenant, address, category, key))
        rc = mill_table_get(table, mill_str(key), mem, found, err);
    return !rc && found->lifted ? MILL_E_NOENT : rc;
}

/** For the tenant, for every tenant; for all mail, for one of the message's categories.
 *  @param found out; .address absent: the address may be mailed */
static enum mill_code suppress_find(struct mill_table *table, struct send_job *job,
                                    struct mill_str address, struct mill_suppression *found,
                                    struct mill_err *err)
{
    const struct mill_str tenants[] = {job->msg->tenant, MILL_STR("")};
    const struct mill_strs categories = job->msg->categories;
    enum mill_code rc = MILL_E_NOENT;

    for (size_t i = job->msg->tenant.n ? 0 : 1; rc == MILL_E_NOENT && i < 2; i++) {
        rc = suppress_get(table, tenants[i], address, MILL_STR(""), &job->mem, found, err);
        for (size_t k = 0; rc == MILL_E_NOENT && k < categories.n; k++)
            if (categories.v[k].n)
                rc = suppress_get(table, tenants[i], address, categories.v[k], &job->mem, found,
                                  err);
    }
    if (rc)
        *found = (struct mill_suppression){.address = {NULL, 0}};
    return rc == MILL_E_NOENT ? MILL_OK : rc;
}

/** Adds "address (reason)" to what is said of the job, as far as there is room. */
static bool suppress_say(struct send_job *job, struct mill_str address,
                         const struct mill_suppression *s)
{
    struct mill_str was = job->left_out, now;
    size_t known = sizeof(reasons) / sizeof(reasons[0]);
    const char *why = reasons[(size_t)s->reason < known ? s->reason : MILL_SUPPRESSED_OTHER];

    if (was.n > LEFT_OUT_BYTES)
        return true;
    now = mill_arena_printf(&job->mem, "%.*s%s%.*s (%s%s%.*s)",
                            MILL_FMT(was.n ? was : MILL_STR("left out: ")), was.n ? ", " : "",
                            MILL_FMT(address), why, s->category.n ? ", only " : "",
                            MILL_FMT(s->category));
    job->left_out = now;
    return now.p != NULL;
}

/** Takes the suppressed ones out of a list; it stays as it is when there are none. */
static enum mill_code suppress_list(struct mill_table *table, struct send_job *job,
                                    struct mill_addresses *list, struct mill_err *err)
{
    struct mill_address *kept = NULL;
    size_t n = 0;
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; !rc && i < list->n; i++) {
        struct mill_suppression found = {0};
        rc = suppress_find(table, job, list->v[i].email, &found, err);
        if (rc || !found.address.p) {
            if (kept)
                kept[n] = list->v[i];
            n++;
            continue;
        }
        if (!kept) {
            kept = mill_arena_calloc(&job->mem, list->n, sizeof(*kept));
            if (kept && n)
                memcpy(kept, list->v, n * sizeof(*kept));
        }
        if (!kept || !suppress_say(job, list->v[i].email, &found))
            rc = mill_fail(err, MILL_E_NOMEM, "recipients", "out of memory");
    }
    if (!rc && kept)
        *list = (struct mill_addresses){kept, n};
    return rc;
}

static bool has_header(const struct mill_message *m, struct mill_str name)
{
    for (size_t i = 0; i < m->headers.n; i++)
        if (mill_str_ieq(m->headers.v[i].key, name))
            return true;
    return false;
}

/** Who clicks is known only where there is one recipient; what the request says itself stands. */
static bool wants_link(const struct mill_unsubscribe_keys *keys, const struct mill_message *m)
{
    return keys->n && m->to.n == 1 && !m->cc.n && !m->bcc.n &&
           !has_header(m, MILL_STR("List-Unsubscribe")) &&
           !has_header(m, MILL_STR("List-Unsubscribe-Post"));
}

static enum mill_code add_link(struct mill_ctx *ctx, struct send_job *job, struct mill_message *m,
                               struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);
    const struct mill_unsubscribe u = {
        .tenant = m->tenant,
        .address = m->to.v[0].email,
        .category = mill_suppression_category(m->categories, conf->suppress.unsubscribe_categories),
        .message_id = m->message_id,
        .issued = m->accepted_at, /* not the clock: an attempt is like the one before it */
    };
    const struct send_state *st = mill_state(ctx);
    struct mill_str url = mill_str(conf->suppress.unsubscribe_url);
    struct mill_pair *h = mill_arena_calloc(&job->mem, m->headers.n + 2, sizeof(*h));
    struct mill_buf token;
    enum mill_code rc;

    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    mill_buf_init(&token, MILL_UNSUBSCRIBE_TOKEN_MAX);
    rc = h ? mill_unsubscribe_make(&u, &st->unsubscribe, &token, err) : MILL_E_NOMEM;
    if (!rc) {
        if (m->headers.n)
            memcpy(h, m->headers.v, m->headers.n * sizeof(*h));
        h[m->headers.n] =
            (struct mill_pair){MILL_STR("List-Unsubscribe"),
                               mill_arena_printf(&job->mem, "<%.*s/v1/unsubscribe/%.*s>",
                                                 MILL_FMT(url), MILL_FMT(mill_buf_view(&token)))};
        h[m->headers.n + 1] = (struct mill_pair){MILL_STR("List-Unsubscribe-Post"),
                                                 MILL_STR("List-Unsubscribe=One-Click")};
        if (!h[m->headers.n].value.p)
            rc = MILL_E_NOMEM;
        else
            m->headers = (struct mill_map){h, m->headers.n + 2};
    }
    mill_buf_release(&token);
    if (rc == MILL_E_DATA) /* a tenant too long for a token: the mail goes without the link */
        rc = MILL_OK;
    return rc == MILL_E_NOMEM ? mill_fail(err, rc, "unsubscribe", "out of memory") : rc;
}

enum mill_code send_suppress_look(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    const struct send_conf *conf = mill_conf(ctx);
    const struct send_state *st = mill_state(ctx);
    struct mill_table *table = mill_ctx_table(ctx, SEND_TABLE_SUPPRESSIONS);
    struct mill_message *m;
    struct mill_addresses *lists[3];
    enum mill_code rc = MILL_OK;

    if (exempt(&conf->suppress, job->msg))
        return MILL_OK;
    m = mill_arena_alloc(&job->mem, sizeof(*m));
    if (!m)
        return mill_fail(err, MILL_E_NOMEM, "recipients", "out of memory");
    *m = *job->msg;
    lists[0] = &m->to;
    lists[1] = &m->cc;
    lists[2] = &m->bcc;
    for (size_t i = 0; !rc && i < 3; i++)
        rc = suppress_list(table, job, lists[i], err);
    if (!rc && wants_link(&st->unsubscribe, m))
        rc = add_link(ctx, job, m, err);
    if (rc)
        return rc;
    if (!m->to.n && job->msg->to.n)
        job->plan = SEND_SUPPRESSED;
    job->msg = m;
    return MILL_OK;
}
