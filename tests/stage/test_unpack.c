/** @file test_unpack.c  @brief The stage `unpack`: posts in, single events out. */
#include "stage_test.h"

#include "mail/records.h"

extern const struct mill_stage mill_stage_unpack;

static const struct row {
    const char *name, *provider, *body;
    enum mill_verdict want;
    const char *out; /**< NULL = nothing */
} rows[] = {
    {"one of ours, bytes kept", "sendgrid",
     "[{ \"email\":\"a@b.example\",  \"mill_message_id\":\"r-1/0\", \"event\":\"open\"}]\r\n",
     MILL_DONE,
     "events r-1/0 {\"message_id\":\"r-1/0\",\"provider\":\"sendgrid\",\"raw\":\"{ "
     "\\\"email\\\":\\\"a@b.example\\\",  \\\"mill_message_id\\\":\\\"r-1/0\\\", "
     "\\\"event\\\":\\\"open\\\"}\",\"received_at\":5000000,\"callback_topic\":\"mail.callbacks\","
     "\"callback_partition\":2,\"callback_offset\":77,\"index\":0}\n"},
    {"two, as SendGrid separates them", "sendgrid",
     "[{\"sg_message_id\":\"x1.y.z\"},\r\n{\"sg_event_id\":\"e2\"}]", MILL_DONE,
     "events x1 {\"provider\":\"sendgrid\",\"raw\":\"{\\\"sg_message_id\\\":\\\"x1.y.z\\\"}\","
     "\"received_at\":5000000,\"callback_topic\":\"mail.callbacks\",\"callback_partition\":2,"
     "\"callback_offset\":77,\"index\":0}\n"
     "events e2 {\"provider\":\"sendgrid\",\"raw\":\"{\\\"sg_event_id\\\":\\\"e2\\\"}\","
     "\"received_at\":5000000,\"callback_topic\":\"mail.callbacks\",\"callback_partition\":2,"
     "\"callback_offset\":77,\"index\":1}\n"},
    {"an id that we never gave", "sendgrid", "[{\"mill_message_id\":\"../../x\"}]", MILL_DONE,
     "events  {\"provider\":\"sendgrid\",\"raw\":\"{\\\"mill_message_id\\\":\\\"../../x\\\"}\","
     "\"received_at\":5000000,\"callback_topic\":\"mail.callbacks\",\"callback_partition\":2,"
     "\"callback_offset\":77,\"index\":0}\n"},
    {"an id of another type", "sendgrid", "[{\"mill_message_id\":7,\"sg_message_id\":[]}]",
     MILL_DONE,
     "events  {\"provider\":\"sendgrid\",\"raw\":\"{\\\"mill_message_id\\\":7,"
     "\\\"sg_message_id\\\":[]}\",\"received_at\":5000000,\"callback_topic\":\"mail.callbacks\","
     "\"callback_partition\":2,\"callback_offset\":77,\"index\":0}\n"},
    {"nested custom args", "sendgrid", "[{\"custom_args\":{\"mill_message_id\":\"r/1\"}}]",
     MILL_DONE,
     "events r/1 {\"message_id\":\"r/1\",\"provider\":\"sendgrid\",\"raw\":\"{\\\"custom_args\\\":"
     "{\\\"mill_message_id\\\":\\\"r/1\\\"}}\",\"received_at\":5000000,\"callback_topic\":"
     "\"mail.callbacks\",\"callback_partition\":2,\"callback_offset\":77,\"index\":0}\n"},
    {"no events", "sendgrid", " [ ] ", MILL_DONE, NULL},
    {"no array", "sendgrid", "{\"event\":\"open\"}", MILL_REJECT, NULL},
    {"empty", "sendgrid", "", MILL_REJECT, NULL},
    {"an element that is no object", "sendgrid", "[{\"a\":1},7]", MILL_REJECT, NULL},
    {"cut off: none of it goes out", "sendgrid", "[{\"a\":1},{\"b\":", MILL_REJECT, NULL},
    {"array not closed", "sendgrid", "[{\"a\":1}", MILL_REJECT, NULL},
    {"comma at the end", "sendgrid", "[{\"a\":1},]", MILL_REJECT, NULL},
    {"bytes behind it", "sendgrid", "[{\"a\":1}] x", MILL_REJECT, NULL},
    {"not UTF-8", "sendgrid", "[{\"a\":\"\xff\"}]", MILL_REJECT, NULL},
    {"provider that posts nothing", "smtp", "[]", MILL_REJECT, NULL},
    {"unknown provider", "other", "[]", MILL_REJECT, NULL},
};

static void unpack_row(void **state)
{
    const struct row *row = *state;
    const struct mill_callback cb = {
        .provider = mill_str(row->provider),
        .received_at = 5000000,
        .body = mill_str(row->body),
    };
    struct mill_ctx *ctx = fake_new(&mill_stage_unpack, NULL);
    struct mill_record in = fake_record(ctx, 0, NULL, &cb);
    struct mill_err err = {0};

    in.partition = 2;
    in.offset = 77;
    assert_int_equal(fake_run_twice(ctx, &in, &err), row->want);
    stage_expect(ctx, &mill_stage_unpack, row->out ? row->out : "");
    if (row->want == MILL_REJECT) {
        assert_int_equal(err.code, MILL_E_DATA);
        assert_true(err.text[0] != '\0');
    }
    fake_free(ctx);
}

/** Whatever SendGrid's documentation shows can be read, each event as its own bytes. */
static void unpack_samples(void **state)
{
    json_t *samples = stage_reference("sendgrid-webhook/event-samples.json");
    const json_t *batch;
    size_t i;
    struct mill_ctx *ctx = NULL;

    (void)state;
    if (!samples) {
        skip();
    }
    ctx = fake_new(&mill_stage_unpack, NULL);
    json_array_foreach(json_object_get(samples, "batches"), i, batch)
    {
        char *body = json_dumps(batch, 0);
        const struct mill_callback cb = {.provider = MILL_STR("sendgrid"), .body = mill_str(body)};
        struct mill_record in = fake_record(ctx, 0, NULL, &cb);
        struct mill_err err = {0};

        fake_forget(ctx);
        assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
        assert_int_equal(fake_emits(ctx), json_array_size(batch));
        free(body);
    }
    json_decref(samples);
    fake_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unpack_samples)};

    return TABLE(rows, unpack_row) + TESTS(tests);
}
