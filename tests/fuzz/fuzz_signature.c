/* Webhook key and signature: any bytes are refused without harm. Input: key, LF, signature, LF,
 * body. */
#include "mail/signature.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mill_str take_line(struct mill_str *rest)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    struct mill_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t used = line.n + (end ? 1 : 0);

    rest->p += used;
    rest->n -= used;
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str rest = {(const char *)data, size};
    struct mill_str spki = take_line(&rest), signature = take_line(&rest);
    struct mill_verify_key *key = NULL;
    struct mill_err err = {0};

    if (!mill_verify_key_new(&key, spki, &err)) {
        enum mill_code rc = mill_signature_verify(key, MILL_STR("1"), rest, signature, &err);
        if (rc != MILL_OK && rc != MILL_E_AUTH)
            abort();
    }
    mill_verify_key_free(key);
    return 0;
}
