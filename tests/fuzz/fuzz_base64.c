/* Strict base64: what is accepted is exactly what the encoder writes for it. */
#include "base/hash.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str in = {(const char *)data, size};
    struct mill_buf plain, text;

    mill_buf_init(&plain, size);
    mill_buf_init(&text, size * 2 + 4);
    if (mill_base64_decode(&plain, in)) {
        if (!mill_base64_add(&text, mill_buf_view(&plain)) ||
            !mill_str_eq(mill_buf_view(&text), in))
            abort();
    }
    mill_buf_reset(&plain);
    mill_buf_reset(&text);
    if (!mill_base64_add(&text, in) || !mill_base64_decode(&plain, mill_buf_view(&text)) ||
        !mill_str_eq(mill_buf_view(&plain), in))
        abort();
    mill_buf_release(&plain);
    mill_buf_release(&text);
    return 0;
}
