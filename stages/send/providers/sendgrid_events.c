/**
 * @file sendgrid_events.c
 * @brief SendGrid's event webhook: a JSON array of flat objects, custom args at their top level.
 *
 * Types vary between accounts and years (a time may be seconds, milliseconds or a string; category
 * a string or a list), so nothing but the outer form is insisted on: a strange field is a missing
 * field. Duplicate keys are taken as the parser takes them: the last one wins.
 */
#include "base/json.h"
#include "mail/ids.h"
#include "send/message_id.h"
#include "send/providers/sendgrid.h"
#include <math.h>

#define WHERE "callback.body"

static const struct {
    const char *word;
    enum mill_event_type type;
} event_types[] = {
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
};

/** A string member that says something: "" is how some accounts write "none". */
static struct mill_str member(const json_t *o, const char *key)
{
    struct mill_str s = mill_json_str(o, key);
    return s.n ? s : (struct mill_str){NULL, 0};
}

/** Custom args come flattened; older accounts nest them. */
static struct mill_str custom_arg(const json_t *o, const char *key)
{
    struct mill_str s = member(o, key);
    if (!s.p)
        s = member(json_object_get(o, "custom_args"), key);
    return s.p ? s : member(json_object_get(o, "unique_args"), key);
}

/** sg_message_id is the call's X-Message-Id, a dot, and what SendGrid adds for the recipient. */
static struct mill_str call_id(struct mill_str sg_message_id)
{
    const char *dot = sg_message_id.n ? memchr(sg_message_id.p, '.', sg_message_id.n) : NULL;
    if (dot)
        sg_message_id.n = (size_t)(dot - sg_message_id.p);
    return sg_message_id;
}

static size_t skip(struct mill_str s, size_t at)
{
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t' || s.p[at] == '\r' || s.p[at] == '\n'))
        at++;
    return at;
}

/** jansson skips a NUL byte behind a number, and then counts positions wrong; none is JSON anyway.
 */
static bool has_nul(struct mill_str s, struct mill_err *err)
{
    const char *nul = s.n ? memchr(s.p, '\0', s.n) : NULL;

    if (nul)
        mill_fail(err, MILL_E_DATA, WHERE, "NUL at byte %zu", (size_t)(nul - s.p));
    return nul != NULL;
}

/** Parse the object at `at`; *end is the byte behind it, so that its text can be kept as it came.
 */
static json_t *parse_at(struct mill_str body, size_t at, size_t *end, struct mill_err *err)
{
    json_error_t why;
    json_t *o = NULL;

    if (at >= body.n || body.p[at] != '{') {
        mill_fail(err, MILL_E_DATA, WHERE, "no JSON object at byte %zu", at);
        return NULL;
    }
    o = json_loadb(body.p + at, body.n - at, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why);
    if (!o) {
        mill_fail(err, MILL_E_DATA, WHERE, "byte %zu: %s", at + (size_t)why.position,
                  mill_json_why(&why));
        return NULL;
    }
    *end = at + (size_t)why.position;
    return o;
}

static enum mill_code give(const json_t *o, struct mill_str raw, int64_t index, mill_split_fn each,
                           void *arg, struct mill_err *err)
{
    struct mill_split one = {.raw = raw, .index = index};

    one.message_id = custom_arg(o, "mill_message_id");
    if (!mill_message_id_ok(one.message_id))
        one.message_id = (struct mill_str){NULL, 0};
    one.group = call_id(member(o, "sg_message_id"));
    if (!one.group.n)
        one.group = member(o, "sg_event_id");
    return each(arg, &one, err);
}

enum mill_code mill_sendgrid_split(struct mill_str body, mill_split_fn each, void *arg,
                                   struct mill_err *err)
{
    size_t at = skip(body, 0), end = at;
    bool more = false;

    if (has_nul(body, err))
        return MILL_E_DATA;
    if (at >= body.n || body.p[at] != '[')
        return mill_fail(err, MILL_E_DATA, WHERE, "no JSON array");
    at = skip(body, at + 1);
    more = at < body.n && body.p[at] != ']';
    for (int64_t index = 0; more; index++) {
        json_t *o = parse_at(body, at, &end, err);
        enum mill_code rc = MILL_E_DATA;

        if (o)
            rc = give(o, (struct mill_str){body.p + at, end - at}, index, each, arg, err);
        json_decref(o);
        if (rc)
            return rc;
        at = skip(body, end);
        more = at < body.n && body.p[at] == ',';
        at = more ? skip(body, at + 1) : at;
    }
    if (at >= body.n || body.p[at] != ']' || skip(body, at + 1) != body.n)
        return mill_fail(err, MILL_E_DATA, WHERE, "the array does not end at byte %zu", at);
    return MILL_OK;
}

/** Seconds, or milliseconds where the number is too large for seconds; number or string. */
static int64_t time_us(const json_t *v)
{
    struct mill_str s = mill_json_text(v);
    double t = json_is_number(v) ? json_number_value(v) : 0;
    int64_t i = 0;

    if (json_is_integer(v))
        t = (double)json_integer_value(v);
    else if (s.n && mill_str_i64(s, &i))
        t = (double)i;
    if (!isfinite(t) || t <= 0 || t >= 1e14)
        return 0;
    return t >= 1e11 ? (int64_t)(t * 1e3) : (int64_t)(t * 1e6);
}

static struct mill_opt_bool flag(const json_t *v)
{
    if (json_is_boolean(v))
        return (struct mill_opt_bool){true, json_is_true(v)};
    if (json_is_integer(v))
        return (struct mill_opt_bool){true, json_integer_value(v) != 0};
    if (mill_str_is(mill_json_text(v), "true") || mill_str_is(mill_json_text(v), "false"))
        return (struct mill_opt_bool){true, mill_str_is(mill_json_text(v), "true")};
    return (struct mill_opt_bool){false, false};
}

/** A string or a list of strings, copied. @return false when out of memory */
static bool categories(const json_t *v, struct mill_arena *mem, struct mill_strs *out)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    struct mill_str *list = mill_arena_calloc(mem, n ? n : 1, sizeof(*list));

    if (!list)
        return false;
    *out = (struct mill_strs){list, 0};
    for (size_t i = 0; i < n; i++) {
        struct mill_str s = mill_json_text(json_is_array(v) ? json_array_get(v, i) : v);
        if (!s.n)
            continue;
        list[out->n] = mill_arena_dup(mem, s);
        if (!list[out->n].p)
            return false;
        out->n++;
    }
    return true;
}

/** sg_event_id is known to change when SendGrid reports an event again; what happened does not. The
 *  time is the normalised one, so that 1513299569 and "1513299569" are the same. */
static bool event_id(const struct mill_event *e, struct mill_str sg_message_id,
                     struct mill_arena *mem, struct mill_str *out)
{
    char text[MILL_EVENT_ID_SIZE];
    const struct mill_event_facts facts = {
        .provider = e->provider,
        .provider_id = sg_message_id,
        .event = e->provider_event,
        .recipient = e->recipient,
        .timestamp = mill_arena_printf(mem, "%lld", (long long)e->occurred_at),
        .url = e->url,
        .reason = e->reason,
    };

    if (!facts.timestamp.p || !mill_event_id(&facts, text))
        return false;
    *out = mill_arena_dup(mem, mill_str(text));
    return out->p != NULL;
}

static void fill(const json_t *o, struct mill_event *e)
{
    bool bounce = false;

    e->provider = MILL_STR("sendgrid");
    e->provider_event = member(o, "event");
    for (size_t i = 0; i < sizeof(event_types) / sizeof(event_types[0]); i++)
        if (mill_str_ieq(e->provider_event, mill_str(event_types[i].word)))
            e->type = (int)event_types[i].type;
    bounce = e->type == MILL_EVENT_BOUNCED || e->type == MILL_EVENT_DROPPED;
    e->message_id = custom_arg(o, "mill_message_id");
    e->provider_id = call_id(member(o, "sg_message_id"));
    e->provider_event_id = member(o, "sg_event_id");
    e->recipient = member(o, "email");
    e->occurred_at = time_us(json_object_get(o, "timestamp"));
    e->bounce_class = bounce ? member(o, "bounce_classification") : e->bounce_class;
    if (e->type == MILL_EVENT_BOUNCED && !e->bounce_class.p)
        e->bounce_class = member(o, "type"); /* "bounce" or "blocked", where there is no better */
    if (e->type == MILL_EVENT_OPENED)
        e->machine_open = flag(json_object_get(o, "sg_machine_open"));
    e->url = member(o, "url");
    e->reason = member(o, "reason");
    if (!e->reason.p)
        e->reason = member(o, "response");
    e->ip = member(o, "ip");
    e->user_agent = member(o, "useragent");
}

/** Copy the strings that still point into the JSON tree. */
static bool keep(struct mill_event *e, struct mill_arena *mem)
{
    struct mill_str *const all[] = {
        &e->message_id,
        &e->provider_event,
        &e->provider_id,
        &e->recipient,
        &e->provider_event_id,
        &e->bounce_class,
        &e->url,
        &e->reason,
        &e->ip,
        &e->user_agent,
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct mill_str s = *all[i];
        *all[i] = mill_arena_dup(mem, s);
        if (s.p && !all[i]->p)
            return false;
    }
    return true;
}

enum mill_code mill_sendgrid_event(struct mill_str raw, struct mill_arena *mem,
                                   struct mill_event *out, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    size_t end = 0;
    size_t at = skip(raw, 0);
    json_t *o = has_nul(raw, err) ? NULL : parse_at(raw, at, &end, err);

    *out = (struct mill_event){0};
    if (!o)
        return MILL_E_DATA;
    if (skip(raw, end) != raw.n) {
        rc = mill_fail(err, MILL_E_DATA, WHERE, "bytes after the object");
        goto out;
    }
    fill(o, out);
    if (!mill_message_id_ok(out->message_id))
        out->message_id = (struct mill_str){NULL, 0};
    if (!categories(json_object_get(o, "category"), mem, &out->categories) || !keep(out, mem) ||
        !event_id(out, member(o, "sg_message_id"), mem, &out->event_id))
        rc = mill_fail(err, MILL_E_NOMEM, WHERE, "out of memory");
out:
    json_decref(o);
    return rc;
}
