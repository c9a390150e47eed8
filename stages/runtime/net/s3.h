/**
 * @file s3.h
 * @brief The part of S3 that we need, over http_client: conditional PUT, GET, HEAD, LIST, DELETE.
 *
 * Model: requests are signed with SigV4; credentials come from the chain (aws_creds.h) and are
 * asked for at each call, so that rotated ones are used. Blocking calls with retry inside where a
 * retry is safe (GET, HEAD, LIST; PUT only when conditional, with a lost reply settled by HEAD).
 * One thread per client.
 */
#ifndef MILL_S3_H
#define MILL_S3_H

#include "base/buf.h"

struct mill_s3;

struct mill_s3_conf {
    const char *endpoint; /**< base URL; NULL = https://s3.REGION.amazonaws.com */
    const char *region;
    const char *bucket;
    bool virtual_host; /**< bucket in the host name instead of the path */
    uint32_t timeout_ms;
};

struct mill_s3_head {
    uint64_t bytes;
    char etag[80];
    struct mill_map meta; /**< x-amz-meta-*, names lower case; borrowed until the next call */
};

enum mill_s3_put { MILL_S3_CREATED, MILL_S3_EXISTS /**< 412: an object of that name is there */ };

enum mill_code mill_s3_new(struct mill_s3 **out, const struct mill_s3_conf *conf,
                           struct mill_err *err) MILL_NODISCARD;
void mill_s3_free(struct mill_s3 *s);
/** @brief PUT if no object of that name exists (If-None-Match: *).
 *  @return MILL_OK with *how; MILL_E_IO (outage; may be tried again); MILL_E_AUTH */
enum mill_code mill_s3_put_new(struct mill_s3 *s, const char *key, struct mill_str body,
                               struct mill_map meta, enum mill_s3_put *how,
                               struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_s3_get(struct mill_s3 *s, const char *key, struct mill_buf *out,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief Bytes [from, from + n) of an object. */
enum mill_code mill_s3_get_range(struct mill_s3 *s, const char *key, uint64_t from, uint64_t n,
                                 struct mill_buf *out, struct mill_err *err) MILL_NODISCARD;
/** @return MILL_OK, MILL_E_NOENT, MILL_E_IO, MILL_E_AUTH */
enum mill_code mill_s3_head(struct mill_s3 *s, const char *key, struct mill_s3_head *out,
                            struct mill_err *err) MILL_NODISCARD;
enum mill_code mill_s3_delete(struct mill_s3 *s, const char *key,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Every key under a prefix, in order; each stops the walk by returning false. */
enum mill_code mill_s3_list(struct mill_s3 *s, const char *prefix,
                            bool (*each)(void *arg, const char *key, uint64_t bytes), void *arg,
                            struct mill_err *err) MILL_NODISCARD;

#endif
