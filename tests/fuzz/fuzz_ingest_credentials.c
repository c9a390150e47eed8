/* The credentials file: whatever parses has names and scopes within their bounds. */
#include "credentials.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ingest_credentials c;
    struct mill_err err;

    if (!ingest_credentials_parse(&c, "f", (struct mill_str){(const char *)data, size}, &err))
        for (size_t i = 0; i < c.n; i++)
            if (!c.v[i].id[0] || !c.v[i].tenant[0] || !c.v[i].scopes ||
                ingest_credentials_id(&c, mill_str(c.v[i].id)) != (c.v[i].is_key ? NULL : &c.v[i]))
                abort();
    ingest_credentials_release(&c);
    return 0;
}
