/* Parts of a topic; see range.h. */
#include "range.h"
#include "base/clock.h"

enum { DATE_CHARS = 10, MS_DIGITS = 13, STAMP_MAX = 40 };

/** What durations count from. */
struct range_clock {
    int64_t now_ms;
    int64_t begin_ms; /**< of a range whose beginning is a stamp; -1 = it is none */
};

/* "48h", "-48h" → ms. */
static bool range_duration(struct mill_str s, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    int64_t n;

    if (s.n < 2 || !mill_str_i64((struct mill_str){s.p, s.n - 1}, &n) || n < -1000000 ||
        n > 1000000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (s.p[s.n - 1] == units[i].unit) {
            *ms = n * units[i].ms;
            return true;
        }
    return false;
}

/* A date, RFC 3339, 10 digits (s) or 13 (ms). */
static bool range_stamp(struct mill_str s, int64_t *ms)
{
    char text[STAMP_MAX];
    int64_t us;

    if (s.n == MS_DIGITS && mill_str_i64(s, ms))
        return *ms >= 0;
    if (s.n == DATE_CHARS && s.p[4] == '-') {
        memcpy(text, s.p, DATE_CHARS);
        memcpy(text + DATE_CHARS, "T00:00:00Z", sizeof "T00:00:00Z");
        s = mill_str(text);
    }
    if (!mill_time_parse(s, &us))
        return false;
    *ms = us / 1000;
    return true;
}

/* A time without its @. Before 1970 is the start; a negative time means other things to a broker.
 */
static bool range_time(struct mill_str s, const struct range_clock *c, struct place *out,
                       bool *stamp)
{
    int64_t ms;

    *stamp = range_stamp(s, &ms);
    if (!*stamp) {
        if (!range_duration(s, &ms))
            return false;
        ms += c->begin_ms >= 0 ? c->begin_ms : c->now_ms;
    }
    *out = (struct place){PLACE_TIME, ms < 0 ? 0 : ms};
    return true;
}

/* A place that is no time. */
static bool range_offset(struct mill_str s, struct place *out)
{
    bool plus = s.n > 1 && s.p[0] == '+' && s.p[1] != '-';
    int64_t n;

    if (mill_str_is(s, "start")) {
        *out = (struct place){PLACE_START, 0};
        return true;
    }
    if (mill_str_is(s, "end")) {
        *out = (struct place){PLACE_END, 0};
        return true;
    }
    if (!mill_str_i64(plus ? (struct mill_str){s.p + 1, s.n - 1} : s, &n) || n == INT64_MIN)
        return false;
    *out = n < 0 || s.p[0] == '-' ? (struct place){PLACE_BEFORE, -n}
                                  : (struct place){plus ? PLACE_AFTER : PLACE_OFFSET, n};
    return true;
}

/* One end of a range. @param timed it is a time although it has no @: the other end has it */
static bool range_place(struct mill_str s, bool timed, const struct range_clock *c,
                        struct place *out, bool *stamp)
{
    *stamp = false;
    if (s.n > 1 && s.p[0] == '@')
        return range_time((struct mill_str){s.p + 1, s.n - 1}, c, out, stamp);
    return (timed && range_time(s, c, out, stamp)) || (range_offset(s, out) && s.n);
}

/* A:B, cut at one of its colons: a time has some too. */
static bool range_cut(struct mill_str s, size_t colon, const struct range_clock *clock,
                      struct range *out)
{
    struct mill_str a = {s.p, colon}, b = {s.p + colon + 1, s.n - colon - 1};
    bool timed = a.n && a.p[0] == '@', stamp;
    struct range_clock c = *clock;
    struct range got = {{PLACE_START, 0}, {PLACE_END, 0}};

    if (timed)
        a = (struct mill_str){a.p + 1, a.n - 1};
    if (a.n && !(timed ? range_time(a, &c, &got.from, &stamp)
                       : range_place(a, false, &c, &got.from, &stamp)))
        return false;
    if (a.n && timed && stamp)
        c.begin_ms = got.from.n;
    if (b.n && !range_place(b, timed, &c, &got.to, &stamp))
        return false;
    *out = got;
    return a.n || b.n;
}

static enum mill_code range_no(struct mill_str s, const char *where, struct mill_err *err)
{
    return mill_fail(err, MILL_E_DATA, where,
                     "\"%.*s\" is none of start, end, 47, +3, -3, @2026-02-14, @RFC 3339, "
                     "@seconds, @-1h, and no range like 12:47 or @-48h:-24h",
                     s.n > 60 ? 60 : (int)s.n, s.p ? s.p : "");
}

static enum mill_code range_from(struct mill_str s, const struct range_clock *c, bool whole,
                                 struct range *out, struct mill_err *err)
{
    bool stamp;

    if (range_place(s, false, c, &out->from, &stamp))
        return MILL_OK;
    for (size_t i = 0; i < s.n; i++) {
        struct range got;
        if (s.p[i] != ':' || !range_cut(s, i, c, &got))
            continue;
        if (!whole)
            return mill_fail(err, MILL_E_DATA, "to", "is given twice: --from names an end too");
        *out = got;
        return MILL_OK;
    }
    return range_no(s, "from", err);
}

enum mill_code range_parse(struct mill_str from, struct mill_str to, int64_t now_ms,
                           struct range *out, struct mill_err *err)
{
    struct range_clock c = {now_ms, -1};
    bool stamp;
    enum mill_code code = MILL_OK;

    if (from.p)
        code = range_from(from, &c, !to.p, out, err);
    if (!code && to.p && !range_place(to, false, &c, &out->to, &stamp))
        code = range_no(to, "to", err);
    if (!code && out->from.kind == out->to.kind &&
        (out->from.kind == PLACE_BEFORE ? out->to.n > out->from.n : out->to.n < out->from.n))
        code = mill_fail(err, MILL_E_DATA, "to", "lies before the beginning");
    return code;
}

enum mill_code range_resolve(struct mill_reader *r, const char *topic, int32_t partition,
                             const struct place *place, int64_t *offset, struct mill_err *err)
{
    int64_t low, high;
    enum mill_code code = mill_reader_marks(r, topic, partition, &low, &high, err);

    if (code)
        return code;
    *offset = low;
    switch (place->kind) {
    case PLACE_NONE:
    case PLACE_START:
        break;
    case PLACE_END:
        *offset = high;
        break;
    case PLACE_OFFSET:
        *offset = place->n;
        break;
    case PLACE_AFTER:
        *offset = place->n > INT64_MAX - low ? INT64_MAX : low + place->n;
        break;
    case PLACE_BEFORE:
        *offset = high - place->n;
        break;
    case PLACE_TIME:
        code = mill_reader_offset_at(r, topic, partition, place->n, offset, err);
        break;
    }
    if (*offset < low)
        *offset = low;
    if (*offset > high)
        *offset = high;
    return code;
}
