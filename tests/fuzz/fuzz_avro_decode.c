/* Any bytes as a record of ours (the first byte says which). What is decoded is encoded again, and
 * that form must be stable. */
#include "mail/records.h"

#include "avro/codec.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mill_desc *const descs[] = {
    &mill_request_desc,  &mill_message_desc,        &mill_ledger_desc, &mill_status_desc,
    &mill_callback_desc, &mill_callback_event_desc, &mill_event_desc,
};
enum { DESCS = sizeof descs / sizeof descs[0] };

static struct mill_codec *codec_get(size_t i)
{
    static struct mill_codec *codecs[DESCS];
    if (!codecs[i] && (mill_codec_new(&codecs[i], descs[i], NULL) ||
                       mill_codec_learn(codecs[i], 1, mill_str(descs[i]->avsc), NULL)))
        abort();
    return codecs[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_arena arena = {0};
    struct mill_buf one, two;
    struct mill_err err;

    if (!size)
        return 0;
    struct mill_codec *c = codec_get(data[0] % DESCS);
    void *rec = malloc(mill_codec_desc(c)->size);
    if (!rec)
        abort();
    mill_buf_init(&one, 8 << 20);
    mill_buf_init(&two, 8 << 20);
    struct mill_str body = {(const char *)data + 1, size - 1};
    if (mill_codec_decode(c, 1, body, &arena, rec, &err) == MILL_OK) {
        if (mill_codec_encode(c, rec, &one, &err) ||
            mill_codec_decode(c, 1, mill_buf_view(&one), &arena, rec, &err) ||
            mill_codec_encode(c, rec, &two, &err) ||
            !mill_str_eq(mill_buf_view(&one), mill_buf_view(&two)))
            abort();
    }
    mill_buf_release(&one);
    mill_buf_release(&two);
    mill_arena_release(&arena);
    free(rec);
    return 0;
}
