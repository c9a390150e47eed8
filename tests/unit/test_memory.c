/* Memory that runs out, allocation by allocation: each way of making something says MILL_E_NOMEM
 * and leaves nothing behind (ASan looks), and goes through when there is enough again. */
#include "alloc_fail.h"
#include "auth.h"
#include "avro/codec.h"
#include "avro/registry.h"
#include "later.h"
#include "mail/signature.h"
#include "mail/split.h"
#include "net/aws_creds.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/s3.h"
#include "quota.h"
#include "send/provider.h"

#include "cases.h"
#include <stdio.h>
#include <unistd.h>

#define S(text)                                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define HEX64 "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define LINE  "a:sha256$$" HEX64 ":acme:*\nb:sha256$$" HEX64 ":acme:mail:send\n"

static char credentials_path[64];

static const struct mill_str categories[] = {S("news"), S("weekly")};
static const struct mill_pair metadata[] = {{S("order"), S("17")}};
static const struct mill_pair other[] = {{S("order"), S("18")}, {S("x"), S("y")}};
static const struct mill_address to[] = {{.email = S("c@x.example"), .name = S("C \"c\"")}};
static const struct mill_attachment files[] = {{.filename = S("f"), .content = S("abc")}};

static enum mill_code done(bool ok)
{
    return ok ? MILL_OK : MILL_E_NOMEM;
}

static void on_reply(void *arg, const struct mill_http_reply *r)
{
    (void)arg;
    (void)r;
}

static enum mill_code http_call(struct mill_err *err)
{
    static const char *const rcpt[] = {"a@x.example", NULL};
    static const struct mill_pair headers[] = {{S("X-A"), S("1")}, {S("X-B"), S("")}};
    struct mill_http_call calls[] = {
        {.method = "POST",
         .url = "http://127.0.0.1:1/",
         .headers = {headers, 2},
         .body = MILL_STR("b"),
         .user = "u",
         .password = "fake",
         .done = on_reply},
        {.url = "smtp://127.0.0.1:1",
         .mail_from = "a@x.example",
         .rcpt = rcpt,
         .body = MILL_STR("b"),
         .done = on_reply},
    };
    struct mill_http *h = NULL;
    enum mill_code rc = mill_http_new(&h, NULL, err);

    for (size_t i = 0; i < 2 && !rc; i++)
        rc = mill_http_submit(h, &calls[i], err);
    mill_http_free(h);
    return rc;
}

static enum mill_code server(struct mill_err *err)
{
    static const struct mill_route routes[] = {{0}};
    const struct mill_server_conf conf = {.listen = "127.0.0.1:0", .routes = routes};
    struct mill_server *s = NULL;
    enum mill_code rc = mill_server_start(&s, &conf, err);

    mill_server_stop(s);
    return rc;
}

static enum mill_code s3(struct mill_err *err)
{
    const struct mill_s3_conf conf = {.endpoint = "http://127.0.0.1:1", .bucket = "b"};
    struct mill_s3 *s = NULL;
    enum mill_code rc = mill_s3_new(&s, &conf, err);

    mill_s3_free(s);
    return rc;
}

static enum mill_code aws(struct mill_err *err)
{
    const struct mill_aws_creds *c;
    struct mill_aws *a = NULL;
    enum mill_code rc = mill_aws_new(&a, NULL, err);

    if (!rc)
        rc = mill_aws_get(a, &c, err);
    mill_aws_free(a);
    return rc;
}

static enum mill_code registry(struct mill_err *err)
{
    struct mill_registry *r = NULL;
    enum mill_code rc = mill_registry_new(&r, "http://u%40:f%3Ake@127.0.0.1:1/", 100, err);

    mill_registry_free(r);
    return rc;
}

static enum mill_code auth(struct mill_err *err)
{
    struct ingest_auth a = {0};
    enum mill_code rc = ingest_auth_file(&a, credentials_path, err);

    if (!rc)
        a.free(a.self);
    return rc;
}

static enum mill_code credentials(struct mill_err *err)
{
    struct ingest_credentials c;
    enum mill_code rc = ingest_credentials_parse(&c, "t", MILL_STR(LINE), err);

    if (!rc)
        assert_int_equal(c.n, 2);
    ingest_credentials_release(&c);
    return rc;
}

static enum mill_code quota(struct mill_err *err)
{
    struct ingest_quota *q = ingest_quota_new(2);
    bool ok = q && ingest_quota_take(q, "a", 1) && ingest_quota_take(q, "b", 2);

    (void)err;
    if (ok)
        assert_false(ingest_quota_take(q, "b", 1));
    ingest_quota_free(q);
    return done(ok);
}

static enum mill_code later(struct mill_err *err)
{
    struct ingest_later *l = ingest_later_new(4, 1);

    (void)err;
    ingest_later_free(l);
    return done(l != NULL);
}

static enum mill_code event(struct mill_err *err)
{
    static const char raw[] =
        "{\"event\":\"bounce\",\"timestamp\":1513299569,\"sg_message_id\":\"xid.0\","
        "\"category\":[\"a\",\"b\"],\"email\":\"c@x.example\",\"reason\":\"no\",\"url\":\"u\","
        "\"mill_message_id\":\"r-1/0\",\"sg_event_id\":\"e\",\"ip\":\"::1\",\"useragent\":\"x\"}";
    struct mill_arena mem = {0};
    struct mill_event e;
    enum mill_code rc = mill_provider_sendgrid.parse_event(MILL_STR(raw), &mem, &e, err);

    if (!rc)
        assert_true(e.categories.n == 2 && mill_str_is(e.message_id, "r-1/0") && e.event_id.n);
    mill_arena_release(&mem);
    return rc;
}

static enum mill_code build(const struct mill_provider *p, struct mill_err *err)
{
    const struct mill_account account = {.url = "http://127.0.0.1:1", .user = "u", .secret = "SG"};
    const struct mill_message m = {.message_id = MILL_STR("r-1/0"),
                                   .from = {.email = MILL_STR("a@x.example")},
                                   .to = {to, 1},
                                   .cc = {to, 1},
                                   .subject = MILL_STR("s"),
                                   .text = MILL_STR("t"),
                                   .metadata = {metadata, 1},
                                   .categories = {categories, 2},
                                   .attachments = {files, 1}};
    struct mill_outgoing out = {0};
    enum mill_code rc = p->build(&account, &m, 0, &out, err);

    mill_buf_release(&out.body);
    mill_arena_release(&out.mem);
    return rc;
}

static enum mill_code sendgrid(struct mill_err *err)
{
    return build(&mill_provider_sendgrid, err);
}

static enum mill_code smtp(struct mill_err *err)
{
    return build(&mill_provider_smtp, err);
}

static enum mill_code split(struct mill_err *err)
{
    const struct mill_personalization one = {.to = {to, 1}, .metadata = {other, 2}};
    const struct mill_request r = {.request_id = MILL_STR("r-1"),
                                   .from = to[0],
                                   .subject = MILL_STR("s"),
                                   .metadata = {metadata, 1},
                                   .personalizations = {&one, 1}};
    struct mill_arena mem = {0};
    struct mill_message m;
    enum mill_code rc = mill_request_split(&r, 0, &mem, &m, err);

    if (!rc)
        assert_true(mill_str_is(mill_map_get(m.metadata, "order"), "18") && m.metadata.n == 2);
    mill_arena_release(&mem);
    return rc;
}

static enum mill_code codec(struct mill_err *err)
{
    const struct mill_personalization one = {.to = {to, 1}, .metadata = {other, 2}};
    const struct mill_request r = {.from = to[0], .personalizations = {&one, 1}};
    struct mill_codec *c = NULL;
    struct mill_buf b;
    json_t *json = NULL;
    enum mill_code rc = mill_codec_new(&c, &mill_request_desc, err);

    mill_buf_init(&b, 1 << 16);
    if (!rc)
        rc = mill_codec_encode(c, &r, &b, err);
    if (!rc)
        rc = mill_avro_json(mill_str(mill_request_desc.avsc), mill_buf_view(&b), &json, err);
    json_decref(json);
    mill_buf_release(&b);
    mill_codec_free(c);
    return rc;
}

static const struct row {
    const char *name;
    enum mill_code (*make)(struct mill_err *err);
} rows[] = {
    {"http client and its calls", http_call},
    {"http server", server},
    {"s3 client", s3},
    {"aws credentials", aws},
    {"schema registry", registry},
    {"credentials file", auth},
    {"credentials", credentials},
    {"quota", quota},
    {"later", later},
    {"sendgrid event", event},
    {"sendgrid call", sendgrid},
    {"smtp call", smtp},
    {"message of a request", split},
    {"codec", codec},
};

static void memory_row(void **state)
{
    const struct row *row = *state;
    struct mill_err err;
    enum mill_code rc = MILL_E_NOMEM;
    long n = 0;

    while (rc) {
        err = (struct mill_err){0};
        alloc_fail_in = ++n;
        rc = row->make(&err);
        if (rc && rc != MILL_E_NOMEM)
            fail_msg("allocation %ld: %s: %s: %s", n, mill_code_name(rc), err.where, err.text);
        if (alloc_fail_in > 0)
            break; /* it needed fewer */
    }
    assert_int_equal(rc, MILL_OK);
    assert_true(n > 1);
    alloc_fail_in = 0;
}

int main(void)
{
    FILE *f;
    int failed;

    snprintf(credentials_path, sizeof credentials_path, "%s/mill-memory-%ld", P_tmpdir,
             (long)getpid());
    f = fopen(credentials_path, "w");
    if (!f || fputs(LINE, f) < 0 || fclose(f))
        return 1;
    setenv("AWS_ACCESS_KEY_ID", "AKFAKE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "fake", 1);
    failed = TABLE(rows, memory_row);
    unlink(credentials_path);
    return failed;
}
