/* Any webhook post, read as each provider's: its events are pieces of it, in order, each of which
 * can be read on its own; or it is refused. */
#include "send/message_id.h"
#include "send/provider.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const struct mill_provider *provider;
    const char *at, *end;
    int64_t index;
};

static enum mill_code each(void *arg, const struct mill_split *one, struct mill_err *err)
{
    struct seen *seen = arg;
    struct mill_arena mem = {0};
    struct mill_event event;

    if (one->raw.p < seen->at || one->raw.p + one->raw.n > seen->end || one->raw.n < 2 ||
        one->index != seen->index++ || (one->message_id.p && !mill_message_id_ok(one->message_id)))
        abort();
    seen->at = one->raw.p + one->raw.n;
    if (seen->provider->parse_event(one->raw, &mem, &event, err))
        abort();
    mill_arena_release(&mem);
    return MILL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str body = {(const char *)data, size};

    for (const struct mill_provider *const *p = mill_providers; *p; p++) {
        struct seen seen = {*p, body.p, body.p + body.n, 0};
        struct mill_err err = {0};
        enum mill_code rc = (*p)->split ? (*p)->split(body, each, &seen, &err) : MILL_OK;

        if (rc != MILL_OK && rc != MILL_E_DATA)
            abort();
    }
    return 0;
}
