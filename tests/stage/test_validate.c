/* The validate stage through its real spec and the real codec, without Kafka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_ctx.h"
#include "mail/ids.h"
#include "mail/records.h"
#include <stdio.h>

extern const struct mill_stage mill_stage_validate;

enum { OUT_MESSAGES, OUT_STATUS };

#define S(lit) MILL_STR(lit)

static const struct mill_address to_one[] = {{.email = {"one@example.com", 15}}};
static const struct mill_address to_idn[] = {{.email = {"a@example.com", 13}},
                                             {.email = {"b@b\xc3\xbc"
                                                        "cher.example",
                                                        17},
                                              .name = {"B", 1}}};
static const struct mill_pair headers_base[] = {{{"X-A", 3}, {"1", 1}}, {{"X-B", 3}, {"2", 1}}};
static const struct mill_pair headers_over[] = {{{"x-b", 3}, {"3", 1}}};
static const struct mill_pair meta_base[] = {{{"k", 1}, {"v", 1}}, {{"l", 1}, {"w", 1}}};
static const struct mill_pair meta_over[] = {{{"l", 1}, {"x", 1}}, {{"K", 1}, {"y", 1}}};

/** One recipient, subject and text; what a foreign producer must fill, no more. */
static struct mill_request request(void)
{
    static const struct mill_personalization one[] = {{.to = {to_one, 1}}};

    return (struct mill_request){
        .from = {.email = S("sender@example.com")},
        .subject = S("Hello"),
        .text = S("Text"),
        .personalizations = {one, 1},
    };
}

static const struct mill_message *message(const struct mill_ctx *ctx, size_t n)
{
    const struct fake_emit *e = fake_emit(ctx, n);

    assert_int_equal(e->port, OUT_MESSAGES);
    assert_true(mill_str_eq(e->key, ((const struct mill_message *)e->value)->message_id));
    return e->value;
}

static void minimal(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_record in = fake_record(ctx, 0, NULL, &r);
    struct mill_err err = {0};
    char id[MILL_UUID_TEXT], message_id[64];

    (void)state;
    in.origin = S("topic-id/2/77/1795219200000000");
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits(ctx), 1);
    const struct mill_message *m = message(ctx, 0);
    assert_true(mill_request_id_of_origin(in.origin, id));
    snprintf(message_id, sizeof message_id, "%s/0", id);
    assert_true(mill_str_is(m->request_id, id));
    assert_true(mill_str_is(m->message_id, message_id));
    assert_true(m->accepted_at == INT64_C(1795219200000000));
    assert_int_equal(m->fingerprint.n, 64);
    assert_int_equal(m->index, 0);
    assert_true(mill_str_is(m->subject, "Hello") && mill_str_is(m->text, "Text") && !m->html.p);
    assert_true(m->to.n == 1 && mill_str_is(m->to.v[0].email, "one@example.com"));
    fake_free(ctx);
}

/** The record comes back by the retry topic: another topic, offset and time, the same origin. */
static void same_after_a_hop(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_record in = fake_record(ctx, 0, NULL, &r);
    struct mill_err err = {0};

    (void)state;
    in.origin = S("topic-id/2/77/1795219200000000");
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    in.topic = "mail.retry.validate";
    in.offset = 3;
    in.timestamp_us += 3600000000;
    in.attempt = 1;
    assert_int_equal(fake_run(ctx, &in, &err), MILL_DONE);
    assert_true(mill_str_eq(fake_emit(ctx, 0)->bytes, fake_emit(ctx, 1)->bytes));
    fake_free(ctx);
}

static void given_is_kept(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_err err = {0};

    (void)state;
    r.request_id = S("order-1:2~x.y_z");
    r.tenant = S("t");
    r.client = S("c");
    r.accepted_at = INT64_C(1795219100000001);
    r.fingerprint = S("0123456789abcdef0123456789abcdef");
    r.send_at = (struct mill_opt_i64){true, INT64_C(1795219300000000)};
    r.expires_at = (struct mill_opt_i64){true, INT64_C(1795219400000000)};
    r.on_unknown = MILL_UNKNOWN_RESEND;
    r.resend_id = S("again");
    r.resend_at = (struct mill_opt_i64){true, INT64_C(1795219200000000)};
    struct mill_record in = fake_record(ctx, 0, "order-1:2~x.y_z", &r);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    const struct mill_message *m = message(ctx, 0);
    assert_true(mill_str_is(m->message_id, "order-1:2~x.y_z/0"));
    assert_true(mill_str_is(m->tenant, "t") && mill_str_is(m->client, "c"));
    assert_true(m->accepted_at == r.accepted_at && mill_str_eq(m->fingerprint, r.fingerprint));
    assert_true(m->send_at.v == r.send_at.v && m->expires_at.v == r.expires_at.v);
    assert_int_equal(m->on_unknown, MILL_UNKNOWN_RESEND);
    assert_true(mill_str_is(m->resend_id, "again") && m->resend_at.v == r.resend_at.v);
    fake_free(ctx);
}

static void split_and_merge(void **state)
{
    const struct mill_personalization two[] = {
        {.to = {to_one, 1}},
        {.to = {to_idn, 2},
         .subject = S("Own"),
         .headers = {headers_over, 1},
         .metadata = {meta_over, 2},
         .data = S("{\"b\":3,\"c\":4}"),
         .send_at = {true, INT64_C(1795219300000000)}},
    };
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, "--status-valid=yes", NULL);
    struct mill_request r = request();
    struct mill_err err = {0};

    (void)state;
    r.request_id = S("r");
    r.headers = (struct mill_map){headers_base, 2};
    r.metadata = (struct mill_map){meta_base, 2};
    r.template_id = S("d-1");
    r.template_data = S("{\"a\":1,\"b\":2}");
    r.personalizations = (struct mill_personalizations){two, 2};
    struct mill_record in = fake_record(ctx, 0, "r", &r);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    assert_int_equal(fake_emits_to(ctx, OUT_MESSAGES), 2);
    assert_int_equal(fake_emits_to(ctx, OUT_STATUS), 2);
    const struct mill_message *m = message(ctx, 0);
    assert_true(mill_str_is(m->template_data, "{\"a\":1,\"b\":2}") && m->headers.n == 2);
    const struct mill_status *s = fake_emit(ctx, 1)->value;
    assert_true(mill_str_is(s->message_id, "r/0") && s->state == MILL_STATE_VALID);
    m = message(ctx, 2);
    assert_true(mill_str_is(m->message_id, "r/1") && m->index == 1);
    assert_true(mill_str_is(m->subject, "Own"));
    assert_int_equal(m->headers.n, 2);
    assert_true(mill_str_is(mill_map_get(m->headers, "X-A"), "1"));
    assert_true(mill_str_is(mill_map_get(m->headers, "x-b"), "3"));
    assert_int_equal(m->metadata.n, 3);
    assert_true(mill_str_is(mill_map_get(m->metadata, "l"), "x"));
    assert_true(mill_str_is(m->template_data, "{\"a\":1,\"b\":3,\"c\":4}"));
    assert_true(m->send_at.has && m->send_at.v == INT64_C(1795219300000000));
    assert_true(mill_str_is(m->to.v[0].email, "a@example.com"));
    assert_true(mill_str_is(m->to.v[1].email, "b@xn--bcher-kva.example"));
    assert_true(mill_str_is(m->to.v[1].name, "B"));
    fake_free(ctx);
}

struct bad {
    const char *name;
    void (*spoil)(struct mill_request *r);
    const char *where;
};

static void no_from(struct mill_request *r)
{
    r->from.email = S("");
}
static void bad_from(struct mill_request *r)
{
    r->from.email = S("nobody");
}
static void header_injection(struct mill_request *r)
{
    static const struct mill_pair bad[] = {{{"X-A", 3}, {"1\r\nBcc: x@y.z", 13}}};
    r->headers = (struct mill_map){bad, 1};
}
static void no_recipient(struct mill_request *r)
{
    static const struct mill_personalization none[] = {{.subject = {"s", 1}}};
    r->personalizations = (struct mill_personalizations){none, 1};
}
static void nobody(struct mill_request *r)
{
    r->personalizations = (struct mill_personalizations){0};
}
static void bad_id(struct mill_request *r)
{
    r->request_id = S("a/b");
}
static void empty_id(struct mill_request *r)
{
    r->request_id = S("");
}
static void time_in_ms(struct mill_request *r)
{
    r->accepted_at = INT64_C(1795219200000);
}
static void nul_in_text(struct mill_request *r)
{
    r->text = (struct mill_str){"a\0b", 3};
}
static void data_no_json(struct mill_request *r)
{
    r->template_data = S("{");
}
static void half_resend(struct mill_request *r)
{
    r->resend_id = S("x");
}
static void both_contents(struct mill_request *r)
{
    static const struct mill_blob_ref ref = {.sha256 = {"00", 2}, .bytes = 1, .key = {"k", 1}};
    static const struct mill_attachment a[] = {
        {.filename = {"f", 1}, .content = {"x", 1}, .ref = &ref}};
    r->attachments = (struct mill_attachments){a, 1};
}
static void huge_ref(struct mill_request *r)
{
    static const struct mill_blob_ref ref = {
        .sha256 = {"00000000000000000000000000000000000000000000000000000000000000aa", 64},
        .bytes = INT64_C(30000000),
        .key = {"k", 1}};
    static const struct mill_attachment a[] = {{.filename = {"f", 1}, .ref = &ref}};
    r->attachments = (struct mill_attachments){a, 1};
}

static const struct bad bads[] = {
    {"no from", no_from, "from.email"},
    {"bad from", bad_from, "from.email"},
    {"header injection", header_injection, "headers.X-A"},
    {"no recipient", no_recipient, "personalizations[0].to"},
    {"no personalization", nobody, "personalizations"},
    {"slash in the id", bad_id, "request_id"},
    {"empty id", empty_id, "request_id"},
    {"accepted_at in ms", time_in_ms, "accepted_at"},
    {"NUL in text", nul_in_text, "text"},
    {"template data", data_no_json, "template_data"},
    {"resend id without time", half_resend, "resend_at"},
    {"content beside ref", both_contents, "attachments[0].content"},
    {"content over 30 MB", huge_ref, "request"},
};

static void rejects(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct mill_request r = request();
        struct mill_err err = {0};
        fake_forget(ctx);
        r.request_id = S("r9");
        bads[i].spoil(&r);
        struct mill_record in = fake_record(ctx, 0, "r9", &r);
        if (fake_run_twice(ctx, &in, &err) != MILL_REJECT || strcmp(err.where, bads[i].where))
            fail_msg("%s: %s: %s", bads[i].name, err.where, err.text);
        assert_int_equal(err.code, MILL_E_DATA);
        assert_int_equal(fake_emits_to(ctx, OUT_MESSAGES), 0);
        if (!mill_str_is(r.request_id, "r9"))
            continue;
        const struct mill_status *s = fake_emit(ctx, 0)->value;
        assert_true(mill_str_is(fake_emit(ctx, 0)->key, "r9"));
        assert_int_equal(s->state, MILL_STATE_REJECTED);
        assert_true(mill_str_is(s->reason, err.text));
    }
    fake_free(ctx);
}

static void several_faults_are_named(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_err err = {0};

    (void)state;
    r.from.email = S("x");
    r.subject = S("a\nb");
    r.text = S("");
    struct mill_record in = fake_record(ctx, 0, "r", &r);
    assert_int_equal(fake_run(ctx, &in, &err), MILL_REJECT);
    assert_string_equal(err.where, "from.email");
    assert_non_null(strstr(err.text, "; text: "));
    assert_non_null(strstr(err.text, "; subject: has a line break"));
    fake_free(ctx);
}

/** A producer one version ahead: a field that this reader does not know. */
static void newer_schema(void **state)
{
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_err err = {0};
    const char *now = mill_request_desc.avsc, *fields = strstr(now, "\"fields\": [");
    char newer[20000];

    (void)state;
    assert_non_null(fields);
    snprintf(newer, sizeof newer,
             "%.*s\"fields\": [{\"name\": \"priority\", \"type\": [\"null\", \"int\"], "
             "\"default\": null},%s",
             (int)(fields - now), now, fields + strlen("\"fields\": ["));
    struct mill_record in = fake_record_of(ctx, 0, "r", &r, newer);
    assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
    const struct mill_message *m = message(ctx, 0);
    assert_true(mill_str_is(m->subject, "Hello"));
    assert_true(mill_str_is(m->to.v[0].email, "one@example.com"));
    fake_free(ctx);
}

/** Origins that are not the runtime's: the time is then the record's, the id still stable. */
static void odd_origins(void **state)
{
    static const char *const origins[] = {"",    "x",       "x/",
                                          "x/y", "a/0/1/5", "/1795219200000000000000"};
    struct mill_ctx *ctx = fake_new(&mill_stage_validate, NULL);
    struct mill_request r = request();
    struct mill_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        struct mill_record in = fake_record(ctx, 0, NULL, &r);
        fake_forget(ctx);
        in.origin = mill_str(origins[i]);
        assert_int_equal(fake_run_twice(ctx, &in, &err), MILL_DONE);
        assert_true(message(ctx, 0)->accepted_at == in.timestamp_us);
    }
    fake_free(ctx);
}

static void deliverable_only(void **state)
{
    static const struct mill_address quoted[] = {{.email = {"\"a b\"@[192.0.2.1]", 17}}};
    static const struct mill_personalization p[] = {{.to = {quoted, 1}}};
    struct mill_ctx *wide = fake_new(&mill_stage_validate, NULL);
    struct mill_ctx *narrow = fake_new(&mill_stage_validate, "--deliverable-only=yes", NULL);
    struct mill_request r = request();
    struct mill_err err = {0};

    (void)state;
    r.personalizations = (struct mill_personalizations){p, 1};
    struct mill_record in = fake_record(wide, 0, "r", &r);
    assert_int_equal(fake_run_twice(wide, &in, &err), MILL_DONE);
    in = fake_record(narrow, 0, "r", &r);
    assert_int_equal(fake_run_twice(narrow, &in, &err), MILL_REJECT);
    assert_string_equal(err.where, "personalizations[0].to[0].email");
    fake_free(wide);
    fake_free(narrow);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(minimal),          cmocka_unit_test(same_after_a_hop),
        cmocka_unit_test(given_is_kept),    cmocka_unit_test(split_and_merge),
        cmocka_unit_test(rejects),          cmocka_unit_test(several_faults_are_named),
        cmocka_unit_test(newer_schema),     cmocka_unit_test(odd_origins),
        cmocka_unit_test(deliverable_only),
    };
    return cmocka_run_group_tests_name("validate", t, NULL, NULL);
}
