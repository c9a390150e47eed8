/* A schema, a NUL, and bytes: shown as JSON or refused. */
#include "avro/codec.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct mill_err err;
    json_t *v = NULL;

    if (!nul)
        return 0;
    struct mill_str schema = {(const char *)data, (size_t)(nul - data)};
    struct mill_str body = {(const char *)nul + 1, size - schema.n - 1};
    if (mill_avro_json(schema, body, &v, &err) == MILL_OK) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text)
            abort();
        free(text);
    }
    json_decref(v);
    return 0;
}
