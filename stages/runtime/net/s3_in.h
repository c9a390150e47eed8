/**
 * @file s3_in.h
 * @brief Inside of s3: the request that its files share. Not for others.
 */
#ifndef MILL_S3_IN_H
#define MILL_S3_IN_H

#include "base/arena.h"
#include "net/s3.h"

enum { S3_PUT_TRIES = 5, S3_META_MAX = 16, S3_META_NAME_MAX = 80 };

/** One signed request. */
struct s3_request {
    const char *method;
    const char *key;   /**< NULL = the bucket itself */
    const char *query; /**< encoded, sorted by name, without "?"; NULL = none */
    struct mill_str body;
    struct mill_pair headers[24]; /**< beside those of the signature */
    size_t n_headers;
};

/** What came back; body and headers live in the client until the next request. */
struct s3_reply {
    bool whole; /**< else nobody knows, see lost */
    bool lost;  /**< not whole, and the service may have acted */
    long status;
    struct mill_str body;
    struct mill_map headers;
};

struct mill_s3 {
    struct mill_http *http;
    struct mill_aws *aws;
    struct mill_buf base; /**< scheme://host[/bucket], no slash at the end */
    char region[64];
    char bucket[128];
    char sigv4[96];
    uint32_t timeout_ms;
    int64_t until_ms; /**< mill_tick_ms() after which nothing is written; 0 = no end */
    struct mill_buf body;
    struct mill_arena mem;
    struct mill_pair *headers;
    char why[160]; /**< of a reply that did not come */
};

/** @brief Send once; once more where the keys are refused and the chain has others, or they had
 * expired. @return MILL_OK with *reply (whole or not), or what credentials or memory said */
enum mill_code mill_s3_send(struct mill_s3 *s, const struct s3_request *rq, struct s3_reply *reply,
                            struct mill_err *err) MILL_NODISCARD;
/** @brief Send, and again after an outage or throttling; for requests that may be repeated. @return
 * MILL_OK: a whole reply with a status below 500 other than 429 */
enum mill_code mill_s3_try(struct mill_s3 *s, const struct s3_request *rq, struct s3_reply *reply,
                           struct mill_err *err) MILL_NODISCARD;
/** @brief The error that a status stands for. @return MILL_OK for 2xx */
enum mill_code mill_s3_status(const struct s3_request *rq, const struct s3_reply *reply,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Metadata as headers behind those that rq has. @param names their names, for its life */
enum mill_code mill_s3_meta(struct s3_request *rq, struct mill_map meta,
                            char names[S3_META_MAX][S3_META_NAME_MAX],
                            struct mill_err *err) MILL_NODISCARD;
/** @brief An earlier attempt may have been ours: is what is there like it, in number of bytes and
 *  metadata? @return MILL_E_NOENT: nothing is there */
enum mill_code mill_s3_settle(struct mill_s3 *s, const char *key, uint64_t bytes,
                              struct mill_map meta, enum mill_s3_put *how,
                              struct mill_err *err) MILL_NODISCARD;
/** @brief Has a call lasted so long that it is not tried again? Whoever waits for it must not miss
 *  a turn of its own (a consumer's poll). @param began_ms tick */
bool mill_s3_late(const struct mill_s3 *s, int64_t began_ms) MILL_NODISCARD;
/** @brief Growing pause before attempt n = 1, 2, … */
void mill_s3_pause(unsigned n);
/** @brief Value of a reply's header. @own borrowed */
struct mill_str mill_s3_header(const struct s3_reply *r, const char *name);
/** @brief One page of a listing. @param next the token of the next page, empty when this was the
 *  last; @param more set false when each stopped */
enum mill_code mill_s3_list_page(struct mill_str xml,
                                 bool (*each)(void *arg, const char *key, uint64_t bytes),
                                 void *arg, struct mill_buf *next, bool *more,
                                 struct mill_err *err) MILL_NODISCARD;

#endif
