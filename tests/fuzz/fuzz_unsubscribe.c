/* A token of an unsubscribe link: any bytes are refused without harm; and the parser behind the
 * signature is reached by signing the bytes ourselves. */
#include "mail/unsubscribe.h"

#include "base/hash.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "fake-unsubscribe-key-aaaaaaaaaaaaaaaa"

static void read_token(struct mill_str token)
{
    const struct mill_unsubscribe_keys keys = {.v = {MILL_STR(KEY)}, .n = 1};
    struct mill_unsubscribe u;
    struct mill_arena arena = {0};
    enum mill_code rc = mill_unsubscribe_read(&u, token, &keys, &arena, NULL);

    if (rc != MILL_OK && rc != MILL_E_AUTH)
        abort();
    if (rc == MILL_OK && !u.address.n)
        abort();
    mill_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str in = {(const char *)data, size};
    struct mill_buf raw, token;
    unsigned char mac[MILL_SHA256_BYTES];
    size_t label;

    read_token(in);
    mill_buf_init(&raw, 4096);
    mill_buf_init(&token, 8192);
    mill_buf_puts(&raw, "sendmill unsubscribe 1\n");
    label = raw.n;
    mill_buf_str_add(&raw, in);
    if (!raw.failed && mill_hmac_sha256(mill_str(KEY), mill_buf_view(&raw), mac) &&
        mill_buf_add(&raw, mac, 16) &&
        mill_base64_add(&token, (struct mill_str){raw.p + label, raw.n - label})) {
        for (size_t i = 0; i < token.n; i++)
            token.p[i] = (char)(token.p[i] == '+' ? '-' : token.p[i] == '/' ? '_' : token.p[i]);
        while (token.n && token.p[token.n - 1] == '=')
            token.n--;
        read_token(mill_buf_view(&token));
    }
    mill_buf_release(&raw);
    mill_buf_release(&token);
    return 0;
}
