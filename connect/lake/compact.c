#include "lake/compact.h"

#include "base/json.h"

#include <stdlib.h>

enum { COMPACT_PARTS_MAX = 10000, COMPACT_STEPS_FIRST = 64 };

/** What becomes of an object in this plan. */
enum compact_state { COMPACT_FREE, COMPACT_MERGED, COMPACT_TAKEN /**< a part of something */ };

struct compact_ref {
    const struct mill_compact_object *o;
    size_t at; /**< in the caller's order */
    enum compact_state state;
    bool last; /**< of its partition's last range */
};

struct compact {
    const struct mill_compact_conf *conf;
    struct mill_arena *mem;
    struct mill_compact_plan *out;
    size_t room;
    bool nomem;
};

const char *mill_compact_act_name(enum mill_compact_act act)
{
    static const char *const names[MILL_COMPACT_ACTS] = {
        [MILL_COMPACT_SWEEP] = "sweep", [MILL_COMPACT_SWAP] = "swap",
        [MILL_COMPACT_WAIT] = "wait",   [MILL_COMPACT_DROP] = "drop",
        [MILL_COMPACT_STUCK] = "stuck", [MILL_COMPACT_MERGE] = "merge"};

    return names[act];
}

/* --- order ----------------------------------------------------------------------------------- */

static int compact_str_cmp(struct mill_str a, struct mill_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int compact_i64_cmp(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compact_cmp_partition(const struct mill_object *a, const struct mill_object *b)
{
    int d = compact_str_cmp(a->topic, b->topic);

    if (!d)
        d = compact_str_cmp(a->topic_id, b->topic_id);
    return d ? d : compact_i64_cmp(a->partition, b->partition);
}

static int compact_cmp_path(const struct mill_object *a, const struct mill_object *b)
{
    int d = compact_cmp_partition(a, b);

    if (!d)
        d = compact_i64_cmp(a->kind, b->kind);
    if (!d)
        d = compact_i64_cmp(a->day, b->day);
    return d ? d : compact_i64_cmp(a->hour, b->hour);
}

/** By path; plain ones before staged ones; by range, the longer first. */
static int compact_cmp(const void *pa, const void *pb)
{
    const struct compact_ref *a = pa, *b = pb;
    int d = compact_cmp_path(&a->o->o, &b->o->o);

    if (!d)
        d = a->o->staged - b->o->staged;
    if (!d && a->o->staged)
        d = compact_i64_cmp(b->o->o.end - b->o->o.start, a->o->o.end - a->o->o.start);
    if (!d)
        d = compact_i64_cmp(a->o->o.start, b->o->o.start);
    if (!d)
        d = compact_i64_cmp(b->o->o.end, a->o->o.end);
    return d ? d : compact_str_cmp(a->o->key, b->o->key);
}

/* --- steps ----------------------------------------------------------------------------------- */

/** @param parts refs, in order; their objects become the step's */
static void compact_step(struct compact *c, enum mill_compact_act act, const struct mill_object *o,
                         size_t at, struct compact_ref *const *parts, size_t n)
{
    struct mill_compact_step *s;

    if (c->out->n == c->room) {
        size_t room = c->room ? 2 * c->room : COMPACT_STEPS_FIRST;
        s = mill_arena_calloc(c->mem, room, sizeof *s);
        if (s && c->out->n)
            memcpy(s, c->out->v, c->out->n * sizeof *s);
        c->nomem = c->nomem || !s;
        if (!s)
            return;
        c->out->v = s;
        c->room = room;
    }
    s = &c->out->v[c->out->n];
    *s = (struct mill_compact_step){.act = act, .o = *o, .at = at, .n = n};
    s->parts = mill_arena_calloc(c->mem, n ? n : 1, sizeof *s->parts);
    c->nomem = c->nomem || !s->parts;
    if (!s->parts)
        return;
    c->out->n++;
    for (size_t i = 0; i < n; i++) {
        s->parts[i] = parts[i]->at;
        s->bytes += parts[i]->o->bytes;
        s->rows += parts[i]->o->footer ? parts[i]->o->footer->rows : 0;
    }
}

/** The plain object of that name. @param v of one path, by start */
static struct compact_ref *compact_find(struct compact_ref *v, size_t n, struct mill_str name,
                                        int64_t start)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v[mid].o->o.start < start)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n && v[lo].o->o.start == start; lo++)
        if (mill_str_eq(v[lo].o->name, name))
            return &v[lo];
    return NULL;
}

/** Is a range in a merged file that has its place? */
static bool compact_covered(const struct mill_object *o, const struct compact_ref *v, size_t n)
{
    for (size_t i = 0; i < n && v[i].o->o.start <= o->start; i++)
        if (v[i].state == COMPACT_MERGED && v[i].o->o.end >= o->end)
            return true;
    return false;
}

/** What a merged file lists. */
struct compact_list {
    size_t there;   /**< so many parts lie there; they are in the caller's array */
    size_t covered; /**< so many do not, and another merged file has their rows */
    size_t missing; /**< so many do not, and nobody has them */
};

/** @param v the plain objects of its path @param parts out, room for n */
static struct compact_list compact_listed(const struct compact *c, const struct compact_ref *m,
                                          struct compact_ref *v, size_t n,
                                          struct compact_ref **parts)
{
    struct compact_list l = {0};
    json_t *list = NULL, *one;
    size_t k;

    if (m->o->footer && m->o->footer->parts.p &&
        mill_json_parse(m->o->footer->parts, &list, NULL) != MILL_OK)
        list = NULL;
    l.missing = json_array_size(list) == 0;
    json_array_foreach(list, k, one)
    {
        struct mill_str name = mill_json_str(one, "object");
        struct mill_object o;
        bool ours = name.p && mill_object_parse(name, c->conf->prefix, &o) &&
                    compact_cmp_path(&o, &m->o->o) == 0;
        struct compact_ref *p = ours ? compact_find(v, n, name, o.start) : NULL;

        if (p && p != m && l.there < n)
            parts[l.there++] = p;
        else if (ours && compact_covered(&o, v, n))
            l.covered++;
        else
            l.missing++;
    }
    json_decref(list);
    return l;
}

/** A file under merging/: how far has it come? @param v the plain ones of its path */
static void compact_staged(struct compact *c, const struct compact_ref *s, struct compact_ref *v,
                           size_t n, struct compact_ref **parts)
{
    struct compact_list l = compact_listed(c, s, v, n, parts);
    enum mill_compact_act act =
        s->o->age_ms >= c->conf->grace_ms ? MILL_COMPACT_SWAP : MILL_COMPACT_WAIT;
    bool taken = l.covered > 0;

    for (size_t i = 0; i < l.there; i++)
        taken = taken || parts[i]->state != COMPACT_FREE || parts[i]->last;
    if (l.missing)
        act = MILL_COMPACT_STUCK; /* it may be the only one that has the rows */
    else if (taken)
        act = MILL_COMPACT_DROP; /* a swap that came to its end, or the loser of a race */
    for (size_t i = 0; act != MILL_COMPACT_DROP && i < l.there; i++)
        parts[i]->state = COMPACT_TAKEN;
    if (!s->o->left)
        compact_step(c, act, &s->o->o, s->at, parts, act == MILL_COMPACT_DROP ? 0 : l.there);
}

static bool compact_small(const struct compact *c, const struct compact_ref *r)
{
    return r->state == COMPACT_FREE && !r->last && !r->o->left && r->o->footer &&
           r->o->o.day < c->conf->open_day && r->o->bytes < c->conf->target_bytes / 2;
}

static void compact_merge(struct compact *c, struct compact_ref **parts, size_t n)
{
    struct mill_object o;

    if (n < 2)
        return;
    o = parts[0]->o->o;
    o.end = parts[n - 1]->o->o.end;
    compact_step(c, MILL_COMPACT_MERGE, &o, parts[0]->at, parts, n);
}

/** Small files that follow each other, to the size that is wanted. Whatever else lies between them
 *  ends a group: a name's range must not span a file that is not in it. */
static void compact_groups(struct compact *c, struct compact_ref *v, size_t n,
                           struct compact_ref **parts)
{
    size_t max = c->conf->parts_max ? c->conf->parts_max : COMPACT_PARTS_MAX, k = 0;
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        bool small = compact_small(c, &v[i]);
        if (!small || k == max || bytes + v[i].o->bytes > c->conf->target_bytes) {
            compact_merge(c, parts, k);
            k = 0;
            bytes = 0;
        }
        if (small) {
            parts[k++] = &v[i];
            bytes += v[i].o->bytes;
        }
    }
    compact_merge(c, parts, k);
}

/** All objects of one path: plain ones, then staged ones. */
static void compact_path(struct compact *c, struct compact_ref *v, size_t n,
                         struct compact_ref **parts)
{
    size_t plain = 0;

    while (plain < n && !v[plain].o->staged)
        plain++;
    for (size_t i = 0; i < plain; i++)
        if (v[i].o->footer && v[i].o->footer->parts.p)
            v[i].state = COMPACT_MERGED;
    for (size_t i = 0; i < plain; i++) {
        size_t there;
        if (v[i].state != COMPACT_MERGED)
            continue;
        there = compact_listed(c, &v[i], v, plain, parts).there;
        for (size_t k = 0; k < there; k++)
            parts[k]->state = COMPACT_TAKEN;
        if (there && !v[i].o->left)
            compact_step(c, MILL_COMPACT_SWEEP, &v[i].o->o, v[i].at, parts, there);
    }
    for (size_t i = plain; i < n; i++)
        compact_staged(c, &v[i], v, plain, parts);
    compact_groups(c, v, plain, parts);
}

static void compact_partition(struct compact *c, struct compact_ref *v, size_t n,
                              struct compact_ref **parts)
{
    int64_t end = -1;

    for (size_t i = 0; i < n; i++)
        if (!v[i].o->staged && v[i].o->o.end > end)
            end = v[i].o->o.end;
    for (size_t i = 0; i < n; i++)
        v[i].last = v[i].o->o.end == end;
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && compact_cmp_path(&v[i].o->o, &v[k].o->o) == 0; k++) {
        }
        compact_path(c, &v[i], k - i, parts);
    }
}

/** Acts in their order; a stable sort, so that objects keep theirs. */
static bool compact_order(struct compact *c)
{
    struct mill_compact_step *v = mill_arena_calloc(c->mem, c->out->n + 1, sizeof *v);
    size_t n = 0;

    for (int act = 0; v && act < MILL_COMPACT_ACTS; act++)
        for (size_t i = 0; i < c->out->n; i++)
            if ((int)c->out->v[i].act == act)
                v[n++] = c->out->v[i];
    c->out->v = v;
    return v != NULL;
}

enum mill_code mill_compact_plan(const struct mill_compact_object *v, size_t n,
                                 const struct mill_compact_conf *conf, struct mill_arena *mem,
                                 struct mill_compact_plan *out, struct mill_err *err)
{
    struct compact c = {.conf = conf, .mem = mem, .out = out};
    struct compact_ref *refs = calloc(n + 1, sizeof *refs);
    struct compact_ref **parts = calloc(n + 1, sizeof *parts);

    *out = (struct mill_compact_plan){0};
    c.nomem = !refs || !parts;
    for (size_t i = 0; i < n && !c.nomem; i++)
        refs[i] = (struct compact_ref){.o = &v[i], .at = i};
    if (n > 1 && !c.nomem)
        qsort(refs, n, sizeof *refs, compact_cmp);
    for (size_t i = 0, k; i < n && !c.nomem; i = k) {
        for (k = i + 1; k < n && compact_cmp_partition(&refs[i].o->o, &refs[k].o->o) == 0; k++) {
        }
        compact_partition(&c, &refs[i], k - i, parts);
    }
    c.nomem = c.nomem || !compact_order(&c);
    free(refs);
    free(parts);
    return c.nomem ? mill_fail(err, MILL_E_NOMEM, "compact", "out of memory") : MILL_OK;
}
