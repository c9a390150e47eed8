/** @file aws_remote.c  @brief Credentials from a service: STS, container, instance metadata. */
#include "base/clock.h"
#include "base/json.h"
#include "net/aws_in.h"
#include "net/url.h"
#include "net/xml.h"

enum {
    AWS_REPLY_BYTES = 64 * 1024,
    AWS_STS_MS = 10000,
    AWS_LOCAL_MS = 2000,
    AWS_LOCAL_CONNECT_MS = 1000,
    AWS_IMDS_TRIES = 3,
};

static enum mill_code aws_take(struct mill_str key, struct mill_str secret, struct mill_str token,
                               struct mill_str expires, struct mill_aws_creds *out,
                               struct mill_err *err)
{
    if (!key.n || !secret.n || key.n >= sizeof out->key_id || secret.n >= sizeof out->secret ||
        token.n >= sizeof out->token)
        return mill_fail(err, MILL_E_DATA, "aws", "no usable credentials in the reply");
    out->expires_us = 0;
    if (expires.n && !mill_time_parse(expires, &out->expires_us))
        return mill_fail(err, MILL_E_DATA, "aws", "no usable Expiration in the reply");
    mill_str_cut(key, out->key_id, sizeof out->key_id);
    mill_str_cut(secret, out->secret, sizeof out->secret);
    mill_str_cut(token, out->token, sizeof out->token);
    return MILL_OK;
}

enum mill_code mill_aws_json(struct mill_str text, struct mill_aws_creds *out, struct mill_err *err)
{
    json_t *doc = NULL;
    enum mill_code code = mill_json_parse(text, &doc, err);

    if (!code)
        code = aws_take(mill_json_str(doc, "AccessKeyId"), mill_json_str(doc, "SecretAccessKey"),
                        mill_json_str(doc, "Token"), mill_json_str(doc, "Expiration"), out, err);
    json_decref(doc);
    return code;
}

enum mill_code mill_aws_sts_xml(struct mill_str text, struct mill_aws_creds *out,
                                struct mill_err *err)
{
    static const char *const names[4] = {"AccessKeyId", "SecretAccessKey", "SessionToken",
                                         "Expiration"};
    struct mill_buf v[4];
    bool ok = true;
    enum mill_code code;

    for (size_t i = 0; i < 4; i++) {
        mill_buf_init(&v[i], sizeof out->token);
        ok = ok && mill_xml_find(text, names[i], &v[i]);
    }
    if (ok)
        code = aws_take(mill_buf_view(&v[0]), mill_buf_view(&v[1]), mill_buf_view(&v[2]),
                        mill_buf_view(&v[3]), out, err);
    else
        code = mill_fail(err, MILL_E_DATA, "aws", "STS sent no credentials");
    for (size_t i = 0; i < 4; i++) {
        if (v[i].p)
            explicit_bzero(v[i].p, v[i].n);
        mill_buf_release(&v[i]);
    }
    return code;
}

/* A file's text without white space at its end. */
static enum mill_code aws_token_file(const char *path, struct mill_buf *out, struct mill_err *err)
{
    enum mill_code code = mill_aws_file(path, out, err);

    while (!code && out->n && strchr(" \t\r\n", out->p[out->n - 1]))
        out->p[--out->n] = '\0';
    /* Set up, but not there: that is a fault, not a reason to look elsewhere. */
    return code == MILL_E_NOENT ? mill_fail(err, MILL_E_CONFIG, "aws", "%s is not there", path)
                                : code;
}

enum mill_code mill_aws_from_web_identity(struct aws_source *s, struct mill_aws_creds *out,
                                          struct mill_err *err)
{
    const char *role = mill_aws_env("AWS_ROLE_ARN");
    const char *file = mill_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *session = mill_aws_env("AWS_ROLE_SESSION_NAME");
    const char *endpoint = mill_aws_env("AWS_ENDPOINT_URL_STS");
    const struct mill_pair type = {MILL_STR("Content-Type"),
                                   MILL_STR("application/x-www-form-urlencoded")};
    struct mill_buf token, form, url, reply;
    enum mill_code code;
    long status = 0;

    if (!role || !file)
        return MILL_E_NOENT;
    mill_buf_init(&form, AWS_REPLY_BYTES);
    mill_buf_init(&url, 1024);
    mill_buf_init(&reply, AWS_REPLY_BYTES);
    code = aws_token_file(file, &token, err);
    if (code)
        goto out;
    mill_buf_puts(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    mill_url_encode(&form, mill_str(role), "");
    mill_buf_puts(&form, "&RoleSessionName=");
    mill_url_encode(&form, mill_str(session ? session : "sendmill"), "");
    mill_buf_puts(&form, "&WebIdentityToken=");
    mill_url_encode(&form, mill_buf_view(&token), "");
    if (endpoint)
        mill_buf_puts(&url, endpoint);
    else if (s->region)
        mill_buf_printf(&url, "https://sts.%s.amazonaws.com%s/", s->region,
                        !strncmp(s->region, "cn-", 3) ? ".cn" : "");
    else
        mill_buf_puts(&url, "https://sts.amazonaws.com/");
    if (form.failed || url.failed) {
        code = mill_fail(err, MILL_E_CONFIG, "aws", "web identity token too long");
        goto out;
    }
    code = mill_http_wait(s->http,
                          &(struct mill_http_call){.method = "POST",
                                                   .url = url.p,
                                                   .headers = {&type, 1},
                                                   .body = mill_buf_view(&form),
                                                   .timeout_ms = AWS_STS_MS},
                          &status, &reply, err);
    if (!code && status != 200)
        code = mill_fail(err, status >= 400 && status < 500 ? MILL_E_AUTH : MILL_E_IO, "aws",
                         "STS answered %ld for %s", status, role);
    if (!code)
        code = mill_aws_sts_xml(mill_buf_view(&reply), out, err);
out:
    mill_buf_release(&token);
    mill_buf_release(&form);
    mill_buf_release(&url);
    mill_buf_release(&reply);
    return code;
}

/* Plain HTTP carries the keys in the clear: only to this machine and the two container agents. */
static bool aws_container_allowed(const char *url)
{
    static const char *const hosts[] = {"127.0.0.1",     "localhost",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    const char *host = url + 7;

    if (!strncmp(url, "https://", 8))
        return true;
    if (strncmp(url, "http://", 7))
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        if (!strncmp(host, hosts[i], n) && (host[n] == ':' || host[n] == '/' || !host[n]))
            return true;
    }
    return false;
}

enum mill_code mill_aws_from_container(struct aws_source *s, struct mill_aws_creds *out,
                                       struct mill_err *err)
{
    const char *relative = mill_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = mill_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = mill_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *literal = mill_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct mill_pair auth = {MILL_STR("Authorization"), {0}};
    struct mill_buf token, url, reply;
    enum mill_code code = MILL_OK;
    long status = 0;

    if (!relative && !full)
        return MILL_E_NOENT;
    mill_buf_init(&token, AWS_REPLY_BYTES);
    mill_buf_init(&url, 1024);
    mill_buf_init(&reply, AWS_REPLY_BYTES);
    if (relative)
        mill_buf_printf(&url, "http://169.254.170.2%s", relative);
    else
        mill_buf_puts(&url, full);
    if (url.failed || !aws_container_allowed(url.p)) {
        code = mill_fail(err, MILL_E_CONFIG, "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                         "not https, and not an address that plain http may go to");
        goto out;
    }
    if (file)
        code = aws_token_file(file, &token, err);
    else if (literal)
        mill_buf_puts(&token, literal);
    if (code)
        goto out;
    auth.value = mill_buf_view(&token);
    code = mill_http_wait(s->http,
                          &(struct mill_http_call){.method = "GET",
                                                   .url = url.p,
                                                   .headers = {&auth, token.n ? 1 : 0},
                                                   .timeout_ms = AWS_LOCAL_MS,
                                                   .connect_ms = AWS_LOCAL_CONNECT_MS,
                                                   .direct = true},
                          &status, &reply, err);
    if (!code && status != 200)
        code = mill_fail(err, status >= 400 && status < 500 ? MILL_E_AUTH : MILL_E_IO, "aws",
                         "the container's credentials service answered %ld", status);
    if (!code)
        code = mill_aws_json(mill_buf_view(&reply), out, err);
out:
    mill_buf_release(&token);
    mill_buf_release(&url);
    mill_buf_release(&reply);
    return code;
}

/* One call to the metadata service; a reply other than 200 is *status. */
static enum mill_code aws_imds_call(struct aws_source *s, const char *method, const char *path,
                                    struct mill_pair header, long *status, struct mill_buf *reply,
                                    struct mill_err *err)
{
    const char *base = mill_aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct mill_buf url;
    enum mill_code code;
    size_t n;

    mill_buf_init(&url, 1024);
    mill_buf_puts(&url, base ? base : "http://169.254.169.254");
    for (n = url.n; n && url.p[n - 1] == '/'; n--)
        url.n = n - 1;
    mill_buf_puts(&url, path);
    if (url.failed) {
        mill_buf_release(&url);
        return mill_fail(err, MILL_E_CONFIG, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "too long");
    }
    mill_buf_reset(reply);
    code = mill_http_wait(s->http,
                          &(struct mill_http_call){.method = method,
                                                   .url = url.p,
                                                   .headers = {&header, 1},
                                                   .timeout_ms = AWS_LOCAL_MS,
                                                   .connect_ms = AWS_LOCAL_CONNECT_MS,
                                                   .direct = true},
                          status, reply, err);
    mill_buf_release(&url);
    return code;
}

static enum mill_code aws_imds_once(struct aws_source *s, struct mill_aws_creds *out,
                                    struct mill_err *err)
{
    static const char list[] = "/latest/meta-data/iam/security-credentials/";
    struct mill_pair ttl = {MILL_STR("X-aws-ec2-metadata-token-ttl-seconds"), MILL_STR("21600")};
    struct mill_pair session = {MILL_STR("X-aws-ec2-metadata-token"), {0}};
    struct mill_buf token, reply, path;
    enum mill_code code;
    long status = 0;

    mill_buf_init(&token, 4096);
    mill_buf_init(&reply, AWS_REPLY_BYTES);
    mill_buf_init(&path, 1024);
    code = aws_imds_call(s, "PUT", "/latest/api/token", ttl, &status, &token, err);
    if (code || status != 200)
        goto out;
    session.value = mill_buf_view(&token);
    code = aws_imds_call(s, "GET", list, session, &status, &reply, err);
    if (code || status != 200)
        goto out;
    mill_buf_puts(&path, list); /* one role a line; an instance has one */
    mill_url_encode(&path, (struct mill_str){reply.p, strcspn(reply.p ? reply.p : "", "\r\n")}, "");
    code = path.failed ? mill_fail(err, MILL_E_DATA, "aws", "role name too long")
                       : aws_imds_call(s, "GET", path.p, session, &status, &reply, err);
    if (!code && status == 200)
        code = mill_aws_json(mill_buf_view(&reply), out, err);
out:
    if (!code && status == 404)
        code = MILL_E_NOENT; /* an instance without a role */
    else if (!code && status != 200)
        code = mill_fail(err, MILL_E_IO, "aws", "instance metadata answered %ld", status);
    mill_buf_release(&token);
    mill_buf_release(&reply);
    mill_buf_release(&path);
    return code;
}

enum mill_code mill_aws_from_imds(struct aws_source *s, struct mill_aws_creds *out,
                                  struct mill_err *err)
{
    const char *disabled = mill_aws_env("AWS_EC2_METADATA_DISABLED");
    enum mill_code code = MILL_E_NOENT;
    struct mill_err why = {0};

    if (disabled && mill_str_ieq(mill_str(disabled), MILL_STR("true")))
        return MILL_E_NOENT;
    for (int i = 0; i < AWS_IMDS_TRIES; i++) {
        code = aws_imds_once(s, out, &why);
        if (code != MILL_E_IO)
            break;
    }
    if (code == MILL_E_NOENT || !code)
        return code;
    return mill_fail(err, code, "aws", "no AWS credentials set up, and instance metadata: %s",
                     why.text);
}
