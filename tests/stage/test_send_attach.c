/** @file test_send_attach.c  @brief send: attachments that travel by reference, from S3 into the
 * call. */
#include "send/attach.h"
#include "send_case.h"
#include "unit/fake_s3.h"

#define STORED     "stored bytes"
#define STORED_B64 "c3RvcmVkIGJ5dGVz"
#define OBJECT     "attachments/2026-11-21/it"

static struct fake_s3 *s3;

static void store(const char *key, const char *bytes)
{
    struct fake_object *o = &s3->objects[s3->n_objects++];

    memset(o, 0, sizeof *o);
    snprintf(o->key, sizeof o->key, "%s", key);
    o->n = strlen(bytes);
    o->bytes = strdup(bytes);
}

static const struct row {
    const char *name, *key;
    int64_t bytes;      /**< the reference says */
    const char *sha_of; /**< its hash is of this */
    unsigned fault;     /**< answered by S3 instead */
    bool no_bucket;
    enum mill_verdict want;
    const char *why; /**< NULL: called */
} rows[] = {
    {"it is there", OBJECT, 12, STORED, 0, false, MILL_DONE, NULL},
    {"it is missing", "attachments/2026-11-21/gone", 12, STORED, 0, false, MILL_REJECT,
     "the stored object is missing"},
    {"it was altered", OBJECT, 12, "other bytes!", 0, false, MILL_REJECT,
     "the stored object has been altered"},
    {"it is longer", OBJECT, 11, STORED, 0, false, MILL_REJECT, "attachments"},
    {"it is shorter", OBJECT, 13, STORED, 0, false, MILL_REJECT, "has 12 bytes instead of 13"},
    {"more than any mail", OBJECT, 30000001, STORED, 0, false, MILL_REJECT, "cannot be sent"},
    {"fewer than none", OBJECT, -1, STORED, 0, false, MILL_REJECT, "cannot be sent"},
    {"elsewhere in the bucket", "lake/it", 12, STORED, 0, false, MILL_REJECT, "s3-prefix"},
    {"no name", "", 12, STORED, 0, false, MILL_REJECT, "its name on S3"},
    {"S3 is out of order", OBJECT, 12, STORED, 503, false, MILL_RETRY, "not called"},
    {"S3 refuses our keys", OBJECT, 12, STORED, 403, false, MILL_RETRY, "not called"},
    {"no bucket is set", OBJECT, 12, STORED, 0, true, MILL_RETRY, "s3-bucket"},
};

static struct mill_blob_ref reference(const struct row *row, char *hex)
{
    unsigned char digest[MILL_SHA256_BYTES];

    assert_true(mill_sha256(mill_str(row->sha_of), digest));
    mill_hex(digest, sizeof digest, hex);
    return (struct mill_blob_ref){mill_str(hex), row->bytes, mill_str(row->key)};
}

static void attach_row(void **state)
{
    const struct row *row = *state;
    char hex[2 * MILL_SHA256_BYTES + 1], endpoint[64];
    const struct mill_blob_ref ref = reference(row, hex);
    const struct mill_attachment v[] = {
        {.filename = MILL_STR("in.txt"), .type = MILL_STR("text/plain"), .content = MILL_STR("x")},
        {.filename = MILL_STR("it.bin"), .type = MILL_STR("application/x"), .ref = &ref},
    };
    struct mill_message m = message(TO("accept"));
    struct mill_err err = {0};
    struct mill_ctx *ctx;

    s3->next_fault = 0;
    for (size_t i = 0; i < FAKE_S3_FAULTS; i++)
        s3->faults[i] = (struct fake_fault){.status = row->fault, .code = "Fault"};
    snprintf(endpoint, sizeof endpoint, "--s3-endpoint=http://127.0.0.1:%u",
             mill_server_port(s3->server));
    setenv("MILL_SEND_S3_PREFIX", "attachments/", 1);
    ctx = start(endpoint, row->no_bucket ? NULL : "--s3-bucket=b");
    m.attachments = (struct mill_attachments){v, 2};
    assert_int_equal(again(ctx, &m, &err), row->want);
    assert_int_equal(calls(), row->why ? 0 : 1);
    if (row->why)
        assert_non_null(strstr(err.text, row->why));
    else
        assert_non_null(strstr(last_body, STORED_B64));
    fake_free(ctx);
}

/* ---- a provider's own limit ---- */

/** 26 MB as base64, which Mailgun refuses: another takes it, or nobody is called. */
static void the_limit_of_a_provider(void **state)
{
    static const struct {
        const char *providers, *why, *provider;
        int64_t bytes;
    } limits[] = {
        {"mailgun:9,sendgrid:1", "the stored object is missing", "\"sendgrid\"", 19500000},
        {"mailgun:9,sendgrid", "the stored object is missing", "\"sendgrid\"", 19500000},
        {"mailgun:1", "no provider takes a mail of this size", NULL, 19500000},
        {"mailgun:1", "the stored object is missing", "\"mailgun\"", 18000000},
    };
    char hex[2 * MILL_SHA256_BYTES + 1], endpoint[64];

    (void)state;
    s3->next_fault = 0;
    memset(s3->faults, 0, sizeof s3->faults);
    snprintf(endpoint, sizeof endpoint, "--s3-endpoint=http://127.0.0.1:%u",
             mill_server_port(s3->server));
    setenv("MILL_SEND_S3_PREFIX", "attachments/", 1);
    setenv("MILL_SEND_MAILGUN_KEY", "fake", 1);
    setenv("MILL_SEND_MAILGUN_DOMAIN", "mg.example.com", 1);
    for (size_t i = 0; i < STAGE_ROWS(limits); i++) {
        const struct row gone = {
            .key = "attachments/2026-11-21/gone", .bytes = limits[i].bytes, .sha_of = STORED};
        const struct mill_blob_ref ref = reference(&gone, hex);
        const struct mill_attachment v = {.filename = MILL_STR("it.bin"), .ref = &ref};
        struct mill_message m = message(TO("accept"));
        struct mill_err err = {0};
        struct mill_ctx *ctx;

        setenv("MILL_SEND_PROVIDERS", limits[i].providers, 1);
        ctx = start(endpoint, "--s3-bucket=b");
        m.attachments = (struct mill_attachments){&v, 1};
        assert_int_equal(again(ctx, &m, &err), MILL_REJECT);
        assert_non_null(strstr(err.text, limits[i].why));
        assert_string_equal(err.cls, "permanent");
        assert_int_equal(calls(), 0);
        if (limits[i].provider) /* whose INTENT it was */
            assert_non_null(strstr(stage_text(ctx, &mill_stage_send), limits[i].provider));
        else
            assert_int_equal(fake_emits_to(ctx, OUT_LEDGER), 0);
        assert_non_null(strstr(stage_text(ctx, &mill_stage_send), "\"state\":\"FAILED\""));
        fake_free(ctx);
    }
    unsetenv("MILL_SEND_PROVIDERS");
}

/* ---- the budget ---- */

/** The next job that is through, and how; NULL = none in a minute. */
static struct send_job *taken(struct send_attach *a, enum mill_code *code)
{
    const int64_t until_ms = mill_tick_ms() + 60000;
    struct send_job *job = NULL;
    struct mill_err err;

    while (!(job = send_attach_take(a, 0, code, &err)) && mill_tick_ms() < until_ms)
        usleep(1000);
    return job;
}

/** Two that do not fit together: the second is fetched when the first one is done with. */
static void the_budget(void **state)
{
    static const struct row there = {.key = OBJECT, .bytes = 12, .sha_of = STORED};
    char hex[2 * MILL_SHA256_BYTES + 1], endpoint[64];
    const struct mill_blob_ref ref = reference(&there, hex);
    const struct mill_attachment v = {.ref = &ref};
    const struct mill_message m = {.attachments = {&v, 1}};
    struct send_job jobs[] = {{.msg = &m}, {.msg = &m}, {.msg = &m, .intent_ms = -1}};
    struct send_attach_conf conf = {.s3 = {.endpoint = endpoint, .bucket = "b", .prefix = ""},
                                    .max_bytes = 50};
    struct send_attach *a = NULL;
    struct mill_err err = {0};
    enum mill_code code;

    (void)state;
    s3->next_fault = 0;
    memset(s3->faults, 0, sizeof s3->faults);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", mill_server_port(s3->server));
    assert_int_equal(send_attach_new(&a, &conf, &err), MILL_OK);
    for (size_t i = 0; i < 3; i++)
        assert_true(send_attach_push(a, &jobs[i]));
    /* The third one's intent is older than allowed: it does not wait for its turn. The first one
     * may be fetched before that is seen. */
    for (size_t i = 0; i < 2; i++) {
        const struct send_job *job = taken(a, &code);
        assert_true(job == &jobs[0] || job == &jobs[2]);
        assert_int_equal(code, job == &jobs[0] ? MILL_OK : MILL_E_IO);
    }
    assert_true(mill_str_is(jobs[0].msg->attachments.v[0].content, STORED));
    assert_false(send_attach_needed(&jobs[0]));
    usleep(200000);
    assert_null(send_attach_take(a, 0, &code, &err));
    assert_int_equal(send_attach_busy(a), 1);
    send_attach_done(a, &jobs[0]);
    assert_ptr_equal(taken(a, &code), &jobs[1]);
    assert_int_equal(code, MILL_OK);
    send_attach_free(a);
    for (size_t i = 0; i < 3; i++)
        send_job_release(&jobs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_budget),
        cmocka_unit_test(the_limit_of_a_provider),
    };
    int failed = 0;

    unsetenv("http_proxy");
    setenv("AWS_ACCESS_KEY_ID", FAKE_S3_KEY, 1);
    setenv("AWS_SECRET_ACCESS_KEY", FAKE_S3_SECRET, 1);
    unsetenv("AWS_SESSION_TOKEN");
    s3 = fake_s3_start();
    store(OBJECT, STORED);
    setenv(KEY, "SG.fake", 1);
    net_peer_start(&peer, serve);
    failed = TABLE(rows, attach_row) + TESTS(tests);
    net_peer_stop(&peer);
    fake_s3_stop(s3);
    return failed;
}
