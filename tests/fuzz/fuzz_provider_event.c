/* Any event, read as each provider's: refused, or in our form with an id, texts that are UTF-8, and
 * a sane time. */
#include "send/provider.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(const struct mill_provider *p, struct mill_str raw)
{
    struct mill_arena mem = {0};
    struct mill_event e;
    struct mill_err err = {0};
    enum mill_code rc = p->parse_event(raw, &mem, &e, &err);

    if (rc == MILL_OK) {
        const struct mill_str texts[] = {e.provider_event, e.provider_id, e.provider_event_id,
                                         e.recipient,      e.url,         e.reason,
                                         e.bounce_class,   e.ip,          e.user_agent};
        if (e.event_id.n != 32 || e.occurred_at < 0 || e.matched)
            abort();
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (!mill_str_utf8(texts[i]))
                abort();
    } else if (rc != MILL_E_DATA) {
        abort();
    }
    mill_arena_release(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (const struct mill_provider *const *p = mill_providers; *p; p++)
        if ((*p)->parse_event)
            read_as(*p, (struct mill_str){(const char *)data, size});
    return 0;
}
