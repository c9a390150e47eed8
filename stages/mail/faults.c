#include "mail/faults.h"

#include "mail/address.h"
#include "mail/charset.h"
#include <stdarg.h>
#include <stdio.h>

enum { FAULTS_DEPTH = 8 };

/* Letters, digits, '-', '_': a key that reads well without brackets. */
static const struct mill_charset plain_name = {{0, 0x03ff2000, 0x87fffffe, 0x07fffffe}};

/** A path from the top down, as it will be written. */
struct faults_path {
    struct mill_step step[FAULTS_DEPTH];
    size_t n;
};

/** A bounded text that is being written. */
struct faults_text {
    char *p;
    size_t n, size;
};

void mill_faults_init(struct mill_faults *f, const json_t *form)
{
    f->n = 0;
    f->more = 0;
    f->too_large = false;
    f->nomem = false;
    f->form = form;
}

static void faults_put(struct faults_text *t, struct mill_str s)
{
    for (size_t i = 0; i < s.n && t->n + 1 < t->size; i++)
        t->p[t->n++] = s.p[i];
    t->p[t->n] = '\0';
}

static void faults_put_number(struct faults_text *t, const char *before, size_t v,
                              const char *after)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%s%zu%s", before, v, after);

    faults_put(t, (struct mill_str){text, n > 0 && (size_t)n < sizeof text ? (size_t)n : 0});
}

/** A name that its author made up: only what is safe in a log line. @param pointer as RFC 6901 */
static void faults_put_key(struct faults_text *t, struct mill_str key, bool pointer)
{
    bool utf8 = mill_str_utf8(key);

    for (size_t i = 0; i < key.n; i++) {
        unsigned char c = (unsigned char)key.p[i];
        bool plain = c >= 0x20 && c != 0x7f && (c < 0x80 || utf8);
        struct mill_str out = plain ? (struct mill_str){key.p + i, 1} : MILL_STR("?");
        if (pointer && c == '~')
            out = MILL_STR("~0");
        else if (pointer && c == '/')
            out = MILL_STR("~1");
        else if (!pointer && c == '"')
            out = MILL_STR("?");
        faults_put(t, out);
    }
}

static void faults_render(const struct faults_path *path, struct mill_fault *out)
{
    struct faults_text where = {out->where, 0, sizeof out->where};
    struct faults_text pointer = {out->pointer, 0, sizeof out->pointer};

    out->where[0] = out->pointer[0] = '\0';
    for (size_t i = 0; i < path->n; i++) {
        const struct mill_step *s = &path->step[i];
        if (s->is_key && !mill_all_in(&plain_name, s->name)) {
            faults_put(&where, MILL_STR("[\""));
            faults_put_key(&where, s->name, false);
            faults_put(&where, MILL_STR("\"]"));
        } else {
            faults_put(&where, i ? MILL_STR(".") : MILL_STR(""));
            faults_put(&where, s->name);
        }
        faults_put(&pointer, MILL_STR("/"));
        faults_put_key(&pointer, s->name, true);
        if (s->indexed) {
            faults_put_number(&where, "[", s->index, "]");
            faults_put_number(&pointer, "/", s->index, "");
        }
    }
}

static const json_t *faults_member(const json_t *object, struct mill_str name)
{
    char key[64];

    if (!json_is_object(object) || name.n >= sizeof key)
        return NULL;
    mill_str_cut(name, key, sizeof key);
    return json_object_get(object, key);
}

/** Name the field as the JSON has it: without steps that its short forms leave out. */
static void faults_follow(struct faults_path *path, const json_t *form)
{
    const json_t *node = form;

    if (path->n > 1 && mill_str_is(path->step[0].name, "personalizations") &&
        !json_is_array(json_object_get(form, "personalizations"))) {
        memmove(path->step, path->step + 1, --path->n * sizeof path->step[0]);
    }
    for (size_t i = 0; i < path->n; i++) {
        struct mill_step *s = &path->step[i];
        node = faults_member(node, s->name);
        if (s->indexed && !json_is_array(node))
            s->indexed = false;
        if (s->indexed)
            node = json_array_get(node, s->index);
        if (!json_is_object(node)) {
            path->n = i + 1;
            return;
        }
    }
}

/** Is `where` named already, or part of what is named? */
static bool faults_known(const struct mill_faults *f, const char *where)
{
    for (size_t i = 0; i < f->n; i++) {
        size_t n = strlen(f->v[i].where);
        if (!strncmp(f->v[i].where, where, n) &&
            (where[n] == '\0' || (n && (where[n] == '.' || where[n] == '['))))
            return true;
    }
    return false;
}

void mill_faults_add(struct mill_faults *f, const struct mill_step *at, const char *fmt, ...)
{
    struct faults_path path = {.n = 0};
    struct mill_fault fault;
    va_list ap;

    for (const struct mill_step *s = at; s && path.n < FAULTS_DEPTH; s = s->up)
        path.n++;
    for (size_t i = path.n; i > 0; i--) {
        path.step[i - 1] = *at;
        at = at->up;
    }
    if (f->form)
        faults_follow(&path, f->form);
    faults_render(&path, &fault);
    if (faults_known(f, fault.where))
        return;
    if (f->n == MILL_FAULTS_MAX) {
        f->more++;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(fault.text, sizeof fault.text, fmt, ap);
    va_end(ap);
    f->v[f->n++] = fault;
}

void mill_faults_why(struct mill_faults *f, const struct mill_step *at, const char *why)
{
    if (why == mill_why_nomem)
        f->nomem = true;
    else if (why)
        mill_faults_add(f, at, "%s", why);
}

enum mill_code mill_faults_err(const struct mill_faults *f, struct mill_err *err)
{
    char text[sizeof err->text];
    struct faults_text t = {text, 0, sizeof text};
    size_t shown = 0;

    if (f->nomem)
        return mill_fail(err, MILL_E_NOMEM, "request", "out of memory");
    if (!f->n)
        return MILL_OK;
    text[0] = '\0';
    for (; shown < f->n; shown++) {
        const struct mill_fault *v = &f->v[shown];
        size_t need = strlen(v->text) + strlen(v->where) + sizeof " (and 1000 more)";
        if (shown && t.n + need >= sizeof text)
            break;
        faults_put(&t, shown ? MILL_STR("; ") : MILL_STR(""));
        faults_put(&t, mill_str(shown ? v->where : ""));
        faults_put(&t, shown ? MILL_STR(": ") : MILL_STR(""));
        faults_put(&t, mill_str(v->text));
    }
    if (f->n + f->more > shown)
        faults_put_number(&t, " (and ", f->n + f->more - shown, " more)");
    return mill_fail(err, MILL_E_DATA, f->v[0].where[0] ? f->v[0].where : "request", "%s", text);
}
