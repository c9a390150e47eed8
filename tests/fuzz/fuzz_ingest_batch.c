/* Batches: items lie in the body, in order, do not overlap, and have no white space around. */
#include "batch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mill_str items[INGEST_BATCH_MAX];
    struct mill_str body = {(const char *)data, size};

    for (int ndjson = 0; ndjson < 2; ndjson++) {
        const char *at = body.p;
        size_t n = 0;
        enum ingest_batch rc = ingest_batch_split(body, ndjson, items, &n);
        if (n > INGEST_BATCH_MAX || (!rc && !n))
            abort();
        for (size_t i = 0; i < n; i++) {
            if (items[i].p < at || !items[i].n || items[i].p + items[i].n > body.p + size)
                abort();
            at = items[i].p + items[i].n;
        }
    }
    return 0;
}
