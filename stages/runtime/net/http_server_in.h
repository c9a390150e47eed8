/**
 * @file http_server_in.h
 * @brief Inside of http_server: what its two files share. Not for others.
 */
#ifndef MILL_HTTP_SERVER_IN_H
#define MILL_HTTP_SERVER_IN_H

#include "net/http_server.h"
#include <microhttpd.h>
#include <stdatomic.h>

struct mill_server {
    struct MHD_Daemon *daemon;
    const struct mill_route *routes;
    void *app;
    void (*refuse)(void *app, unsigned status, const char *detail, struct mill_buf *body,
                   const char **media_type);
    bool (*admit)(void *app, struct mill_exchange *x);
    uint64_t max_bytes;
    int64_t body_ms;
    uint16_t port;
    int quiesced_fd;
    _Atomic uint64_t held_bytes;
    _Atomic size_t in_flight;
    atomic_bool closing;
};

/** @brief MHD_AccessHandlerCallback: each step of a request. @param arg struct mill_server */
enum MHD_Result mill_server_access(void *arg, struct MHD_Connection *conn, const char *path,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_n, void **slot);
/** @brief MHD_RequestCompletedCallback: frees the exchange. */
void mill_server_completed(void *arg, struct MHD_Connection *conn, void **slot,
                           enum MHD_RequestTerminationCode why);

/** @brief MHD_NotifyConnectionCallback: a connection counts its requests. */
void mill_server_connection(void *arg, struct MHD_Connection *conn, void **count,
                            enum MHD_ConnectionNotificationCode code);

#endif
