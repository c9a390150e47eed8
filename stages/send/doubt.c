/**
 * @file doubt.c
 * @brief Messages whose call may have been accepted, and nobody knows: wait for evidence, then the
 *        request's own policy.
 *
 * UNKNOWN is told once, and the message waits by the timer. When it comes back the ledger is read
 * up to its end. Evidence: it is done. A provider that detects duplicates is asked again within its
 * window. Else `hold` gives it to a person, and `resend` lets the next attempt go.
 *
 * A message may be there in several copies (a request that was posted twice, a replay). Each waits
 * by itself, and the first that is held writes that into the ledger in the transaction of its dead
 * letter: the others find it and end. So no copy ever goes while there is no letter. A letter that
 * is redriven has been redriven once more than the ledger says, and is looked at anew.
 */
#include "base/clock.h"
#include "send/send.h"
#include "timer.h"

enum {
    CATCH_UP_MS = 5000,
    AGAIN_MS = 10000,  /**< a duplicate-proof provider is asked again after this, then twice it */
    DOUBTS_MAX = 4,    /**< attempts in doubt after which `resend` is a person's decision too */
    BEHIND_MS = 60000, /**< after an outage: evidence may be as late as we are */
};

static int64_t now_ms(void)
{
    return mill_now_us() / 1000;
}

/** The route of a provider that would not send a second copy, if that still holds. A call must fit
 *  twice into what is left of its window; the window began with the oldest attempt. */
static struct send_route *idem_route(struct send_state *st, const struct send_conf *conf,
                                     struct mill_str provider, int64_t since_us)
{
    int64_t call_ms = (int64_t)(conf->intent_max_ms + conf->call_timeout_ms);

    for (size_t i = 0; i < st->routes.n; i++) {
        const struct mill_provider *p = st->routes.v[i].provider;
        int64_t ends_ms = since_us / 1000 + (int64_t)p->idem_window_s * 1000;
        if (mill_str_is(provider, p->name) && p->idem != MILL_IDEM_NONE &&
            now_ms() + 2 * call_ms <= ends_ms)
            return &st->routes.v[i];
    }
    return NULL;
}

int64_t send_doubt_due(struct mill_ctx *ctx, const struct mill_ledger_open *open)
{
    const struct send_conf *conf = mill_conf(ctx);
    int64_t wait_ms = (int64_t)conf->unknown_wait_ms;
    size_t before = open->n - 1;

    if (idem_route(mill_state(ctx), conf, open->provider, open->since) && before < 8 &&
        AGAIN_MS << before < wait_ms)
        wait_ms = AGAIN_MS << before;
    /* The timer lets it go that much early; without it a round tier would be missed by a hair. */
    return open->at / 1000 + wait_ms + MILL_TIMER_EARLY_MS;
}

static void wait_until(struct send_job *job, int64_t due_ms)
{
    job->plan = SEND_DOUBT;
    job->due_ms = due_ms;
}

/** The wait is over and nothing has come: what does the request want? */
static void doubt_policy(struct mill_ctx *ctx, struct send_job *job)
{
    struct send_state *st = mill_state(ctx);
    const struct mill_ledger_open *open = &job->view.open;
    struct send_route *route = idem_route(st, mill_conf(ctx), open->provider, open->since);
    int64_t tick = mill_tick_ms();

    if (route && send_health_ready(&route->health, &route->conf, tick) > tick) {
        wait_until(job, now_ms() + AGAIN_MS + MILL_TIMER_EARLY_MS);
    } else if (route) {
        job->route = route;
    } else if (job->msg->on_unknown != MILL_UNKNOWN_RESEND || open->n >= DOUBTS_MAX) {
        job->plan = SEND_HOLD;
    }
}

bool send_doubt_held(const struct send_job *job)
{
    return job->view.held && job->view.held == job->view.open.attempt &&
           send_redrives(job->in) <= job->view.held_redrives;
}

enum mill_code send_doubt_plan(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct mill_table *ledger = mill_ctx_table(ctx, SEND_TABLE_LEDGER);
    const struct send_conf *conf = mill_conf(ctx);
    const struct mill_ledger_open *open = &job->view.open;
    int64_t due_ms = send_doubt_due(ctx, open);
    int64_t wait_ms = (int64_t)conf->unknown_wait_ms;
    int64_t behind_ms =
        now_ms() + (wait_ms < BEHIND_MS ? wait_ms : BEHIND_MS) + MILL_TIMER_EARLY_MS;
    enum mill_code rc = MILL_OK;

    if (send_doubt_held(job)) {
        job->plan = SEND_DUPLICATE;
        return MILL_OK;
    }
    if (job->view.told < open->attempt && due_ms < behind_ms)
        due_ms = behind_ms;
    if (due_ms > now_ms() + MILL_TIMER_EARLY_MS) {
        wait_until(job, due_ms);
        return MILL_OK;
    }
    rc = mill_table_catch_up(ledger, job->in->partition, CATCH_UP_MS, err);
    if (rc == MILL_E_IO) { /* it may be written down already, where we cannot read it now */
        wait_until(job, now_ms() + AGAIN_MS + MILL_TIMER_EARLY_MS);
        return MILL_OK;
    }
    if (!rc)
        rc = send_plan_look(ctx, job, err);
    if (!rc && job->view.accepted)
        job->plan = SEND_DUPLICATE;
    else if (!rc)
        doubt_policy(ctx, job);
    return rc;
}

static enum mill_code emit_doubt(struct mill_ctx *ctx, int32_t partition, struct mill_ledger doubt,
                                 struct mill_err *err)
{
    char buf[MILL_LEDGER_KEY_MAX + 1];
    struct mill_str key = mill_ledger_key(buf, doubt.message_id, doubt.attempt, "doubt");

    doubt.kind = MILL_LEDGER_DOUBT;
    doubt.outcome = MILL_OUTCOME_UNKNOWN;
    doubt.provider_id = (struct mill_str){NULL, 0};
    doubt.at = mill_now_us();
    return send_emit_known(ctx, partition, key, &doubt, err);
}

enum mill_code send_emit_doubt(struct mill_ctx *ctx, int32_t partition,
                               const struct mill_ledger *open, struct mill_err *err)
{
    const struct mill_status status = {
        .message_id = open->message_id,
        .request_id = open->request_id,
        .tenant = open->tenant,
        .state = MILL_STATE_UNKNOWN,
        .cls = MILL_STR("unknown"),
        .reason = MILL_STR("a call was begun and nobody knows how it ended"),
        .provider = open->provider,
        .attempt = open->attempt,
        .at = mill_now_us(),
    };
    enum mill_code rc = emit_doubt(ctx, partition, *open, err);

    return rc ? rc : mill_emit(ctx, SEND_OUT_STATUS, status.message_id, &status, err);
}

struct mill_ledger send_doubt_of(const struct send_job *job)
{
    struct mill_ledger doubt = send_ledger_of(job->msg);

    doubt.attempt = job->view.open.attempt;
    doubt.provider = job->view.open.provider;
    doubt.resend_id = job->view.open.resend_id; /* whose attempt it was, whoever finds it */
    return doubt;
}

enum mill_code send_emit_held(struct mill_ctx *ctx, const struct send_job *job,
                              struct mill_err *err)
{
    struct mill_ledger doubt = send_doubt_of(job);

    doubt.held = (struct mill_opt_i64){true, send_redrives(job->in)};
    return emit_doubt(ctx, job->in->partition, doubt, err);
}

/** The walk over a partition's ledger: an attempt's doubt and evidence come before its INTENT. */
struct doubt_walk {
    struct mill_arena *mem;
    struct doubt_found {
        struct mill_ledger intent;
        struct doubt_found *next;
    } * found;
    char known[MILL_MESSAGE_ID_MAX + 1]; /**< message of the last doubt or evidence seen */
    int64_t known_attempt;
    bool nomem;
};

static bool doubt_each(void *arg, struct mill_str key, const void *value)
{
    struct doubt_walk *walk = arg;
    const struct mill_ledger *r = value;
    struct doubt_found *found = NULL;

    (void)key;
    if (r->kind == MILL_LEDGER_DOUBT || r->kind == MILL_LEDGER_EVIDENCE) {
        mill_str_cut(r->message_id, walk->known, sizeof(walk->known));
        walk->known_attempt = r->attempt;
    }
    if (r->kind != MILL_LEDGER_INTENT || !mill_message_id_ok(r->message_id) ||
        (r->attempt == walk->known_attempt && mill_str_is(r->message_id, walk->known)))
        return true;
    found = mill_arena_calloc(walk->mem, 1, sizeof(*found));
    walk->nomem = !found || !mill_ledger_copy(&found->intent, r, walk->mem);
    if (!walk->nomem) {
        found->next = walk->found;
        walk->found = found;
    }
    return !walk->nomem;
}

enum mill_code send_doubt_assigned(struct mill_ctx *ctx, int32_t partition, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);
    struct doubt_walk walk = {.mem = mill_batch_arena(ctx)};
    int64_t n = 0;
    enum mill_code rc = mill_table_each(mill_ctx_table(ctx, SEND_TABLE_LEDGER), partition,
                                        (struct mill_str){"", 0}, doubt_each, &walk, err);

    if (walk.nomem)
        rc = mill_fail(err, MILL_E_NOMEM, "ledger", "out of memory");
    for (const struct doubt_found *f = walk.found; !rc && f; f = f->next) {
        const struct send_deed *deed = send_life_find(st->life, f->intent.message_id);
        if (deed && deed->attempt == f->intent.attempt)
            continue; /* we know how it ended */
        rc = send_emit_doubt(ctx, partition, &f->intent, err);
        n++;
    }
    if (n)
        mill_log(MILL_WARN, "open_intents",
                 MILL_KV(MILL_KI("partition", partition), MILL_KI("n", n)),
                 "calls of another life whose outcome nobody knows");
    return rc;
}
