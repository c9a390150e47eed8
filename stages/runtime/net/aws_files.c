/** @file aws_files.c  @brief Credentials in ~/.aws/credentials and ~/.aws/config. */
#include "base/buf.h"
#include "net/aws_in.h"
#include <errno.h>
#include <stdio.h>

enum { AWS_FILE_BYTES = 1024 * 1024 };

enum mill_code mill_aws_file(const char *path, struct mill_buf *out, struct mill_err *err)
{
    char why[128];
    int failed;

    mill_buf_init(out, AWS_FILE_BYTES);
    failed = mill_buf_add_file(out, path);
    if (failed)
        return mill_fail(err, failed == ENOENT ? MILL_E_NOENT : MILL_E_CONFIG, "aws", "%s: %s",
                         path, mill_errno_text(failed, why, sizeof why));
    return MILL_OK;
}

enum mill_code mill_aws_profile(struct mill_str text, const char *section,
                                struct mill_aws_creds *out, struct mill_err *err)
{
    bool inside = false, other = false;

    while (text.n) {
        struct mill_str line = mill_str_trim(mill_str_take(&text, '\n')), key, value;
        const char *equals;

        if (!line.n || *line.p == '#' || *line.p == ';')
            continue;
        if (*line.p == '[') {
            inside = line.p[line.n - 1] == ']' &&
                     mill_str_is(mill_str_trim((struct mill_str){line.p + 1, line.n - 2}), section);
            continue;
        }
        equals = memchr(line.p, '=', line.n);
        if (!inside || !equals)
            continue;
        key = mill_str_trim((struct mill_str){line.p, (size_t)(equals - line.p)});
        value =
            mill_str_trim((struct mill_str){equals + 1, (size_t)(line.p + line.n - equals) - 1});
        if (mill_str_is(key, "aws_access_key_id"))
            mill_str_cut(value, out->key_id, sizeof out->key_id);
        else if (mill_str_is(key, "aws_secret_access_key"))
            mill_str_cut(value, out->secret, sizeof out->secret);
        else if (mill_str_is(key, "aws_session_token"))
            mill_str_cut(value, out->token, sizeof out->token);
        else if (mill_str_is(key, "role_arn") || mill_str_is(key, "credential_process") ||
                 mill_str_is(key, "sso_session") || mill_str_is(key, "sso_start_url"))
            other = true;
    }
    if (out->key_id[0] && out->secret[0])
        return MILL_OK;
    if (out->key_id[0] || out->secret[0])
        return mill_fail(err, MILL_E_CONFIG, section, "half a key in this profile");
    if (other)
        return mill_fail(err, MILL_E_CONFIG, section,
                         "this profile has a role, sso or credential_process, which is not read: "
                         "give a key, or AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE");
    return MILL_E_NOENT;
}

/* @return the variable's path, or the one under the home directory */
static bool aws_path(const char *variable, const char *under_home, struct mill_buf *out)
{
    const char *path = mill_aws_env(variable);
    const char *home = mill_aws_env("HOME");

    mill_buf_init(out, 4096);
    if (path)
        return mill_buf_puts(out, path);
    return home && mill_buf_printf(out, "%s/%s", home, under_home);
}

static enum mill_code aws_from_file(const char *variable, const char *under_home,
                                    const char *section, struct mill_aws_creds *out,
                                    struct mill_err *err)
{
    struct mill_buf path, text;
    enum mill_code code = MILL_E_NOENT;

    mill_buf_init(&text, 0);
    if (aws_path(variable, under_home, &path))
        code = mill_aws_file(path.p, &text, err);
    if (!code)
        code = mill_aws_profile(mill_buf_view(&text), section, out, err);
    if (text.p)
        explicit_bzero(text.p, text.n);
    mill_buf_release(&text);
    mill_buf_release(&path);
    return code;
}

enum mill_code mill_aws_from_files(struct aws_source *s, struct mill_aws_creds *out,
                                   struct mill_err *err)
{
    const char *named = mill_aws_env("AWS_PROFILE");
    const char *profile = named ? named : "default";
    char section[256];
    enum mill_code code;

    (void)s;
    code = aws_from_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", profile, out, err);
    if (code != MILL_E_NOENT)
        return code;
    snprintf(section, sizeof section, "%s%s", named && strcmp(named, "default") ? "profile " : "",
             profile);
    code = aws_from_file("AWS_CONFIG_FILE", ".aws/config", section, out, err);
    if (code == MILL_E_NOENT && named) /* asked for by name: not finding it is a fault */
        return mill_fail(err, MILL_E_CONFIG, "AWS_PROFILE", "no keys in a profile \"%s\"", named);
    return code;
}
