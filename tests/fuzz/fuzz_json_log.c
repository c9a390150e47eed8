/* Any bytes as a JSON string: what comes out is JSON, and well-formed input comes back unchanged.
 */
#include "base/buf.h"
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str in = {(const char *)data, size};
    json_t *v, *direct;
    struct mill_buf b;

    mill_buf_init(&b, size * 6 + 2);
    if (!mill_buf_json(&b, in))
        abort(); /* six bytes a character is the most it may take */
    v = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    direct = mill_json_new(in);
    if (!v || !direct || !json_equal(v, direct))
        abort();
    if (mill_str_utf8(in) && !mill_str_eq(mill_json_text(v), in))
        abort();
    json_decref(v);
    json_decref(direct);
    mill_buf_release(&b);
    return 0;
}
