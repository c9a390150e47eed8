#include "lake/object.h"

enum { OBJECT_LAST_DAY = 2932896, OBJECT_DAY_S = 86400 };

/** Gregorian date of a day number; exact for the years 1970 to 9999. */
static void object_date(int32_t day, int *year, int *month, int *mday)
{
    /* Years are counted from March of year 0, so that a leap day is the last of its year. */
    int32_t z = day + 719468, era = z / 146097, doe = z % 146097;
    int32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *mday = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2 ? 1 : 0);
}

static int32_t object_day_of(int year, int month, int mday)
{
    int y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y % 400;
    int doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

int32_t mill_object_day(int64_t timestamp_us, int *hour)
{
    int64_t s = timestamp_us < 0 ? 0 : timestamp_us / 1000000;
    int64_t day = s / OBJECT_DAY_S;

    if (hour)
        *hour = day > OBJECT_LAST_DAY ? 23 : (int)(s % OBJECT_DAY_S / 3600);
    return day > OBJECT_LAST_DAY ? OBJECT_LAST_DAY : (int32_t)day;
}

static bool object_word(struct mill_str s, size_t max, bool dots)
{
    if (s.n == 0 || s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || (dots && c == '.');
        if (!ok)
            return false;
    }
    return true;
}

static bool object_ok(const struct mill_object *o)
{
    return object_word(o->topic, 249, true) && object_word(o->topic_id, 36, false) &&
           o->partition >= 0 && o->start >= 0 && o->end >= o->start && o->day >= 0 &&
           o->day <= OBJECT_LAST_DAY && o->hour >= -1 && o->hour <= 23;
}

enum mill_code mill_object_name(const struct mill_object *o, struct mill_str prefix,
                                struct mill_buf *out, struct mill_err *err)
{
    size_t before = out->n;
    int y, m, d;

    if (!object_ok(o))
        return mill_fail(err, MILL_E_DATA, "object", "no name for %.*s/%d [%lld,%lld)",
                         MILL_FMT(o->topic), (int)o->partition, (long long)o->start,
                         (long long)o->end);
    object_date(o->day, &y, &m, &d);
    mill_buf_str_add(out, prefix);
    mill_buf_printf(out, "%s=%.*s/dt=%04d-%02d-%02d/",
                    o->kind == MILL_OBJECT_ROWS ? "topic" : "rejected", MILL_FMT(o->topic), y, m,
                    d);
    if (o->hour >= 0)
        mill_buf_printf(out, "hour=%02d/", o->hour);
    mill_buf_printf(out, "%.*s+%.*s+%d+%lld-%lld.parquet", MILL_FMT(o->topic),
                    MILL_FMT(o->topic_id), (int)o->partition, (long long)o->start,
                    (long long)o->end);
    if (out->failed || out->n - before > MILL_OBJECT_NAME_MAX)
        return mill_fail(err, MILL_E_DATA, "object", "name of %.*s is too long",
                         MILL_FMT(o->topic));
    return MILL_OK;
}

/** Cut `lit` from the front. */
static bool object_eat(struct mill_str *s, const char *lit)
{
    size_t n = strlen(lit);

    if (!mill_str_starts(*s, lit))
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

/** Cut what stands before the first `stop`, and `stop` itself. */
static bool object_until(struct mill_str *s, char stop, struct mill_str *out)
{
    const char *p = s->n ? memchr(s->p, stop, s->n) : NULL;

    if (!p)
        return false;
    *out = (struct mill_str){s->p, (size_t)(p - s->p)};
    s->n -= out->n + 1;
    s->p = p + 1;
    return true;
}

/** Digits only, and as we write them: no sign, no leading zero unless the width is fixed. */
static bool object_number(struct mill_str s, size_t width, int64_t *out)
{
    if (s.n == 0 || s.p[0] == '-' || (width && s.n != width) || (!width && s.n > 1 && *s.p == '0'))
        return false;
    return mill_str_i64(s, out);
}

static bool object_parse_date(struct mill_str s, int32_t *day)
{
    int64_t y, m, d;
    struct mill_str year, month;
    int yy, mm, dd;

    if (!object_until(&s, '-', &year) || !object_until(&s, '-', &month) ||
        !object_number(year, 4, &y) || !object_number(month, 2, &m) || !object_number(s, 2, &d) ||
        y < 1970 || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    *day = object_day_of((int)y, (int)m, (int)d);
    object_date(*day, &yy, &mm, &dd); /* 31 April comes back as 1 May */
    return yy == y && mm == m && dd == d;
}

/** ID+P+ */
static bool object_parse_part(struct mill_str *s, struct mill_object *o)
{
    struct mill_str partition;
    int64_t p;

    if (!object_until(s, '+', &o->topic_id) || !object_until(s, '+', &partition) ||
        !object_number(partition, 0, &p) || p > INT32_MAX)
        return false;
    o->partition = (int32_t)p;
    return true;
}

/** S-E.parquet, and with it all is there */
static bool object_parse_range(struct mill_str s, struct mill_object *o)
{
    struct mill_str start, end;

    return object_until(&s, '-', &start) && object_until(&s, '.', &end) &&
           mill_str_is(s, "parquet") && object_number(start, 0, &o->start) &&
           object_number(end, 0, &o->end) && object_ok(o);
}

/** Cut the prefix and `T/dt=YYYY-MM-DD/[hour=HH/]` behind one of the words. */
static bool object_parse_folder(struct mill_str *name, struct mill_str prefix,
                                const char *const words[2], struct mill_object *o)
{
    struct mill_str date, hour;
    int64_t h;

    if (name->n > MILL_OBJECT_NAME_MAX || name->n < prefix.n ||
        (prefix.n && memcmp(name->p, prefix.p, prefix.n)))
        return false;
    name->p += prefix.n;
    name->n -= prefix.n;
    if (object_eat(name, words[MILL_OBJECT_REJECTED]))
        o->kind = MILL_OBJECT_REJECTED;
    else if (!object_eat(name, words[MILL_OBJECT_ROWS]))
        return false;
    if (!object_until(name, '/', &o->topic) || !object_eat(name, "dt=") ||
        !object_until(name, '/', &date) || !object_parse_date(date, &o->day))
        return false;
    o->hour = -1;
    if (!object_eat(name, "hour="))
        return true;
    if (!object_until(name, '/', &hour) || !object_number(hour, 2, &h) || h > 23)
        return false;
    o->hour = (int)h;
    return true;
}

bool mill_object_parse(struct mill_str name, struct mill_str prefix, struct mill_object *out)
{
    static const char *const words[] = {
        [MILL_OBJECT_ROWS] = "topic=", [MILL_OBJECT_REJECTED] = "rejected="};
    struct mill_str topic;

    memset(out, 0, sizeof *out);
    return object_parse_folder(&name, prefix, words, out) && object_until(&name, '+', &topic) &&
           mill_str_eq(topic, out->topic) && object_parse_part(&name, out) &&
           object_parse_range(name, out);
}

bool mill_object_swept(struct mill_str name, struct mill_str prefix)
{
    static const char *const words[] = {"topic=", "swept="}; /* rows, and the report on them */
    struct mill_object folder, letters = {.hour = -1};
    struct mill_str date;

    memset(&folder, 0, sizeof folder);
    return object_parse_folder(&name, prefix, words, &folder) &&
           object_word(folder.topic, 249, true) && object_eat(&name, "swept+") &&
           object_until(&name, '+', &letters.topic) && object_parse_part(&name, &letters) &&
           object_until(&name, '+', &date) && object_parse_date(date, &letters.day) &&
           object_parse_range(name, &letters);
}
