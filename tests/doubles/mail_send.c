/* POST /v3/mail/send as SendGrid answers it, with the faults that were asked for. */
#include "double.h"

#include "base/clock.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void double_random_id(char *out, size_t size)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[40];
    size_t n = size - 1 < sizeof random ? size - 1 : sizeof random;

    if (!mill_random(random, n))
        abort();
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[random[i] & 63];
    out[n] = '\0';
}

void double_answer_error(struct mill_exchange *x, unsigned status, const char *field,
                         const char *message)
{
    const struct mill_pair type = {MILL_STR("Content-Type"), MILL_STR("application/json")};
    struct mill_buf body;

    mill_buf_init(&body, 4096);
    mill_buf_puts(&body, "{\"errors\":[{\"message\":");
    mill_buf_json(&body, mill_str(message));
    mill_buf_puts(&body, ",\"field\":");
    if (field)
        mill_buf_json(&body, mill_str(field));
    else
        mill_buf_puts(&body, "null");
    mill_buf_puts(&body, "}]}");
    mill_exchange_answer(x, status, (struct mill_map){&type, 1}, mill_buf_view(&body));
    mill_buf_release(&body);
}

void double_answer(struct mill_exchange *x, unsigned status, const char *id, uint32_t retry_after_s)
{
    char seconds[16], reset[24];
    struct mill_pair h[6];
    size_t n = 0;
    struct mill_str body = MILL_STR("");

    if (status < 300)
        h[n++] = (struct mill_pair){MILL_STR("X-Message-Id"), mill_str(id)};
    else if (status == 429)
        body = MILL_STR("{\"errors\":[{\"field\":null,\"message\":\"too many requests\"}]}");
    else
        body = MILL_STR("{\"errors\":[{\"message\":\"as asked\",\"field\":null}]}");
    if (status >= 300)
        h[n++] = (struct mill_pair){MILL_STR("Content-Type"), MILL_STR("application/json")};
    if (retry_after_s) {
        snprintf(seconds, sizeof seconds, "%u", retry_after_s);
        h[n++] = (struct mill_pair){MILL_STR("Retry-After"), mill_str(seconds)};
    }
    if (status == 429) {
        snprintf(reset, sizeof reset, "%lld",
                 (long long)(mill_now_us() / 1000000 + (retry_after_s ? retry_after_s : 1)));
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Limit"), MILL_STR("600")};
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Remaining"), MILL_STR("0")};
        h[n++] = (struct mill_pair){MILL_STR("X-RateLimit-Reset"), mill_str(reset)};
    }
    mill_exchange_answer(x, status, (struct mill_map){h, n}, body);
}

static bool mail_authorized(const struct double_state *d, const struct mill_exchange *x)
{
    struct mill_str auth = mill_exchange_header(x, "Authorization");

    if (!mill_str_starts(auth, "Bearer "))
        return false;
    auth = (struct mill_str){auth.p + 7, auth.n - 7};
    return d->key && d->key[0] ? mill_str_is(auth, d->key) : mill_str_starts(auth, "SG.");
}

/* Of the first personalization that has one: ours sends one a call. */
static struct mill_str mail_message_id(const json_t *mail)
{
    const json_t *list = json_object_get(mail, "personalizations");
    struct mill_str id;

    for (size_t i = 0; i < json_array_size(list); i++) {
        id = mill_json_str(json_object_get(json_array_get(list, i), "custom_args"),
                           "mill_message_id");
        if (id.n)
            return id;
    }
    id = mill_json_str(json_object_get(mail, "custom_args"), "mill_message_id");
    return id.n ? id : MILL_STR("(none)");
}

static void mail_count(json_t *counts, struct mill_str id)
{
    json_t *n = json_object_getn(counts, id.p, id.n);

    if (n)
        json_integer_set(n, json_integer_value(n) + 1);
    else
        json_object_setn_new(counts, id.p, id.n, json_integer(1));
}

static bool mail_sandbox(const json_t *mail)
{
    const json_t *settings = json_object_get(mail, "mail_settings");

    return json_is_true(json_object_get(json_object_get(settings, "sandbox_mode"), "enable"));
}

/* Keeps the call; the worker answers it, or the next change of behaviour ends it. */
static bool mail_keep(struct double_state *d, struct mill_exchange *x, const struct double_fault *f,
                      unsigned status, const char *id)
{
    struct double_late *l = calloc(1, sizeof *l);

    if (!l)
        return false;
    l->x = x;
    l->due_ms = f->hang ? INT64_MAX : mill_tick_ms() + f->late_ms;
    l->status = status;
    l->retry_after_s = f->retry_after_s;
    snprintf(l->id, sizeof l->id, "%s", id);
    l->next = d->late;
    d->late = l;
    return true;
}

/* A valid call. */
static void mail_take(struct double_state *d, struct mill_exchange *x, const json_t *mail)
{
    struct mill_str message_id = mail_message_id(mail);
    struct double_fault f = {.accept = true};
    const bool sandbox = mail_sandbox(mail);
    unsigned status;
    char id[23];
    bool kept = false;

    double_random_id(id, sizeof id);
    pthread_mutex_lock(&d->lock);
    double_fault_for(d, message_id, false, &f);
    status = f.status ? f.status : sandbox ? 200 : 202;
    mail_count(d->attempts, message_id);
    if (f.accept && !sandbox) {
        mail_count(d->calls, message_id);
        double_queue_events(d, mail, id);
    }
    if (f.hang || (f.late_ms && !f.reset))
        kept = mail_keep(d, x, &f, status, id);
    pthread_mutex_unlock(&d->lock);
    if (kept)
        mill_http_wake(d->http);
    else if (f.reset)
        mill_exchange_drop(x);
    else
        double_answer(x, status, id, f.retry_after_s);
}

void double_on_mail(void *app, struct mill_exchange *x)
{
    struct double_state *d = app;
    const char *field = NULL, *message = NULL;
    json_t *mail = NULL;

    if (!mail_authorized(d, x))
        double_answer_error(x, 401, NULL,
                            "The provided authorization grant is invalid, expired, or revoked");
    else if (!mill_str_starts(mill_exchange_header(x, "Content-Type"), "application/json"))
        double_answer_error(x, 415, NULL, "Content-Type should be application/json.");
    else if (mill_json_parse(mill_exchange_body(x), &mail, NULL))
        double_answer_error(x, 400, NULL, "Bad Request");
    else if (!double_mail_valid(x, mail, &field, &message))
        double_answer_error(x, 400, field, message);
    else
        mail_take(d, x, mail);
    json_decref(mail);
}
