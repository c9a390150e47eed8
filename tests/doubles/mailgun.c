/* POST /v3/DOMAIN/messages as Mailgun answers it: the form becomes a mail as SendGrid's JSON has
 * it. */
#include "double.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNDARY_MAX = 70, NAME_MAX_BYTES = 256 };

static void form_message(struct mill_exchange *x, unsigned status, const char *text)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};
    struct mill_buf body;

    mill_buf_init(&body, 4096);
    mill_buf_puts(&body, "{\"message\":");
    mill_buf_json(&body, mill_str(text));
    mill_buf_putc(&body, '}');
    mill_exchange_answer(x, status, (struct mill_map){&type, 1}, mill_buf_view(&body));
    mill_buf_release(&body);
}

static void form_forbidden(struct mill_exchange *x)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("text/plain")};

    mill_exchange_answer(x, 401, (struct mill_map){&type, 1}, MILL_STR("Forbidden"));
}

void double_mailgun_answer(struct mill_exchange *x, unsigned status, const char *id,
                           uint32_t retry_after_s)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};
    char text[DOUBLE_ID_MAX + 100];

    if (status == 401) {
        form_forbidden(x);
    } else if (status == 429) { /* no header: the wait is in the words */
        snprintf(text, sizeof text,
                 "Domain double.invalid is not allowed to send: account-requests-per-sec limit "
                 "exceeded, try again after %u seconds",
                 retry_after_s ? retry_after_s : 1);
        form_message(x, status, text);
    } else if (status >= 300) {
        form_message(x, status, "as asked");
    } else {
        snprintf(text, sizeof text, "{\"id\":\"<%s>\",\"message\":\"Queued. Thank you.\"}", id);
        mill_exchange_answer(x, status, (struct mill_map){&type, 1}, mill_str(text));
    }
}

static bool form_authorized(const struct double_state *d, const struct mill_exchange *x)
{
    struct mill_str auth = mill_exchange_header(x, "Authorization"), text;
    struct mill_buf plain;
    bool ok = false;

    mill_buf_init(&plain, 1024);
    if (mill_str_starts(auth, "Basic ") &&
        mill_base64_decode(&plain, (struct mill_str){auth.p + 6, auth.n - 6})) {
        text = mill_buf_view(&plain);
        if (mill_str_starts(text, "api:")) {
            text = (struct mill_str){text.p + 4, text.n - 4};
            ok = d->mailgun_key && d->mailgun_key[0] ? mill_str_is(text, d->mailgun_key)
                                                     : mill_str_starts(text, "key-");
        }
    }
    mill_buf_release(&plain);
    return ok;
}

/* --- the form --------------------------------------------------------------------------------- */

static void append(json_t *o, const char *list, json_t *v)
{
    json_t *all = json_object_get(o, list);

    if (!all) {
        all = json_array();
        json_object_set_new(o, list, all);
    }
    json_array_append_new(all, v);
}

/* "Name" <a@b>, c@d: a comma in quotes parts nothing. */
static void form_people(json_t *personalization, const char *list, struct mill_str text)
{
    size_t from = 0;
    bool quoted = false;

    for (size_t i = 0; i <= text.n; i++) {
        struct mill_str one;
        const char *open;

        if (i < text.n && text.p[i] == '"' && (!i || text.p[i - 1] != '\\'))
            quoted = !quoted;
        if (i < text.n && (quoted || text.p[i] != ','))
            continue;
        one = mill_str_trim((struct mill_str){text.p + from, i - from});
        from = i + 1;
        open = one.n ? memrchr(one.p, '<', one.n) : NULL;
        if (open && one.p[one.n - 1] == '>')
            one = (struct mill_str){open + 1, (size_t)(one.p + one.n - 1 - (open + 1))};
        if (one.n)
            append(personalization, list, json_pack("{s:o}", "email", mill_json_new(one)));
    }
}

static void form_field(json_t *mail, const char *name, struct mill_str value)
{
    json_t *who = json_array_get(json_object_get(mail, "personalizations"), 0);

    if (!strcmp(name, "to") || !strcmp(name, "cc") || !strcmp(name, "bcc"))
        form_people(who, name, value);
    else if (!strncmp(name, "v:", 2))
        json_object_set_new(json_object_get(who, "custom_args"), name + 2, mill_json_new(value));
    else if (!strcmp(name, "o:tag"))
        append(mail, "categories", mill_json_new(value));
    else if (!strcmp(name, "o:testmode") && mill_str_is(value, "yes"))
        json_object_set_new(mail, "mail_settings",
                            json_pack("{s:{s:b}}", "sandbox_mode", "enable", 1));
    else if (strchr("fsth", name[0]) && name[1] != ':') /* from, subject, text, html, template */
        json_object_set_new(mail, name, mill_json_new(value));
}

/* The value of name="…" in a part's header. */
static bool form_name(struct mill_str head, char out[NAME_MAX_BYTES])
{
    static const char key[] = "; name=\"";
    const char *at = memmem(head.p, head.n, key, sizeof key - 1), *end;

    if (!at)
        return false;
    at += sizeof key - 1;
    end = memchr(at, '"', (size_t)(head.p + head.n - at));
    if (!end || (size_t)(end - at) >= NAME_MAX_BYTES)
        return false;
    mill_str_cut((struct mill_str){at, (size_t)(end - at)}, out, NAME_MAX_BYTES);
    return true;
}

/* @return false when it is no form */
static bool form_parts(json_t *mail, struct mill_str body, const char *boundary)
{
    char mark[BOUNDARY_MAX + 8], name[NAME_MAX_BYTES];
    size_t n = (size_t)snprintf(mark, sizeof mark, "\r\n--%s", boundary);
    struct mill_str rest = body;

    if (rest.n < n - 2 || memcmp(rest.p, mark + 2, n - 2))
        return false;
    rest = (struct mill_str){rest.p + n - 2, rest.n - (n - 2)};
    while (rest.n >= 2 && memcmp(rest.p, "--", 2)) {
        const char *end = memmem(rest.p, rest.n, mark, n);
        const char *blank = memmem(rest.p, rest.n, "\r\n\r\n", 4);
        struct mill_str value;

        if (!end || !blank || blank > end ||
            !form_name((struct mill_str){rest.p, (size_t)(blank - rest.p)}, name))
            return false;
        blank += 4;
        value = (struct mill_str){blank, blank < end ? (size_t)(end - blank) : 0};
        form_field(mail, name, value);
        rest = (struct mill_str){end + n, (size_t)(rest.p + rest.n - (end + n))};
    }
    return rest.n >= 2;
}

static const char *form_fault(const json_t *mail)
{
    const json_t *who = json_array_get(json_object_get(mail, "personalizations"), 0);
    bool html = json_object_get(mail, "html"), template = json_object_get(mail, "template");
    size_t n = json_array_size(json_object_get(who, "to"));

    if (!n)
        return "to parameter is missing";
    for (size_t i = 0; i < n; i++)
        if (!mill_str_trim(mill_json_str(json_array_get(json_object_get(who, "to"), i), "email"))
                 .n ||
            !strchr(json_string_value(
                        json_object_get(json_array_get(json_object_get(who, "to"), i), "email")),
                    '@'))
            return "to parameter is not a valid address. please check documentation";
    if (!json_object_get(mail, "from") && !template)
        return "from parameter is missing";
    if (!html && !template && !json_object_get(mail, "text"))
        return "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified";
    if (html && template)
        return "Only one parameter 'html' or 'template' is allowed";
    return NULL;
}

/* /v3/DOMAIN/messages */
static bool form_domain(const struct mill_exchange *x, char *out, size_t size)
{
    struct mill_str path = mill_exchange_path(x);
    const char *end = memchr(path.p + 4, '/', path.n - 4);

    if (!end || end == path.p + 4 ||
        !mill_str_is((struct mill_str){end, (size_t)(path.p + path.n - end)}, "/messages"))
        return false;
    mill_str_cut((struct mill_str){path.p + 4, (size_t)(end - path.p - 4)}, out, size);
    return true;
}

static const char *form_boundary(const struct mill_exchange *x, char out[BOUNDARY_MAX + 1])
{
    static const char type[] = "multipart/form-data; boundary=";
    struct mill_str s = mill_exchange_header(x, "Content-Type");

    if (!mill_str_starts(s, type) || s.n - (sizeof type - 1) > BOUNDARY_MAX ||
        s.n == sizeof type - 1)
        return NULL;
    mill_str_cut((struct mill_str){s.p + sizeof type - 1, s.n - (sizeof type - 1)}, out,
                 BOUNDARY_MAX + 1);
    return out;
}

void double_on_form(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    json_t *mail = json_pack("{s:[{s:{}}]}", "personalizations", "custom_args");
    char domain[100], boundary[BOUNDARY_MAX + 1], unique[23], id[DOUBLE_ID_MAX];
    const char *fault;

    if (!form_domain(x, domain, sizeof domain))
        form_message(x, 404, "Not Found");
    else if (!form_authorized(d, x))
        form_forbidden(x);
    else if (!form_boundary(x, boundary) || !form_parts(mail, mill_exchange_body(x), boundary))
        form_message(x, 400, "no multipart/form-data");
    else if ((fault = form_fault(mail)))
        form_message(x, 400, fault);
    else {
        double_random_id(unique, sizeof unique);
        snprintf(id, sizeof id, "%s@%s", unique, domain);
        double_take(d, x, DOUBLE_MAILGUN, mail, id);
    }
    json_decref(mail);
}
