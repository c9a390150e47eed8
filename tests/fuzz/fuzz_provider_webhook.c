/* A provider's post and its signature, of every row of the table: any bytes are refused without
 * harm. What stands before the first NUL is the headers, each the same. */
#include "send/provider.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(const struct mill_webhook *w, const struct mill_webhook_post *post)
{
    /* Of no use to anybody; parsed where a provider's keys are. */
    static const char *const texts[] = {"key-old, key-fake",
                                        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/"
                                        "n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+"
                                        "2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct mill_webhook_conf conf = {texts[i], 0};
        struct mill_webhook_keys keys;
        struct mill_err err = {0};
        enum mill_code rc = mill_webhook_keys_read(&keys, w, &conf, &err);

        if (!rc)
            rc = w->verify(&keys, post, &err);
        mill_webhook_keys_release(&keys);
        if (rc != MILL_OK && rc != MILL_E_AUTH && rc != MILL_E_DATA && rc != MILL_E_CONFIG)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mill_str all = {(const char *)data, size};
    const char *nul = size ? memchr(data, 0, size) : NULL;
    size_t head_n = nul ? (size_t)(nul - all.p) : 0;
    struct mill_webhook_post post = {.body =
                                         nul ? (struct mill_str){nul + 1, size - head_n - 1} : all};

    for (size_t i = 0; i < MILL_WEBHOOK_HEADERS_MAX; i++)
        post.headers[i] = nul ? (struct mill_str){all.p, head_n} : (struct mill_str){NULL, 0};
    for (size_t i = 0; i < MILL_PROVIDERS_N; i++)
        if (mill_providers[i]->webhook)
            one(mill_providers[i]->webhook, &post);
    return 0;
}
