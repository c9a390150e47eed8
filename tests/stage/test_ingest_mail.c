/* POST /v1/mail and /v1/mail/batch through a real listener: what is accepted, and every refusal. */
#include "batch.h"
#include "header.h"
#include "ingest_edge.h"
#include "mail/records.h"

/* --- mail ------------------------------------------------------------------------------------ */

static void test_accepted(void **state)
{
    static struct fake_record r;
    struct mill_request request;
    struct mill_arena arena = {0};
    struct mill_codec *codec = NULL;
    json_t *json;

    (void)state;
    json = edge_post_mail("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
                          "tracestate: k=v\r\n",
                          SIMPLE, 202);
    fake_last(&r);
    edge_decode(&mill_request_desc, &r, &arena, &codec, &request);
    edge_assert_member(json, "status", "accepted");
    edge_assert_member(json, "id", r.key);
    assert_string_equal(r.topic, "mail.requests");
    assert_string_equal(r.traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_string_equal(r.tracestate, "k=v");
    assert_true(mill_str_is(request.request_id, r.key));
    assert_true(mill_str_is(request.tenant, "acme"));
    assert_true(mill_str_is(request.client, "a"));
    assert_int_equal(request.fingerprint.n, 64);
    assert_true(llabs(mill_now_us() - request.accepted_at) < 60 * INT64_C(1000000));
    assert_int_equal(request.personalizations.n, 1);
    assert_true(mill_str_is(request.personalizations.v[0].to.v[0].email, "ann@example.net"));
    assert_int_equal(json_array_size(json_object_get(json, "message_ids")), 1);
    json_decref(json);
    mill_codec_free(codec);
    mill_arena_release(&arena);

    json = edge_post_mail(
        "traceparent: rubbish\r\ntracestate: k=v\r\n",
        "{\"from\":{\"email\":\"shop@example.com\",\"name\":\"Shop\"},\"subject\":\"S\","
        "\"html\":\"<p>\",\"personalizations\":[{\"to\":[\"a@example.net\"]},"
        "{\"to\":[\"b@example.net\"]}]}",
        202);
    fake_last(&r);
    assert_true(ingest_trace_valid(mill_str(r.traceparent))); /* a new one */
    assert_string_equal(r.tracestate, "");
    assert_int_equal(json_array_size(json_object_get(json, "message_ids")), 2);
    char want[200];
    snprintf(want, sizeof want, "%s/1", r.key);
    assert_true(
        mill_str_is(mill_json_text(json_array_get(json_object_get(json, "message_ids"), 1)), want));
    json_decref(json);
}

/* Who sends says the credential, whatever the body claims. */
static void test_identity(void **state)
{
    static const char *const claims[] = {"\"tenant\":\"other\"", "\"client\":\"other\"",
                                         "\"request_id\":\"mine\"",
                                         "\"accepted_at\":\"2020-01-01T00:00:00Z\""};
    char body[300];

    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        snprintf(body, sizeof body,
                 "{\"from\":\"s@example.com\",\"to\":\"a@example.net\",\"subject\":\"S\","
                 "\"text\":\"T\",%s}",
                 claims[i]);
        json_t *json = edge_post_mail("", body, 422);
        edge_assert_member(json, "type", "/problems/invalid-request");
        json_decref(json);
    }
}

static void test_idempotency_key(void **state)
{
    static struct fake_record bare, quoted, other;
    static const char *const bad[] = {"Idempotency-Key: \r\n", "Idempotency-Key: \"x\r\n",
                                      "Idempotency-Key: caf\xc3\xa9\r\n"};

    (void)state;
    json_decref(edge_post_mail("Idempotency-Key: order/17\r\n", SIMPLE, 202));
    fake_last(&bare);
    json_decref(edge_post_mail("Idempotency-Key: \"order/17\"\r\n", SIMPLE, 202));
    fake_last(&quoted);
    json_decref(edge_post_mail("Idempotency-Key: order/18\r\n", SIMPLE, 202));
    fake_last(&other);
    assert_string_equal(bare.key, quoted.key);
    assert_string_not_equal(bare.key, other.key);
    assert_int_equal(bare.key[14], '5'); /* UUID version */
    json_decref(edge_post_mail("", SIMPLE, 202));
    fake_last(&other);
    assert_int_equal(other.key[14], '7');
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *json = edge_post_mail(bad[i], SIMPLE, 400);
        edge_assert_member(json, "type", "/problems/invalid-idempotency-key");
        json_decref(json);
    }
}

/* The answer is this problem, whole, with the headers that belong to its status. */
static void assert_problem(const struct http_answer *a, const char *name)
{
    char type[64], value[200];
    json_t *json = NULL;

    assert_string_equal(http_header(a, "Content-Type", value, sizeof value),
                        "application/problem+json");
    assert_int_equal(mill_json_parse((struct mill_str){a->body, a->body_n}, &json, NULL), MILL_OK);
    snprintf(type, sizeof type, "/problems/%s", name);
    edge_assert_member(json, "type", type);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), a->status);
    assert_true(mill_str_starts(mill_json_str(json, "instance"), "urn:uuid:"));
    assert_true(mill_json_str(json, "title").n > 0);
    if (a->status == 401)
        assert_non_null(
            strstr(http_header(a, "WWW-Authenticate", value, sizeof value), "Basic realm="));
    if (a->status == 405)
        assert_string_equal(http_header(a, "Allow", value, sizeof value), "POST");
    if (a->status == 413)
        assert_non_null(strstr(mill_json_str(json, "detail").p, "2097152 bytes (2 MiB)"));
    json_decref(json);
}

/* Every refusal that needs no special state: one row each. */
static void test_refusals(void **state)
{
    static char large[(2 << 20) + 10];
    static const struct {
        const char *method, *path, *headers, *body;
        unsigned status;
        const char *problem;
    } rows[] = {
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE, "{", 400, "malformed-body"},
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE, "\xff\xfe", 400, "malformed-body"},
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE, "", 400, "malformed-body"},
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE, "[]", 422, "invalid-request"},
        {"POST", "/v1/mail", JSON_TYPE, SIMPLE, 401, "unauthenticated"},
        {"POST", "/v1/mail", JSON_TYPE "Authorization: Basic YTpj\r\n", SIMPLE, 401,
         "unauthenticated"},
        {"POST", "/v1/mail", JSON_TYPE "Authorization: Basic eDpi\r\n", SIMPLE, 401,
         "unauthenticated"},
        {"POST", "/v1/mail", JSON_TYPE "Authorization: Bearer mill_0\r\n", SIMPLE, 401,
         "unauthenticated"},
        {"POST", "/v1/mail", JSON_TYPE AS_READER, SIMPLE, 403, "missing-scope"},
        {"POST", "/v1/mail/batch", JSON_TYPE AS_READER, "[" SIMPLE "]", 403, "missing-scope"},
        {"GET", "/", "", NULL, 404, "not-found"},
        {"POST", "/v1/mails", AS_SENDER, "", 404, "not-found"},
        {"GET", "/v1/mail", AS_SENDER, NULL, 405, "method-not-allowed"},
        {"DELETE", "/v1/callbacks/sendgrid", "", NULL, 405, "method-not-allowed"},
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE, large, 413, "too-large"},
        {"POST", "/v1/mail", AS_SENDER "Content-Type: text/plain\r\n", SIMPLE, 415,
         "unsupported-media-type"},
        {"POST", "/v1/mail", AS_SENDER, SIMPLE, 415, "unsupported-media-type"},
        {"POST", "/v1/mail", AS_SENDER "Content-Type: application/x-ndjson\r\n", SIMPLE, 415,
         "unsupported-media-type"},
        {"POST", "/v1/mail", AS_SENDER JSON_TYPE "Content-Encoding: gzip\r\n", SIMPLE, 415,
         "unsupported-media-type"},
        {"POST", "/v1/mail/batch", AS_SENDER JSON_TYPE, "{}", 400, "malformed-body"},
        {"POST", "/v1/mail/batch", AS_SENDER JSON_TYPE, "[]", 422, "invalid-request"},
        {"GET", "/problems/nonsense", "", NULL, 404, "not-found"},
        {"GET", "/problems/", "", NULL, 404, "not-found"},
    };
    unsigned sent = fake_sent();

    (void)state;
    memset(large, 'x', sizeof large - 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_answer a;
        http_ask(edge.port, rows[i].method, rows[i].path, rows[i].headers, mill_str(rows[i].body),
                 &a);
        print_message("row %zu: %u %s\n", i, a.status, a.body);
        assert_int_equal(a.status, rows[i].status);
        assert_problem(&a, rows[i].problem);
        http_answer_release(&a);
    }
    assert_int_equal(fake_sent(), sent);
}

/* All wrong fields at once, each by its pointer as the author wrote it. */
static void test_wrong_fields(void **state)
{
    json_t *json =
        edge_post_mail("",
                       "{\"from\":\"nobody\",\"to\":\"ann@example.net\",\"subject\":\"a\\r\\nb\","
                       "\"text\":\"T\",\"headers\":{\"To\":\"x\"},\"colour\":1}",
                       422);
    json_t *errors = json_object_get(json, "errors"), *one;
    static const char *const want[] = {"/from", "/subject", "/headers/To", "/colour"};
    size_t i;

    (void)state;
    for (size_t w = 0; w < sizeof want / sizeof *want; w++) {
        bool found = false;
        json_array_foreach(errors, i, one)
        {
            found = found || mill_str_is(mill_json_str(one, "pointer"), want[w]);
            assert_true(mill_json_str(one, "detail").n > 0);
        }
        if (!found)
            print_error("no error for %s in %s\n", want[w], json_dumps(json, 0));
        assert_true(found);
    }
    json_decref(json);
}

/* --- batches --------------------------------------------------------------------------------- */

static unsigned result_status(const json_t *json, size_t i)
{
    return (unsigned)json_integer_value(
        json_object_get(json_array_get(json_object_get(json, "results"), i), "status"));
}

static void test_batch(void **state)
{
    static const char mixed[] =
        "[" SIMPLE ",{\"from\":1}, {\"x\":}," SIMPLE ",{\"from\":\"s@example.com\"}]";
    static struct fake_record first, again;
    json_t *json;

    (void)state;
    json = edge_post("/v1/mail/batch", JSON_TYPE, MILL_STR("[" SIMPLE "," SIMPLE "]"), 202);
    assert_int_equal(json_integer_value(json_object_get(json, "accepted")), 2);
    assert_int_equal(result_status(json, 1), 202);
    json_decref(json);

    json = edge_post("/v1/mail/batch", "Content-Type: application/x-ndjson\r\n",
                     MILL_STR(SIMPLE "\n\nrubbish\r\n" SIMPLE "\n"), 200);
    assert_int_equal(json_integer_value(json_object_get(json, "accepted")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "refused")), 1);
    assert_int_equal(result_status(json, 1), 400);
    json_decref(json);

    json = edge_post("/v1/mail/batch", JSON_TYPE "Idempotency-Key: b\r\n",
                     (struct mill_str){mixed, sizeof mixed - 1}, 200);
    fake_last(&first);
    static const unsigned want[] = {202, 422, 400, 202, 422};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(result_status(json, i), want[i]);
    assert_non_null(json_object_get(
        json_object_get(json_array_get(json_object_get(json, "results"), 1), "problem"), "errors"));
    json_decref(json);
    /* The key and the place make the id: the same again is the same mail. */
    json = edge_post("/v1/mail/batch", JSON_TYPE "Idempotency-Key: \"b\"\r\n",
                     (struct mill_str){mixed, sizeof mixed - 1}, 200);
    fake_last(&again);
    assert_string_equal(first.key, again.key);
    json_decref(json);
    json_decref(edge_post_mail("Idempotency-Key: b\r\n", SIMPLE, 202));
    fake_last(&again);
    assert_string_not_equal(first.key, again.key);
}

static void test_batch_limits(void **state)
{
    struct mill_buf body;
    json_t *json;

    (void)state;
    mill_buf_init(&body, 32 << 20);
    for (int i = 0; i <= INGEST_BATCH_MAX; i++)
        mill_buf_puts(&body, SIMPLE "\n");
    json = edge_post("/v1/mail/batch", "Content-Type: application/x-ndjson\r\n",
                     mill_buf_view(&body), 422);
    edge_assert_member(json, "detail", "a batch has at most 1000 items");
    json_decref(json);
    body.n -= sizeof SIMPLE; /* one line less: 1000 */
    json = edge_post("/v1/mail/batch", "Content-Type: application/x-ndjson\r\n",
                     mill_buf_view(&body), 202);
    assert_int_equal(json_integer_value(json_object_get(json, "accepted")), 1000);
    json_decref(json);

    /* One item over the record limit: 413 of its own, its neighbour is accepted. */
    mill_buf_reset(&body);
    mill_buf_puts(&body, "[{\"from\":\"s@example.com\",\"to\":\"a@example.net\",\"subject\":\"S\","
                         "\"text\":\"");
    for (int i = 0; i < (2 << 20) / 16; i++)
        mill_buf_puts(&body, "0123456789abcdef");
    mill_buf_puts(&body, "\"}," SIMPLE "]");
    json = edge_post("/v1/mail/batch", JSON_TYPE, mill_buf_view(&body), 200);
    assert_int_equal(result_status(json, 0), 413);
    assert_int_equal(result_status(json, 1), 202);
    json_decref(json);
    mill_buf_release(&body);

    /* Nothing accepted, and the broker is why: the whole is 503, the results are there. */
    fake_mode(FAKE_DOUBTFUL);
    json = edge_post("/v1/mail/batch", JSON_TYPE, MILL_STR("[" SIMPLE "," SIMPLE "]"), 503);
    edge_assert_member(json, "outcome", "unknown");
    assert_int_equal(result_status(json, 1), 503);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_STARTED(test_accepted),        EDGE_STARTED(test_identity),
        EDGE_STARTED(test_idempotency_key), EDGE_STARTED(test_refusals),
        EDGE_STARTED(test_wrong_fields),    EDGE_STARTED(test_batch),
        EDGE_STARTED(test_batch_limits),
    };

    mill_log_setup("test", MILL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
