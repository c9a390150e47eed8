/**
 * @file send_peer.h
 * @brief A SendGrid of few words: the first recipient's local part says what it answers.
 */
#ifndef MILL_SEND_PEER_H
#define MILL_SEND_PEER_H

#include "stage/stage_test.h"
#include "unit/net_peer.h"

static struct net_peer peer;
static char last_body[16384];
static atomic_int most_on_one; /* calls on one connection */

static bool read_body(struct net_peer *p, int fd, size_t left)
{
    size_t n = 0;

    while (n < left && n < sizeof(last_body) - 1) {
        ssize_t got = net_peer_wait(p, fd) ? recv(fd, last_body + n, left - n, 0) : -1;
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
    }
    last_body[n] = '\0';
    return true;
}

static bool read_call(struct net_peer *p, int fd)
{
    char head[4096];
    const char *length = NULL, *end = NULL;

    while (!end) { /* looked at as a whole, then taken as far as it goes */
        ssize_t n = net_peer_wait(p, fd) ? recv(fd, head, sizeof(head) - 1, MSG_PEEK) : -1;
        if (n <= 0 || n == (ssize_t)sizeof(head) - 1)
            return false;
        head[n] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    end += 4;
    if (recv(fd, head, (size_t)(end - head), 0) != end - head)
        return false;
    head[end - head] = '\0';
    length = strstr(head, "Content-Length: ");
    if (!length || !strstr(head, "POST /v3/mail/send ") ||
        !strstr(head, "Authorization: Bearer SG.fake\r\n") ||
        !read_body(p, fd, strtoul(length + 16, NULL, 10))) {
        return false;
    }
    atomic_fetch_add(&p->requests, 1);
    return true;
}

static const struct script {
    const char *to, *reply; /**< NULL = close without a word */
} scripts[] = {
    {"accept@", "HTTP/1.1 202 Accepted\r\nx-message-id: xid\r\nContent-Length: 0\r\n\r\n"},
    {"bad@", "HTTP/1.1 400 Bad Request\r\nContent-Length: 70\r\n\r\n"
             "{\"errors\":[{\"field\":\"from.email\",\"message\":\"is\\nnot\\u0001 verified\"}]}"},
    {"key@", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"},
    {"many@", "HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n"},
    {"fault@", "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"},
    {"busy@", "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"},
    {"strange@", "HTTP/1.1 204 No Content\r\n\r\n"},
    {"moved@", "HTTP/1.1 302 Found\r\nLocation: /v3/mail/send\r\nContent-Length: 0\r\n\r\n"},
    {"reset@", NULL},
};

static inline void serve(struct net_peer *p, int fd)
{
    for (int n = 1; read_call(p, fd); n++) {
        const char *reply = NULL;

        atomic_store(&most_on_one, n > atomic_load(&most_on_one) ? n : atomic_load(&most_on_one));
        if (strstr(last_body, "hang@")) {
            net_peer_wait(p, fd); /* until the caller gives up */
            return;
        }
        for (size_t i = 0; i < STAGE_ROWS(scripts); i++) {
            if (strstr(last_body, scripts[i].to)) {
                reply = scripts[i].reply;
            }
        }
        if (!reply) {
            return;
        }
        net_send(fd, reply);
    }
}

#endif
