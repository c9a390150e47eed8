/* See http_ask.h. */
#include "http_ask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int http_open(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to)) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

bool http_send(int fd, struct mill_str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = (struct mill_str){bytes.p + n, bytes.n - (size_t)n};
    }
    return true;
}

bool http_request(int fd, const char *method, const char *path, const char *headers,
                  struct mill_str body)
{
    char length[64] = "";
    bool ok;

    if (body.p)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.n);
    ok = http_send(fd, mill_str(method)) && http_send(fd, MILL_STR(" ")) &&
         http_send(fd, mill_str(path)) && http_send(fd, MILL_STR(" HTTP/1.1\r\nHost: test\r\n")) &&
         http_send(fd, mill_str(headers)) && http_send(fd, mill_str(length)) &&
         http_send(fd, MILL_STR("\r\n"));
    return ok && http_send(fd, body);
}

static void read_head(int fd, struct http_answer *a)
{
    char *end = NULL;
    size_t n = 0;

    *a = (struct http_answer){.body = calloc(1, 1)};
    while (!end && n < sizeof a->head - 1) {
        ssize_t got = recv(fd, a->head + n, 1, 0); /* one by one: the body stays in the socket */
        if (got <= 0)
            return;
        n += (size_t)got;
        a->head[n] = '\0';
        end = n >= 4 ? strstr(a->head + n - 4, "\r\n\r\n") : NULL;
    }
    if (!end || sscanf(a->head, "HTTP/1.1 %3u", &a->status) != 1)
        return;
    if (a->status == 100) { /* the real answer follows */
        free(a->body);
        read_head(fd, a);
    }
}

static void read_body(int fd, struct http_answer *a)
{
    char length[32];

    a->body_n = strtoul(http_header(a, "Content-Length", length, sizeof length), NULL, 10);
    free(a->body);
    a->body = calloc(1, a->body_n + 1);
    for (size_t n = 0; a->body && n < a->body_n;) {
        ssize_t got = recv(fd, a->body + n, a->body_n - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
}

void http_read(int fd, struct http_answer *a)
{
    read_head(fd, a);
    if (a->status)
        read_body(fd, a);
}

void http_ask(uint16_t port, const char *method, const char *path, const char *headers,
              struct mill_str body, struct http_answer *a)
{
    int fd = http_open(port);

    *a = (struct http_answer){0};
    if (fd < 0)
        return;
    (void)http_request(fd, method, path, headers, body);
    if (strcmp(method, "HEAD") != 0)
        http_read(fd, a);
    else
        read_head(fd, a); /* it tells the length of a body that does not come */
    close(fd);
}

void http_answer_release(struct http_answer *a)
{
    free(a->body);
    *a = (struct http_answer){0};
}

const char *http_header(const struct http_answer *a, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    out[0] = '\0';
    for (const char *line = a->head; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, n) || line[n] != ':')
            continue;
        line += n + 1;
        line += strspn(line, " ");
        mill_str_cut((struct mill_str){line, strcspn(line, "\r")}, out, size);
        break;
    }
    return out;
}
