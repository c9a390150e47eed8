/* Places in a topic; see where.h. */
#include "where.h"
#include "base/clock.h"

/* "48h" → ms. */
static bool where_duration(struct mill_str s, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    int64_t n;

    if (s.n < 2 || !mill_str_i64((struct mill_str){s.p, s.n - 1}, &n) || n < 0 || n > 1000000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (s.p[s.n - 1] == units[i].unit) {
            *ms = n * units[i].ms;
            return true;
        }
    return false;
}

static bool where_time(struct mill_str s, int64_t now_ms, int64_t *ms)
{
    int64_t us;

    if (s.n > 1 && s.p[0] == '-' && where_duration((struct mill_str){s.p + 1, s.n - 1}, ms)) {
        *ms = now_ms - *ms;
        return true;
    }
    if (s.n == 13 && mill_str_i64(s, ms))
        return *ms >= 0;
    if (!mill_time_parse(s, &us))
        return false;
    *ms = us / 1000;
    return true;
}

enum mill_code where_parse(struct mill_str text, int64_t now_ms, struct where *out,
                           struct mill_err *err)
{
    int64_t n = 0;

    if (mill_str_is(text, "start"))
        *out = (struct where){WHERE_START, 0};
    else if (mill_str_is(text, "end"))
        *out = (struct where){WHERE_END, 0};
    else if (text.n > 1 && text.p[0] == '@' &&
             where_time((struct mill_str){text.p + 1, text.n - 1}, now_ms, &n))
        /* Before 1970 is the start; a negative time means other things to a broker. */
        *out = (struct where){WHERE_TIME, n < 0 ? 0 : n};
    else if (mill_str_i64(text, &n) && n >= 0)
        *out = (struct where){WHERE_OFFSET, n};
    else if (mill_str_i64(text, &n) && n > INT64_MIN)
        *out = (struct where){WHERE_BACK, -n};
    else
        return mill_fail(err, MILL_E_DATA, "place",
                         "\"%.*s\" is none of start, end, 47, -3, @2026-02-14T12:00:00Z, "
                         "@unix seconds, @-1h",
                         text.n > 60 ? 60 : (int)text.n, text.p ? text.p : "");
    return MILL_OK;
}

enum mill_code where_resolve(struct mill_reader *r, const char *topic, int32_t partition,
                             const struct where *w, int64_t *offset, struct mill_err *err)
{
    int64_t low, high;
    enum mill_code code = mill_reader_marks(r, topic, partition, &low, &high, err);

    if (code)
        return code;
    *offset = low;
    switch (w->kind) {
    case WHERE_START:
        break;
    case WHERE_END:
        *offset = high;
        break;
    case WHERE_OFFSET:
        *offset = w->n;
        break;
    case WHERE_BACK:
        *offset = high - w->n;
        break;
    case WHERE_TIME:
        code = mill_reader_offset_at(r, topic, partition, w->n, offset, err);
        break;
    }
    if (*offset < low)
        *offset = low;
    if (*offset > high)
        *offset = high;
    return code;
}
