#include "compact/scan.h"

#include "lake/footer_fetch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SCAN_FIRST = 256 };

void mill_scan_init(struct mill_scan *s, const struct mill_s3_opts *s3)
{
    *s = (struct mill_scan){.s3 = s3};
}

void mill_scan_release(struct mill_scan *s)
{
    for (size_t i = 0; i < MILL_SCAN_READERS; i++)
        mill_arena_release(&s->footers[i]);
    mill_arena_release(&s->names);
    free(s->v);
    mill_scan_init(s, s->s3);
}

/* --- names ----------------------------------------------------------------------------------- */

struct scan_list {
    struct mill_scan *s;
    bool (*stopped)(void);
    bool nomem;
};

/** The name that a staged object is to have; the key itself where it is not staged. */
static struct mill_str scan_name(struct mill_scan *s, struct mill_str key, bool *staged)
{
    struct mill_str prefix = mill_str(s->s3->prefix), rest = key;
    size_t n = prefix.n + sizeof MILL_COMPACT_STAGED - 1;

    rest.p += prefix.n < key.n ? prefix.n : key.n;
    rest.n -= prefix.n < key.n ? prefix.n : key.n;
    *staged = mill_str_starts(rest, MILL_COMPACT_STAGED);
    if (!*staged)
        return mill_arena_dup(&s->names, key);
    return mill_arena_printf(&s->names, "%.*s%.*s", MILL_FMT(prefix),
                             MILL_FMT(((struct mill_str){key.p + n, key.n - n})));
}

static bool scan_each(void *arg, const char *key, uint64_t bytes)
{
    struct scan_list *l = arg;
    struct mill_scan *s = l->s;
    struct mill_compact_object *o;
    struct mill_object parsed;

    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : SCAN_FIRST;
        struct mill_compact_object *v = realloc(s->v, room * sizeof *v);
        l->nomem = !v;
        if (!v)
            return false;
        s->v = v;
        s->room = room;
    }
    o = &s->v[s->n];
    *o = (struct mill_compact_object){.bytes = bytes};
    o->name = scan_name(s, mill_str(key), &o->staged);
    if (o->name.p && !mill_object_parse(o->name, mill_str(s->s3->prefix), &parsed)) {
        if (mill_object_swept(o->name, mill_str(s->s3->prefix)))
            s->swept++;
        else
            s->foreign++;
        return !l->stopped || !l->stopped();
    }
    o->key = o->staged ? mill_arena_dup(&s->names, mill_str(key)) : o->name;
    l->nomem = !o->key.p || !o->name.p;
    if (l->nomem)
        return false;
    o->o = parsed;
    s->n++;
    return !l->stopped || !l->stopped();
}

/** How old staged files are, by the clock of the service that took them. */
static enum mill_code scan_ages(struct mill_scan *s, struct mill_s3 *s3, struct mill_err *err)
{
    enum mill_code rc = MILL_OK;
    size_t n = 0;

    for (size_t i = 0; i < s->n && !rc; i++) {
        struct mill_s3_head head;
        if (s->v[i].staged)
            rc = mill_s3_head(s3, s->v[i].key.p, &head, err);
        if (rc == MILL_E_NOENT) { /* another run was faster */
            rc = MILL_OK;
            continue;
        }
        if (!rc && s->v[i].staged && head.modified_ms && head.now_ms)
            s->v[i].age_ms = head.now_ms - head.modified_ms;
        s->v[n++] = s->v[i];
    }
    s->n = rc ? s->n : n;
    return rc;
}

enum mill_code mill_scan_list(struct mill_scan *s, const char *topic, bool (*stopped)(void),
                              struct mill_err *err)
{
    static const char *const folders[] = {
        "topic=", "rejected=", MILL_COMPACT_STAGED "topic=", MILL_COMPACT_STAGED "rejected="};
    struct scan_list l = {s, stopped, false};
    struct mill_s3 *s3 = NULL;
    struct mill_buf folder;
    enum mill_code rc = mill_s3_open(&s3, s->s3, err);

    mill_buf_init(&folder, MILL_OBJECT_NAME_MAX);
    if (!topic && !rc)
        rc = mill_s3_list(s3, s->s3->prefix, scan_each, &l, err);
    for (size_t i = 0; topic && i < sizeof folders / sizeof *folders && !rc && !l.nomem; i++) {
        mill_buf_reset(&folder);
        mill_buf_printf(&folder, "%s%s%s/", s->s3->prefix, folders[i], topic);
        rc = folder.failed ? mill_fail(err, MILL_E_CONFIG, "topic", "its name is too long")
                           : mill_s3_list(s3, folder.p, scan_each, &l, err);
    }
    if (!rc && !l.nomem)
        rc = scan_ages(s, s3, err);
    mill_buf_release(&folder);
    mill_s3_free(s3);
    return l.nomem ? mill_fail(err, MILL_E_NOMEM, "scan", "out of memory") : rc;
}

/* --- footers --------------------------------------------------------------------------------- */

struct scan_run {
    struct mill_scan *s;
    const struct mill_parquet *lib;
    bool (*stopped)(void);
    atomic_size_t next;
    atomic_bool failed;
};

/** One who fetches footers. */
struct scan_reader {
    struct scan_run *run;
    struct mill_arena *mem;
    pthread_t thread;
    bool started;
    enum mill_code code;
    struct mill_err err;
};

/** @return MILL_OK also for an object without a footer */
static enum mill_code scan_fetch(struct scan_reader *r, struct mill_s3 *s3,
                                 struct mill_compact_object *o, struct mill_buf *tail)
{
    struct mill_footer *footer = mill_arena_calloc(r->mem, 1, sizeof *footer);
    enum mill_code rc = footer ? mill_footer_fetch(s3, r->run->lib, o->key.p, o->bytes, tail,
                                                   r->mem, footer, &r->err)
                               : mill_fail(&r->err, MILL_E_NOMEM, "scan", "out of memory");

    if (!rc)
        o->footer = footer;
    if (rc != MILL_E_DATA && rc != MILL_E_NOENT)
        return rc;
    o->why = mill_arena_printf(r->mem, "%s: %s", r->err.where, r->err.text);
    return o->why.p ? MILL_OK : MILL_E_NOMEM;
}

static void *scan_reader(void *arg)
{
    struct scan_reader *r = arg;
    struct scan_run *run = r->run;
    struct mill_s3 *s3 = NULL;
    struct mill_buf tail;
    size_t i;

    mill_buf_init(&tail, MILL_FOOTER_MAX);
    r->code = mill_s3_open(&s3, run->s->s3, &r->err);
    while (!r->code && !atomic_load(&run->failed) && !(run->stopped && run->stopped()) &&
           (i = atomic_fetch_add(&run->next, 1)) < run->s->n)
        r->code = scan_fetch(r, s3, &run->s->v[i], &tail);
    if (r->code)
        atomic_store(&run->failed, true);
    mill_buf_release(&tail);
    mill_s3_free(s3);
    return NULL;
}

enum mill_code mill_scan_footers(struct mill_scan *s, const struct mill_parquet *lib,
                                 bool (*stopped)(void), struct mill_err *err)
{
    struct scan_run run = {.s = s, .lib = lib, .stopped = stopped};
    struct scan_reader readers[MILL_SCAN_READERS] = {{0}};
    size_t n = s->n < MILL_SCAN_READERS ? s->n : MILL_SCAN_READERS;
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; i < n; i++) {
        readers[i].run = &run;
        readers[i].mem = &s->footers[i];
        readers[i].started =
            i + 1 < n && pthread_create(&readers[i].thread, NULL, scan_reader, &readers[i]) == 0;
    }
    if (n)
        scan_reader(&readers[n - 1]); /* this thread is one of them */
    for (size_t i = 0; i < n; i++) {
        if (readers[i].started)
            pthread_join(readers[i].thread, NULL);
        if (readers[i].code && !rc) {
            rc = readers[i].code;
            if (err)
                *err = readers[i].err;
        }
    }
    return rc;
}
