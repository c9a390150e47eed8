/** @file ledger.c  @brief See ledger.h. */
#include "send/ledger.h"
#include <stdio.h>

struct look {
    struct mill_ledger_view *view;
    struct mill_arena *mem;
    int64_t skip;
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

static bool keep_facts(struct mill_ledger_view *view, const struct mill_ledger *r,
                       struct mill_arena *mem)
{
    struct mill_ledger *f = &view->facts;

    *f = *r;
    return copy(mem, &f->message_id) && copy(mem, &f->provider) && copy(mem, &f->provider_id) &&
           copy(mem, &f->fingerprint) && copy(mem, &f->request_id) && copy(mem, &f->tenant) &&
           copy_lists(f, mem);
}

bool mill_ledger_fold(struct mill_ledger_view *view, const struct mill_ledger *r,
                      struct mill_arena *mem)
{
    bool accepted = r->kind == MILL_LEDGER_EVIDENCE || r->outcome == MILL_OUTCOME_ACCEPTED;
    bool first = view->attempts == 0;
    bool newest = r->attempt >= view->attempts;

    if (r->kind == MILL_LEDGER_CLAIM || r->attempt < 1)
        return true; /* about the request, not about a call */
    if (r->kind == MILL_LEDGER_INTENT || r->outcome == MILL_OUTCOME_UNKNOWN)
        view->doubt = true;
    if (newest)
        view->attempts = r->attempt;
    if (first || (accepted && !view->accepted) || (newest && !view->accepted)) {
        if (!keep_facts(view, r, mem))
            return false;
    }
    view->accepted = view->accepted || accepted;
    return true;
}

static bool look_each(void *arg, struct mill_str key, const void *value)
{
    struct look *look = arg;
    const struct mill_ledger *r = value;

    (void)key;
    if (r->attempt == look->skip && r->kind != MILL_LEDGER_EVIDENCE)
        return true;
    look->nomem = !mill_ledger_fold(look->view, r, look->mem);
    return !look->nomem;
}

enum mill_code mill_ledger_look(struct mill_table *table, int32_t partition,
                                struct mill_str message_id, int64_t skip_attempt,
                                struct mill_arena *mem, struct mill_ledger_view *out,
                                struct mill_err *err)
{
    char prefix[MILL_MESSAGE_ID_MAX + 2];
    struct look look = {out, mem, skip_attempt, false};
    enum mill_code rc = MILL_OK;

    *out = (struct mill_ledger_view){0};
    if (message_id.n > MILL_MESSAGE_ID_MAX)
        return mill_fail(err, MILL_E_DATA, "message_id", "%zu bytes long", message_id.n);
    memcpy(prefix, message_id.p, message_id.n);
    prefix[message_id.n] = '/';
    rc = mill_table_each(table, partition, (struct mill_str){prefix, message_id.n + 1}, look_each,
                         &look, err);
    if (look.nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    if (rc)
        *out = (struct mill_ledger_view){0}; /* half a view points into records that are gone */
    return rc;
}

struct mill_str mill_ledger_key(char *buf, struct mill_str message_id, int64_t attempt,
                                const char *writer)
{
    int n = snprintf(buf, MILL_LEDGER_KEY_MAX + 1, "%.*s/%lld/%s", MILL_FMT(message_id),
                     (long long)attempt, writer);
    return (struct mill_str){buf, n > MILL_LEDGER_KEY_MAX ? MILL_LEDGER_KEY_MAX : (size_t)n};
}
