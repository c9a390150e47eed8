/**
 * @file problem.c
 * @brief The table of problems and its three forms: answer, JSON object, page.
 */
#include "problem.h"

#include "base/hash.h"

enum { PROBLEM_MAX_BYTES = 1 << 20 };

static const struct {
    unsigned status;
    const char *name;
    const char *title;
    const char *advice;
    const char *retry_after; /* seconds; NULL = a retry as it is will not help */
    const char *outcome;     /* member of its own; NULL = none */
} problems[PROBLEM_END] = {
    [PROBLEM_MALFORMED_BODY] = {400, "malformed-body", "The body cannot be read",
                                "Send one JSON object (POST /v1/mail), or a JSON array or one "
                                "JSON object a line (POST /v1/mail/batch), in UTF-8; a form "
                                "to /v1/unsubscribe/.",
                                NULL, NULL},
    [PROBLEM_INVALID_IDEMPOTENCY_KEY] = {400, "invalid-idempotency-key",
                                         "The Idempotency-Key header cannot be used",
                                         "Send 1 to 256 printable ASCII characters, bare or as a "
                                         "quoted string.",
                                         NULL, NULL},
    [PROBLEM_MISSING_IDEMPOTENCY_KEY] =
        {400, "missing-idempotency-key", "The Idempotency-Key header is missing",
         "Send Idempotency-Key with a value of your own for each mail, such as "
         "order-shipped/4711, and the same value when you repeat the request.",
         NULL, NULL},
    [PROBLEM_UNAUTHENTICATED] = {401, "unauthenticated", "Credentials are missing or wrong",
                                 "Send Authorization: Bearer with an API key, or Basic with id and "
                                 "password.",
                                 NULL, NULL},
    [PROBLEM_MISSING_SCOPE] = {403, "missing-scope", "The credential may not do this",
                               "Have the scope that the detail names added to the credential.",
                               NULL, NULL},
    [PROBLEM_INVALID_SIGNATURE] = {403, "invalid-signature", "The callback's signature is wrong",
                                   "Check that the provider's verification key is the one "
                                   "configured here, and that nothing between rewrites the body.",
                                   NULL, NULL},
    [PROBLEM_NOT_FOUND] = {404, "not-found", "There is nothing at this path",
                           "GET /openapi.json lists the paths.", NULL, NULL},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, "method-not-allowed", "The path has no such method",
                                    "The Allow header lists the methods.", NULL, NULL},
    [PROBLEM_TIMEOUT] = {408, "timeout", "The body came too slowly",
                         "Send the request again on a faster connection.", NULL, NULL},
    [PROBLEM_KEY_IN_HAND] = {409, "idempotency-key-in-hand",
                             "A request with this Idempotency-Key is being answered right now",
                             "Wait for its answer, or send the same again after Retry-After to get "
                             "that answer.",
                             "1", NULL},
    [PROBLEM_TOO_LARGE] = {413, "too-large", "The request is too large",
                           "Send smaller attachments, or link to them.", NULL, NULL},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {415, "unsupported-media-type",
                                        "The body's media type is not taken here",
                                        "Send Content-Type: application/json (for a batch also "
                                        "application/x-ndjson), without Content-Encoding.",
                                        NULL, NULL},
    [PROBLEM_INVALID_REQUEST] = {422, "invalid-request", "Fields of the request are wrong",
                                 "Correct each field that errors[] names; nothing was accepted.",
                                 NULL, NULL},
    [PROBLEM_KEY_REUSED] = {422, "idempotency-key-reused",
                            "This Idempotency-Key was used for another request",
                            "Repeat the first request's body to get its answer, or send the new "
                            "mail under a new key. GET /v1/limits says how long keys are kept.",
                            NULL, NULL},
    [PROBLEM_TOO_MANY_IN_FLIGHT] = {429, "too-many-in-flight",
                                    "Too many mails of this tenant are in flight",
                                    "Wait for answers before sending more, or spread the load.",
                                    "1", NULL},
    [PROBLEM_TOO_MANY_REQUESTS] = {429, "too-many-requests", "Too many requests to this path",
                                   "Try again after Retry-After.", "1", NULL},
    [PROBLEM_HEADERS_TOO_LARGE] = {431, "headers-too-large", "The headers are too large",
                                   "Send fewer or shorter headers.", NULL, NULL},
    [PROBLEM_UNAVAILABLE] = {503, "unavailable", "Mail cannot be accepted now",
                             "Nothing was accepted. Send the same request again after Retry-After.",
                             "5", NULL},
    [PROBLEM_OUTCOME_UNKNOWN] = {503, "outcome-unknown",
                                 "The broker did not say whether the mail was accepted",
                                 "The mail may have been accepted. A retry is safe only with the "
                                 "Idempotency-Key of the first request; without one it may send "
                                 "twice.",
                                 "5", "unknown"},
    [PROBLEM_INTERNAL] = {500, "internal", "An error of the server's own",
                          "Nothing was accepted. Tell the operator the instance.", NULL, NULL},
};

unsigned ingest_problem_status(enum ingest_problem p)
{
    return problems[p].status;
}

const char *ingest_problem_name(enum ingest_problem p)
{
    return problems[p].name;
}

enum ingest_problem ingest_problem_of(unsigned status)
{
    for (unsigned p = 1; p < PROBLEM_END; p++)
        if (problems[p].status == status)
            return (enum ingest_problem)p;
    return PROBLEM_INTERNAL;
}

static void problem_add_wrong(struct mill_buf *out, const struct ingest_refusal *r)
{
    mill_buf_puts(out, ",\"errors\":[");
    for (size_t i = 0; i < r->wrong_n; i++) {
        mill_buf_puts(out, i ? ",{\"pointer\":" : "{\"pointer\":");
        mill_buf_json(out, r->wrong[i].pointer);
        mill_buf_puts(out, ",\"detail\":");
        mill_buf_json(out, r->wrong[i].detail);
        mill_buf_putc(out, '}');
    }
    mill_buf_putc(out, ']');
}

bool ingest_problem_add(struct mill_buf *out, const struct ingest_refusal *r, struct mill_str extra)
{
    char uuid[MILL_UUID_TEXT];

    mill_buf_printf(out, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%u",
                    problems[r->problem].name, problems[r->problem].title,
                    problems[r->problem].status);
    if (r->detail.p) {
        mill_buf_puts(out, ",\"detail\":");
        mill_buf_json(out, r->detail);
    }
    if (mill_uuid7(uuid))
        mill_buf_printf(out, ",\"instance\":\"urn:uuid:%s\"", uuid);
    if (problems[r->problem].outcome)
        mill_buf_printf(out, ",\"outcome\":\"%s\"", problems[r->problem].outcome);
    if (r->wrong_n)
        problem_add_wrong(out, r);
    if (extra.n)
        mill_buf_str_add(out, extra);
    mill_buf_putc(out, '}');
    return !out->failed;
}

void ingest_problem_answer(struct mill_exchange *x, const struct ingest_refusal *r,
                           struct mill_str extra)
{
    struct mill_pair headers[3] = {
        {MILL_STR("Content-Type"), MILL_STR("application/problem+json")}};
    size_t n = 1;
    struct mill_buf body;

    if (problems[r->problem].retry_after)
        headers[n++] =
            (struct mill_pair){MILL_STR("Retry-After"), mill_str(problems[r->problem].retry_after)};
    if (r->challenge)
        headers[n++] = (struct mill_pair){MILL_STR("WWW-Authenticate"), mill_str(r->challenge)};
    mill_buf_init(&body, PROBLEM_MAX_BYTES);
    if (!ingest_problem_add(&body, r, extra)) { /* the list of errors is too long: say it without */
        struct ingest_refusal bare = {.problem = r->problem, .detail = r->detail};
        mill_buf_reset(&body);
        (void)ingest_problem_add(&body, &bare, (struct mill_str){0});
    }
    mill_exchange_answer(x, problems[r->problem].status, (struct mill_map){headers, n},
                         mill_buf_view(&body));
    mill_buf_release(&body);
}

void ingest_problem_page(void *app, struct mill_exchange *x)
{
    struct mill_pair text = {MILL_STR("Content-Type"), MILL_STR("text/plain; charset=utf-8")};
    struct mill_str path = mill_exchange_path(x);
    size_t skip = sizeof "/problems/" - 1;
    struct mill_buf body;

    (void)app;
    mill_buf_init(&body, 4096);
    for (unsigned p = 1; p < PROBLEM_END && path.n > skip; p++)
        if (mill_str_is((struct mill_str){path.p + skip, path.n - skip}, problems[p].name))
            mill_buf_printf(&body, "%s (HTTP %u)\n\n%s\n%s\n", problems[p].name, problems[p].status,
                            problems[p].title, problems[p].advice);
    if (body.n)
        mill_exchange_answer(x, 200, (struct mill_map){&text, 1}, mill_buf_view(&body));
    else
        ingest_problem_answer(x, &(struct ingest_refusal){.problem = PROBLEM_NOT_FOUND},
                              (struct mill_str){0});
    mill_buf_release(&body);
}
