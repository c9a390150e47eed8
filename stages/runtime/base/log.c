#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LOG_LINE = 4096, /* bytes, with the newline */
    LOG_TAIL = 16,   /* kept free for what closes a cut line */
    LOG_TEXT = 2048, /* bytes of msg before escaping */
};

struct line {
    char p[LOG_LINE];
    size_t n;
    bool cut;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic(const char *) log_stage = "";
static atomic_int log_least = MILL_INFO;

void mill_log_setup(const char *stage, enum mill_level least)
{
    atomic_store(&log_stage, stage ? stage : "");
    atomic_store(&log_least, (int)least);
}

bool mill_log_on(enum mill_level lvl)
{
    return (int)lvl >= atomic_load_explicit(&log_least, memory_order_relaxed);
}

bool mill_level_parse(const char *text, enum mill_level *out)
{
    for (size_t i = 0; text && i < sizeof level_names / sizeof *level_names; i++) {
        if (!strcmp(text, level_names[i])) {
            *out = (enum mill_level)i;
            return true;
        }
    }
    return false;
}

static bool line_add(struct line *l, const char *p, size_t n)
{
    if (l->cut || n > LOG_LINE - LOG_TAIL - l->n) {
        l->cut = true;
        return false;
    }
    memcpy(l->p + l->n, p, n);
    l->n += n;
    return true;
}

/* ,"key": - or nothing at all if not even an empty value would fit behind it. */
static bool line_key(struct line *l, const char *key)
{
    struct mill_str k = mill_str(key);
    size_t start = l->n, at = 0;
    char unit[MILL_JSON_UNIT];

    line_add(l, l->n > 1 ? ",\"" : "\"", l->n > 1 ? 2 : 1);
    while (at < k.n && !l->cut) {
        size_t n = mill_json_unit(k, &at, unit);
        line_add(l, unit, n);
    }
    line_add(l, "\":", 2);
    if (l->cut || LOG_LINE - LOG_TAIL - l->n < 2) {
        l->cut = true;
        l->n = start;
        return false;
    }
    return true;
}

static void line_str(struct line *l, const char *key, struct mill_str s)
{
    char unit[MILL_JSON_UNIT];
    size_t at = 0;

    if (!line_key(l, key))
        return;
    if (!s.p) {
        if (!line_add(l, "null", 4))
            l->n += (size_t)snprintf(l->p + l->n, 3, "\"\"");
        return;
    }
    line_add(l, "\"", 1);
    while (at < s.n && !l->cut) {
        size_t n = mill_json_unit(s, &at, unit);
        line_add(l, unit, n);
    }
    l->p[l->n++] = '"'; /* the tail has room for it */
}

static void line_int(struct line *l, const char *key, int64_t v)
{
    char text[24];
    size_t start = l->n;
    int n = snprintf(text, sizeof text, "%lld", (long long)v);

    if (line_key(l, key) && !line_add(l, text, (size_t)n))
        l->n = start;
}

static void line_write(struct line *l)
{
    size_t done = 0;

    if (l->cut) {
        memcpy(l->p + l->n, ",\"cut\":true", 11);
        l->n += 11;
    }
    l->p[l->n++] = '}';
    l->p[l->n++] = '\n';
    while (done < l->n) {
        ssize_t n = write(STDERR_FILENO, l->p + done, l->n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to say so */
        done += (size_t)n;
    }
}

void mill_log(enum mill_level lvl, const char *ev, const struct mill_kv *kv, const char *fmt, ...)
{
    struct line l;
    char text[LOG_TEXT];
    va_list ap;

    if (!mill_log_on(lvl))
        return;
    l.p[0] = '{';
    l.n = 1;
    l.cut = false;
    line_str(&l, "ts", mill_str(mill_time_text(mill_now_us(), text, sizeof text)));
    line_str(&l, "lvl", mill_str(level_names[lvl]));
    line_str(&l, "stage", mill_str(atomic_load(&log_stage)));
    line_str(&l, "ev", mill_str(ev));
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    line_str(&l, "msg", mill_str(text));
    for (; kv && kv->key; kv++) {
        if (kv->is_num)
            line_int(&l, kv->key, kv->i);
        else
            line_str(&l, kv->key, kv->s);
    }
    line_write(&l);
}

void mill_log_err(enum mill_level lvl, const char *ev, const struct mill_err *err)
{
    mill_log(lvl, ev,
             MILL_KV(MILL_KS("code", mill_code_name(err->code)), MILL_KS("where", err->where)),
             "%s", err->text);
}
