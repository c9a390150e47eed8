/* Mailbox scanner, A-labels and display form; what is accepted must keep its own promises. */
#include "mail/address.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mill_str text = {(const char *)data, size};
    struct mill_arena arena = {0};
    struct mill_address parts;
    struct mill_mailbox m;
    char out[MILL_DOMAIN_MAX + 1];
    size_t n;

    if (!mill_mailbox_scan(text, 0, &m)) {
        struct mill_str ascii = mill_mailbox_ascii(text, &arena);
        if (m.local.n > MILL_LOCAL_MAX || text.n > MILL_MAILBOX_MAX)
            abort();
        /* With A-labels it is a Mailbox again, and stays what it is. */
        if (!ascii.p || mill_mailbox_scan(ascii, 0, &m) || m.alabels_n)
            abort();
        for (size_t i = 0; i < text.n; i++)
            if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
                abort();
    } else if (!mill_mailbox_scan(text, MILL_MAILBOX_DELIVERABLE, NULL)) {
        abort(); /* the narrow form accepts a subset */
    }
    if (!mill_address_split(text, &arena, &parts) && parts.email.n > size)
        abort();
    if (!mill_domain_ascii(text, true, out, &n) && n != strlen(out))
        abort();
    mill_arena_release(&arena);
    return 0;
}
