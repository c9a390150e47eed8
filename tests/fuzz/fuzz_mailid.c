/* Ids and places as typed, behind a verb. */
#include "letter.h"
#include "mailid.h"

#include <stdlib.h>

enum { TEXT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    struct letter_place at;
    struct mailid id;

    mill_str_cut((struct mill_str){(const char *)data, size}, text, sizeof text);
    if (mailid_parse(text, &id) && (!mailid_owns(&id, id.text) || !mailid_owns(&id, id.request) ||
                                    mailid_since_ms(&id, 1771034400000) > 1771034400000))
        abort();
    if (letter_place(text, &at) && (at.partition < 0 || at.offset < 0))
        abort();
    return 0;
}
