/* An option file, read with a table that has every kind of option. */
#include "base/opt_priv.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct conf {
    const char *text, *secret;
    uint32_t n;
    uint64_t bytes, ms;
    bool on;
    struct mill_map pairs;
};

static const struct mill_opt opts[] = {
    {.name = "text", .type = MILL_OPT_STR, .off = offsetof(struct conf, text), .def = "x"},
    {.name = "n", .type = MILL_OPT_U32, .off = offsetof(struct conf, n), .min = 1, .max = 9},
    {.name = "bytes", .type = MILL_OPT_BYTES, .off = offsetof(struct conf, bytes)},
    {.name = "ms", .type = MILL_OPT_MS, .off = offsetof(struct conf, ms)},
    {.name = "on", .type = MILL_OPT_BOOL, .off = offsetof(struct conf, on)},
    {.name = "rdkafka.", .type = MILL_OPT_PREFIX, .off = offsetof(struct conf, pairs)},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf conf = {0};
    const struct mill_opt_set sets[] = {{opts, &conf}, {0}};
    struct mill_opts *o = NULL;
    struct mill_err err = {0};
    enum mill_code rc;

    /* No @/path of secrets here: what is read must depend on the input only. */
    for (size_t i = 0; i + 1 < size; i++)
        if (data[i] == '@' && data[i + 1] == '/')
            return 0;
    rc = opt_new(&o, "fuzz", sets, &err);
    if (!rc)
        rc = opt_text(o, (struct mill_str){(const char *)data, size}, "f", &err);
    if (rc && (err.code != rc || !err.where[0] || !err.text[0]))
        abort(); /* a refusal says what and where */
    if (!rc && conf.n > 9)
        abort();
    for (size_t i = 0; i < conf.pairs.n; i++)
        if (!conf.pairs.v[i].key.n || strlen(conf.pairs.v[i].value.p) != conf.pairs.v[i].value.n)
            abort();
    mill_opts_free(o);
    return 0;
}
