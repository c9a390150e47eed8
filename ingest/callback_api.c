/**
 * @file callback_api.c
 * @brief POST /v1/callbacks/sendgrid: a provider's post becomes one record, byte for byte.
 *
 * The signature is the caller's only credential. What it covers is stored as it came: several
 * events in one post are one record, and what is in them is unpack's business. 200 only after the
 * broker acknowledged; anything else makes the provider post again.
 */
#include "app.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/records.h"
#include "mail/signature.h"

#define SENDGRID_SIGNATURE "X-Twilio-Email-Event-Webhook-Signature"
#define SENDGRID_TIMESTAMP "X-Twilio-Email-Event-Webhook-Timestamp"

struct callback_call {
    struct ingest_ticket ticket;
    struct ingest *app;
    struct mill_exchange *x;
};

static void callback_refuse(struct ingest *app, struct mill_exchange *x, enum ingest_problem p,
                            const char *detail)
{
    ingest_refuse(app, x, &(struct ingest_refusal){.problem = p, .detail = mill_str(detail)},
                  (struct mill_str){0});
}

static bool callback_signed(const struct ingest *app, struct mill_exchange *x)
{
    struct mill_str timestamp = mill_exchange_header(x, SENDGRID_TIMESTAMP);
    struct mill_str signature = mill_exchange_header(x, SENDGRID_SIGNATURE);
    struct mill_err err = {0};

    if (!timestamp.p || !signature.p)
        return false;
    for (size_t i = 0; i < app->sendgrid_n; i++) /* several while a key is being replaced */
        if (!mill_signature_verify(app->sendgrid[i], timestamp, mill_exchange_body(x), signature,
                                   &err))
            return true;
    return false;
}

/* On the producer's thread. */
static void callback_delivered(void *arg, enum mill_delivery d, const char *reason)
{
    struct callback_call *call = arg;
    struct mill_buf body;

    (void)reason;
    if (d == MILL_DELIVERED) {
        mill_metric_add(call->app->metrics, M_CALLBACKS, 0, 1);
        mill_buf_init(&body, 64);
        mill_buf_puts(&body, "{\"status\":\"stored\"}");
        ingest_reply(call->app, call->x, 200, &body);
        mill_buf_release(&body);
    } else if (d == MILL_TOO_LARGE) {
        callback_refuse(call->app, call->x, PROBLEM_TOO_LARGE,
                        "the callback is over the broker's own record limit");
    } else { /* stored twice does no harm: events have identities of their own */
        callback_refuse(call->app, call->x, PROBLEM_UNAVAILABLE,
                        "the broker did not acknowledge the record");
    }
}

static void callback_store(struct callback_call *call)
{
    struct mill_exchange *x = call->x;
    const struct mill_pair headers[] = {
        {MILL_STR(SENDGRID_SIGNATURE), mill_exchange_header(x, SENDGRID_SIGNATURE)},
        {MILL_STR(SENDGRID_TIMESTAMP), mill_exchange_header(x, SENDGRID_TIMESTAMP)},
    };
    struct mill_callback record = {
        .provider = MILL_STR("sendgrid"),
        .received_at = mill_now_us(),
        .content_type = mill_exchange_header(x, "Content-Type"),
        .headers = {headers, sizeof headers / sizeof *headers},
        .body = mill_exchange_body(x),
    };
    struct ingest *app = call->app;
    struct ingest_trace trace = {0};
    struct mill_err err = {0};
    enum ingest_publish rc;

    if (!ingest_trace_of(x, &trace)) {
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return;
    }
    call->ticket = (struct ingest_ticket){.done = callback_delivered, .arg = call};
    mill_metric_add(app->metrics, M_BYTES, BYTES_CALLBACK, record.body.n);
    rc = ingest_publish_send(app->publisher, INGEST_CALLBACKS, (struct mill_str){0}, &record,
                             (struct mill_map){trace.v, trace.n}, &call->ticket, &err);
    if (rc == INGEST_AWAY) {
        callback_refuse(app, x, PROBLEM_UNAVAILABLE, ingest_publisher_why(app->publisher));
    } else if (rc == INGEST_TOO_LARGE) {
        callback_refuse(app, x, PROBLEM_TOO_LARGE, "the callback is over the record limit");
    } else if (rc == INGEST_FAILED) {
        mill_log_err(MILL_ERROR, "publish_failed", &err);
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
    }
}

void ingest_sendgrid_post(void *arg, struct mill_exchange *x)
{
    struct ingest *app = arg;
    struct callback_call *call;

    if (ingest_refuse_draining(app, x))
        return;
    if (!app->sendgrid_n) {
        callback_refuse(app, x, PROBLEM_UNAVAILABLE, "no verification key is configured");
        return;
    }
    if (!callback_signed(app, x)) {
        callback_refuse(app, x, PROBLEM_INVALID_SIGNATURE, NULL);
        return;
    }
    call = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *call);
    if (!call) {
        callback_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return;
    }
    call->app = app;
    call->x = x;
    callback_store(call);
}
