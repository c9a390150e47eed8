/* The Authorization header, and with the same bytes the other headers that the edge reads. */
#include "auth.h"
#include "header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str text = {(const char *)data, size};
    char room[INGEST_AUTH_ROOM], key[INGEST_KEY_MAX + 1];
    struct ingest_secret secret;

    ingest_auth_split(text, room, &secret);
    if (secret.scheme == INGEST_AUTH_BASIC &&
        (secret.id.n + secret.secret.n + 1 > sizeof room || memchr(secret.id.p, ':', secret.id.n)))
        abort();
    if (secret.scheme == INGEST_AUTH_BEARER && secret.secret.n > size)
        abort();
    if (ingest_key_parse(text, key) && (!key[0] || strlen(key) > INGEST_KEY_MAX))
        abort();
    if (ingest_trace_valid(text) && size != INGEST_TRACE_TEXT - 1)
        abort();
    (void)ingest_media_of(text);
    return 0;
}
