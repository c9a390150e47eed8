/* A valid call, whichever provider's: counted, and answered as its fault says. */
#include "double.h"

#include "base/clock.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>

const struct double_api double_apis[DOUBLE_PROVIDERS] = {
    [DOUBLE_SENDGRID] = {"sendgrid", 202, double_sendgrid_answer},
    [DOUBLE_MAILGUN] = {"mailgun", 200, double_mailgun_answer},
};

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

/* Of the first personalization that has one: ours sends one a call. */
static struct mill_str call_message_id(const json_t *mail)
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

static void call_count(json_t *counts, struct mill_str id)
{
    json_t *n = json_object_getn(counts, id.p, id.n);

    if (n)
        json_integer_set(n, json_integer_value(n) + 1);
    else
        json_object_setn_new(counts, id.p, id.n, json_integer(1));
}

static bool call_sandbox(const json_t *mail)
{
    const json_t *settings = json_object_get(mail, "mail_settings");

    return json_is_true(json_object_get(json_object_get(settings, "sandbox_mode"), "enable"));
}

/* Keeps the call; the worker answers it, or the next change of behaviour ends it. */
static bool call_keep(struct double_state *d, struct mill_exchange *x, enum double_provider from,
                      const struct double_fault *f, unsigned status, const char *id)
{
    struct double_late *l = calloc(1, sizeof *l);

    if (!l)
        return false;
    l->x = x;
    l->from = from;
    l->due_ms = f->hang ? INT64_MAX : mill_tick_ms() + f->late_ms;
    l->status = status;
    l->retry_after_s = f->retry_after_s;
    snprintf(l->id, sizeof l->id, "%s", id);
    l->next = d->late;
    d->late = l;
    return true;
}

void double_take(struct double_state *d, struct mill_exchange *x, enum double_provider from,
                 const json_t *mail, const char *id)
{
    const struct double_call call = {
        .from = from, .message_id = call_message_id(mail), .reused = mill_exchange_reused(x)};
    struct double_fault f = {.accept = true};
    const bool sandbox = call_sandbox(mail);
    unsigned status;
    bool kept = false;

    pthread_mutex_lock(&d->lock);
    double_fault_for(d, &call, &f);
    status = f.status ? f.status : sandbox ? 200 : double_apis[from].ok;
    call_count(d->attempts[from], call.message_id);
    if (f.accept && !sandbox) {
        call_count(d->calls[from], call.message_id);
        double_queue_events(d, from, mail, id);
    }
    if (f.hang || (f.late_ms && !f.reset))
        kept = call_keep(d, x, from, &f, status, id);
    pthread_mutex_unlock(&d->lock);
    if (kept)
        mill_http_wake(d->http);
    else if (f.reset)
        mill_exchange_drop(x);
    else
        double_apis[from].answer(x, status, id, f.retry_after_s);
}
