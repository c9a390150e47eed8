/* What calls get instead of a plain 202: rules, first match wins. See README.md for the JSON. */
#include "double.h"

#include "base/clock.h"
#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

static bool behaviour_u32(const json_t *v, uint32_t *out)
{
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < 0 || n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool rule_status(const json_t *v, struct double_fault *f)
{
    uint32_t n;

    if (!behaviour_u32(v, &n) || n < 200 || n > 599)
        return false;
    f->status = n;
    return true;
}

static bool rule_message_id(const json_t *v, struct double_fault *f)
{
    struct mill_str s = mill_json_text(v);

    if (!s.n || s.n >= sizeof f->message_id)
        return false;
    mill_str_cut(s, f->message_id, sizeof f->message_id);
    return true;
}

static bool rule_provider(const json_t *v, struct double_fault *f)
{
    for (int i = 0; i < DOUBLE_PROVIDERS; i++)
        if (mill_str_is(mill_json_text(v), double_apis[i].name))
            f->provider = i;
    return f->provider >= 0;
}

static bool rule_reused(const json_t *v, struct double_fault *f)
{
    f->reused = json_is_true(v);
    return json_is_boolean(v);
}

static bool rule_for_ms(const json_t *v, struct double_fault *f)
{
    uint32_t n = 0;
    bool ok = behaviour_u32(v, &n) && n > 0;

    f->until_ms = mill_tick_ms() + n;
    return ok;
}

static bool rule_reset(const json_t *v, struct double_fault *f)
{
    struct mill_str s = mill_json_text(v);

    if (mill_str_is(s, "before_body"))
        f->reset = DOUBLE_RESET_BEFORE_BODY;
    else if (mill_str_is(s, "after_body"))
        f->reset = DOUBLE_RESET_AFTER_BODY;
    return f->reset != DOUBLE_NO_RESET;
}

static bool rule_every(const json_t *v, struct double_fault *f)
{
    return behaviour_u32(v, &f->every);
}

static bool rule_late_ms(const json_t *v, struct double_fault *f)
{
    return behaviour_u32(v, &f->late_ms);
}

static bool rule_retry_after(const json_t *v, struct double_fault *f)
{
    return behaviour_u32(v, &f->retry_after_s);
}

static bool rule_times(const json_t *v, struct double_fault *f)
{
    uint32_t n = 0;
    bool ok = behaviour_u32(v, &n);

    f->times = (int64_t)n;
    return ok;
}

static bool rule_rate(const json_t *v, struct double_fault *f)
{
    f->rate = json_number_value(v);
    return json_is_number(v) && f->rate >= 0 && f->rate <= 1;
}

static bool rule_hang(const json_t *v, struct double_fault *f)
{
    f->hang = json_is_true(v);
    return json_is_boolean(v);
}

static bool rule_accept(const json_t *v, struct double_fault *f)
{
    f->accept = json_is_true(v);
    return json_is_boolean(v);
}

static const struct {
    const char *name;
    bool (*read)(const json_t *v, struct double_fault *f);
} members[] = {
    {"provider", rule_provider},
    {"message_id", rule_message_id},
    {"reused", rule_reused},
    {"for_ms", rule_for_ms},
    {"every", rule_every},
    {"rate", rule_rate},
    {"times", rule_times},
    {"status", rule_status},
    {"hang", rule_hang},
    {"reset", rule_reset},
    {"late_ms", rule_late_ms},
    {"accept", rule_accept},
    {"retry_after", rule_retry_after},
};

static bool behaviour_member(const char *key, const json_t *v, struct double_fault *f)
{
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!strcmp(key, members[i].name))
            return members[i].read(v, f);
    return false;
}

static bool behaviour_rule(const json_t *o, struct double_fault *f, const char **why)
{
    const char *key;
    json_t *v;

    *f = (struct double_fault){.provider = -1, .rate = -1, .times = -1};
    *why = "a rule has an unknown member, or one of the wrong kind";
    if (!json_is_object(o))
        return false;
    json_object_foreach((json_t *)(uintptr_t)o, key,
                        v) if (!behaviour_member(key, v, f)) return false;
    if (f->reset == DOUBLE_RESET_BEFORE_BODY && (f->message_id[0] || f->accept)) {
        *why = "before the body nobody knows its message_id, nor can accept it";
        return false;
    }
    if (!json_object_get(o, "accept"))
        f->accept = f->reset == DOUBLE_RESET_AFTER_BODY ||
                    (!f->hang && !f->reset && (!f->status || f->status < 300));
    return true;
}

static bool behaviour_webhooks(const json_t *o, struct double_behaviour *b)
{
    const struct {
        const char *name;
        uint32_t *to;
    } known[] = {{"drop_every", &b->drop_every},
                 {"duplicate_every", &b->duplicate_every},
                 {"fail_every", &b->fail_every},
                 {"delay_ms", &b->delay_ms}};
    const char *key;
    json_t *v;

    if (!json_is_object(o))
        return false;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        bool ok = false;

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (!strcmp(key, known[i].name))
                ok = behaviour_u32(v, known[i].to);
        if (!ok)
            return false;
    }
    return true;
}

bool double_behaviour_parse(const json_t *o, struct double_behaviour *out, const char **why)
{
    const json_t *faults = json_object_get(o, "faults");
    const json_t *webhooks = json_object_get(o, "webhooks");
    size_t known = (faults ? 1u : 0u) + (webhooks ? 1u : 0u);

    *out = (struct double_behaviour){0};
    *why = "expected {\"faults\":[…],\"webhooks\":{…}}, or one rule";
    if (!json_is_object(o))
        return false;
    if (webhooks && !behaviour_webhooks(webhooks, out)) {
        *why = "webhooks has an unknown member, or one that is no whole number";
        return false;
    }
    if (!known && json_object_size(o)) { /* one rule, as it is */
        out->n_faults = 1;
        return behaviour_rule(o, &out->faults[0], why);
    }
    if (json_object_size(o) != known)
        return false;
    if (faults && (!json_is_array(faults) || json_array_size(faults) > DOUBLE_FAULTS_MAX))
        return false;
    for (size_t i = 0; faults && i < json_array_size(faults); i++)
        if (!behaviour_rule(json_array_get(faults, i), &out->faults[out->n_faults++], why))
            return false;
    return true;
}

static bool behaviour_chance(double rate)
{
    uint32_t r = 0;

    return mill_random(&r, sizeof r) && (double)r / 4294967296.0 < rate;
}

static bool behaviour_fits(const struct double_fault *f, const struct double_call *call)
{
    return (f->reset == DOUBLE_RESET_BEFORE_BODY) == call->before_body && f->times &&
           (f->provider < 0 || f->provider == (int)call->from) && (!f->reused || call->reused) &&
           (!f->until_ms || mill_tick_ms() < f->until_ms) &&
           (!f->message_id[0] || mill_str_is(call->message_id, f->message_id));
}

bool double_fault_for(struct double_state *d, const struct double_call *call,
                      struct double_fault *out)
{
    for (size_t i = 0; i < d->behaviour.n_faults; i++) {
        struct double_fault *f = &d->behaviour.faults[i];

        if (!behaviour_fits(f, call))
            continue;
        f->seen++;
        if ((f->every && f->seen % f->every) || (f->rate >= 0 && !behaviour_chance(f->rate)))
            continue;
        if (f->times > 0)
            f->times--;
        *out = *f;
        return true;
    }
    return false;
}

/* Those that hang are let go: their connections end. */
static void behaviour_release(struct double_state *d)
{
    struct double_late **at = &d->late;

    while (*at) {
        struct double_late *l = *at;

        if (l->due_ms != INT64_MAX) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        mill_exchange_drop(l->x);
        free(l);
    }
}

static void behaviour_set(struct double_state *d, const struct double_behaviour *b)
{
    pthread_mutex_lock(&d->lock);
    d->behaviour = *b;
    d->posts_seen = 0;
    d->reset_before = false;
    for (size_t i = 0; i < b->n_faults; i++)
        if (b->faults[i].reset == DOUBLE_RESET_BEFORE_BODY)
            d->reset_before = true;
    behaviour_release(d);
    pthread_mutex_unlock(&d->lock);
}

void double_on_behaviour(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    struct double_behaviour *b = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *b);
    const char *why = "not JSON";
    json_t *o = NULL;
    bool ok = b != NULL;

    if (ok && mill_str_is(mill_exchange_method(x), "PUT"))
        ok =
            !mill_json_parse(mill_exchange_body(x), &o, NULL) && double_behaviour_parse(o, b, &why);
    if (ok)
        behaviour_set(d, b);
    json_decref(o);
    if (ok)
        mill_exchange_answer(x, 204, (struct mill_map){0}, MILL_STR(""));
    else
        double_answer_error(x, 400, NULL, why);
}
