/**
 * @file http_client.h
 * @brief HTTP and SMTP calls over one libcurl multi handle: concurrent, keep-alive, bounded.
 *
 * Model: a call is submitted, runs while mill_http_poll() is driven by its owner, and ends in one
 * callback. The result says not only what came back but whether the peer may have acted:
 * UNSENT proves that it did not, LOST means that nobody knows. A call with a body is never repeated
 * by us and never by libcurl: bodies go through a read function without rewind, redirects are off.
 * (Without a body, libcurl may repeat a GET, HEAD, PUT or DELETE whose kept connection turned out
 * to be dead; a POST then gets a connection of its own.)
 * One thread per client. The proxy variables of the environment are honoured.
 */
#ifndef MILL_HTTP_CLIENT_H
#define MILL_HTTP_CLIENT_H

#include "base/buf.h"

struct mill_http;

enum mill_http_end {
    /** HTTP: a whole reply. SMTP: the server accepted, or refused with a code; then nothing was
     *  taken, see headers for who was refused. */
    MILL_HTTP_REPLIED,
    MILL_HTTP_UNSENT, /**< not connected, or the last byte of the body was never given to the
                         connection: the peer did not act */
    MILL_HTTP_LOST,   /**< the request left; no whole reply */
};

struct mill_http_reply {
    enum mill_http_end end;
    long status;          /**< HTTP status or last SMTP code; 0 if none (LOST may have one) */
    struct mill_str body; /**< borrowed until the callback returns; cut at the reply limit */
    /** As received; names keep their case. SMTP: every reply line in order, its name the command
     *  it answers: "" (greeting), "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "." (end of the mail).
     *  The n-th last line ("250 ", not "250-") named RCPT belongs to rcpt[n]. */
    struct mill_map headers;
    const char *reason; /**< text for LOST and UNSENT; borrowed */
    int64_t took_ms;
};

typedef void (*mill_http_done_fn)(void *arg, const struct mill_http_reply *reply);

struct mill_http_call {
    const char *method; /**< "POST"; ignored for smtp:// */
    const char *url;    /**< http, https, smtp, smtps */
    struct mill_map headers;
    struct mill_str body;        /**< borrowed until done is called; a mail needs CRLF lines */
    uint32_t timeout_ms;         /**< whole call, waiting for a connection too; 0 = 30000 */
    uint32_t connect_ms;         /**< connect phase; 0 = 5000 */
    const char *user, *password; /**< basic or SMTP auth; NULL = none */
    /** SigV4 "aws:amz:region:service"; NULL = none. With it: session token in headers. */
    const char *sigv4;
    /** SMTP envelope; mail_from without angle brackets. */
    const char *mail_from;
    /** Ends with NULL. Refused ones do not stop the mail to the others. */
    const char *const *rcpt;
    bool tls_required;  /**< smtp://: no mail without STARTTLS; else it is used where offered */
    const char *tls_ca; /**< CA file; NULL = system */
    bool direct;        /**< never through the environment's proxy */
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

/** @brief A date header ("Sun, 06 Nov 1994 08:49:37 GMT") as ms since 1970. @return 0: it is none
 */
int64_t mill_http_date_ms(struct mill_str s);

/** @param conf NULL = all defaults @own new in *out */
enum mill_code mill_http_new(struct mill_http **out, const struct mill_http_conf *conf,
                             struct mill_err *err) MILL_NODISCARD;
/** @brief Ends running calls without calling done. Not from done. NULL-safe. */
void mill_http_free(struct mill_http *h);
/** @brief Start a call; strings are copied except body. May be called from done.
 *  @return MILL_OK or MILL_E_NOMEM/CONFIG (then done is not called) */
enum mill_code mill_http_submit(struct mill_http *h, const struct mill_http_call *call,
                                struct mill_err *err) MILL_NODISCARD;
/** @brief Run what can run; wait up to wait_ms for something to happen; done is called from here.
 *  @return calls still running */
size_t mill_http_poll(struct mill_http *h, int wait_ms);
/** @brief Make a waiting mill_http_poll return. @thread any */
void mill_http_wake(struct mill_http *h);
/** @brief One call, waited for; the client's other calls go on meanwhile.
 *  @param call     its done and arg are overwritten
 *  @param status   may be NULL
 *  @param body_out receives the reply body (appended); may be NULL
 *  @return MILL_OK when a whole reply came (any status); MILL_E_IO when UNSENT or LOST;
 *          MILL_E_DATA when the body does not fit into body_out */
enum mill_code mill_http_wait(struct mill_http *h, struct mill_http_call *call, long *status,
                              struct mill_buf *body_out, struct mill_err *err) MILL_NODISCARD;

#endif
