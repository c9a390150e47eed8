/* What every C benchmark needs: clocks, memory, and its one line of result. */
#ifndef MILL_BENCH_UTIL_H
#define MILL_BENCH_UTIL_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline double bench_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* User and system time of this process, seconds. */
static inline double bench_cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline double bench_rss_mb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

static inline int bench_by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, bench_by_size);
    return v[n / 2];
}

static inline void bench_print(const char *bench, const char *unit, double value, double baseline,
                               double ratio)
{
    printf("{\"bench\":\"%s\",\"value\":%.0f,\"unit\":\"%s\",\"baseline\":%.0f,\"ratio\":%.2f,"
           "\"cpu_s\":%.2f,\"rss_mb\":%.1f}\n",
           bench, value, unit, baseline, ratio, bench_cpu_s(), bench_rss_mb());
}

#endif
