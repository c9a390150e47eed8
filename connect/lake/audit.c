#include "lake/audit_priv.h"

#include "base/json.h"

#include <stdlib.h>

enum { AUDIT_FIRST = 256 };

const char *mill_audit_fault_name(enum mill_audit_fault f)
{
    static const char *const names[MILL_AUDIT_FAULTS] = {[MILL_AUDIT_GAP] = "gap",
                                                         [MILL_AUDIT_OVERLAP] = "overlap",
                                                         [MILL_AUDIT_MISSING] = "missing",
                                                         [MILL_AUDIT_STRAY] = "stray",
                                                         [MILL_AUDIT_NAME] = "name",
                                                         [MILL_AUDIT_ROWS] = "rows",
                                                         [MILL_AUDIT_UNREADABLE] = "unreadable"};

    return names[f];
}

struct mill_audit *mill_audit_new(const char *prefix)
{
    struct mill_audit *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->prefix = mill_arena_dup(&a->mem, mill_str(prefix));
    if (a->prefix.p)
        return a;
    mill_audit_free(a);
    return NULL;
}

void mill_audit_free(struct mill_audit *a)
{
    if (!a)
        return;
    mill_arena_release(&a->mem);
    free(a->v);
    free(a);
}

static struct audit_entry *audit_entry(struct mill_audit *a)
{
    if (a->n == a->room) {
        size_t room = a->room ? 2 * a->room : AUDIT_FIRST;
        struct audit_entry *v = realloc(a->v, room * sizeof *v);
        if (!v)
            return NULL;
        a->v = v;
        a->room = room;
    }
    a->v[a->n] = (struct audit_entry){0};
    return &a->v[a->n];
}

bool mill_audit_add(struct mill_audit *a, struct mill_str key, uint64_t bytes,
                    const struct mill_footer *footer, struct mill_str why)
{
    struct mill_object o;
    struct audit_entry *e;

    if (!mill_object_parse(key, a->prefix, &o))
        return true;
    e = audit_entry(a);
    if (!e)
        return false;
    e->key = mill_arena_dup(&a->mem, key);
    e->bytes = bytes;
    e->footer = footer;
    e->why = why;
    if (!e->key.p || !mill_object_parse(e->key, a->prefix, &e->o))
        return false;
    a->n++;
    return true;
}

bool mill_audit_claim(struct mill_audit *a, struct mill_str topic, struct mill_str topic_id,
                      int32_t partition, int64_t low, int64_t end)
{
    struct audit_claim *c = mill_arena_calloc(&a->mem, 1, sizeof *c);

    if (!c)
        return false;
    c->o = (struct mill_object){.topic = mill_arena_dup(&a->mem, topic),
                                .topic_id = mill_arena_dup(&a->mem, topic_id),
                                .partition = partition,
                                .start = low,
                                .end = end};
    c->next = a->claims;
    a->claims = c;
    return c->o.topic.p && c->o.topic_id.p;
}

/* --- merged files ---------------------------------------------------------------------------- */

/** Whom a part's footer listed: where it was alone in its range, the list is not kept. */
static struct mill_str audit_siblings_of(struct mill_audit *a, const json_t *said)
{
    const json_t *list = json_object_get(said, "siblings");
    json_t *alone = NULL;
    struct mill_str out = {NULL, 0};
    char *text;

    if (!list)
        list = alone = json_pack("[{s:O,s:O}]", "object", json_object_get(said, "object"), "rows",
                                 json_object_get(said, "rows"));
    text = json_dumps(list, JSON_COMPACT);
    if (text)
        out = mill_arena_dup(&a->mem, mill_str(text));
    free(text);
    json_decref(alone);
    return out;
}

/** Does the merged file `m` stand for this one? */
static bool audit_part_fits(const struct mill_object *m, const struct mill_object *part)
{
    return part->kind == m->kind && mill_str_eq(part->topic, m->topic) &&
           mill_str_eq(part->topic_id, m->topic_id) && part->partition == m->partition &&
           part->day == m->day && part->hour == m->hour && part->start >= m->start &&
           part->end <= m->end;
}

/** One part as the merged file's footer tells it. @return false without memory */
static bool audit_part(struct mill_audit *a, size_t merged, const json_t *said)
{
    struct mill_footer *f = mill_arena_calloc(&a->mem, 1, sizeof *f);
    struct audit_entry *e = f ? audit_entry(a) : NULL;
    struct mill_str key = mill_json_str(said, "object");

    if (!e)
        return false;
    e->key = mill_arena_dup(&a->mem, key.p ? key : MILL_STR(""));
    if (!e->key.p)
        return false;
    if (!json_is_integer(json_object_get(said, "rows")) ||
        !mill_object_parse(e->key, a->prefix, &e->o) || !audit_part_fits(&a->v[merged].o, &e->o)) {
        a->v[merged].parts_why =
            mill_arena_printf(&a->mem, "lists \"%.*s\" as a part", MILL_FMT(e->key));
        return a->v[merged].parts_why.p != NULL;
    }
    f->rows = json_integer_value(json_object_get(said, "rows"));
    *f = (struct mill_footer){.rows = f->rows,
                              .topic = e->o.topic,
                              .topic_id = e->o.topic_id,
                              .plan = mill_arena_dup(&a->mem, mill_json_str(said, "plan")),
                              .siblings = audit_siblings_of(a, said),
                              .partition = e->o.partition,
                              .start = e->o.start,
                              .end = e->o.end,
                              .said_rows = f->rows};
    e->part = true;
    e->footer = f;
    a->n++;
    return f->plan.p && f->siblings.p;
}

static bool audit_expand(struct mill_audit *a, size_t i)
{
    json_t *parts = NULL, *one;
    int64_t start = INT64_MAX, end = -1;
    size_t k, first = a->n;
    bool ok = true;

    if (!a->v[i].footer || !a->v[i].footer->parts.p)
        return true;
    a->v[i].merged = true;
    if (mill_json_parse(a->v[i].footer->parts, &parts, NULL) != MILL_OK || !json_array_size(parts))
        a->v[i].parts_why = MILL_STR("its list of parts cannot be read");
    json_array_foreach(parts, k, one)
    {
        a->v[i].parts_rows += json_integer_value(json_object_get(one, "rows"));
        ok = ok && audit_part(a, i, one);
    }
    json_decref(parts);
    for (k = first; k < a->n; k++) {
        start = a->v[k].o.start < start ? a->v[k].o.start : start;
        end = a->v[k].o.end > end ? a->v[k].o.end : end;
    }
    if (!a->v[i].parts_why.p && (start != a->v[i].o.start || end != a->v[i].o.end))
        a->v[i].parts_why = MILL_STR("its parts do not reach from end to end");
    return ok;
}

/* --- order ----------------------------------------------------------------------------------- */

static int audit_str_cmp(struct mill_str a, struct mill_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int audit_cmp_partition(const struct audit_entry *a, const struct audit_entry *b)
{
    int d = audit_str_cmp(a->o.topic, b->o.topic);

    if (!d)
        d = audit_str_cmp(a->o.topic_id, b->o.topic_id);
    return d ? d : (a->o.partition > b->o.partition) - (a->o.partition < b->o.partition);
}

static int audit_cmp_range(const struct audit_entry *a, const struct audit_entry *b)
{
    int d = (a->o.start > b->o.start) - (a->o.start < b->o.start);

    return d ? d : (a->o.end > b->o.end) - (a->o.end < b->o.end);
}

/** By partition, range, key; a part before the object that it stands for. */
static int audit_cmp(const void *pa, const void *pb)
{
    const struct audit_entry *a = pa, *b = pb;
    int d = audit_cmp_partition(a, b);

    if (!d)
        d = audit_cmp_range(a, b);
    if (!d)
        d = audit_str_cmp(a->key, b->key);
    return d ? d : b->part - a->part;
}

/* --- judging ---------------------------------------------------------------------------- */

static void audit_partition(struct mill_audit *a, struct audit_entry *v, size_t n)
{
    a->sum = (struct mill_audit_partition){.topic = v->o.topic,
                                           .topic_id = v->o.topic_id,
                                           .partition = v->o.partition,
                                           .start = v->o.start,
                                           .end = v->o.start};
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && audit_cmp_range(&v[i], &v[k]) == 0; k++) {
        }
        mill_audit_range(a, &v[i], k - i);
    }
    for (struct audit_claim *c = a->claims; c; c = c->next) {
        const struct audit_entry is = {.o = c->o};
        if (audit_cmp_partition(&is, v) != 0)
            continue;
        c->met = true;
        if (c->o.end > a->sum.end)
            mill_audit_unmet(a, a->sum.end, c->o.end);
    }
    a->report->partition(a->report->arg, &a->sum);
}

/** Partitions that have no object at all. */
static void audit_nothing(struct mill_audit *a)
{
    for (const struct audit_claim *c = a->claims; c; c = c->next) {
        if (c->met || c->o.end <= c->o.start)
            continue;
        a->sum = (struct mill_audit_partition){.topic = c->o.topic,
                                               .topic_id = c->o.topic_id,
                                               .partition = c->o.partition,
                                               .start = c->o.start,
                                               .end = c->o.start};
        mill_audit_unmet(a, c->o.start, c->o.end);
        a->report->partition(a->report->arg, &a->sum);
    }
}

enum mill_code mill_audit_run(struct mill_audit *a, const struct mill_audit_report *report,
                              struct mill_err *err)
{
    size_t listed = a->n;

    a->report = report;
    for (size_t i = 0; i < listed && !a->nomem; i++)
        a->nomem = !audit_expand(a, i);
    if (a->n > 1)
        qsort(a->v, a->n, sizeof *a->v, audit_cmp);
    for (size_t i = 0, k; i < a->n && !a->nomem; i = k) {
        for (k = i + 1; k < a->n && audit_cmp_partition(&a->v[i], &a->v[k]) == 0; k++) {
        }
        audit_partition(a, &a->v[i], k - i);
    }
    audit_nothing(a);
    return a->nomem ? mill_fail(err, MILL_E_NOMEM, "audit", "out of memory") : MILL_OK;
}
