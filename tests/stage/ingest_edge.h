/**
 * @file ingest_edge.h
 * @brief A running edge for tests: real listener, rules and codec; the broker is fake_broker.c.
 */
#ifndef INGEST_EDGE_H
#define INGEST_EDGE_H

#include "app.h"
#include "avro/codec.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "fake_broker.h"
#include "fake_table.h"
#include "http_ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#define AS_SENDER        "Authorization: Basic YTpi\r\n"         /* a:b */
#define AS_READER        "Authorization: Bearer hello world\r\n" /* mail:read only */
#define JSON_TYPE        "Content-Type: application/json\r\n"
#define HELLO_HASH       "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define EDGE_MAILGUN     "fake-mailgun-signing-key"
#define EDGE_MAILGUN_OLD "fake-mailgun-signing-key-of-last-year"
#define EDGE_UNSUBSCRIBE "fake-unsubscribe-key-aaaaaaaaaaaaaaaa"
#define SIMPLE                                                                                     \
    "{\"from\":\"shop@example.com\",\"to\":\"ann@example.net\",\"subject\":\"Hi\",\"text\":"       \
    "\"Hi\"}"

struct edge {
    char dir[64], credentials[96];
    char keys[600]; /**< two verification keys, base64 */
    EVP_PKEY *key[2];
    struct ingest_conf conf;
    struct ingest *app;
    uint16_t port;
};
extern struct edge edge;

/** @brief cmocka set-up: files, keys, a good configuration; nothing runs yet. */
int edge_setup(void **state);
/** @brief The same, and the edge runs. */
int edge_setup_started(void **state);
int edge_teardown(void **state);
void edge_start(void);
void edge_default_conf(void);
void edge_put_credentials(const char *text);

/** @brief POST as the sender (unless headers name another); the answer's JSON. @own new */
json_t *edge_post(const char *path, const char *headers, struct mill_str body, unsigned status);
/** @brief POST /v1/mail with JSON. @own new */
json_t *edge_post_mail(const char *headers, const char *body, unsigned status);
/** @brief Status of a GET. */
unsigned edge_get(const char *path);
/** @brief A string member has this value. */
void edge_assert_member(const json_t *o, const char *name, const char *want);

/** @brief The record's value as a struct. @own out borrows from r, arena and *codec (new) */
void edge_decode(const struct mill_desc *desc, const struct fake_record *r,
                 struct mill_arena *arena, struct mill_codec **codec, void *out);

#define EDGE_STARTED(f) cmocka_unit_test_setup_teardown(f, edge_setup_started, edge_teardown)
#define EDGE_PLAIN(f)   cmocka_unit_test_setup_teardown(f, edge_setup, edge_teardown)

#endif
