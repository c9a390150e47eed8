/** @file wait.c  @brief See wait.h. */
#include "send/providers/wait.h"
#include "base/clock.h"
#include <stdio.h>

enum { DATE_MAX = 40 };

static int month_of(struct mill_str s)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; s.n == 3 && i < 12; i++)
        if (mill_str_ieq(s, (struct mill_str){names + 3 * i, 3}))
            return i + 1;
    return 0;
}

/** "GMT", "UTC" or "+0130" as RFC 3339 writes it. */
static bool zone_of(struct mill_str s, char out[8])
{
    if (mill_str_is(s, "GMT") || mill_str_is(s, "UTC") || mill_str_is(s, "Z")) {
        snprintf(out, 8, "Z");
        return true;
    }
    if (s.n != 5 || (s.p[0] != '+' && s.p[0] != '-'))
        return false;
    snprintf(out, 8, "%.3s:%.2s", s.p, s.p + 3);
    return true;
}

bool mill_wait_date(struct mill_str text, int64_t *us)
{
    struct mill_str rest = mill_str_trim(text), day, month, year, clock;
    const char *comma = rest.n ? memchr(rest.p, ',', rest.n < 10 ? rest.n : 10) : NULL;
    char iso[DATE_MAX], zone[8];

    if (mill_time_parse(rest, us))
        return true;
    if (comma) {
        rest.n -= (size_t)(comma + 1 - rest.p);
        rest.p = comma + 1;
        rest = mill_str_trim(rest);
    }
    day = mill_str_take(&rest, ' ');
    month = mill_str_take(&rest, ' ');
    year = mill_str_take(&rest, ' ');
    clock = mill_str_take(&rest, ' ');
    if (day.n < 1 || day.n > 2 || !month_of(month) || year.n != 4 || clock.n != 8 ||
        !zone_of(mill_str_trim(rest), zone))
        return false;
    snprintf(iso, sizeof iso, "%.4s-%02d-%s%.*sT%.8s%s", year.p, month_of(month),
             day.n == 1 ? "0" : "", MILL_FMT(day), clock.p, zone);
    return mill_time_parse(mill_str(iso), us);
}

/** Until then from now; 0 when it is over. */
static int64_t until(int64_t us, int64_t now_us)
{
    return us > now_us ? (us - now_us + 999) / 1000 : 0;
}

static int64_t seconds(struct mill_str s)
{
    int64_t n = 0;

    return s.n <= 9 && mill_str_i64(s, &n) && n > 0 ? n * 1000 : 0;
}

int64_t mill_wait_headers(const struct mill_http_reply *r, int64_t now_us)
{
    struct mill_str after = mill_str_trim(mill_http_header(r, "Retry-After"));
    struct mill_str reset = mill_str_trim(mill_http_header(r, "X-RateLimit-Reset"));
    int64_t a = seconds(after), b = 0, us = 0;

    if (!a && after.n && mill_wait_date(after, &us))
        a = until(us, now_us);
    if (reset.n && reset.n <= 11 && mill_str_i64(reset, &us) && us > 0)
        b = until(us * 1000000, now_us);
    return a > b ? a : b;
}

/** What follows a number: s, m, h by their first letters; seconds where nothing is said. */
static int64_t unit_ms(struct mill_str unit)
{
    char c = unit.n ? (char)(unit.p[0] | 0x20) : 's';

    return c == 'h' ? 3600000 : c == 'm' ? 60000 : 1000;
}

int64_t mill_wait_words(struct mill_str text, int64_t now_us)
{
    static const char key[] = "try again after ";
    struct mill_str rest = {NULL, 0}, word;
    int64_t n = 0;

    for (size_t i = 0; i + sizeof key - 1 <= text.n && !rest.p; i++)
        if (mill_str_ieq((struct mill_str){text.p + i, sizeof key - 1}, mill_str(key)))
            rest = (struct mill_str){text.p + i + sizeof key - 1, text.n - i - (sizeof key - 1)};
    if (!rest.p)
        return 0;
    rest = mill_str_trim(rest);
    while (rest.n && rest.p[rest.n - 1] == '.')
        rest.n--;
    if (mill_wait_date(rest, &n))
        return until(n, now_us);
    word = mill_str_take(&rest, ' ');
    return word.n <= 7 && mill_str_i64(word, &n) && n > 0 ? n * unit_ms(mill_str_trim(rest)) : 0;
}
