/* Any reply of a provider: an outcome, and a reason fit for a record. Input: end of the call (one
 * byte), status (two bytes), headers as NAME:VALUE lines up to an empty one, body. */
#include "send/provider.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAIRS_MAX = 16 };

static void classify(const struct mill_provider *p, const struct mill_http_reply *reply)
{
    struct mill_arena mem = {0};
    struct mill_answer a = {0};

    p->classify(reply, &mem, &a);
    if (a.outcome == MILL_OUTCOME_NONE || !mill_str_utf8(a.reason) || a.reason.n > 300)
        abort();
    if (reply->end == MILL_HTTP_LOST && a.outcome != MILL_OUTCOME_UNKNOWN)
        abort(); /* a lost reply is never taken for a refusal */
    mill_arena_release(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_pair pairs[PAIRS_MAX];
    struct mill_http_reply reply = {0};
    char reason[64];
    size_t n = 0;
    struct mill_str rest = {(const char *)data, size};

    if (size < 3)
        return 0;
    reply.end = (enum mill_http_end)(data[0] % 3);
    reply.status = (data[1] * 256 + data[2]) % 1000;
    rest.p += 3;
    rest.n -= 3;
    while (n < PAIRS_MAX && rest.n && *rest.p != '\n') {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t len = end ? (size_t)(end - rest.p) : rest.n;
        const char *colon = memchr(rest.p, ':', len);
        if (colon)
            pairs[n++] = (struct mill_pair){
                {rest.p, (size_t)(colon - rest.p)},
                {colon + 1, len - (size_t)(colon + 1 - rest.p)},
            };
        rest.p += len + (end != NULL);
        rest.n -= len + (end != NULL);
    }
    reply.headers = (struct mill_map){pairs, n};
    reply.body = rest;
    mill_str_cut(rest, reason, sizeof reason);
    reply.reason = size % 2 ? reason : NULL;
    for (const struct mill_provider *const *p = mill_providers; *p; p++)
        classify(*p, &reply);
    return 0;
}
