/**
 * @file s3.h
 * @brief The part of S3 that we need, over http_client: conditional PUT, GET, HEAD, LIST, COPY,
 * DELETE.
 *
 * Model: requests are signed with SigV4; credentials come from the chain (aws_creds.h), which is
 * asked anew when they are refused (401, 403, an expired token), so that rotated ones are used.
 * Blocking calls with a few quick retries inside where a retry is safe (GET, HEAD, LIST, COPY,
 * DELETE; PUT because it is conditional, a lost reply is settled by HEAD), none after twice
 * timeout_ms: no call lasts longer than three times that. What is left is MILL_E_IO: an outage, the
 * caller waits. Bodies are held in memory. One thread per client.
 *
 * All return MILL_OK; MILL_E_IO (outage, throttling; may be tried again); MILL_E_AUTH (keys
 * refused); MILL_E_CONFIG (no such bucket, wrong region, request refused; or none of the chain's
 * providers is set up); MILL_E_DATA (reply that makes no sense or does not fit); MILL_E_NOMEM.
 */
#ifndef MILL_S3_H
#define MILL_S3_H

#include "base/buf.h"

struct mill_s3;

struct mill_s3_conf {
    const char *endpoint; /**< base URL; NULL = https://s3.REGION.amazonaws.com */
    const char *region;   /**< NULL = AWS_REGION, AWS_DEFAULT_REGION, us-east-1 */
    const char *bucket;
    bool virtual_host;   /**< bucket in the host name instead of the path */
    uint32_t timeout_ms; /**< of one request; 0 = 60000 */
};

struct mill_s3_head {
    uint64_t bytes;
    char etag[80];
    int64_t
        modified_ms; /**< when it was written, by the service's clock, since 1970; 0 = not said */
    int64_t now_ms;  /**< that clock when it answered; 0 = not said */
    struct mill_map meta; /**< x-amz-meta-*, names lower case; borrowed until the next call */
};

enum mill_s3_put { MILL_S3_CREATED, MILL_S3_EXISTS /**< 412: an object of that name is there */ };

/** @param conf its strings are copied @own new in *out */
enum mill_code mill_s3_new(struct mill_s3 **out, const struct mill_s3_conf *conf,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief NULL-safe. */
void mill_s3_free(struct mill_s3 *s);
/** @brief Requests that write (PUT, POST) start only until then, else MILL_E_IO: whoever slept must
 *  not act on what it knew. Their signature's time is taken before the clock is looked at, and S3
 *  refuses one that is 15 minutes old: so one that sleeps behind the look comes to nothing either.
 *  @param tick_ms of mill_tick_ms(); 0 = no end, as at first */
void mill_s3_until(struct mill_s3 *s, int64_t tick_ms);
/** @brief PUT if no object of that name exists (If-None-Match: *).
 *  @param meta names in lower case without x-amz-meta-; values printable ASCII
 *  @param how  CREATED also when a reply was lost and the object that is there has these very
 *              bytes in number and this meta: the caller may have two writers only if both would
 *              write the same */
enum mill_code mill_s3_put_new(struct mill_s3 *s, const char *key, struct mill_str body,
                               struct mill_map meta, enum mill_s3_put *how,
                               struct mill_err *err) MILL_NODISCARD;
/** @param out appended @return also MILL_E_NOENT */
enum mill_code mill_s3_get(struct mill_s3 *s, const char *key, struct mill_buf *out,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief Bytes [from, from + n) of an object; MILL_E_DATA if it has not all of them.
 *  @param n > 0 @return also MILL_E_NOENT */
enum mill_code mill_s3_get_range(struct mill_s3 *s, const char *key, uint64_t from, uint64_t n,
                                 struct mill_buf *out, struct mill_err *err) MILL_NODISCARD;
/** @return also MILL_E_NOENT */
enum mill_code mill_s3_head(struct mill_s3 *s, const char *key, struct mill_s3_head *out,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief No error when there is no such object. */
enum mill_code mill_s3_delete(struct mill_s3 *s, const char *key,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Copy an object inside of the service, whole and at once, its metadata too; what is under
 *  the new name is replaced. At most 5 GiB. @return also MILL_E_NOENT (no source) */
enum mill_code mill_s3_copy(struct mill_s3 *s, const char *from, const char *to,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief Delete many by few requests (1,000 keys each); keys that are not there are no error.
 *  Each key goes at once, all together do not. */
enum mill_code mill_s3_delete_many(struct mill_s3 *s, const struct mill_str *keys, size_t n,
                                   struct mill_err *err) MILL_NODISCARD;
/** @brief Every key under a prefix, in order; each stops the walk by returning false. It may not
 *  use s. */
enum mill_code mill_s3_list(struct mill_s3 *s, const char *prefix,
                            bool (*each)(void *arg, const char *key, uint64_t bytes), void *arg,
                            struct mill_err *err) MILL_NODISCARD;

#endif
