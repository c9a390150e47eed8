/* JSON text: what is accepted has a canonical form that reads back the same. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_err err = {0};
    json_t *v, *again;
    char *text;

    if (mill_json_parse((struct mill_str){(const char *)data, size}, &v, &err)) {
        if (err.code == MILL_OK || !err.where[0] || !err.text[0])
            abort();
        return 0;
    }
    text = mill_json_canonical(v);
    if (!text || mill_json_parse(mill_str(text), &again, NULL) || !json_equal(v, again))
        abort();
    json_decref(again);
    json_decref(v);
    free(text);
    return 0;
}
