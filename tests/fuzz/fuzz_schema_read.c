/* Any text as a schema: parsed or refused; what is parsed can be walked, compared and learnt. */
#include "mail/records.h"

#include "avro/codec.h"
#include "avro/wire.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mill_codec *codec_of(const struct mill_desc *desc)
{
    struct mill_codec *c = NULL;
    if (mill_codec_new(&c, desc, NULL))
        abort();
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str text = {(const char *)data, size};
    struct mill_schema *s = NULL;
    struct mill_codec *c;
    struct mill_err err;
    json_t *v = NULL;

    if (mill_schema_parse(&s, text, &err) == MILL_OK) {
        const struct mill_avro_node *root = mill_schema_root(s);
        struct mill_wire w = mill_wire_of(text); /* any bytes will do */
        if (mill_wire_skip(&w, root) && w.p > w.end)
            abort();
        if (mill_schema_resolves(root, root, true, &err) && !strstr(err.text, "too large"))
            abort(); /* a schema reads itself */
        if (mill_avro_json_node(root, MILL_STR("\2\2\2\2\2\2\2\2"), &v, &err) == MILL_OK)
            json_decref(v);
        c = codec_of(&mill_request_desc);
        if (mill_codec_learn(c, 1, text, &err) == MILL_OK) {
            struct mill_arena arena = {0};
            struct mill_request r;
            (void)!mill_codec_decode(c, 1, text, &arena, &r, &err);
            mill_arena_release(&arena);
        }
        mill_codec_free(c);
    }
    mill_schema_free(s);
    return 0;
}
