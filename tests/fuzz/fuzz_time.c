/* Any text as a time: one that is accepted has a text that reads back as the same time. */
#include "base/clock.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t us, again;
    char text[32];

    if (!mill_time_parse((struct mill_str){(const char *)data, size}, &us))
        return 0;
    mill_time_text(us, text, sizeof text);
    /* An offset may carry the first and last hours of the calendar out of its four-digit years. */
    if (us < INT64_C(-62167219200000000) || us > INT64_C(253402300799999999))
        return 0;
    if (!mill_time_parse(mill_str(text), &again) || us != again)
        abort();
    return 0;
}
