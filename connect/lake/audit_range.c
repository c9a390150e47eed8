#include "base/json.h"
#include "lake/audit_priv.h"
#include "lake/plan.h"

static void audit_say(struct mill_audit *a, enum mill_audit_fault fault, int64_t start, int64_t end,
                      struct mill_str object, struct mill_str detail)
{
    const struct mill_audit_finding f = {.fault = fault,
                                         .topic = a->sum.topic,
                                         .topic_id = a->sum.topic_id,
                                         .partition = a->sum.partition,
                                         .start = start,
                                         .end = end,
                                         .object = object,
                                         .detail = detail};

    a->sum.faults++;
    a->nomem = a->nomem || (!detail.p && detail.n == 0);
    a->report->finding(a->report->arg, &f);
}

static void audit_say_entry(struct mill_audit *a, enum mill_audit_fault fault,
                            const struct audit_entry *e, struct mill_str detail)
{
    audit_say(a, fault, e->o.start, e->o.end, e->key, detail);
}

/** Does the footer say what the name says? */
static void audit_name(struct mill_audit *a, const struct audit_entry *e)
{
    const struct mill_footer *f = e->footer;
    const struct mill_object *o = &e->o;

    if (!mill_str_eq(f->topic, o->topic) || !mill_str_eq(f->topic_id, o->topic_id) ||
        f->partition != o->partition || f->start != o->start || f->end != o->end) {
        audit_say_entry(a, MILL_AUDIT_NAME, e,
                        mill_arena_printf(&a->mem, "its footer says %.*s/%lld [%lld,%lld)",
                                          MILL_FMT(f->topic), (long long)f->partition,
                                          (long long)f->start, (long long)f->end));
    }
    if (f->rows != f->said_rows) {
        audit_say_entry(a, MILL_AUDIT_ROWS, e,
                        mill_arena_printf(&a->mem, "%lld rows, its footer says %lld",
                                          (long long)f->rows, (long long)f->said_rows));
    }
    if (e->merged && e->parts_why.p)
        audit_say_entry(a, MILL_AUDIT_NAME, e, e->parts_why);
    if (e->merged && e->parts_rows != f->rows) {
        audit_say_entry(a, MILL_AUDIT_ROWS, e,
                        mill_arena_printf(&a->mem, "%lld rows, its parts had %lld",
                                          (long long)f->rows, (long long)e->parts_rows));
    }
}

static void audit_count(struct mill_audit *a, const struct audit_entry *e)
{
    if (!e->part) {
        a->sum.objects++;
        a->sum.bytes += (int64_t)e->bytes;
    }
    a->sum.merged += e->superseded;
    if (!e->footer || e->merged || e->superseded)
        return;
    if (e->o.kind == MILL_OBJECT_REJECTED)
        a->sum.rejected += e->footer->rows;
    else
        a->sum.rows += e->footer->rows;
}

/** The object that a footer lists, in its range. */
static const struct audit_entry *audit_find(const struct audit_entry *v, size_t n,
                                            struct mill_str key)
{
    for (size_t i = 0; i < n; i++)
        if (!v[i].superseded && !v[i].merged && mill_str_eq(v[i].key, key))
            return &v[i];
    return NULL;
}

/** The list of a range's objects, against what is there. @return rows that it lists */
static int64_t audit_siblings(struct mill_audit *a, const struct audit_entry *v, size_t n,
                              const json_t *list, const struct audit_entry *by)
{
    int64_t rows = 0;
    size_t k, listed = 0;
    json_t *one;

    json_array_foreach((json_t *)(uintptr_t)list, k, one)
    {
        struct mill_str key = mill_json_str(one, "object");
        rows += json_integer_value(json_object_get(one, "rows"));
        if (audit_find(v, n, key)) {
            listed++;
            continue;
        }
        audit_say(a, MILL_AUDIT_MISSING, by->o.start, by->o.end, mill_arena_dup(&a->mem, key),
                  mill_arena_printf(&a->mem, "listed by %.*s", MILL_FMT(by->key)));
    }
    for (size_t i = 0; i < n && listed < n; i++) {
        bool known = v[i].superseded || v[i].merged || !v[i].footer;
        json_array_foreach((json_t *)(uintptr_t)list, k, one) known =
            known || mill_str_eq(mill_json_str(one, "object"), v[i].key);
        if (!known)
            audit_say_entry(a, MILL_AUDIT_STRAY, &v[i],
                            mill_arena_printf(&a->mem, "not listed by %.*s", MILL_FMT(by->key)));
    }
    return rows;
}

/** The objects of one [S,E), against each other and the plan. */
static void audit_whole(struct mill_audit *a, const struct audit_entry *v, size_t n,
                        const struct audit_entry *by)
{
    struct mill_plan plan;
    json_t *list = NULL;
    int64_t rows;

    if (mill_json_parse(by->footer->siblings, &list, NULL) != MILL_OK || !json_is_array(list)) {
        audit_say_entry(a, MILL_AUDIT_UNREADABLE, by, MILL_STR("its footer lists no objects"));
        json_decref(list);
        return;
    }
    rows = audit_siblings(a, v, n, list, by);
    json_decref(list);
    if (!mill_plan_parse(by->footer->plan, &plan) || plan.end != by->o.end)
        audit_say_entry(a, MILL_AUDIT_NAME, by, MILL_STR("its plan is of another range"));
    else if (plan.rows != rows)
        audit_say_entry(a, MILL_AUDIT_ROWS, by,
                        mill_arena_printf(&a->mem, "the range has %lld rows, its plan says %lld",
                                          (long long)rows, (long long)plan.rows));
    a->sum.holes += by->o.end - by->o.start - rows;
}

/** @return the file whose list of objects is believed; NULL when none has a footer, or all are
 *  superseded */
static const struct audit_entry *audit_each(struct mill_audit *a, struct audit_entry *v, size_t n)
{
    const struct audit_entry *by = NULL;

    for (size_t i = 0; i < n; i++) {
        struct audit_entry *e = &v[i];
        bool twice = i > 0 && mill_str_eq(v[i - 1].key, e->key);

        e->superseded = twice && v[i - 1].part && !e->part;
        if (twice && !e->superseded)
            audit_say_entry(a, MILL_AUDIT_STRAY, e, MILL_STR("two merged files stand for it"));
        audit_count(a, e);
        if (!e->footer)
            audit_say_entry(a, MILL_AUDIT_UNREADABLE, e, e->why);
        else if (!e->superseded)
            audit_name(a, e);
        if (e->footer && !e->merged && !e->superseded && !by)
            by = e;
    }
    return by;
}

/** Where a range stands to those before it. */
static void audit_place(struct mill_audit *a, const struct audit_entry *e)
{
    struct mill_audit_partition *sum = &a->sum;

    if (e->o.start > sum->end)
        audit_say(a, MILL_AUDIT_GAP, sum->end, e->o.start, (struct mill_str){NULL, 0},
                  mill_arena_printf(&a->mem, "%lld offsets before %.*s",
                                    (long long)(e->o.start - sum->end), MILL_FMT(e->key)));
    else if (e->o.start < sum->end)
        audit_say(a, MILL_AUDIT_OVERLAP, e->o.start, e->o.end < sum->end ? e->o.end : sum->end,
                  e->key, MILL_STR("a range before it has these offsets too"));
    if (e->o.end > sum->end)
        sum->end = e->o.end;
}

void mill_audit_unmet(struct mill_audit *a, int64_t start, int64_t end)
{
    audit_say(a, MILL_AUDIT_GAP, start, end, (struct mill_str){NULL, 0},
              MILL_STR("the sink's group has committed them, and no object has them"));
}

void mill_audit_range(struct mill_audit *a, struct audit_entry *v, size_t n)
{
    const struct audit_entry *by = audit_each(a, v, n);
    bool merged_only = true;

    for (size_t i = 0; i < n; i++)
        merged_only = merged_only && v[i].merged;
    if (merged_only)
        return; /* its parts have the offsets */
    a->sum.ranges++;
    audit_place(a, by ? by : v);
    if (by)
        audit_whole(a, v, n, by);
}
