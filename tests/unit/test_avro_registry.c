/* The registry client against a small registry: what is cached, what each refusal means. */
#include "avro/registry.h"

#include "base/buf.h"
#include "cases.h"
#include "net/http_server.h"
#include <pthread.h>
#include <stdio.h>

/* Scripted by the test, filled in by the server's thread. */
static struct {
    pthread_mutex_t lock;
    unsigned status;
    const char *body;
    bool hang;
    struct mill_exchange *kept;
    int calls;
    char method[16], path[256], auth[128], sent[512];
} peer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void peer_handle(void *app, struct mill_exchange *x)
{
    static const struct mill_pair type = {{"Content-Type", 12}, {"application/json", 16}};

    (void)app;
    pthread_mutex_lock(&peer.lock);
    peer.calls++;
    mill_str_cut(mill_exchange_method(x), peer.method, sizeof peer.method);
    mill_str_cut(mill_exchange_path(x), peer.path, sizeof peer.path);
    mill_str_cut(mill_exchange_header(x, "Authorization"), peer.auth, sizeof peer.auth);
    mill_str_cut(mill_exchange_body(x), peer.sent, sizeof peer.sent);
    if (peer.hang)
        peer.kept = x;
    else
        mill_exchange_answer(x, peer.status, (struct mill_map){&type, 1}, mill_str(peer.body));
    pthread_mutex_unlock(&peer.lock);
}

static const struct mill_route routes[] = {
    {"GET", "/*", peer_handle, 0},
    {"POST", "/*", peer_handle, 65536},
    {"PUT", "/*", peer_handle, 65536},
    {0},
};

static void script(unsigned status, const char *body)
{
    pthread_mutex_lock(&peer.lock);
    peer.status = status;
    peer.body = body;
    peer.calls = 0;
    peer.path[0] = peer.sent[0] = peer.auth[0] = '\0';
    pthread_mutex_unlock(&peer.lock);
}

static int calls(void)
{
    pthread_mutex_lock(&peer.lock);
    int n = peer.calls;
    pthread_mutex_unlock(&peer.lock);
    return n;
}

static struct mill_server *server;

static int setup(void)
{
    const struct mill_server_conf conf = {.listen = "127.0.0.1:0", .routes = routes};
    struct mill_err err;

    return mill_server_start(&server, &conf, &err) != MILL_OK;
}

static void teardown(void)
{
    mill_server_stop(server);
}

static struct mill_registry *registry(const char *user, uint32_t timeout_ms)
{
    struct mill_registry *r = NULL;
    struct mill_err err;
    char url[128];

    snprintf(url, sizeof url, "http://%s127.0.0.1:%u/apis/ccompat/v7/", user,
             (unsigned)mill_server_port(server));
    assert_int_equal(mill_registry_new(&r, url, timeout_ms, &err), MILL_OK);
    return r;
}

static void test_schema_is_cached(void **state)
{
    struct mill_registry *r = registry("", 5000);
    struct mill_err err;
    struct mill_str json, again;

    (void)state;
    script(200, "{\"schema\":\"\\\"string\\\"\"}");
    assert_int_equal(mill_registry_schema(r, 7, &json, &err), MILL_OK);
    assert_true(mill_str_is(json, "\"string\""));
    assert_string_equal(peer.path, "/apis/ccompat/v7/schemas/ids/7");
    assert_int_equal(mill_registry_schema(r, 7, &again, &err), MILL_OK);
    assert_ptr_equal(json.p, again.p);
    assert_int_equal(calls(), 1);
    script(200, "{\"schema\":\"\\\"int\\\"\",\"schemaType\":\"AVRO\"}");
    assert_int_equal(mill_registry_schema(r, 8, &again, &err), MILL_OK);
    assert_true(mill_str_is(json, "\"string\"") && mill_str_is(again, "\"int\""));
    mill_registry_free(r);
}

static void test_failures_are_not_cached(void **state)
{
    struct mill_registry *r = registry("", 5000);
    struct mill_err err;
    struct mill_str json;

    (void)state;
    script(404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
    assert_int_equal(mill_registry_schema(r, 7, &json, &err), MILL_E_NOENT);
    script(503, "down");
    assert_int_equal(mill_registry_schema(r, 7, &json, &err), MILL_E_IO);
    script(200, "{\"schema\":\"\\\"string\\\"\"}");
    assert_int_equal(mill_registry_schema(r, 7, &json, &err), MILL_OK);
    mill_registry_free(r);
}

static const struct row {
    const char *name;
    unsigned status;
    const char *body;
    enum mill_code get, post; /* of a schema by id; of a registration */
} rows[] = {
    {"schema not found", 404, "{\"error_code\":40403,\"message\":\"no\"}", MILL_E_NOENT, MILL_E_IO},
    {"404 of something else", 404, "<html>no</html>", MILL_E_IO, MILL_E_IO},
    {"unauthorised", 401, "", MILL_E_AUTH, MILL_E_AUTH},
    {"forbidden", 403, "{\"message\":\"no\"}", MILL_E_AUTH, MILL_E_AUTH},
    {"incompatible", 409, "{\"error_code\":409,\"message\":\"incompatible\"}", MILL_E_SCHEMA,
     MILL_E_SCHEMA},
    {"invalid", 422, "{\"error_code\":42201}", MILL_E_SCHEMA, MILL_E_SCHEMA},
    {"too many", 429, "", MILL_E_IO, MILL_E_IO},
    {"server error", 500, "{\"error_code\":50001,\"message\":\"store\"}", MILL_E_IO, MILL_E_IO},
    {"redirect", 302, "", MILL_E_IO, MILL_E_IO},
    {"no JSON", 200, "hello", MILL_E_IO, MILL_E_IO},
    {"no object", 200, "[1]", MILL_E_IO, MILL_E_IO},
    {"empty object", 200, "{}", MILL_E_IO, MILL_E_IO},
    {"another kind", 200, "{\"id\":1,\"schema\":\"x\",\"schemaType\":\"PROTOBUF\"}", MILL_E_SCHEMA,
     MILL_OK},
    {"with references", 200, "{\"id\":1,\"schema\":\"x\",\"references\":[{}]}", MILL_E_SCHEMA,
     MILL_OK},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct mill_registry *r = registry("", 5000);
    struct mill_err err = {0};
    struct mill_str json;
    int32_t id;

    script(row->status, row->body);
    assert_int_equal(mill_registry_schema(r, 3, &json, &err), row->get);
    assert_true(err.where[0] && err.text[0]);
    assert_int_equal(mill_registry_register(r, "s", MILL_STR("\"int\""), &id, &err), row->post);
    mill_registry_free(r);
}

static void test_register(void **state)
{
    struct mill_registry *r = registry("us%40er:pa:ss@", 5000);
    struct mill_err err;
    int32_t id = 0;

    (void)state;
    script(200, "{\"id\":42}");
    assert_int_equal(
        mill_registry_register(r, "a/b topic-value", MILL_STR("{\"type\":\"int\"}"), &id, &err),
        MILL_OK);
    assert_int_equal(id, 42);
    assert_string_equal(peer.method, "POST");
    assert_string_equal(peer.sent,
                        "{\"schema\":\"{\\\"type\\\":\\\"int\\\"}\",\"schemaType\":\"AVRO\"}");
    assert_string_equal(peer.auth, "Basic dXNAZXI6cGE6c3M="); /* us@er:pa:ss */
    script(200, "{\"compatibility\":\"FULL_TRANSITIVE\"}");
    assert_int_equal(mill_registry_compatibility(r, "topic-value", "FULL_TRANSITIVE", &err),
                     MILL_OK);
    assert_string_equal(peer.method, "PUT");
    assert_string_equal(peer.path, "/apis/ccompat/v7/config/topic-value");
    assert_string_equal(peer.sent, "{\"compatibility\":\"FULL_TRANSITIVE\"}");
    mill_registry_free(r);
}

static void test_latest(void **state)
{
    struct mill_registry *r = registry("", 5000);
    struct mill_err err;
    struct mill_str json;
    int32_t id = 0;

    (void)state;
    script(200, "{\"subject\":\"s\",\"id\":9,\"version\":2,\"schema\":\"\\\"long\\\"\"}");
    assert_int_equal(mill_registry_latest(r, "s", &id, &json, &err), MILL_OK);
    assert_int_equal(id, 9);
    assert_true(mill_str_is(json, "\"long\""));
    assert_string_equal(peer.path, "/apis/ccompat/v7/subjects/s/versions/latest");
    script(500, "");
    assert_int_equal(mill_registry_schema(r, 9, &json, &err), MILL_OK); /* known by now */
    script(404, "{\"error_code\":40401,\"message\":\"Subject not found\"}");
    assert_int_equal(mill_registry_latest(r, "t", &id, &json, &err), MILL_E_NOENT);
    mill_registry_free(r);
}

static void test_timeout(void **state)
{
    struct mill_registry *r = registry("", 200);
    struct mill_err err;
    struct mill_str json;

    (void)state;
    script(200, "{}");
    pthread_mutex_lock(&peer.lock);
    peer.hang = true;
    pthread_mutex_unlock(&peer.lock);
    assert_int_equal(mill_registry_schema(r, 3, &json, &err), MILL_E_IO);
    pthread_mutex_lock(&peer.lock);
    peer.hang = false;
    if (peer.kept)
        mill_exchange_answer(peer.kept, 200, (struct mill_map){0}, MILL_STR("{}"));
    peer.kept = NULL;
    pthread_mutex_unlock(&peer.lock);
    mill_registry_free(r);
}

static void test_nobody_there(void **state)
{
    struct mill_registry *r = NULL;
    struct mill_err err;
    struct mill_str json;

    (void)state;
    assert_int_equal(mill_registry_new(&r, "http://127.0.0.1:1/x", 1000, &err), MILL_OK);
    assert_int_equal(mill_registry_schema(r, 3, &json, &err), MILL_E_IO);
    mill_registry_free(r);
    assert_int_equal(mill_registry_new(&r, "127.0.0.1:8081", 1000, &err), MILL_E_CONFIG);
    assert_null(r);
    mill_registry_free(NULL);
}

int main(void)
{
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_schema_is_cached), cmocka_unit_test(test_failures_are_not_cached),
        cmocka_unit_test(test_register),         cmocka_unit_test(test_latest),
        cmocka_unit_test(test_timeout),          cmocka_unit_test(test_nobody_there),
    };
    int failed = setup();

    failed += TABLE(rows, test_row) + TESTS(fixed);
    teardown();
    return failed;
}
