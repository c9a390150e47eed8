/**
 * @file cancel_api.c
 * @brief DELETE /v1/mail/ID: the wish that a mail is not sent, as one record.
 *
 * ID is a request id (all its messages) or a message id, its slash as it is or as %2F. 202 says
 * that the wish is stored, no more: whether the mail is stopped or was sent already says send, in
 * mail.status (cancelled, too_late). Whose mail it is is not known here; send honours the wish only
 * where the tenants are the same, so that a foreign id does nothing. Scope: mail:cancel.
 */
#include "base/clock.h"
#include "caller.h"
#include "mail/controls.h"
#include "mail/request_rules.h"
#include "store.h"

enum { CANCEL_INDEX_DIGITS = 4 /* of a message: a request has at most 1000 */ };

struct cancel_call {
    struct ingest_caller by; /* first: run gets it back */
    struct ingest_store store;
    struct mill_str id;
};

/* 0, 1 … 9999, as we write it */
static bool cancel_index_ok(struct mill_str s)
{
    if (!s.n || s.n > CANCEL_INDEX_DIGITS || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool cancel_id_ok(struct mill_str id)
{
    const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
    size_t n = slash ? (size_t)(slash - id.p) : id.n;

    return n && mill_id_ok((struct mill_str){id.p, n}) &&
           (!slash || cancel_index_ok((struct mill_str){slash + 1, id.n - n - 1}));
}

static void cancel_run(struct ingest_caller *by)
{
    static const struct mill_pair json = {MILL_STR_INIT("Content-Type"),
                                          MILL_STR_INIT("application/json")};
    struct cancel_call *call = (struct cancel_call *)by;
    const struct mill_cancellation record = {.id = call->id,
                                             .tenant = mill_str(by->who.tenant),
                                             .client = mill_str(by->who.client),
                                             .at = mill_now_us()};
    struct mill_str body =
        mill_arena_printf(mill_exchange_arena(by->x), "{\"status\":\"cancelling\",\"id\":\"%.*s\"}",
                          MILL_FMT(call->id));

    if (!body.p) {
        ingest_caller_refuse(by, PROBLEM_INTERNAL, (struct mill_str){0});
        return;
    }
    call->store = (struct ingest_store){.app = by->app,
                                        .x = by->x,
                                        .port = INGEST_CANCELLATIONS,
                                        .key = call->id,
                                        .value = &record,
                                        .status = 202,
                                        .head = {&json, 1},
                                        .body = body,
                                        .metric = M_CANCELLATIONS};
    ingest_store(&call->store);
}

void ingest_mail_delete(void *arg, struct mill_exchange *x)
{
    struct mill_str path = mill_exchange_path(x);
    size_t skip = sizeof "/v1/mail/" - 1;
    struct ingest *app = arg;
    struct cancel_call *call;

    call = ingest_call_new(app, x, sizeof *call);
    if (!call)
        return;
    call->by =
        (struct ingest_caller){.app = app, .x = x, .scope = INGEST_MAIL_CANCEL, .run = cancel_run};
    call->id = (struct mill_str){path.p + skip, path.n - skip};
    if (!cancel_id_ok(call->id))
        ingest_caller_refuse(&call->by, PROBLEM_NOT_FOUND,
                             MILL_STR("the path ends in no request id and no message id"));
    else
        ingest_caller_check(&call->by);
}
