/* Any bytes that decode as a request: the rules see what JSON cannot carry (NUL, bad UTF-8,
 * repeated keys). What they accept must split into messages that the codec writes and reads again.
 */
#include "avro/codec.h"
#include "mail/ids.h"
#include "mail/request_rules.h"
#include "mail/split.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mill_codec *requests, *messages;

static void need(bool ok)
{
    if (!ok)
        abort();
}

static struct mill_codec *codec(const struct mill_desc *desc)
{
    struct mill_codec *c = NULL;
    struct mill_err err;

    need(!mill_codec_new(&c, desc, &err));
    need(!mill_codec_learn(c, 1, mill_str(desc->avsc), &err));
    return c;
}

static void accepted(struct mill_request *r, struct mill_arena *arena)
{
    char fingerprint[MILL_FINGERPRINT_SIZE];
    struct mill_message m, again;
    struct mill_err err;
    struct mill_buf bytes;

    need(mill_request_fingerprint(r, fingerprint));
    if (!r->request_id.p)
        r->request_id = MILL_STR("r");
    for (size_t i = 0; i < r->personalizations.n; i++) {
        mill_buf_init(&bytes, 64 << 20);
        need(!mill_request_split(r, i, arena, &m, &err));
        need(!mill_codec_encode(messages, &m, &bytes, &err));
        need(!mill_codec_decode(messages, 1, mill_buf_view(&bytes), arena, &again, &err));
        need(again.to.n == m.to.n && mill_str_eq(again.message_id, m.message_id));
        mill_buf_release(&bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_rules rules = {.now_us = INT64_C(1795219200) * 1000000};
    struct mill_arena arena = {0};
    struct mill_request r;
    struct mill_faults faults;
    struct mill_err err;

    if (!requests) {
        requests = codec(&mill_request_desc);
        messages = codec(&mill_message_desc);
    }
    if (!mill_codec_decode(requests, 1, (struct mill_str){(const char *)data, size}, &arena, &r,
                           &err)) {
        mill_faults_init(&faults, NULL);
        mill_request_check(&r, &rules, &faults);
        if (!faults.n)
            accepted(&r, &arena);
        else
            need(mill_faults_err(&faults, &err) == MILL_E_DATA && err.text[0]);
    }
    mill_arena_release(&arena);
    return 0;
}
