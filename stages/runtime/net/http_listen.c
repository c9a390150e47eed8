/** @file http_listen.c
 *  @brief Start and stop of the HTTP server.
 *
 * Poll mode with internal threads, never epoll. With suspended requests, 0.9.75's epoll loop has
 * been seen to stall at 256 connections, and it does not notice a client that left while its
 * request was suspended (test_http_server.c, test_client_leaves, fails in epoll mode 3 times of 3).
 * Poll mode does neither: 512 connections, all suspended at once, 10,240 requests: 1.2 s with ASan
 * on 2 cores.
 */
#include "net/http_server_in.h"

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SERVER_CONNECTIONS = 1024,
    SERVER_IDLE_S = 30,
    SERVER_BODY_IDLES = 4,         /* a body must be there within so many idle timeouts */
    SERVER_POOL_BYTES = 64 * 1024, /* headers; over it, the library answers 431 or 414 by itself */
    SERVER_FILE_BYTES = 1024 * 1024,
};

#define SERVER_IN_FLIGHT_BYTES (UINT64_C(256) << 20)

/* "host:port", "[v6]:port", ":port" or "*:port" (every address). */
static enum mill_code server_address(const char *listen, struct sockaddr_storage *out,
                                     struct mill_err *err)
{
    const char *colon = listen ? strrchr(listen, ':') : NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[256];
    struct mill_str name;
    int rc;

    if (!colon || !colon[1] || colon - listen >= (int)sizeof host)
        return mill_fail(err, MILL_E_CONFIG, "listen", "\"%s\" is not host:port",
                         listen ? listen : "");
    name = (struct mill_str){listen, (size_t)(colon - listen)};
    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = (struct mill_str){name.p + 1, name.n - 2};
    mill_str_cut(name, host, sizeof host);
    if (!strcmp(host, "*"))
        host[0] = '\0';
    rc = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
    if (rc)
        return mill_fail(err, MILL_E_CONFIG, "listen", "%s: %s", listen, gai_strerror(rc));
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return MILL_OK;
}

static enum mill_code server_read_pem(const char *path, struct mill_buf *out, struct mill_err *err)
{
    char why[128];
    int failed = mill_buf_add_file(out, path);

    if (failed || !out->n)
        return mill_fail(err, MILL_E_CONFIG, "tls", "%s cannot be read: %s", path,
                         failed ? mill_errno_text(failed, why, sizeof why) : "it is empty");
    return MILL_OK;
}

/* The library logs to stderr by itself unless told otherwise; a refused request is no news. */
static void server_mute(void *arg, const char *fmt, va_list args)
{
    (void)arg;
    (void)fmt;
    (void)args;
}

static int server_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As the library's own, but %00 stays as it is written: a path is a text that ends in NUL, and
 * "/a%00b" must not be taken for "/a". */
static size_t server_unescape(void *arg, struct MHD_Connection *conn, char *s)
{
    char *to = s;

    (void)arg;
    (void)conn;
    for (const char *from = s; *from; from++) {
        int high = *from == '%' ? server_hex(from[1]) : -1;
        int low = high >= 0 ? server_hex(from[2]) : -1;
        if (low < 0 || !(high | low)) {
            *to++ = *from;
            continue;
        }
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return (size_t)(to - s);
}

static struct MHD_Daemon *server_daemon(struct mill_server *s, const struct mill_server_conf *conf,
                                        const struct sockaddr_storage *addr,
                                        const struct mill_buf *cert, const struct mill_buf *key)
{
    unsigned flags = MHD_USE_POLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ITC | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem more[8];
    size_t n = 0;

    if (addr->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (conf->threads > 1)
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)conf->threads, NULL};
    if (conf->max_per_ip)
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                            (intptr_t)conf->max_per_ip, NULL};
    if (cert->n) {
        flags |= MHD_USE_TLS;
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, cert->p};
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key->p};
    }
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, mill_server_access, s, MHD_OPTION_EXTERNAL_LOGGER, server_mute, NULL,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)addr, MHD_OPTION_NOTIFY_COMPLETED,
        mill_server_completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK, server_unescape, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, mill_server_connection, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(conf->max_connections ? conf->max_connections : SERVER_CONNECTIONS),
        MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(conf->idle_timeout_s ? conf->idle_timeout_s : SERVER_IDLE_S),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_POOL_BYTES,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

enum mill_code mill_server_start(struct mill_server **out, const struct mill_server_conf *conf,
                                 struct mill_err *err)
{
    struct sockaddr_storage addr = {0};
    struct mill_buf cert, key;
    struct mill_server *s = NULL;
    const union MHD_DaemonInfo *info;
    enum mill_code code;

    *out = NULL;
    mill_buf_init(&cert, SERVER_FILE_BYTES);
    mill_buf_init(&key, SERVER_FILE_BYTES);
    code = server_address(conf->listen, &addr, err);
    if (!code && !conf->tls_cert != !conf->tls_key)
        code = mill_fail(err, MILL_E_CONFIG, "tls", "certificate and key go together");
    if (!code && conf->tls_cert)
        code = server_read_pem(conf->tls_cert, &cert, err);
    if (!code && conf->tls_key)
        code = server_read_pem(conf->tls_key, &key, err);
    if (code)
        goto out;
    s = calloc(1, sizeof *s);
    if (!s) {
        code = mill_fail(err, MILL_E_NOMEM, "server", "out of memory");
        goto out;
    }
    s->routes = conf->routes;
    s->app = conf->app;
    s->refuse = conf->refuse;
    s->admit = conf->admit;
    s->max_bytes = conf->max_in_flight_bytes ? conf->max_in_flight_bytes : SERVER_IN_FLIGHT_BYTES;
    s->body_ms = (int64_t)1000 * SERVER_BODY_IDLES *
                 (conf->idle_timeout_s ? conf->idle_timeout_s : SERVER_IDLE_S);
    s->quiesced_fd = -1;
    s->daemon = server_daemon(s, conf, &addr, &cert, &key);
    info = s->daemon ? MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!info) {
        code = mill_fail(err, MILL_E_IO, "listen", "cannot listen on %s", conf->listen);
        goto out;
    }
    s->port = info->port;
    *out = s;
    s = NULL;
out:
    mill_server_stop(s);
    mill_buf_release(&cert);
    mill_buf_release(&key);
    return code;
}

uint16_t mill_server_port(const struct mill_server *s)
{
    return s->port;
}

void mill_server_quiesce(struct mill_server *s)
{
    if (atomic_exchange(&s->closing, true))
        return;
    s->quiesced_fd = MHD_quiesce_daemon(s->daemon);
    /* Still open (the library says: close it after the stop), but new clients are told no. */
    if (s->quiesced_fd >= 0)
        shutdown(s->quiesced_fd, SHUT_RDWR);
}

size_t mill_server_in_flight(const struct mill_server *s)
{
    return atomic_load(&s->in_flight);
}

void mill_server_stop(struct mill_server *s)
{
    if (!s)
        return;
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->quiesced_fd >= 0)
        close(s->quiesced_fd);
    free(s);
}
