/**
 * @file callback_api.c
 * @brief POST /v1/callbacks/PROVIDER: a provider's post becomes one record, byte for byte.
 *
 * The signature is the caller's only credential. What it covers is stored as it came: several
 * events in one post are one record, and what is in them is unpack's business. 200 only after the
 * broker acknowledged; anything else makes the provider post again (to Mailgun, 406 alone would
 * mean "drop it": it is never said). Which providers there are, what they sign and with which
 * options is the table mill_providers' (send/provider.h): nothing here names one.
 */
#include "base/clock.h"
#include "mail/records.h"
#include "store.h"

/** The provider's place in mill_providers; MILL_PROVIDERS_N = none of this name posts anything. */
static size_t callback_find(struct mill_str path)
{
    size_t skip = sizeof "/v1/callbacks/" - 1, i = 0;
    struct mill_str name = {path.p + skip, path.n - skip};

    while (i < MILL_PROVIDERS_N &&
           !(mill_providers[i]->webhook && mill_str_is(name, mill_providers[i]->name)))
        i++;
    return i;
}

static void callback_refuse(struct ingest *app, struct mill_exchange *x, enum ingest_problem p,
                            const char *detail)
{
    ingest_refuse(app, x, &(struct ingest_refusal){.problem = p, .detail = mill_str(detail)},
                  (struct mill_str){0});
}

static bool callback_verified(struct ingest *app, struct mill_exchange *x, size_t provider,
                              const struct mill_webhook_post *post)
{
    const struct mill_webhook_keys *keys = &app->secrets.webhooks[provider];
    struct mill_err err = {0};

    if (!keys->n) {
        callback_refuse(app, x, PROBLEM_UNAVAILABLE, "no verification key is configured");
        return false;
    }
    switch (mill_providers[provider]->webhook->verify(keys, post, &err)) {
    case MILL_OK:
        return true;
    case MILL_E_AUTH:
        callback_refuse(app, x, PROBLEM_INVALID_SIGNATURE, NULL);
        return false;
    case MILL_E_DATA:
        callback_refuse(app, x, PROBLEM_MALFORMED_BODY, "the body has no signature to look at");
        return false;
    default:
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return false;
    }
}

static void callback_store(struct ingest_store *s, size_t provider,
                           const struct mill_webhook_post *post)
{
    const char *const *names = mill_providers[provider]->webhook->headers;
    static const struct mill_pair json = {MILL_STR_INIT("Content-Type"),
                                          MILL_STR_INIT("application/json")};
    struct mill_pair headers[MILL_WEBHOOK_HEADERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < MILL_WEBHOOK_HEADERS_MAX && names[i]; i++)
        if (post->headers[i].p)
            headers[n++] = (struct mill_pair){mill_str(names[i]), post->headers[i]};
    const struct mill_callback record = {
        .provider = mill_str(mill_providers[provider]->name),
        .received_at = post->now_us,
        .content_type = mill_exchange_header(s->x, "Content-Type"),
        .headers = {headers, n},
        .body = post->body,
    };
    mill_metric_add(s->app->metrics, M_BYTES, BYTES_CALLBACK, record.body.n);
    s->port = INGEST_CALLBACKS;
    s->value = &record;
    s->status = 200;
    s->head = (struct mill_map){&json, 1};
    s->body = MILL_STR("{\"status\":\"stored\"}");
    s->metric = M_CALLBACKS;
    s->label = provider;
    ingest_store(s);
}

void ingest_callback_post(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    size_t provider = callback_find(mill_exchange_path(x));
    struct mill_webhook_post post = {.body = mill_exchange_body(x), .now_us = mill_now_us()};
    const char *const *names;
    struct ingest_store *s;

    if (ingest_refuse_draining(app, x))
        return;
    if (provider == MILL_PROVIDERS_N) {
        callback_refuse(app, x, PROBLEM_NOT_FOUND, NULL);
        return;
    }
    names = mill_providers[provider]->webhook->headers;
    for (size_t i = 0; i < MILL_WEBHOOK_HEADERS_MAX && names[i]; i++)
        post.headers[i] = mill_exchange_header(x, names[i]);
    if (!callback_verified(app, x, provider, &post))
        return;
    s = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *s);
    if (!s) {
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return;
    }
    s->app = app;
    s->x = x;
    callback_store(s, provider, &post);
}
