/**
 * @file unsubscribe_api.c
 * @brief /v1/unsubscribe/TOKEN: one-click unsubscribe (RFC 8058).
 *
 * POST with List-Unsubscribe=One-Click, as mail programs send it, writes the suppression and
 * answers 200 when the broker has it: no login, no redirect, no cookie. GET, which scanners of mail
 * follow, changes nothing: it shows a page with a button that posts. The signed token is the only
 * credential. Neither answer depends on anything but the token, so that nobody learns which
 * addresses exist; what is no token of ours is 404.
 */
#include "base/clock.h"
#include "mail/suppression.h"
#include "store.h"

#define UNSUBSCRIBE_HEADERS                                                                        \
    {MILL_STR_INIT("Content-Type"), MILL_STR_INIT("text/html; charset=utf-8")},                    \
        {MILL_STR_INIT("Cache-Control"), MILL_STR_INIT("no-store")},                               \
        {MILL_STR_INIT("Referrer-Policy"), MILL_STR_INIT("no-referrer")},                          \
        {MILL_STR_INIT("X-Robots-Tag"), MILL_STR_INIT("noindex")},                                 \
    {                                                                                              \
        MILL_STR_INIT("Content-Security-Policy"),                                                  \
            MILL_STR_INIT("default-src 'none'; form-action 'self'; frame-ancestors 'none'")        \
    }

static const struct mill_pair unsubscribe_head[] = {UNSUBSCRIBE_HEADERS};

#define UNSUBSCRIBE_PAGE(title, body)                                                              \
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "    \
    "content=\"width=device-width\"><title>" title "</title></head><body><h1>" title "</h1>" body  \
    "</body></html>\n"

#define UNSUBSCRIBE_ASK(question)                                                                  \
    UNSUBSCRIBE_PAGE("Unsubscribe",                                                                \
                     "<p>" question "</p><form method=\"post\"><input type=\"hidden\" "            \
                     "name=\"List-Unsubscribe\" value=\"One-Click\"><button>Unsubscribe</button>"  \
                     "</form>")

static const char unsubscribe_ask[] = UNSUBSCRIBE_ASK("No more mail from this sender?");
static const char unsubscribe_ask_kind[] =
    UNSUBSCRIBE_ASK("No more mail of this kind from this sender?");
static const char unsubscribe_done[] = UNSUBSCRIBE_PAGE(
    "Unsubscribed", "<p>It may take a few minutes until the last mail has come.</p>");

static void unsubscribe_refuse(struct ingest *app, struct mill_exchange *x, enum ingest_problem p,
                               const char *detail)
{
    ingest_refuse(app, x, &(struct ingest_refusal){.problem = p, .detail = mill_str(detail)},
                  (struct mill_str){0});
}

/* The token of the path; false when x was refused. */
static bool unsubscribe_token(struct ingest *app, struct mill_exchange *x,
                              struct mill_unsubscribe *out)
{
    struct mill_str path = mill_exchange_path(x);
    size_t skip = sizeof "/v1/unsubscribe/" - 1;
    struct mill_err err = {0};

    if (ingest_refuse_draining(app, x))
        return false;
    switch (mill_unsubscribe_read(out, (struct mill_str){path.p + skip, path.n - skip},
                                  &app->secrets.unsubscribe, mill_exchange_arena(x), &err)) {
    case MILL_OK:
        return true;
    case MILL_E_AUTH:
        unsubscribe_refuse(app, x, PROBLEM_NOT_FOUND, "the link is not, or no longer, one of ours");
        return false;
    default:
        unsubscribe_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return false;
    }
}

void ingest_unsubscribe_get(void *arg, struct mill_exchange *x)
{
    struct mill_map head = {unsubscribe_head, sizeof unsubscribe_head / sizeof *unsubscribe_head};
    struct mill_unsubscribe u;
    struct ingest *app = arg;

    if (!unsubscribe_token(app, x, &u))
        return;
    mill_metric_add(app->metrics, M_ANSWERS, 0, 1);
    mill_exchange_answer(x, 200, head,
                         mill_str(u.category.n ? unsubscribe_ask_kind : unsubscribe_ask));
}

static bool unsubscribe_has(struct mill_str body, struct mill_str what)
{
    for (size_t i = 0; i + what.n <= body.n; i++)
        if (!memcmp(body.p + i, what.p, what.n))
            return true;
    return false;
}

/* As a form (urlencoded), or in a part of its own (multipart): RFC 8058 allows both. */
static bool unsubscribe_one_click(struct mill_str body)
{
    return unsubscribe_has(body, MILL_STR("List-Unsubscribe=One-Click")) ||
           (unsubscribe_has(body, MILL_STR("name=\"List-Unsubscribe\"")) &&
            unsubscribe_has(body, MILL_STR("One-Click")));
}

static void unsubscribe_store(struct ingest *app, struct mill_exchange *x,
                              const struct mill_unsubscribe *u)
{
    struct ingest_store *s = mill_arena_calloc(mill_exchange_arena(x), 1, sizeof *s);
    char address[MILL_SUPPRESSION_ADDRESS_SIZE], key[MILL_SUPPRESSION_KEY_SIZE];
    const struct mill_suppression record = {
        .address = mill_suppression_address(u->address, address),
        .tenant = u->tenant,
        .reason = MILL_SUPPRESSED_UNSUBSCRIBE,
        .since = mill_now_us(),
        .source = MILL_STR("one-click"),
        .message_id = u->message_id.n ? u->message_id : (struct mill_str){0},
        .category = u->category,
    };

    if (!s || !mill_suppression_key(u->tenant, u->address, u->category, key)) {
        unsubscribe_refuse(app, x, PROBLEM_INTERNAL, NULL);
        return;
    }
    *s = (struct ingest_store){
        .app = app,
        .x = x,
        .port = INGEST_SUPPRESSIONS,
        .key = mill_str(key),
        .value = &record,
        .status = 200,
        .head = {unsubscribe_head, sizeof unsubscribe_head / sizeof *unsubscribe_head},
        .body = mill_str(unsubscribe_done),
        .metric = M_UNSUBSCRIBES};
    ingest_store(s);
}

void ingest_unsubscribe_post(void *arg, struct mill_exchange *x)
{
    struct mill_unsubscribe u;
    struct ingest *app = arg;

    if (!unsubscribe_token(app, x, &u))
        return;
    if (!unsubscribe_one_click(mill_exchange_body(x)))
        unsubscribe_refuse(app, x, PROBLEM_MALFORMED_BODY,
                           "the form has no List-Unsubscribe=One-Click");
    else if (!ingest_rate_take(&app->unsubscribes))
        unsubscribe_refuse(app, x, PROBLEM_TOO_MANY_REQUESTS, NULL);
    else
        unsubscribe_store(app, x, &u);
}
