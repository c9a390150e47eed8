/**
 * @file s3_opts.h
 * @brief The options of an S3 client, the same in every program that has one.
 *
 * Model: a program's conf struct holds a struct mill_s3_opts, and its option table the rows.
 */
#ifndef MILL_S3_OPTS_H
#define MILL_S3_OPTS_H

#include "base/opt.h"
#include "net/s3.h"

struct mill_s3_opts {
    const char *endpoint, *region, *bucket, *prefix;
    bool virtual_host;
    uint64_t timeout_ms;
};

/** Rows for `struct conf { … struct mill_s3_opts member; … }`; flags go to s3-bucket's row. */
#define MILL_S3_OPT_ROWS(conf, member, bucket_flags)                                               \
    {.name = "s3-endpoint",                                                                        \
     .type = MILL_OPT_STR,                                                                         \
     .off = offsetof(conf, member.endpoint),                                                       \
     .help = "base URL of the S3 server; default https://s3.REGION.amazonaws.com"},                \
        {.name = "s3-region",                                                                      \
         .type = MILL_OPT_STR,                                                                     \
         .off = offsetof(conf, member.region),                                                     \
         .def = "us-east-1",                                                                       \
         .help = "region that requests are signed for"},                                           \
        {.name = "s3-bucket",                                                                      \
         .type = MILL_OPT_STR,                                                                     \
         .off = offsetof(conf, member.bucket),                                                     \
         .flags = (bucket_flags),                                                                  \
         .help = "bucket"},                                                                        \
        {.name = "s3-prefix",                                                                      \
         .type = MILL_OPT_STR,                                                                     \
         .off = offsetof(conf, member.prefix),                                                     \
         .def = "",                                                                                \
         .help = "folder in the bucket, empty or ending in /"},                                    \
        {.name = "s3-virtual-host",                                                                \
         .type = MILL_OPT_BOOL,                                                                    \
         .off = offsetof(conf, member.virtual_host),                                               \
         .def = "false",                                                                           \
         .help = "bucket in the host name instead of the path"},                                   \
    {                                                                                              \
        .name = "s3-timeout", .type = MILL_OPT_MS, .off = offsetof(conf, member.timeout_ms),       \
        .def = "60s", .min = 100, .max = 240000, .help = "longest that one S3 call may take"       \
    }

/** @brief A client as the options say. @return also MILL_E_CONFIG for a prefix that does not end
 *  in /. @own new in *out */
enum mill_code mill_s3_open(struct mill_s3 **out, const struct mill_s3_opts *o,
                            struct mill_err *err) MILL_NODISCARD;

#endif
