/**
 * @file plan.c
 * @brief The decision before transaction A: call, or why not. Only SEND_CALL ever calls.
 *
 * The ledger's word is overlaid with what this process has done itself (life.h). In doubt is not
 * called; an acceptance is a duplicate whoever saw it; a proven refusal may be tried again under
 * the next attempt number, one for good only with other content or as somebody has redriven it.
 */
#include "base/clock.h"
#include "mail/request_rules.h"
#include "send/send.h"
#include "timer.h"

/** A message this close to its send_at goes out: the timer is not finer. */
enum { EARLY_US = MILL_TIMER_EARLY_MS * 1000 };

static bool same(struct mill_str a, const char *b)
{
    return a.n ? mill_str_is(a, b) : !b[0];
}

static bool differs(struct mill_str a, struct mill_str b)
{
    return a.n && b.n && !mill_str_eq(a, b);
}

static int64_t later(int64_t a, struct mill_opt_i64 b)
{
    return b.has && b.v > a ? b.v : a;
}

/** Nothing in the ledger stands against a call: does the clock? */
static enum send_plan plan_time(const struct send_conf *conf, const struct mill_message *m)
{
    int64_t now = mill_now_us();
    int64_t from = later(later(m->accepted_at, m->send_at), m->resend_at);

    if ((m->expires_at.has && now > m->expires_at.v) ||
        (from > 0 && now - from > (int64_t)conf->max_age_ms * 1000))
        return SEND_EXPIRED;
    return m->send_at.has && m->send_at.v > now + EARLY_US ? SEND_EARLY : SEND_CALL;
}

static void plan_again(struct send_job *job, struct send_state *st, struct send_deed *deed)
{
    job->plan = SEND_AGAIN;
    job->deed = deed;
    deed->again = false;
    job->attempt = deed->attempt;
    job->called = deed->called;
    job->answer.outcome = deed->outcome;
    job->answer.provider_id = mill_arena_dup(&job->mem, mill_str(deed->provider_id));
    job->answer.reason = mill_arena_dup(&job->mem, mill_str(deed->reason));
    job->route = send_routes_find(&st->routes, deed->provider);
}

uint64_t send_mail_bytes(const struct mill_message *m)
{
    return m->text.n + m->html.n + m->template_data.n + mill_attachments_bytes(m->attachments);
}

static enum mill_code plan_call(struct send_state *st, struct send_job *job, struct mill_err *err)
{
    const struct mill_ledger_view *view = &job->view;
    const struct mill_provider *refused =
        view->attempts ? mill_provider_find(view->facts.provider) : NULL;

    if (job->route) { /* it must be this one (doubt.c) */
        job->choice.probe =
            send_health_take(&job->route->health, &job->route->conf, mill_tick_ms());
    } else {
        job->choice = send_routes_take(&st->routes, job->msg->tenant, send_mail_bytes(job->msg),
                                       refused, mill_tick_ms());
        job->route = job->choice.route;
    }
    if (!job->route) {
        job->plan = job->choice.never ? SEND_OVERSIZE : SEND_WAIT;
        return MILL_OK;
    }
    job->attempt = view->attempts + 1;
    job->intent_ms = mill_tick_ms();
    job->deed = send_life_begin(st->life, job);
    if (!job->deed) {
        send_route_give_back(job->route, job->choice.probe);
        return mill_fail(err, MILL_E_NOMEM, "send", "out of memory");
    }
    return MILL_OK;
}

/** A refusal for good stands against this content, whoever brings it once more (a replay, say),
 *  until a person redrives the dead letter or resends the mail. */
static bool refused_for_good(const struct send_job *job)
{
    const struct mill_ledger *last = &job->view.facts;

    return last->kind == MILL_LEDGER_OUTCOME && last->outcome == MILL_OUTCOME_PERMANENT &&
           !differs(last->fingerprint, job->msg->fingerprint) && !send_redrives(job->in);
}

/** What the ledger says: SEND_CALL when it has nothing against a call. */
static enum mill_code plan_ledger(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    const struct mill_ledger_view *view = &job->view;
    enum mill_code rc = send_plan_look(ctx, job, err);

    job->plan = SEND_CALL;
    if (rc)
        return rc;
    if (view->accepted)
        job->plan = differs(view->facts.fingerprint, job->msg->fingerprint) ? SEND_CONFLICT
                                                                            : SEND_DUPLICATE;
    else if (view->doubt && differs(view->open.fingerprint, job->msg->fingerprint))
        job->plan = SEND_CONFLICT;
    else if (view->doubt)
        rc = send_doubt_plan(ctx, job, err);
    else if (refused_for_good(job))
        job->plan = SEND_REFUSED;
    return rc || job->plan != SEND_CALL ? rc : send_claim_plan(ctx, job, err);
}

/** Nothing that was done stands against a call: does anything else? */
static enum mill_code plan_wishes(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    bool cancelled = false;
    enum mill_code rc = send_cancel_look(ctx, job, &cancelled, err);

    if (rc)
        return rc;
    job->plan = cancelled ? SEND_CANCELLED : plan_time(mill_conf(ctx), job->msg);
    if (job->plan == SEND_CALL)
        rc = send_pause_look(ctx, job, err);
    return rc || job->plan != SEND_CALL ? rc : send_suppress_look(ctx, job, err);
}

enum mill_code send_plan_job(struct mill_ctx *ctx, struct send_job *job, struct mill_err *err)
{
    struct send_state *st = mill_state(ctx);
    struct send_deed *deed = NULL;
    enum mill_code rc = MILL_OK;

    if (job->in->port == SEND_IN_CANCELLATIONS) {
        job->plan = SEND_CANCELLATION;
        return MILL_OK;
    }
    if (!mill_message_id_ok(job->msg->message_id)) {
        job->plan = SEND_BROKEN;
        mill_fail(&job->err, MILL_E_DATA, "message_id", "is none of ours");
        return MILL_OK;
    }
    deed = send_life_find(st->life, job->msg->message_id);
    if (deed && deed->running) {
        job->plan = same(job->msg->resend_id, deed->resend_id) ? SEND_DUPLICATE : SEND_BUSY;
        return MILL_OK;
    }
    if (deed && deed->again) {
        plan_again(job, st, deed);
        return MILL_OK;
    }
    rc = plan_ledger(ctx, job, err);
    if (!rc && job->plan == SEND_CALL)
        rc = plan_wishes(ctx, job, err);
    return rc || job->plan != SEND_CALL ? rc : plan_call(st, job, err);
}
