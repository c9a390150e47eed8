/* A part of a topic, as typed: --from, and --to behind the first line end. */
#include "range.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str from = {(const char *)data, size}, to = from;
    struct range r = {{PLACE_START, 0}, {PLACE_END, 0}};
    struct mill_err err = {0};

    if (memchr(data ? data : (const uint8_t *)"", '\n', size))
        from = mill_str_take(&to, '\n');
    else
        to = (struct mill_str){0};
    if (!range_parse(from, to, 1771034400000, &r, &err) && (r.from.n < 0 || r.to.n < 0))
        abort();
    return 0;
}
