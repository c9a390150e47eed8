#include "mail/split.h"

#include "base/json.h"
#include "mail/address.h"
#include "mail/charset.h"
#include "mail/ids.h"
#include <stdlib.h>

/** What the steps of one split share. */
struct split {
    struct mill_arena *arena;
    bool nomem;
};

static struct mill_str split_email(struct split *s, struct mill_str email)
{
    struct mill_str ascii = mill_mailbox_ascii(email, s->arena);

    s->nomem = s->nomem || !ascii.p;
    return ascii;
}

static struct mill_addresses split_addresses(struct split *s, struct mill_addresses list)
{
    struct mill_address *copy;
    bool change = false;

    for (size_t i = 0; i < list.n && !change; i++)
        change = mill_has_utf8(list.v[i].email);
    if (!change)
        return list;
    copy = mill_arena_calloc(s->arena, list.n, sizeof *copy);
    s->nomem = s->nomem || !copy;
    for (size_t i = 0; i < list.n && copy; i++) {
        copy[i].name = list.v[i].name;
        copy[i].email = split_email(s, list.v[i].email);
    }
    return (struct mill_addresses){copy, copy ? list.n : 0};
}

static bool split_in(struct mill_map m, struct mill_str key, bool any_case)
{
    for (size_t i = 0; i < m.n; i++)
        if (any_case ? mill_str_ieq(m.v[i].key, key) : mill_str_eq(m.v[i].key, key))
            return true;
    return false;
}

static struct mill_map split_map(struct split *s, struct mill_map base, struct mill_map over,
                                 bool any_case)
{
    struct mill_pair *v;
    size_t n = 0;

    if (!over.n)
        return base;
    if (!base.n)
        return over;
    v = mill_arena_calloc(s->arena, base.n + over.n, sizeof *v);
    s->nomem = s->nomem || !v;
    if (!v)
        return over;
    for (size_t i = 0; i < base.n; i++)
        if (!split_in(over, base.v[i].key, any_case))
            v[n++] = base.v[i];
    memcpy(v + n, over.v, over.n * sizeof *v);
    return (struct mill_map){v, n + over.n};
}

/** Two texts of JSON objects into one; members of `over` win. */
static struct mill_str split_data(struct split *s, struct mill_str base, struct mill_str over)
{
    struct mill_str out = {0};
    json_t *a = NULL, *b = NULL;
    char *text = NULL;

    if (!base.p || !over.p)
        return over.p ? over : base;
    if (!mill_json_parse(base, &a, NULL) && !mill_json_parse(over, &b, NULL) &&
        !json_object_update(a, b)) {
        text = mill_json_canonical(a);
        out = mill_arena_dup(s->arena, mill_str(text));
    }
    s->nomem = s->nomem || !out.p;
    free(text);
    json_decref(a);
    json_decref(b);
    return out;
}

enum mill_code mill_request_split(const struct mill_request *r, size_t index,
                                  struct mill_arena *arena, struct mill_message *out,
                                  struct mill_err *err)
{
    const struct mill_personalization *p = &r->personalizations.v[index];
    struct split s = {.arena = arena};
    char *id = mill_arena_alloc(arena, MILL_MESSAGE_ID_SIZE);

    if (!id)
        return mill_fail(err, MILL_E_NOMEM, "message", "out of memory");
    *out = (struct mill_message){
        .message_id = mill_message_id(r->request_id, (int64_t)index, id),
        .request_id = r->request_id,
        .index = (int64_t)index,
        .tenant = r->tenant,
        .client = r->client,
        .accepted_at = r->accepted_at,
        .fingerprint = r->fingerprint,
        .from = {split_email(&s, r->from.email), r->from.name},
        .reply_to = split_addresses(&s, r->reply_to),
        .to = split_addresses(&s, p->to),
        .cc = split_addresses(&s, p->cc),
        .bcc = split_addresses(&s, p->bcc),
        .subject = p->subject.n ? p->subject : r->subject,
        .text = r->text,
        .html = r->html,
        .template_id = r->template_id,
        .template_data = split_data(&s, r->template_data, p->data),
        .categories = r->categories,
        .headers = split_map(&s, r->headers, p->headers, true),
        .metadata = split_map(&s, r->metadata, p->metadata, false),
        .attachments = r->attachments,
        .send_at = p->send_at.has ? p->send_at : r->send_at,
        .expires_at = r->expires_at,
        .on_unknown = r->on_unknown,
        .resend_id = r->resend_id,
        .resend_at = r->resend_at,
    };
    return s.nomem ? mill_fail(err, MILL_E_NOMEM, "message", "out of memory") : MILL_OK;
}
