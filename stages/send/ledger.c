/** @file ledger.c  @brief See ledger.h. */
#include "send/ledger.h"
#include <stdio.h>

struct look {
    struct mill_ledger_view *view;
    struct mill_arena *mem;
    const struct mill_ledger_ask *ask;
    bool nomem;
};

static bool copy(struct mill_arena *mem, struct mill_str *s)
{
    struct mill_str in = *s;

    *s = mill_arena_dup(mem, in);
    return s->p || !in.p;
}

static bool copy_lists(struct mill_ledger *f, struct mill_arena *mem)
{
    struct mill_str *list = mill_arena_calloc(mem, f->categories.n + 1, sizeof(*list));
    struct mill_pair *map = mill_arena_calloc(mem, f->metadata.n + 1, sizeof(*map));

    if (!list || !map)
        return false;
    for (size_t i = 0; i < f->categories.n; i++) {
        list[i] = f->categories.v[i];
        if (!copy(mem, &list[i]))
            return false;
    }
    for (size_t i = 0; i < f->metadata.n; i++) {
        map[i] = f->metadata.v[i];
        if (!copy(mem, &map[i].key) || !copy(mem, &map[i].value))
            return false;
    }
    f->categories.v = list;
    f->metadata.v = map;
    return true;
}

bool mill_ledger_copy(struct mill_ledger *f, const struct mill_ledger *r, struct mill_arena *mem)
{
    *f = *r;
    return copy(mem, &f->message_id) && copy(mem, &f->provider) && copy(mem, &f->provider_id) &&
           copy(mem, &f->fingerprint) && copy(mem, &f->request_id) && copy(mem, &f->tenant) &&
           copy(mem, &f->resend_id) && copy_lists(f, mem);
}

static bool is_open(const struct mill_ledger *r)
{
    return r->kind == MILL_LEDGER_INTENT ||
           (r->kind == MILL_LEDGER_OUTCOME && r->outcome == MILL_OUTCOME_UNKNOWN);
}

static bool is_accepted(const struct mill_ledger *r)
{
    return r->kind == MILL_LEDGER_EVIDENCE ||
           (r->kind == MILL_LEDGER_OUTCOME && r->outcome == MILL_OUTCOME_ACCEPTED);
}

bool mill_ledger_stands(const struct mill_ledger *r)
{
    return r->attempt > 0 && (is_open(r) || is_accepted(r));
}

static bool fold_open(struct mill_ledger_view *view, const struct mill_ledger *r,
                      struct mill_arena *mem)
{
    struct mill_ledger_open *open = &view->open;

    view->doubt = true;
    if (open->n++ == 0 || r->at < open->since)
        open->since = r->at;
    if (r->outcome == MILL_OUTCOME_UNKNOWN && r->attempt > view->told)
        view->told = r->attempt;
    if (r->attempt < open->attempt)
        return true;
    open->attempt = r->attempt;
    open->at = r->at;
    open->provider = r->provider;
    open->fingerprint = r->fingerprint;
    open->resend_id = r->resend_id;
    return copy(mem, &open->provider) && copy(mem, &open->fingerprint) &&
           copy(mem, &open->resend_id);
}

static void fold_doubt(struct mill_ledger_view *view, const struct mill_ledger *r)
{
    if (r->attempt > view->told)
        view->told = r->attempt;
    if (r->held.has && r->attempt >= view->held) {
        view->held = r->attempt;
        view->held_redrives = r->held.v;
    }
}

bool mill_ledger_fold(struct mill_ledger_view *view, const struct mill_ledger *r,
                      struct mill_str resend_id, struct mill_arena *mem)
{
    bool newest = r->attempt >= view->attempts;
    bool accepted = is_accepted(r);

    if (r->kind == MILL_LEDGER_CLAIM || r->attempt < 1)
        return true; /* about the request, not about a call */
    if (newest && r->kind != MILL_LEDGER_DOUBT)
        view->attempts = r->attempt;
    if (resend_id.n && !mill_str_eq(resend_id, r->resend_id))
        return true;
    if (r->kind == MILL_LEDGER_DOUBT) {
        fold_doubt(view, r);
        return true;
    }
    if (is_open(r) && !fold_open(view, r, mem))
        return false;
    if (!view->accepted && (accepted || newest) && !mill_ledger_copy(&view->facts, r, mem))
        return false;
    view->accepted = view->accepted || accepted;
    return true;
}

static bool look_each(void *arg, struct mill_str key, const void *value)
{
    struct look *look = arg;
    const struct mill_ledger *r = value;

    (void)key;
    if (r->attempt == look->ask->skip_attempt &&
        (r->kind == MILL_LEDGER_INTENT || r->kind == MILL_LEDGER_OUTCOME))
        return true;
    look->nomem = !mill_ledger_fold(look->view, r, look->ask->resend_id, look->mem);
    return !look->nomem;
}

/** Visit the message's records. */
static enum mill_code look(struct mill_table *table, const struct mill_ledger_ask *ask,
                           bool (*each)(void *arg, struct mill_str key, const void *value),
                           void *arg, struct mill_err *err)
{
    char prefix[MILL_MESSAGE_ID_MAX + 2];

    if (ask->message_id.n > MILL_MESSAGE_ID_MAX)
        return mill_fail(err, MILL_E_DATA, "message_id", "%zu bytes long", ask->message_id.n);
    memcpy(prefix, ask->message_id.p, ask->message_id.n);
    prefix[ask->message_id.n] = '/';
    return mill_table_each(table, ask->partition, (struct mill_str){prefix, ask->message_id.n + 1},
                           each, arg, err);
}

enum mill_code mill_ledger_look(struct mill_table *table, const struct mill_ledger_ask *ask,
                                struct mill_arena *mem, struct mill_ledger_view *out,
                                struct mill_err *err)
{
    struct look l = {out, mem, ask, false};
    enum mill_code rc = MILL_OK;

    *out = (struct mill_ledger_view){0};
    rc = look(table, ask, look_each, &l, err);
    if (l.nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    if (rc)
        *out = (struct mill_ledger_view){0}; /* half a view points into records that are gone */
    return rc;
}

/** Records of an attempt lie side by side, its evidence before what send wrote. */
struct proven {
    struct mill_str provider, provider_id;
    struct mill_arena *mem;
    struct mill_ledger *out;
    int64_t evident; /**< attempt of the last evidence seen */
    bool accepted;   /**< some attempt at this provider was */
    bool known;      /**< the provider_id belongs to an attempt that was */
    bool nomem;
};

static bool proven_each(void *arg, struct mill_str key, const void *value)
{
    struct proven *p = arg;
    const struct mill_ledger *r = value;

    (void)key;
    if (r->attempt < 1 || !mill_str_eq(r->provider, p->provider))
        return true;
    if (is_accepted(r)) {
        p->accepted = true;
        p->known = p->known || (p->provider_id.n && mill_str_eq(p->provider_id, r->provider_id));
        p->evident = r->attempt;
    } else if (is_open(r) && r->attempt != p->evident && r->attempt > p->out->attempt) {
        p->nomem = !mill_ledger_copy(p->out, r, p->mem);
    }
    return !p->nomem;
}

enum mill_code mill_ledger_proven(struct mill_table *table, const struct mill_ledger_ask *ask,
                                  struct mill_str provider, struct mill_str provider_id,
                                  struct mill_arena *mem, struct mill_ledger *out,
                                  struct mill_err *err)
{
    struct proven p = {.provider = provider, .provider_id = provider_id, .mem = mem, .out = out};
    enum mill_code rc = MILL_OK;

    *out = (struct mill_ledger){0};
    rc = look(table, ask, proven_each, &p, err);
    if (p.nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    if (rc || p.known || (p.accepted && !provider_id.n))
        *out = (struct mill_ledger){0};
    return rc;
}

struct mill_str mill_ledger_key(char *buf, struct mill_str message_id, int64_t attempt,
                                const char *writer)
{
    int n = snprintf(buf, MILL_LEDGER_KEY_MAX + 1, "%.*s/%lld/%s", MILL_FMT(message_id),
                     (long long)attempt, writer);
    return (struct mill_str){buf, n > MILL_LEDGER_KEY_MAX ? MILL_LEDGER_KEY_MAX : (size_t)n};
}
