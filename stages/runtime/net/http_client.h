/**
 * @file http_client.h
 * @brief HTTP and SMTP calls over one libcurl multi handle: concurrent, keep-alive, bounded.
 *
 * Model: a call is submitted, runs while mill_http_poll() is driven by its owner, and ends in one
 * callback. The result says not only what came back but whether the peer may have acted:
 * UNSENT proves that it did not, LOST means that nobody knows. A call is never repeated by us and
 * never by libcurl: bodies go through a read function without rewind, redirects are off.
 * One thread per client.
 */
#ifndef MILL_HTTP_CLIENT_H
#define MILL_HTTP_CLIENT_H

#include "base/buf.h"

struct mill_http;

enum mill_http_end {
    MILL_HTTP_REPLIED, /**< a whole reply: status, headers, body */
    MILL_HTTP_UNSENT,  /**< not connected, or refused before the body: the peer did not act */
    MILL_HTTP_LOST,    /**< the request, or enough of it, left; no whole reply */
};

struct mill_http_reply {
    enum mill_http_end end;
    long status;             /**< HTTP status or last SMTP code; 0 if none */
    struct mill_str body;    /**< borrowed until the callback returns; cut at the reply limit */
    struct mill_map headers; /**< as received; names keep their case */
    const char *reason;      /**< text for LOST and UNSENT; borrowed */
    int64_t took_ms;
};

typedef void (*mill_http_done_fn)(void *arg, const struct mill_http_reply *reply);

struct mill_http_call {
    const char *method; /**< "POST"; ignored for smtp:// */
    const char *url;    /**< http, https, smtp, smtps */
    struct mill_map headers;
    struct mill_str body;        /**< borrowed until done is called */
    uint32_t timeout_ms;         /**< whole call */
    uint32_t connect_ms;         /**< connect phase; 0 = 5000 */
    const char *user, *password; /**< basic or SMTP auth; NULL = none */
    /** SigV4 "aws:amz:region:service"; NULL = none. With it: session token in headers. */
    const char *sigv4;
    /** SMTP envelope; mail_from without angle brackets. */
    const char *mail_from;
    const char *const *rcpt; /**< ends with NULL */
    const char *tls_ca;      /**< CA file; NULL = system */
    mill_http_done_fn done;
    void *arg;
};

struct mill_http_conf {
    uint32_t max_connections; /**< in all; 0 = 64 */
    uint64_t reply_max_bytes; /**< 0 = 1 MiB */
    bool http2;               /**< try HTTP/2 over TLS */
};

/** @brief Value of a reply header, whatever its case; absent if none. @own borrowed */
struct mill_str mill_http_header(const struct mill_http_reply *r, const char *name);

enum mill_code mill_http_new(struct mill_http **out, const struct mill_http_conf *conf,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief Ends running calls without calling done. NULL-safe. */
void mill_http_free(struct mill_http *h);
/** @brief Start a call; strings are copied except body. @return MILL_OK or MILL_E_NOMEM/CONFIG
 *  (then done is not called) */
enum mill_code mill_http_submit(struct mill_http *h, const struct mill_http_call *call,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Run what can run; wait up to wait_ms for something to happen; done is called from here.
 *  @return calls still running */
size_t mill_http_poll(struct mill_http *h, int wait_ms);
/** @brief Make a waiting mill_http_poll return. @thread any */
void mill_http_wake(struct mill_http *h);
/** @brief One call, waited for. @param body_out receives the reply body (appended); may be NULL
 *  @return MILL_OK when a whole reply came (any status), MILL_E_IO otherwise */
enum mill_code mill_http_wait(struct mill_http *h, struct mill_http_call *call, long *status,
                              struct mill_buf *body_out, struct mill_err *err) MILL_NODISCARD;

#endif
