/* JSON to request: what is accepted is safe to hand on, what is refused names a field. */
#include "base/json.h"
#include "mail/address.h"
#include "mail/ids.h"
#include "mail/request_json.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

static bool one_line(struct mill_str s)
{
    return !s.n || (!memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n) && !memchr(s.p, 0, s.n));
}

static void accepted(const struct mill_request *r)
{
    char fingerprint[MILL_FINGERPRINT_SIZE];

    need(!mill_mailbox_scan(r->from.email, 0, NULL));
    need(one_line(r->subject) && r->personalizations.n > 0);
    for (size_t i = 0; i < r->headers.n; i++)
        need(one_line(r->headers.v[i].key) && one_line(r->headers.v[i].value));
    for (size_t i = 0; i < r->personalizations.n; i++) {
        const struct mill_personalization *p = &r->personalizations.v[i];
        need(p->to.n > 0 && one_line(p->subject));
        for (size_t k = 0; k < p->to.n; k++)
            need(!mill_mailbox_scan(p->to.v[k].email, 0, NULL) && one_line(p->to.v[k].name));
    }
    need(mill_request_fingerprint(r, fingerprint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_rules rules = {.now_us = INT64_C(1795219200) * 1000000};
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults faults;
    struct mill_err err;
    json_t *json = NULL;

    if (mill_json_parse((struct mill_str){(const char *)data, size}, &json, &err))
        return 0;
    if (!mill_request_read(json, &rules, &arena, &r, &faults, &err)) {
        accepted(&r);
    } else {
        need(faults.n > 0);
        for (size_t i = 0; i < faults.n; i++)
            need(faults.v[i].text[0] && one_line(mill_str(faults.v[i].where)));
    }
    json_decref(json);
    mill_arena_release(&arena);
    return 0;
}
