/**
 * @file caller.c
 * @brief Credentials and scope of a request.
 */
#include "caller.h"

void ingest_caller_refuse(struct ingest_caller *c, enum ingest_problem p, struct mill_str detail)
{
    struct ingest_refusal r = {.problem = p, .detail = detail};

    if (p == PROBLEM_UNAUTHENTICATED)
        r.challenge = c->app->auth.challenge;
    ingest_refuse(c->app, c->x, &r, (struct mill_str){0});
}

static void caller_known(struct ingest_caller *c)
{
    if (c->who.scopes & c->scope)
        c->run(c);
    else
        ingest_caller_refuse(c, PROBLEM_MISSING_SCOPE,
                             c->scope == INGEST_MAIL_CANCEL
                                 ? MILL_STR("the credential lacks the scope mail:cancel")
                                 : MILL_STR("the credential lacks the scope mail:send"));
}

static void caller_check(struct ingest_caller *c, bool may_wait);

/* On later's thread. */
static void caller_later(void *arg)
{
    caller_check(arg, true);
}

static void caller_check(struct ingest_caller *c, bool may_wait)
{
    struct ingest_auth *auth = &c->app->auth;

    switch (
        auth->check(auth->self, mill_exchange_header(c->x, "Authorization"), may_wait, &c->who)) {
    case INGEST_AUTH_OK:
        caller_known(c);
        break;
    case INGEST_AUTH_LATER:
        if (!may_wait && ingest_later_put(c->app->later, caller_later, c))
            break;
        ingest_caller_refuse(c, PROBLEM_UNAVAILABLE,
                             MILL_STR("too many credentials wait for their check"));
        break;
    case INGEST_AUTH_REFUSED:
    default:
        ingest_caller_refuse(c, PROBLEM_UNAUTHENTICATED, (struct mill_str){0});
        break;
    }
}

void ingest_caller_check(struct ingest_caller *c)
{
    caller_check(c, false);
}

void *ingest_call_new(struct ingest *app, struct mill_exchange *x, size_t size)
{
    void *call;

    if (ingest_refuse_draining(app, x))
        return NULL;
    call = mill_arena_calloc(mill_exchange_arena(x), 1, size);
    if (!call)
        ingest_refuse(app, x, &(struct ingest_refusal){.problem = PROBLEM_INTERNAL},
                      (struct mill_str){0});
    return call;
}
