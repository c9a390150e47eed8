/* http_client over TLS and HTTP/2, against a peer that speaks just enough of both: a call is made
 * once there too, when the kept connection dies under it. */
#include "net/http_client.h"
#include "net_call.h"
#include "net_peer.h"
#include "net_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_GOAWAY = 7,
    END_STREAM = 1,
    ACK = 1
};

static struct net_tls world;

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned n, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < n; i += in[i] + 1u)
        if (in[i] == 2 && !memcmp(in + i + 1, "h2", 2)) {
            *out = in + i + 1;
            *out_n = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK;
}

static int setup(void **state)
{
    (void)state;
    if (net_tls_start(&world))
        return -1;
    SSL_CTX_set_alpn_select_cb(world.ctx, choose_h2, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return net_tls_stop(&world);
}

/* --- the peer --------------------------------------------------------------------------------- */

static bool h2_read(struct net_peer *p, SSL *ssl, void *to, size_t n)
{
    char *at = to;

    while (n) {
        int got;
        if (!SSL_pending(ssl) && !net_peer_wait(p, SSL_get_fd(ssl)))
            return false;
        got = SSL_read(ssl, at, (int)n);
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static void h2_send(SSL *ssl, unsigned char type, unsigned char flags, const unsigned char *stream,
                    const char *payload, unsigned char n)
{
    unsigned char frame[64] = {0, 0, n, type, flags};

    memcpy(frame + 5, stream, 4);
    memcpy(frame + 9, payload, n);
    SSL_write(ssl, frame, 9 + n);
}

/* Waits for a whole request. @param stream its id, as on the wire */
static bool h2_request(struct net_peer *p, SSL *ssl, unsigned char *stream)
{
    static const unsigned char none[4] = {0};
    unsigned char head[9], payload[16384];

    for (;;) {
        size_t n;
        if (!h2_read(p, ssl, head, sizeof head))
            return false;
        n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (n > sizeof payload || !h2_read(p, ssl, payload, n))
            return false;
        if (head[3] == H2_SETTINGS && !(head[4] & ACK))
            h2_send(ssl, H2_SETTINGS, ACK, none, "", 0);
        if ((head[3] == H2_DATA || head[3] == H2_HEADERS) && head[4] & END_STREAM) {
            memcpy(stream, head + 5, 4);
            atomic_fetch_add(&p->requests, 1);
            return true;
        }
    }
}

/* @return NULL when the client does not like us */
static SSL *h2_accept(struct net_peer *p, int fd)
{
    static const unsigned char none[4] = {0};
    SSL *ssl = SSL_new(world.ctx);
    char preface[24];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && h2_read(p, ssl, preface, sizeof preface) &&
        !memcmp(preface, "PRI * HTTP/2.0", 14)) {
        h2_send(ssl, H2_SETTINGS, 0, none, "", 0);
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

/* Answers the first request of all; after that, takes each request and closes. */
static void serve_close_second(struct net_peer *p, int fd)
{
    unsigned char stream[4];
    SSL *ssl = h2_accept(p, fd);

    while (ssl && h2_request(p, ssl, stream)) {
        if (atomic_load(&p->requests) > 1)
            break;
        h2_send(ssl, H2_HEADERS, 4 | END_STREAM, stream, "\x89", 1); /* :status 204 */
    }
    SSL_free(ssl);
}

/* After the body: GOAWAY that says our stream was not looked at. */
static void serve_goaway(struct net_peer *p, int fd)
{
    static const unsigned char none[4] = {0};
    unsigned char stream[4];
    SSL *ssl = h2_accept(p, fd);

    if (ssl && h2_request(p, ssl, stream))
        h2_send(ssl, H2_GOAWAY, 0, none, "\0\0\0\0\0\0\0\0", 8);
    SSL_free(ssl);
}

/* After the body: "stream refused". The protocol lets a client send it again, and libcurl would;
 * but whether a call is made again is the caller's decision alone. */
static void serve_refused(struct net_peer *p, int fd)
{
    unsigned char stream[4];
    SSL *ssl = h2_accept(p, fd);

    while (ssl && h2_request(p, ssl, stream))
        h2_send(ssl, H2_RST_STREAM, 0, stream, "\0\0\0\7", 4);
    SSL_free(ssl);
}

/* --- tests ------------------------------------------------------------------------------------ */

static struct mill_http *h2_client(void)
{
    const struct mill_http_conf conf = {.http2 = true};
    struct mill_http *h;
    struct mill_err err;

    assert_int_equal(mill_http_new(&h, &conf, &err), MILL_OK);
    return h;
}

static void test_reused_connection_dies(void **state)
{
    struct net_peer peer;
    struct mill_http *h = h2_client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {.method = "POST",
                                  .url = url,
                                  .body = MILL_STR("mail"),
                                  .timeout_ms = 20000,
                                  .tls_ca = world.ca};

    (void)state;
    net_peer_start(&peer, serve_close_second);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_REPLIED);
    assert_int_equal(seen.status, 204);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_LOST);
    for (int i = 0; i < 10; i++) /* time for a silent repeat to show up */
        mill_http_poll(h, 20);
    mill_http_free(h);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 2);
}

static void test_once(void **state)
{
    void (*const serve[])(struct net_peer *, int) = {serve_goaway, serve_refused};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct net_peer peer;
        struct mill_http *h = h2_client();
        struct seen seen;
        char url[64];
        struct mill_http_call call = {.method = "POST",
                                      .url = url,
                                      .body = MILL_STR("mail"),
                                      .timeout_ms = 20000,
                                      .tls_ca = world.ca};

        net_peer_start(&peer, serve[i]);
        snprintf(url, sizeof url, "https://127.0.0.1:%u/", peer.port);
        run(h, &call, &seen);
        assert_int_equal(seen.end, MILL_HTTP_LOST);
        mill_http_free(h);
        net_peer_stop(&peer);
        assert_int_equal(atomic_load(&peer.requests), 1);
    }
}

/* A certificate that nobody vouches for: nothing is sent. */
static void test_unknown_ca(void **state)
{
    struct net_peer peer;
    struct mill_http *h = h2_client();
    struct seen seen;
    char url[64];
    struct mill_http_call call = {
        .method = "POST", .url = url, .body = MILL_STR("mail"), .timeout_ms = 20000};

    (void)state;
    net_peer_start(&peer, serve_close_second);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", peer.port);
    run(h, &call, &seen);
    assert_int_equal(seen.end, MILL_HTTP_UNSENT);
    mill_http_free(h);
    net_peer_stop(&peer);
    assert_int_equal(atomic_load(&peer.requests), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reused_connection_dies),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_unknown_ca),
    };

    return cmocka_run_group_tests_name("http2_client", tests, setup, teardown);
}
