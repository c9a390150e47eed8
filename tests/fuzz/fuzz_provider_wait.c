/* What a provider says of how long to wait, in words, dates and headers: never negative, nor so
 * long that adding it to a clock overflows. */
#include "send/providers/wait.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str text = {(const char *)data, size};
    const struct mill_pair headers[] = {{MILL_STR_INIT("Retry-After"), text},
                                        {MILL_STR_INIT("X-RateLimit-Reset"), text}};
    const struct mill_http_reply r = {.headers = {headers, 2}};
    const int64_t now = INT64_C(1795514400000000);
    int64_t ms[2] = {mill_wait_words(text, now), mill_wait_headers(&r, now)}, us = 0;

    for (int i = 0; i < 2; i++)
        if (ms[i] < 0 || ms[i] > INT64_C(1) << 50)
            abort();
    if (mill_wait_date(text, &us) && us == INT64_MIN)
        abort();
    return 0;
}
