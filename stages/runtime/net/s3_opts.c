/** @file s3_opts.c  @brief See s3_opts.h. */
#include "net/s3_opts.h"

enum mill_code mill_s3_open(struct mill_s3 **out, const struct mill_s3_opts *o,
                            struct mill_err *err)
{
    const struct mill_s3_conf conf = {.endpoint = o->endpoint,
                                      .region = o->region,
                                      .bucket = o->bucket,
                                      .virtual_host = o->virtual_host,
                                      .timeout_ms = (uint32_t)o->timeout_ms};
    struct mill_str prefix = mill_str(o->prefix);

    *out = NULL;
    if (prefix.n && prefix.p[prefix.n - 1] != '/')
        return mill_fail(err, MILL_E_CONFIG, "s3-prefix", "does not end in /");
    return mill_s3_new(out, &conf, err);
}
