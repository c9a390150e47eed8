/* The chain of AWS credentials: who wins, what is read from whom, when it is asked again. STS, the
 * container's service and instance metadata are one server of the test. */
#include "base/clock.h"
#include "net/aws_in.h"
#include "net/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    struct mill_server *server;
    char dir[64], base[64];
    atomic_int asked;      /* credentials handed out */
    atomic_int lifetime_s; /* of those */
    atomic_int status;     /* of every answer; 200 normally */
    char form[2048];
} world;

static void answer(struct mill_exchange *x, struct mill_str body)
{
    mill_exchange_answer(x, (unsigned)atomic_load(&world.status), (struct mill_map){0}, body);
}

static struct mill_str expiry(struct mill_exchange *x)
{
    char text[40];

    mill_time_text(mill_now_us() + INT64_C(1000000) * atomic_load(&world.lifetime_s), text,
                   sizeof text);
    return mill_arena_dup(mill_exchange_arena(x), mill_str(text));
}

static void answer_json(struct mill_exchange *x, const char *who)
{
    struct mill_str body = mill_arena_printf(
        mill_exchange_arena(x),
        "{\"AccessKeyId\":\"%s%d\",\"SecretAccessKey\":\"fake\",\"Token\":\"tok\","
        "\"Expiration\":\"%.*s\"}",
        who, atomic_fetch_add(&world.asked, 1) + 1, MILL_FMT(expiry(x)));

    answer(x, body);
}

static void on_container(void *app, struct mill_exchange *x)
{
    (void)app;
    if (!mill_str_is(mill_exchange_header(x, "Authorization"), "pod-token"))
        mill_exchange_answer(x, 401, (struct mill_map){0}, MILL_STR(""));
    else
        answer_json(x, "AKCONTAINER");
}

static void on_imds(void *app, struct mill_exchange *x)
{
    struct mill_str path = mill_exchange_path(x);

    (void)app;
    if (!mill_str_is(mill_exchange_header(x, "X-aws-ec2-metadata-token"), "session"))
        mill_exchange_answer(x, 401, (struct mill_map){0}, MILL_STR(""));
    else if (mill_str_is(path, "/latest/meta-data/iam/security-credentials/"))
        answer(x, MILL_STR("my-role\n"));
    else if (mill_str_is(path, "/latest/meta-data/iam/security-credentials/my-role"))
        answer_json(x, "AKIMDS");
    else
        mill_exchange_answer(x, 404, (struct mill_map){0}, MILL_STR(""));
}

static void on_imds_token(void *app, struct mill_exchange *x)
{
    (void)app;
    assert_true(mill_exchange_header(x, "X-aws-ec2-metadata-token-ttl-seconds").n > 0);
    answer(x, MILL_STR("session"));
}

static void on_sts(void *app, struct mill_exchange *x)
{
    struct mill_str body;

    (void)app;
    mill_str_cut(mill_exchange_body(x), world.form, sizeof world.form);
    body = mill_arena_printf(
        mill_exchange_arena(x),
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKSTS%d</AccessKeyId>"
        "<SecretAccessKey>fa&amp;ke</SecretAccessKey><SessionToken>tok</SessionToken>"
        "<Expiration>%.*s</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>",
        atomic_fetch_add(&world.asked, 1) + 1, MILL_FMT(expiry(x)));
    answer(x, body);
}

static const struct mill_route routes[] = {
    {"GET", "/pod", on_container, 0},
    {"PUT", "/latest/api/token", on_imds_token, 0},
    {"GET", "/latest/*", on_imds, 0},
    {"POST", "/sts", on_sts, 4096},
    {0},
};

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", world.dir, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void at_base(const char *variable, const char *path)
{
    char url[128];

    snprintf(url, sizeof url, "%s%s", world.base, path);
    setenv(variable, url, 1);
}

static int setup(void **state)
{
    static const char *const vars[] = {"AWS_ACCESS_KEY_ID",
                                       "AWS_SECRET_ACCESS_KEY",
                                       "AWS_SESSION_TOKEN",
                                       "AWS_ROLE_ARN",
                                       "AWS_WEB_IDENTITY_TOKEN_FILE",
                                       "AWS_ROLE_SESSION_NAME",
                                       "AWS_PROFILE",
                                       "AWS_REGION",
                                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                       "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                       "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                       "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                       "AWS_EC2_METADATA_DISABLED",
                                       "http_proxy"};
    const struct mill_server_conf conf = {.listen = "127.0.0.1:0", .routes = routes};
    struct mill_err err;

    (void)state;
    for (size_t i = 0; i < sizeof vars / sizeof *vars; i++)
        unsetenv(vars[i]);
    memset(&world, 0, sizeof world);
    atomic_store(&world.lifetime_s, 3600);
    atomic_store(&world.status, 200);
    snprintf(world.dir, sizeof world.dir, "%s/mill-aws-XXXXXX", P_tmpdir);
    if (!mkdtemp(world.dir) || mill_server_start(&world.server, &conf, &err))
        return -1;
    snprintf(world.base, sizeof world.base, "http://127.0.0.1:%u", mill_server_port(world.server));
    setenv("AWS_SHARED_CREDENTIALS_FILE", in_dir("credentials"), 1);
    setenv("AWS_CONFIG_FILE", in_dir("config"), 1);
    at_base("AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
    at_base("AWS_ENDPOINT_URL_STS", "/sts");
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"credentials", "config", "token"};

    (void)state;
    mill_server_stop(world.server);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in_dir(files[i]));
    return rmdir(world.dir);
}

static void set_env(void)
{
    setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "fake", 1);
}

static void set_web_identity(void)
{
    put_file("token", "jwt-1\n");
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", in_dir("token"), 1);
}

static void set_profile(void)
{
    put_file("credentials", "# comment\n[other]\naws_access_key_id = AKOTHER\n"
                            "aws_secret_access_key=fake\n\n[default]\r\n"
                            "  aws_access_key_id=AKFILE\r\naws_secret_access_key = fa=ke\r\n"
                            "aws_session_token = tok\r\nregion = eu-west-1\n");
    put_file("config", "[default]\nregion=x\n[profile third]\naws_access_key_id=AKTHIRD\n"
                       "aws_secret_access_key=fake\n[profile sso]\nsso_session = corp\n"
                       "[profile half]\naws_access_key_id=AKHALF\n");
}

static void set_container(void)
{
    at_base("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/pod");
    put_file("token", "pod-token\n");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", in_dir("token"), 1);
}

static void expect(const char *provider, const char *key)
{
    const struct mill_aws_creds *c;
    struct mill_aws *a;
    struct mill_err err;

    assert_int_equal(mill_aws_new(&a, "eu-west-1", &err), MILL_OK);
    if (mill_aws_get(a, &c, &err))
        fail_msg("%s", err.text);
    assert_string_equal(c->provider, provider);
    assert_string_equal(c->key_id, key);
    mill_aws_free(a);
}

static void expect_fault(enum mill_code code)
{
    const struct mill_aws_creds *c;
    struct mill_aws *a;
    struct mill_err err = {0};

    assert_int_equal(mill_aws_new(&a, NULL, &err), MILL_OK);
    assert_int_equal(mill_aws_get(a, &c, &err), code);
    assert_true(err.text[0] != '\0');
    mill_aws_free(a);
}

/* Each provider wins over those behind it. */
static void test_order(void **state)
{
    (void)state;
    expect("imds", "AKIMDS1");
    set_container();
    expect("container", "AKCONTAINER2");
    set_profile();
    expect("profile", "AKFILE");
    set_web_identity();
    expect("web-identity", "AKSTS3");
    assert_string_equal(world.form,
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3A"
                        "iam%3A%3A1%3Arole%2Fr&RoleSessionName=sendmill&WebIdentityToken=jwt-1");
    set_env();
    expect("env", "AKENV");
}

static void test_profiles(void **state)
{
    (void)state;
    set_profile();
    setenv("AWS_PROFILE", "other", 1);
    expect("profile", "AKOTHER");
    setenv("AWS_PROFILE", "third", 1); /* from the config file */
    expect("profile", "AKTHIRD");
    setenv("AWS_PROFILE", "default", 1);
    expect("profile", "AKFILE");
    setenv("AWS_PROFILE", "nobody", 1);
    expect_fault(MILL_E_CONFIG);
    setenv("AWS_PROFILE", "sso", 1);
    expect_fault(MILL_E_CONFIG);
    setenv("AWS_PROFILE", "half", 1);
    expect_fault(MILL_E_CONFIG);
}

/* What is set up and wrong ends the search. */
static void test_faults(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    expect_fault(MILL_E_CONFIG);
    unsetenv("AWS_ACCESS_KEY_ID");
    set_web_identity();
    unlink(in_dir("token"));
    expect_fault(MILL_E_CONFIG);
    put_file("token", "jwt");
    atomic_store(&world.status, 403);
    expect_fault(MILL_E_AUTH);
    atomic_store(&world.status, 500);
    expect_fault(MILL_E_IO);
    unsetenv("AWS_ROLE_ARN");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/creds", 1);
    expect_fault(MILL_E_CONFIG);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/creds", 1);
    expect_fault(MILL_E_CONFIG);
    at_base("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/pod"); /* without its token */
    expect_fault(MILL_E_AUTH);
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    expect_fault(MILL_E_IO); /* metadata answers 500 */
    atomic_store(&world.status, 404);
    expect_fault(MILL_E_NOENT); /* an instance without a role */
    setenv("AWS_EC2_METADATA_DISABLED", "True", 1);
    expect_fault(MILL_E_NOENT);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "false", 1);
    expect_fault(MILL_E_IO);
}

static void test_renewal(void **state)
{
    const struct mill_aws_creds *c;
    struct mill_aws *a;
    struct mill_err err;

    (void)state;
    set_container();
    assert_int_equal(mill_aws_new(&a, NULL, &err), MILL_OK);
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK);
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK);
    assert_string_equal(c->key_id, "AKCONTAINER1"); /* not asked twice */
    assert_string_equal(c->token, "tok");
    mill_aws_refused(a);
    atomic_store(&world.lifetime_s, 100); /* within the 5 minutes */
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK);
    assert_string_equal(c->key_id, "AKCONTAINER2");
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK);
    assert_string_equal(c->key_id, "AKCONTAINER3");
    atomic_store(&world.status, 500); /* the old ones still live */
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK);
    assert_string_equal(c->key_id, "AKCONTAINER3");
    assert_int_equal(mill_aws_get(a, &c, &err), MILL_OK); /* and it is not asked at each call */
    assert_int_equal(atomic_load(&world.asked), 4);
    mill_aws_free(a);
    mill_aws_free(NULL);
}

static void test_bad_replies(void **state)
{
    static const char *const json[] = {"",
                                       "[]",
                                       "{}",
                                       "{\"AccessKeyId\":1}",
                                       "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"\"}",
                                       ("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\","
                                        "\"Expiration\":\"soon\"}")};
    struct mill_aws_creds c;
    struct mill_err err;

    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++)
        assert_int_equal(mill_aws_json(mill_str(json[i]), &c, &err), MILL_E_DATA);
    assert_int_equal(mill_aws_sts_xml(MILL_STR("<r/>"), &c, &err), MILL_E_DATA);
    assert_int_equal(
        mill_aws_json(MILL_STR("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}"), &c, &err),
        MILL_OK);
    assert_true(c.expires_us == 0);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {ROW(test_order), ROW(test_profiles), ROW(test_faults),
                                       ROW(test_renewal), ROW(test_bad_replies)};

    return cmocka_run_group_tests_name("aws_creds", tests, NULL, NULL);
}
