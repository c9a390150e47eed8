/* What SendGrid's v3 mail/send refuses, as far as its documentation says. */
#include "double.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECIPIENTS_MAX = 1000, CATEGORIES_MAX = 10, ARGS_BYTES = 10000, AHEAD_S = 72 * 3600 };

struct check {
    struct mill_arena *mem;
    const char **field, **message;
    const json_t *mail;
    size_t recipients;
};

static bool check_no(struct check *c, const char *message, const char *fmt, ...) MILL_PRINTF(3, 4);

static bool check_no(struct check *c, const char *message, const char *fmt, ...)
{
    char field[160];
    struct mill_str copy;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(field, sizeof field, fmt, ap);
    va_end(ap);
    copy = mill_arena_dup(c->mem, mill_str(field));
    *c->field = copy.p;
    *c->message = message;
    return false;
}

static bool check_is_address(const json_t *v)
{
    struct mill_str s = mill_json_str(v, "email");
    const char *at = s.n ? memrchr(s.p, '@', s.n) : NULL;

    return at && at > s.p && at + 1 < s.p + s.n && !memchr(s.p, ' ', s.n) &&
           !memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n);
}

static bool check_people(struct check *c, const json_t *p, size_t i, const char *name, json_t *seen)
{
    const json_t *list = json_object_get(p, name);

    if (!list && strcmp(name, "to"))
        return true;
    if (!json_is_array(list) || !json_array_size(list))
        return check_no(c, "must be a list with an address", "personalizations.%zu.%s", i, name);
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *who = json_array_get(list, k);
        const char *email = json_string_value(json_object_get(who, "email"));

        if (!check_is_address(who))
            return check_no(c, "Does not contain a valid address.", "personalizations.%zu.%s.%zu",
                            i, name, k);
        if (json_object_get(seen, email))
            return check_no(c, "addresses of to, cc and bcc must differ", "personalizations.%zu",
                            i);
        json_object_set_new(seen, email, json_true());
        c->recipients++;
    }
    return true;
}

static bool check_header_names(struct check *c, const json_t *headers, const char *where)
{
    static const char *const reserved[] = {"x-sg-id",      "x-sg-eid",
                                           "received",     "dkim-signature",
                                           "content-type", "content-transfer-encoding",
                                           "to",           "from",
                                           "subject",      "reply-to",
                                           "cc",           "bcc"};
    const char *key;
    json_t *v;

    if (headers && !json_is_object(headers))
        return check_no(c, "must be an object", "%s", where);
    json_object_foreach((json_t *)(uintptr_t)headers, key, v)
    {
        for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
            if (mill_str_ieq(mill_str(key), mill_str(reserved[i])))
                return check_no(c, "a reserved header", "%s.%.60s", where, key);
        if (!json_is_string(v))
            return check_no(c, "must be text", "%s.%.60s", where, key);
    }
    return true;
}

static bool check_args(struct check *c, const json_t *args, const char *where)
{
    size_t bytes = 0;
    const char *key;
    json_t *v;

    if (args && !json_is_object(args))
        return check_no(c, "must be an object", "%s", where);
    json_object_foreach((json_t *)(uintptr_t)args, key, v)
    {
        if (!json_is_string(v))
            return check_no(c, "must be text", "%s.%.60s", where, key);
        bytes += strlen(key) + json_string_length(v);
    }
    return bytes < ARGS_BYTES || check_no(c, "more than 10000 bytes", "%s", where);
}

static bool check_send_at(struct check *c, const json_t *v)
{
    if (v && !json_is_integer(v))
        return check_no(c, "must be a whole number", "send_at");
    if (v && json_integer_value(v) > (json_int_t)time(NULL) + AHEAD_S)
        return check_no(c, "more than 72 hours ahead", "send_at");
    return true;
}

static bool check_known(struct check *c, const json_t *o, const char *const *names,
                        const char *where)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        size_t i = 0;

        while (names[i] && strcmp(names[i], key))
            i++;
        if (!names[i])
            return check_no(c, "no such parameter", "%s%.60s", where, key);
    }
    return true;
}

static bool check_personalization(struct check *c, size_t i, const json_t *p)
{
    static const char *const known[] = {
        "to",      "cc",      "bcc",           "from",        "subject",
        "headers", "send_at", "substitutions", "custom_args", "dynamic_template_data",
        NULL};
    bool subject = mill_json_str(c->mail, "subject").n || mill_json_str(p, "subject").n ||
                   mill_json_str(c->mail, "template_id").n;
    char where[64];
    json_t *seen = json_object();
    bool ok;

    snprintf(where, sizeof where, "personalizations.%zu.", i);
    ok = seen && check_known(c, p, known, where) && check_people(c, p, i, "to", seen) &&
         check_people(c, p, i, "cc", seen) && check_people(c, p, i, "bcc", seen) &&
         check_header_names(c, json_object_get(p, "headers"), "personalizations.headers") &&
         check_args(c, json_object_get(p, "custom_args"), "personalizations.custom_args") &&
         check_send_at(c, json_object_get(p, "send_at"));
    json_decref(seen);
    if (ok && !subject)
        return check_no(c, "a subject is required", "subject");
    return ok;
}

static bool check_personalizations(struct check *c)
{
    const json_t *list = json_object_get(c->mail, "personalizations");
    size_t n = json_array_size(list);

    if (!n)
        return check_no(c, "at least one is required", "personalizations");
    if (n > RECIPIENTS_MAX)
        return check_no(c, "more than 1000", "personalizations");
    for (size_t i = 0; i < n; i++)
        if (!check_personalization(c, i, json_array_get(list, i)))
            return false;
    return c->recipients <= RECIPIENTS_MAX ||
           check_no(c, "more than 1000 recipients", "personalizations");
}

/* Lists of objects whose named members must be text that is not empty. */
static bool check_parts(struct check *c, const char *name, const char *a, const char *b)
{
    const json_t *list = json_object_get(c->mail, name);

    if (list && (!json_is_array(list) || !json_array_size(list)))
        return check_no(c, "must be a list that is not empty", "%s", name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i);

        if (!mill_json_str(part, a).n)
            return check_no(c, "required, and may not be empty", "%s.%zu.%s", name, i, a);
        if (!mill_json_str(part, b).n)
            return check_no(c, "required, and may not be empty", "%s.%zu.%s", name, i, b);
    }
    return true;
}

static bool check_content(struct check *c)
{
    if (!json_object_get(c->mail, "content") && !mill_json_str(c->mail, "template_id").n)
        return check_no(c, "content or template_id is required", "content");
    return check_parts(c, "content", "type", "value") &&
           check_parts(c, "attachments", "content", "filename");
}

static bool check_categories(struct check *c)
{
    const json_t *list = json_object_get(c->mail, "categories");

    if (list && !json_is_array(list))
        return check_no(c, "must be a list", "categories");
    if (json_array_size(list) > CATEGORIES_MAX)
        return check_no(c, "more than 10", "categories");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct mill_str s = mill_json_text(json_array_get(list, i));

        if (!s.p || s.n > 255)
            return check_no(c, "must be text of at most 255 bytes", "categories.%zu", i);
        for (size_t k = 0; k < i; k++)
            if (json_equal(json_array_get(list, i), json_array_get(list, k)))
                return check_no(c, "must be unique", "categories");
    }
    return true;
}

bool double_mail_valid(struct mill_exchange *x, const json_t *mail, const char **field,
                       const char **message)
{
    static const char *const known[] = {
        "personalizations",  "from",       "reply_to",     "reply_to_list",
        "subject",           "content",    "attachments",  "template_id",
        "headers",           "categories", "custom_args",  "send_at",
        "batch_id",          "asm",        "ip_pool_name", "mail_settings",
        "tracking_settings", NULL};
    struct check c = {
        .mem = mill_exchange_arena(x), .field = field, .message = message, .mail = mail};

    if (!json_is_object(mail))
        return check_no(&c, "Bad Request", "body");
    if (!check_known(&c, mail, known, "") || !check_personalizations(&c))
        return false;
    if (!check_is_address(json_object_get(mail, "from")))
        return check_no(&c, "an object with a valid email is required", "from.email");
    if (json_object_get(mail, "reply_to") && json_object_get(mail, "reply_to_list"))
        return check_no(&c, "not together with reply_to_list", "reply_to");
    return check_content(&c) && check_categories(&c) &&
           check_header_names(&c, json_object_get(mail, "headers"), "headers") &&
           check_args(&c, json_object_get(mail, "custom_args"), "custom_args") &&
           check_send_at(&c, json_object_get(mail, "send_at"));
}
