/* Any bytes as a framed value: what is split is what is put together. */
#include "avro/codec.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str raw = {(const char *)data, size};
    struct mill_str body;
    struct mill_buf b;
    struct mill_err err;
    int32_t id;

    if (mill_frame_split(raw, &id, &body, &err))
        return 0;
    mill_buf_init(&b, size);
    if (!mill_frame_add(&b, id) || !mill_buf_str_add(&b, body) ||
        !mill_str_eq(raw, mill_buf_view(&b)))
        abort();
    mill_buf_release(&b);
    return 0;
}
