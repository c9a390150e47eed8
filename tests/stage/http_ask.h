/**
 * @file http_ask.h
 * @brief A bare HTTP client for tests: it sends the bytes it is told to, however wrong they are.
 */
#ifndef HTTP_ASK_H
#define HTTP_ASK_H

#include "base/str.h"

struct http_answer {
    unsigned status; /**< 0 = the connection ended without an answer */
    char head[4096]; /**< header lines */
    char *body;      /**< malloc'ed, NUL-terminated */
    size_t body_n;
};

/** @brief A connection to 127.0.0.1. */
int http_open(uint16_t port);
/** @brief Send all of it. @return false when the peer is gone */
bool http_send(int fd, struct mill_str bytes);
/** @brief One request with its head made. @param headers lines with CRLF, may be "" */
bool http_request(int fd, const char *method, const char *path, const char *headers,
                  struct mill_str body);
/** @brief Read one answer. @own a: http_answer_release */
void http_read(int fd, struct http_answer *a);
/** @brief Open, request, read, close. */
void http_ask(uint16_t port, const char *method, const char *path, const char *headers,
              struct mill_str body, struct http_answer *a);
void http_answer_release(struct http_answer *a);
/** @brief Value of a header of the answer. @param out at least size bytes; "" if none */
const char *http_header(const struct http_answer *a, const char *name, char *out, size_t size);

#endif
