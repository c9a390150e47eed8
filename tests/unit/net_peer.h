/* A scripted TCP peer on 127.0.0.1 for tests: one thread, one connection at a time. */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct net_peer {
    int fd;
    unsigned port;
    pthread_t thread;
    atomic_bool stop;
    atomic_int accepted; /* connections */
    atomic_int requests; /* whole ones */
    atomic_int closed;   /* connections, by the peer */
    /* Serves one connection; the peer closes it. */
    void (*serve)(struct net_peer *p, int fd);
    char seen[8192]; /* what serve wants to keep; read it after net_peer_stop */
};

static void *net_peer_run(void *arg)
{
    struct net_peer *p = arg;

    while (!atomic_load(&p->stop)) {
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};
        int fd;
        if (poll(&wait, 1, 20) <= 0)
            continue;
        fd = accept(p->fd, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&p->accepted, 1);
        p->serve(p, fd);
        close(fd);
        atomic_fetch_add(&p->closed, 1);
    }
    return NULL;
}

/* A listening socket on a free port. */
static inline int net_listen(unsigned *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) || listen(fd, 64) ||
        getsockname(fd, (struct sockaddr *)&addr, &size))
        abort();
    *port = ntohs(addr.sin_port);
    return fd;
}

static inline void net_peer_start(struct net_peer *p, void (*serve)(struct net_peer *, int))
{
    memset(p, 0, sizeof *p);
    p->serve = serve;
    p->fd = net_listen(&p->port);
    if (pthread_create(&p->thread, NULL, net_peer_run, p))
        abort();
}

static inline void net_peer_stop(struct net_peer *p)
{
    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    close(p->fd);
}

/* Waits until there is something to read. false: the peer stops, or a minute went by. */
static inline bool net_peer_wait(struct net_peer *p, int fd)
{
    for (int i = 0; i < 3000 && !atomic_load(&p->stop); i++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 20) > 0)
            return true;
    }
    return false;
}

static inline void net_send(int fd, const char *text)
{
    size_t n = strlen(text);

    while (n) {
        ssize_t done = send(fd, text, n, MSG_NOSIGNAL);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

/* Reads a request: its head into head (may be NULL), its body is dropped. false at end of file. */
static inline bool net_read_request(struct net_peer *p, int fd, char *head, size_t size)
{
    char text[8192];
    size_t n = 0, left = 0;
    const char *length;

    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4)) {
        if (n == sizeof text - 1 || !net_peer_wait(p, fd) || recv(fd, text + n, 1, 0) != 1)
            return false;
        n++;
    }
    text[n] = '\0';
    if (head)
        snprintf(head, size, "%s", text);
    length = strstr(text, "Content-Length: ");
    if (length)
        left = strtoul(length + 16, NULL, 10);
    while (left) {
        ssize_t got =
            net_peer_wait(p, fd) ? recv(fd, text, left < sizeof text ? left : sizeof text, 0) : -1;
        if (got <= 0)
            return false;
        left -= (size_t)got;
    }
    atomic_fetch_add(&p->requests, 1);
    return true;
}

/* Reads a CRLF line without its end. */
static inline bool net_read_line(struct net_peer *p, int fd, char *line, size_t size)
{
    size_t n = 0;

    for (;;) {
        char c;
        if (!net_peer_wait(p, fd) || recv(fd, &c, 1, 0) != 1)
            return false;
        if (c == '\n')
            break;
        if (n < size - 1 && c != '\r')
            line[n++] = c;
    }
    line[n] = '\0';
    return true;
}

#endif
