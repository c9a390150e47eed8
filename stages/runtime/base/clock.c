#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { DAY_S = 86400 };

static int64_t clock_us(clockid_t id)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t mill_now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t mill_tick_ms(void)
{
    return clock_us(CLOCK_BOOTTIME) / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date; years start in March, so that the leap day
 * is the last of its year. */
static int64_t clock_days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void clock_date(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

char *mill_time_text(int64_t us, char *out, size_t size)
{
    int64_t s = us / 1000000, frac = us % 1000000, days, of_day, year;
    int month, day;

    if (frac < 0) {
        frac += 1000000;
        s--;
    }
    days = s / DAY_S;
    of_day = s % DAY_S;
    if (of_day < 0) {
        of_day += DAY_S;
        days--;
    }
    clock_date(days, &year, &month, &day);
    snprintf(out, size, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ", (long long)year, month, day,
             (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60), (int)frac);
    return out;
}

/* n digits at p as a number, -1 if they are no digits. */
static int64_t clock_digits(const char *p, size_t n)
{
    int64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

/* Optional ".digits" at s[*at] in µs; digits behind the sixth are dropped. */
static bool clock_fraction(struct mill_str s, size_t *at, int64_t *us)
{
    int64_t unit = 100000;
    size_t start;

    *us = 0;
    if (*at == s.n || s.p[*at] != '.')
        return true;
    for (start = ++*at; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at) {
        *us += (s.p[*at] - '0') * unit;
        unit /= 10;
    }
    return *at > start;
}

/* "Z" or "+hh:mm" as the rest of s, in seconds. */
static bool clock_offset(struct mill_str s, size_t at, int64_t *offset)
{
    int64_t h, m;

    *offset = 0;
    if (s.n - at == 1)
        return s.p[at] == 'Z' || s.p[at] == 'z';
    if (s.n - at != 6 || (s.p[at] != '+' && s.p[at] != '-') || s.p[at + 3] != ':')
        return false;
    h = clock_digits(s.p + at + 1, 2);
    m = clock_digits(s.p + at + 4, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59)
        return false;
    *offset = (h * 3600 + m * 60) * (s.p[at] == '-' ? -1 : 1);
    return true;
}

static bool clock_day_ok(int64_t year, int64_t month, int64_t day)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month < 1 || month > 12 || day < 1)
        return false;
    return day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

bool mill_time_parse(struct mill_str s, int64_t *us)
{
    int64_t y, mo, d, h, mi, sec, frac, offset, t;
    size_t at = 19;

    if (s.n == 10 && (t = clock_digits(s.p, 10)) >= 0) {
        *us = t * 1000000;
        return true;
    }
    if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != 't') ||
        s.p[13] != ':' || s.p[16] != ':')
        return false;
    y = clock_digits(s.p, 4);
    mo = clock_digits(s.p + 5, 2);
    d = clock_digits(s.p + 8, 2);
    h = clock_digits(s.p + 11, 2);
    mi = clock_digits(s.p + 14, 2);
    sec = clock_digits(s.p + 17, 2);
    if (y < 0 || !clock_day_ok(y, mo, d) || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 ||
        sec > 60 || !clock_fraction(s, &at, &frac) || !clock_offset(s, at, &offset))
        return false;
    t = clock_days(y, mo, d) * DAY_S + h * 3600 + mi * 60 + sec - offset;
    if (sec == 60 && t % DAY_S != 0) /* a leap second is the last of a UTC day */
        return false;
    *us = t * 1000000 + frac;
    return true;
}
