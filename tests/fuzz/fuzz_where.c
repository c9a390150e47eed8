/* A place in a topic, as typed. */
#include "where.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct where w = {0};
    struct mill_err err = {0};

    if (!where_parse((struct mill_str){(const char *)data, size}, 0, &w, &err) && w.n < 0)
        abort();
    return 0;
}
