/* The alarm of a transaction that nobody ends: what lies behind the last stable offset is not given
 * to anybody who reads committed records, and nothing fails. Seen from here: the log goes on, the
 * position does not. */
#include "kafka/stall.h"

/* Looks further apart than this say nothing of what was between them: the loop was busy. */
enum { LOOKS_APART_MS = 5000 };

bool run_stall_look(struct run_stall *s, int64_t position, int64_t high, int64_t now_ms)
{
    bool same =
        position == s->position && position < high && now_ms - s->looked_ms <= LOOKS_APART_MS;

    s->position = position;
    s->looked_ms = now_ms;
    if (!same) {
        s->since_ms = now_ms;
        s->alarm = false;
        return false;
    }
    if (s->alarm || now_ms - s->since_ms < RUN_STALL_MS)
        return false;
    s->alarm = true;
    return true;
}
