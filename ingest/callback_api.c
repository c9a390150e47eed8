/**
 * @file callback_api.c
 * @brief POST /v1/callbacks/PROVIDER: a provider's post becomes one record, byte for byte.
 *
 * The signature is the caller's only credential. What it covers is stored as it came: several
 * events in one post are one record, and what is in them is unpack's business. 200 only after the
 * broker acknowledged; anything else makes the provider post again (to Mailgun, 406 alone would
 * mean "drop it": it is never said). Another provider is a row of callback_rows and one of app.c's.
 */
#include "base/clock.h"
#include "mail/records.h"
#include "store.h"

enum { CALLBACK_HEADERS_MAX = 2 };

struct callback_row {
    const char *name;                          /* end of the path, and the record's provider */
    const char *headers[CALLBACK_HEADERS_MAX]; /* stored beside the body; NULL = no more */
    bool (*has_key)(const struct ingest *app);
    /* MILL_OK; MILL_E_AUTH; MILL_E_DATA when the body is none of the provider's */
    enum mill_code (*verify)(const struct ingest *app, struct mill_exchange *x,
                             struct mill_err *err);
};

/* --- SendGrid: over timestamp and raw body, in headers --------------------------------------- */

#define SENDGRID_SIGNATURE "X-Twilio-Email-Event-Webhook-Signature"
#define SENDGRID_TIMESTAMP "X-Twilio-Email-Event-Webhook-Timestamp"

static bool sendgrid_has_key(const struct ingest *app)
{
    return app->secrets.sendgrid_n > 0;
}

static enum mill_code sendgrid_verify(const struct ingest *app, struct mill_exchange *x,
                                      struct mill_err *err)
{
    struct mill_str timestamp = mill_exchange_header(x, SENDGRID_TIMESTAMP);
    struct mill_str signature = mill_exchange_header(x, SENDGRID_SIGNATURE);

    if (!timestamp.p || !signature.p)
        return mill_fail(err, MILL_E_AUTH, "signature", "is missing");
    for (size_t i = 0; i < app->secrets.sendgrid_n; i++)
        if (!mill_signature_verify(app->secrets.sendgrid[i], timestamp, mill_exchange_body(x),
                                   signature, err))
            return MILL_OK;
    return MILL_E_AUTH;
}

/* --- Mailgun: over timestamp and token, in the body ------------------------------------------ */

static bool mailgun_has_key(const struct ingest *app)
{
    return app->secrets.mailgun_n > 0;
}

static enum mill_code mailgun_verify(const struct ingest *app, struct mill_exchange *x,
                                     struct mill_err *err)
{
    return mill_verify_mailgun((struct mill_strs){app->secrets.mailgun, app->secrets.mailgun_n},
                               mill_exchange_body(x), mill_now_us(), app->conf->mailgun_max_age_ms,
                               err);
}

/* In the order of the metric's labels. */
static const struct callback_row callback_rows[] = {
    {"sendgrid", {SENDGRID_SIGNATURE, SENDGRID_TIMESTAMP}, sendgrid_has_key, sendgrid_verify},
    {"mailgun", {NULL}, mailgun_has_key, mailgun_verify},
};

static const struct callback_row *callback_find(struct mill_str path)
{
    size_t skip = sizeof "/v1/callbacks/" - 1;
    struct mill_str name = {path.p + skip, path.n - skip};

    for (size_t i = 0; i < sizeof callback_rows / sizeof *callback_rows; i++)
        if (mill_str_is(name, callback_rows[i].name))
            return &callback_rows[i];
    return NULL;
}

static void callback_refuse(struct ingest *app, struct mill_exchange *x, enum ingest_problem p,
                            const char *detail)
{
    ingest_refuse(app, x, &(struct ingest_refusal){.problem = p, .detail = mill_str(detail)},
                  (struct mill_str){0});
}

static bool callback_verified(struct ingest *app, struct mill_exchange *x,
                              const struct callback_row *row)
{
    struct mill_err err = {0};

    if (!row->has_key(app)) {
        callback_refuse(app, x, PROBLEM_UNAVAILABLE, "no verification key is configured");
        return false;
    }
    switch (row->verify(app, x, &err)) {
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

static void callback_store(struct ingest_store *s, const struct callback_row *row)
{
    static const struct mill_pair json = {MILL_STR_INIT("Content-Type"),
                                          MILL_STR_INIT("application/json")};
    struct mill_pair headers[CALLBACK_HEADERS_MAX];
    size_t n = 0;

    for (; n < CALLBACK_HEADERS_MAX && row->headers[n]; n++)
        headers[n] = (struct mill_pair){mill_str(row->headers[n]),
                                        mill_exchange_header(s->x, row->headers[n])};
    const struct mill_callback record = {
        .provider = mill_str(row->name),
        .received_at = mill_now_us(),
        .content_type = mill_exchange_header(s->x, "Content-Type"),
        .headers = {headers, n},
        .body = mill_exchange_body(s->x),
    };
    mill_metric_add(s->app->metrics, M_BYTES, BYTES_CALLBACK, record.body.n);
    s->port = INGEST_CALLBACKS;
    s->value = &record;
    s->status = 200;
    s->head = (struct mill_map){&json, 1};
    s->body = MILL_STR("{\"status\":\"stored\"}");
    s->metric = M_CALLBACKS;
    s->label = (size_t)(row - callback_rows);
    ingest_store(s);
}

void ingest_callback_post(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    const struct callback_row *row = callback_find(mill_exchange_path(x));
    struct ingest_store *s;

    if (ingest_refuse_draining(app, x))
        return;
    if (!row) {
        callback_refuse(app, x, PROBLEM_NOT_FOUND, NULL);
        return;
    }
    if (!callback_verified(app, x, row))
        return;
    s = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *s);
    if (!s) {
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return;
    }
    s->app = app;
    s->x = x;
    callback_store(s, row);
}
