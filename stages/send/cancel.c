/**
 * @file cancel.c
 * @brief Cancellations: looked up before a call; the final word on one is send's.
 *
 * in  cancellations  mail.cancellations  the same topic as the table's: here each is answered once
 *
 * A message that was not called yet is CANCELLED when its turn comes; of one whose call may have
 * been accepted TOO_LATE is said as soon as the cancellation is read; of one not seen yet nothing.
 * All is decided by one thread: a cancellation is put into the table before the messages of its
 * batch are planned, so there is no moment at which neither is said. Only a tenant's own mail is
 * cancelled, and an explicit resend only by a later cancellation.
 */
#include "base/clock.h"
#include "mail/controls.h"
#include "send/send.h"

static bool same(struct mill_str a, struct mill_str b)
{
    return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

struct cancel_look {
    const struct mill_message *m;
    struct mill_str id;
    bool found;
};

/** The first key from the id on: it, or none. */
static bool cancel_each(void *arg, struct mill_str key, const void *value)
{
    struct cancel_look *look = arg;
    const struct mill_cancellation *c = value;

    if (same(key, look->id) && same(c->tenant, look->m->tenant) &&
        !(look->m->resend_at.has && c->at < look->m->resend_at.v))
        look->found = true;
    return false;
}

enum mill_code send_cancel_look(struct mill_ctx *ctx, const struct send_job *job, bool *cancelled,
                                struct mill_err *err)
{
    struct mill_table *t = mill_ctx_table(ctx, SEND_TABLE_CANCELLATIONS);
    struct cancel_look look = {.m = job->msg};
    const struct mill_str ids[] = {job->msg->message_id, send_request_of(job->msg->message_id)};
    enum mill_code rc = MILL_OK;

    for (size_t i = 0; !rc && !look.found && i < 2; i++) {
        look.id = ids[i];
        rc = mill_table_each(t, job->in->partition, look.id, cancel_each, &look, err);
    }
    *cancelled = look.found;
    return rc;
}

enum mill_code send_cancel_take(struct mill_ctx *ctx, const struct mill_record *in,
                                struct mill_err *err)
{
    return in->value ? mill_table_put(mill_ctx_table(ctx, SEND_TABLE_CANCELLATIONS), in->partition,
                                      in->key, in->value, err)
                     : MILL_OK;
}

/** The walk over what the ledger has of the id: its messages whose call may have been accepted. */
struct cancel_walk {
    const struct mill_cancellation *c;
    struct mill_arena *mem;
    struct cancel_late {
        struct mill_ledger attempt;
        struct cancel_late *next;
    } * late;
    bool nomem;
};

static bool walk_each(void *arg, struct mill_str key, const void *value)
{
    struct cancel_walk *walk = arg;
    const struct mill_ledger *r = value;
    struct cancel_late *late = walk->late;

    (void)key;
    if (!mill_ledger_stands(r) || !same(r->tenant, walk->c->tenant) ||
        (late && mill_str_eq(late->attempt.message_id, r->message_id)))
        return true;
    late = mill_arena_calloc(walk->mem, 1, sizeof(*late));
    walk->nomem = !late || !mill_ledger_copy(&late->attempt, r, walk->mem);
    if (!walk->nomem) {
        late->next = walk->late;
        walk->late = late;
    }
    return !walk->nomem;
}

static enum mill_code cancel_too_late(struct mill_ctx *ctx, const struct mill_ledger *attempt,
                                      struct mill_err *err)
{
    const struct mill_status status = {
        .message_id = attempt->message_id,
        .request_id = send_request_of(attempt->message_id),
        .tenant = attempt->tenant,
        .state = MILL_STATE_TOO_LATE,
        .reason = MILL_STR("the provider was called before the cancellation came"),
        .provider = attempt->provider,
        .attempt = attempt->attempt,
        .at = mill_now_us(),
    };

    return mill_emit(ctx, SEND_OUT_STATUS, status.message_id, &status, err);
}

enum mill_verdict send_cancel_conclude(struct mill_ctx *ctx, const struct mill_record *in,
                                       struct mill_err *err)
{
    struct cancel_walk walk = {.c = in->value, .mem = mill_batch_arena(ctx)};
    struct mill_str prefix;
    enum mill_code rc = MILL_OK;

    if (!walk.c || !walk.c->id.n || walk.c->id.n > MILL_MESSAGE_ID_MAX)
        return MILL_DONE; /* none of ours */
    prefix = mill_arena_printf(walk.mem, "%.*s/", MILL_FMT(walk.c->id));
    if (prefix.p)
        rc = mill_table_each(mill_ctx_table(ctx, SEND_TABLE_LEDGER), in->partition, prefix,
                             walk_each, &walk, err);
    if (!prefix.p || walk.nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    for (const struct cancel_late *l = walk.late; !rc && l; l = l->next)
        rc = cancel_too_late(ctx, &l->attempt, err);
    return rc ? MILL_STOP : MILL_DONE;
}
