/** @file events.c  @brief See events.h. */
#include "send/providers/events.h"
#include "mail/ids.h"
#include <math.h>

#define WHERE "callback.body"

struct mill_str mill_event_member(const json_t *o, const char *key)
{
    struct mill_str s = mill_json_str(o, key);
    return s.n ? s : (struct mill_str){NULL, 0};
}

enum mill_event_type mill_event_type_of(const struct mill_event_word *words, struct mill_str word)
{
    for (; words->word; words++)
        if (mill_str_ieq(word, mill_str(words->word)))
            return words->type;
    return MILL_EVENT_OTHER;
}

struct mill_str mill_event_class(struct mill_str enhanced)
{
    static const struct {
        const char *starts, *cls;
    } classes[] = {
        {"5.1.", "Invalid Address"},
        {"5.2.", "Mailbox Unavailable"},
        {"5.4.", "Technical Failure"},
        {"5.7.", "Reputation"},
    };

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (mill_str_starts(enhanced, classes[i].starts))
            return mill_str(classes[i].cls);
    return (struct mill_str){NULL, 0};
}

struct mill_opt_bool mill_event_flag(const json_t *v)
{
    if (json_is_boolean(v))
        return (struct mill_opt_bool){true, json_is_true(v)};
    if (json_is_integer(v))
        return (struct mill_opt_bool){true, json_integer_value(v) != 0};
    if (mill_str_is(mill_json_text(v), "true") || mill_str_is(mill_json_text(v), "false"))
        return (struct mill_opt_bool){true, mill_str_is(mill_json_text(v), "true")};
    return (struct mill_opt_bool){false, false};
}

int64_t mill_event_time(const json_t *v)
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
    return (int64_t)((t >= 1e11 ? t * 1e3 : t * 1e6) + 0.5);
}

bool mill_event_list(const json_t *v, struct mill_arena *mem, struct mill_strs *out)
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

/** The time is the normalised one, so that 1513299569 and "1513299569" are the same. */
static bool event_id(struct mill_event *e, struct mill_str provider_id, struct mill_arena *mem)
{
    char text[MILL_EVENT_ID_SIZE];
    const struct mill_event_facts facts = {
        .provider = e->provider,
        .provider_id = provider_id,
        .event = e->provider_event,
        .recipient = e->recipient,
        .timestamp = mill_arena_printf(mem, "%lld", (long long)e->occurred_at),
        .url = e->url,
        .reason = e->reason,
    };

    if (!facts.timestamp.p || !mill_event_id(&facts, text))
        return false;
    e->event_id = mill_arena_dup(mem, mill_str(text));
    return e->event_id.p != NULL;
}

bool mill_event_keep(struct mill_event *e, struct mill_str provider_id, struct mill_arena *mem)
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
        &e->group,
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct mill_str s = *all[i];
        *all[i] = mill_arena_dup(mem, s);
        if (s.p && !all[i]->p)
            return false;
    }
    return event_id(e, provider_id, mem);
}

size_t mill_json_skip(struct mill_str s, size_t at)
{
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t' || s.p[at] == '\r' || s.p[at] == '\n'))
        at++;
    return at;
}

enum mill_code mill_json_sane(struct mill_str s, struct mill_err *err)
{
    const char *nul = s.n ? memchr(s.p, '\0', s.n) : NULL;

    return nul ? mill_fail(err, MILL_E_DATA, WHERE, "NUL at byte %zu", (size_t)(nul - s.p))
               : MILL_OK;
}

json_t *mill_json_at(struct mill_str body, size_t at, bool object, size_t *end,
                     struct mill_err *err)
{
    json_error_t why;
    json_t *v = NULL;

    if (at >= body.n || (object && body.p[at] != '{')) {
        mill_fail(err, MILL_E_DATA, WHERE, "no JSON %s at byte %zu", object ? "object" : "value",
                  at);
        return NULL;
    }
    v = json_loadb(body.p + at, body.n - at,
                   JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | (object ? 0 : JSON_DECODE_ANY), &why);
    if (!v) {
        mill_fail(err, MILL_E_DATA, WHERE, "byte %zu: %s", at + (size_t)why.position,
                  mill_json_why(&why));
        return NULL;
    }
    *end = at + (size_t)why.position;
    return v;
}

json_t *mill_json_object(struct mill_str raw, struct mill_err *err)
{
    size_t end = 0;
    json_t *o = mill_json_sane(raw, err)
                    ? NULL
                    : mill_json_at(raw, mill_json_skip(raw, 0), true, &end, err);

    if (o && mill_json_skip(raw, end) != raw.n) {
        mill_fail(err, MILL_E_DATA, WHERE, "bytes after the object");
        json_decref(o);
        o = NULL;
    }
    return o;
}
