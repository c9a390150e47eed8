/**
 * @file http_server.h
 * @brief A small HTTP/1.1 server over libmicrohttpd: a table of routes, bounded requests.
 *
 * Model: the library's own threads read a request whole (bounded: body, headers, connections,
 * time), then call the route's handler once. The handler answers now or keeps the request and
 * answers later from any thread (ingest waits for the broker that way). A request that the limits
 * refuse never reaches a handler: 413, 431, 503 are answered here. Each request is answered
 * exactly once.
 */
#ifndef MILL_HTTP_SERVER_H
#define MILL_HTTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"

struct mill_server;
struct mill_exchange; /**< one request in hand */

/** @brief Handle a request: must lead to exactly one mill_exchange_answer(), now or later. */
typedef void (*mill_handler_fn)(void *app, struct mill_exchange *x);

struct mill_route {
    const char *method; /**< "GET"; NULL ends the table */
    const char *path;   /**< exact, or with one trailing "*" for a prefix */
    mill_handler_fn handler;
    uint64_t max_body_bytes; /**< 0 = no body allowed */
};

struct mill_server_conf {
    const char *listen; /**< host:port; port 0 = any */
    const struct mill_route *routes;
    void *app;                /**< handed to handlers */
    uint32_t threads;         /**< 0 = 1 */
    uint32_t max_connections; /**< 0 = 1024 */
    uint32_t max_per_ip;      /**< 0 = no limit */
    uint32_t idle_timeout_s;  /**< 0 = 30 */
    uint64_t
        max_in_flight_bytes; /**< bodies held at once; over it 503 + Retry-After; 0 = 256 MiB */
    const char *tls_cert, *tls_key; /**< PEM files, both or none */
    /** Answer for what the server itself refuses (404, 405, 413, 431, 503): fills body and
     *  media type; NULL = plain text. */
    void (*refuse)(void *app, unsigned status, const char *detail, struct mill_buf *body,
                   const char **media_type);
    /** Looks at a request's headers before its body is read; false ends the connection without an
     *  answer. NULL = all are let in. */
    bool (*admit)(void *app, struct mill_exchange *x);
};

/** @own new in *out */
enum mill_code mill_server_start(struct mill_server **out, const struct mill_server_conf *conf,
                                 struct mill_err *err) MILL_NODISCARD;
/** @brief Port really bound. */
uint16_t mill_server_port(const struct mill_server *s);
/** @brief Stop accepting; answered requests finish. Call before mill_server_stop. */
void mill_server_quiesce(struct mill_server *s);
/** @brief Requests read but not answered. @thread any */
size_t mill_server_in_flight(const struct mill_server *s);
/** @brief Close everything. Handlers must have answered all they kept. NULL-safe. */
void mill_server_stop(struct mill_server *s);

struct mill_str mill_exchange_method(const struct mill_exchange *x);
struct mill_str mill_exchange_path(const struct mill_exchange *x);
/** @own borrowed until answered; absent if the header is not there */
struct mill_str mill_exchange_header(const struct mill_exchange *x, const char *name);
/** @brief A query parameter, decoded; absent if not there. */
struct mill_str mill_exchange_query(const struct mill_exchange *x, const char *name);
/** @own borrowed until answered */
struct mill_str mill_exchange_body(const struct mill_exchange *x);
/** @brief Has its connection carried a request before? In `admit` and in the handler only. */
bool mill_exchange_reused(const struct mill_exchange *x);
/** @brief Memory that lives until the request is answered. */
struct mill_arena *mill_exchange_arena(struct mill_exchange *x);

/**
 * @brief Answer; x is gone afterwards.
 * @param headers extra headers; media type is one of them ("Content-Type")
 * @param body    copied
 * @thread any, once
 */
void mill_exchange_answer(struct mill_exchange *x, unsigned status, struct mill_map headers,
                          struct mill_str body);
/** @brief End the connection instead of an answer; x is gone afterwards. @thread any, once */
void mill_exchange_drop(struct mill_exchange *x);

#endif
