/* The headers of a record that waits: three lines are mill.due, mill.target, mill.target-partition.
 */
#include "timer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char *const names[] = {"mill.due", "mill.target", "mill.target-partition"};
    struct mill_str rest = {(const char *)data, size};
    struct mill_pair h[3];
    struct mill_timer_mark mark;
    struct mill_record in = {.headers = {h, 0}};

    for (size_t i = 0; i < 3 && rest.n; i++)
        h[in.headers.n++] = (struct mill_pair){mill_str(names[i]), mill_str_take(&rest, '\n')};
    if (!mill_timer_read(&in, &mark))
        return 0;
    if (mark.due_ms < 0 || mark.partition < -1 || !mark.topic[0] || strchr(mark.topic, '/') ||
        strlen(mark.topic) > MILL_TIMER_TARGET_MAX || mill_timer_tier(mark.due_ms) >= MILL_TIMERS)
        abort();
    return 0;
}
