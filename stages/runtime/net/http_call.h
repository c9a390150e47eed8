/**
 * @file http_call.h
 * @brief Inside of http_client: one call on one libcurl easy handle. Not for others.
 */
#ifndef MILL_HTTP_CALL_H
#define MILL_HTTP_CALL_H

#include "base/arena.h"
#include "net/http_client.h"
#include <curl/curl.h>

/** A call in hand, or an idle handle kept for the next one. */
struct http_call {
    struct http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers, *rcpt;
    struct mill_str body;
    size_t given; /**< bytes of body that libcurl has taken */
    bool smtp;
    char command[8];       /**< SMTP: what the next reply line answers */
    long smtp_code;        /**< of the last reply line */
    struct mill_buf reply; /**< body */
    struct mill_arena mem; /**< bytes of pairs */
    struct mill_pair *pairs;
    size_t n_pairs, pairs_size, pair_bytes;
    mill_http_done_fn done;
    void *arg;
    int64_t started_ms;
    char reason[CURL_ERROR_SIZE];
};

/** @own new; NULL when out of memory */
struct http_call *http_call_new(uint64_t reply_max_bytes) MILL_NODISCARD;
/** @brief NULL-safe. */
void http_call_free(struct http_call *c);
/** @brief Make the handle ready for this call. */
enum mill_code http_call_setup(struct http_call *c, const struct mill_http_call *call, bool http2,
                               struct mill_err *err) MILL_NODISCARD;
/** @brief What the call came to. @own out borrows from c */
void http_call_result(struct http_call *c, CURLcode rc, struct mill_http_reply *out);
/** @brief Forget the call, keep handle and memory. */
void http_call_reset(struct http_call *c);

#endif
