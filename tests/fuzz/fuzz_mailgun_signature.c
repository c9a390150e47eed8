/* A Mailgun post with its signature inside: any bytes are refused without harm. */
#include "mail/signature.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mill_str keys[] = {MILL_STR_INIT("key-old"), MILL_STR_INIT("key-fake")};
    const struct mill_str body = {(const char *)data, size};
    struct mill_err err = {0};
    enum mill_code rc = mill_verify_mailgun((struct mill_strs){keys, 2}, body, 0, 0, &err);

    if (rc != MILL_OK && rc != MILL_E_AUTH && rc != MILL_E_DATA)
        abort();
    return 0;
}
