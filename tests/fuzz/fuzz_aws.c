/* AWS profiles and the JSON of the credential services. */
#include "net/aws_in.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sections[] = {"default", "profile x", ""};
    struct mill_str text = {(const char *)data, size};

    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        struct mill_aws_creds c = {0};
        if (!mill_aws_profile(text, sections[i], &c, NULL) && (!c.key_id[0] || !c.secret[0]))
            abort();
    }
    struct mill_aws_creds c = {0};
    if (!mill_aws_json(text, &c, NULL) && (!c.key_id[0] || !c.secret[0]))
        abort();
    return 0;
}
