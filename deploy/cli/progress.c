/* How far a job is; see progress.h. */
#include "progress.h"
#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

enum { LINE_MS = 200, JSON_MS = 10000 };

void progress_begin(struct progress *p, const char *what, uint64_t of)
{
    int64_t now = mill_tick_ms();

    *p = (struct progress){
        .what = what, .of = of, .began_ms = now, .said_ms = now, .terminal = isatty(STDERR_FILENO)};
}

void progress_tick(struct progress *p, uint64_t done)
{
    int64_t now = mill_tick_ms();
    double rate = now > p->began_ms ? (double)done * 1000.0 / (double)(now - p->began_ms) : 0.0;

    if (now - p->said_ms < (p->terminal ? LINE_MS : JSON_MS))
        return;
    p->said_ms = now;
    if (p->terminal)
        fprintf(stderr, "\r%s %llu of %llu, %.0f/s ", p->what, (unsigned long long)done,
                (unsigned long long)p->of, rate);
    else
        fprintf(stderr, "{\"progress\":\"%s\",\"done\":%llu,\"of\":%llu,\"per_second\":%.1f}\n",
                p->what, (unsigned long long)done, (unsigned long long)p->of, rate);
    p->line = p->terminal;
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->line)
        fputc('\n', stderr);
    p->line = false;
}
