/** @file dispatch.c  @brief See dispatch.h. */
#include "send/dispatch.h"
#include "base/clock.h"
#include "base/fault.h"
#include <stdlib.h>
#include <time.h>

enum { FETCH_POLL_MS = 10 };

struct send_dispatch {
    struct send_dispatch_conf conf;
    struct mill_http *http;
    struct send_attach *attach;
    struct send_queue waiting, paced, ended;
    size_t running;
};

/** What libcurl's callback needs to find both. */
struct in_flight {
    struct send_dispatch *d;
    struct send_job *job;
};

void send_queue_add(struct send_queue *q, struct send_job *job)
{
    job->next = NULL;
    if (q->tail)
        q->tail->next = job;
    else
        q->head = job;
    q->tail = job;
}

struct send_job *send_queue_take(struct send_queue *q)
{
    struct send_job *job = q->head;

    if (job) {
        q->head = job->next;
        q->tail = q->head ? q->tail : NULL;
    }
    return job;
}

void send_job_release(struct send_job *job)
{
    if (job) {
        send_attach_forget(job);
        mill_buf_release(&job->call.body);
        mill_arena_release(&job->call.mem);
        mill_arena_release(&job->mem);
    }
}

enum mill_code send_dispatch_new(struct send_dispatch **out, const struct send_dispatch_conf *conf,
                                 struct mill_err *err)
{
    const struct mill_http_conf http = {.max_connections = conf->concurrency, .http2 = true};
    struct send_dispatch *d = calloc(1, sizeof(*d));
    enum mill_code rc = MILL_OK;

    *out = NULL;
    if (!d)
        return mill_fail(err, MILL_E_NOMEM, "dispatch", "out of memory");
    d->conf = *conf;
    rc = mill_http_new(&d->http, &http, err);
    if (!rc)
        rc = send_attach_new(&d->attach, conf->attach, err);
    if (rc) {
        send_dispatch_free(d);
        return rc;
    }
    *out = d;
    return MILL_OK;
}

void send_dispatch_free(struct send_dispatch *d)
{
    if (d) {
        mill_http_free(d->http);
        send_attach_free(d->attach);
        free(d);
    }
}

void send_dispatch_push(struct send_dispatch *d, struct send_job *job)
{
    send_queue_add(job->choice.start_ms ? &d->paced : &d->waiting, job);
}

void send_dispatch_answered(struct send_dispatch *d, struct send_job *job)
{
    send_queue_add(&d->ended, job);
}

size_t send_dispatch_running(const struct send_dispatch *d)
{
    return d->running;
}

/** The provider was not called, and that is certain. */
static void dispatch_refuse(struct send_dispatch *d, struct send_job *job,
                            enum mill_outcome outcome, struct mill_str why)
{
    job->answer = (struct mill_answer){.outcome = outcome, .reason = why};
    job->called = false;
    send_attach_done(d->attach, job);
    send_queue_add(&d->ended, job);
}

static void dispatch_done(void *arg, const struct mill_http_reply *reply)
{
    struct in_flight *f = arg;
    struct send_job *job = f->job;

    MILL_FAULT_POINT("send.after-reply");
    job->route->provider->classify(reply, &job->mem, &job->answer);
    job->took_ms = reply->took_ms;
    mill_buf_release(&job->call.body); /* it may be large, and is not needed any more */
    send_attach_done(f->d->attach, job);
    f->d->running--;
    send_queue_add(&f->d->ended, job);
}

/** From here on the provider may act: every way out of `done` but UNSENT is a call. */
static void dispatch_call(struct send_dispatch *d, struct send_job *job)
{
    struct in_flight *f = mill_arena_calloc(&job->call.mem, 1, sizeof(*f));
    const struct mill_provider *provider = job->route->provider;
    struct mill_err err = {0};
    enum mill_code rc = MILL_E_NOMEM;

    MILL_FAULT_POINT("send.before-call");
    if (f)
        rc = provider->build(job->route->account, job->msg, mill_now_us(), &job->call, &err);
    if (!rc) {
        *f = (struct in_flight){d, job};
        job->call.http.timeout_ms = d->conf.timeout_ms;
        job->call.http.done = dispatch_done;
        job->call.http.arg = f;
        job->called = true;
        d->running++;
        rc = mill_http_submit(d->http, &job->call.http, &err);
        if (!rc)
            return;
        d->running--;
    }
    mill_buf_release(&job->call.body);
    dispatch_refuse(d, job, rc == MILL_E_DATA ? MILL_OUTCOME_PERMANENT : MILL_OUTCOME_TRANSIENT,
                    mill_arena_printf(&job->mem, "%s: %s", err.where, err.text));
}

/** The provider's health has changed since the job was planned: another will take it next time. */
static void dispatch_shut(struct send_dispatch *d, struct send_job *job)
{
    if (job->route->health.state == SEND_PAUSED)
        dispatch_refuse(d, job, MILL_OUTCOME_CREDENTIAL,
                        MILL_STR("not called: the provider refuses our credentials"));
    else if (job->route->health.state == SEND_OPEN)
        dispatch_refuse(d, job, MILL_OUTCOME_TRANSIENT,
                        MILL_STR("not called: too many of the provider's calls fail"));
    else
        dispatch_refuse(d, job, MILL_OUTCOME_THROTTLED,
                        MILL_STR("not called: the provider has too many requests"));
}

/** Those whose start time has come. @return ms until the next one's; INT64_MAX = none waits */
static int64_t dispatch_due(struct send_dispatch *d, bool draining)
{
    struct send_queue later = d->paced;
    int64_t now = mill_tick_ms(), next = INT64_MAX;
    struct send_job *job;

    d->paced = (struct send_queue){NULL, NULL};
    while ((job = send_queue_take(&later))) {
        int64_t wait = job->choice.start_ms - now;
        if (wait <= 0 || draining) {
            send_queue_add(&d->waiting, job);
            continue;
        }
        send_queue_add(&d->paced, job);
        next = wait < next ? wait : next;
    }
    return next;
}

static void dispatch_start(struct send_dispatch *d, bool draining)
{
    while (d->waiting.head && (draining || d->running < d->conf.concurrency)) {
        struct send_job *job = send_queue_take(&d->waiting);
        const char *why = d->conf.forbids(d->conf.arg, job);

        if (why) {
            dispatch_refuse(d, job, MILL_OUTCOME_TRANSIENT, mill_str(why));
        } else if (draining) {
            dispatch_refuse(d, job, MILL_OUTCOME_TRANSIENT, MILL_STR("not called: shutting down"));
        } else if (mill_tick_ms() - job->intent_ms >= d->conf.intent_max_ms) {
            dispatch_refuse(d, job, MILL_OUTCOME_TRANSIENT,
                            MILL_STR("not called: its intent had grown old"));
        } else if (!send_health_allows(&job->route->health, job->choice.probe, mill_tick_ms())) {
            dispatch_shut(d, job);
        } else if (!send_attach_needed(job)) {
            dispatch_call(d, job);
        } else if (!send_attach_push(d->attach, job)) {
            dispatch_refuse(d, job, MILL_OUTCOME_TRANSIENT, MILL_STR("not called: out of memory"));
        }
    }
}

/** Those whose attachments have come: all that was looked at before is looked at again. */
static void dispatch_fetched(struct send_dispatch *d)
{
    int64_t oldest_ms = mill_tick_ms() - d->conf.intent_max_ms;
    enum mill_code code;
    struct mill_err err;
    struct send_job *job;

    while ((job = send_attach_take(d->attach, oldest_ms, &code, &err))) {
        bool never = code == MILL_E_DATA || code == MILL_E_NOENT;
        job->unfetched = code != MILL_OK;
        if (!code)
            send_queue_add(&d->waiting, job);
        else
            dispatch_refuse(
                d, job, never ? MILL_OUTCOME_PERMANENT : MILL_OUTCOME_TRANSIENT,
                mill_arena_printf(&job->mem, "not called: %s: %s", err.where, err.text));
    }
}

/** @return how long to wait at most, ms */
static int dispatch_wait(const struct send_dispatch *d, int64_t due, int wait_ms)
{
    if (d->ended.head)
        return 0;
    if (send_attach_busy(d->attach) && wait_ms > FETCH_POLL_MS)
        wait_ms = FETCH_POLL_MS;
    return due < wait_ms ? (int)due : wait_ms;
}

static void dispatch_settle(struct send_dispatch *d)
{
    struct send_job *job;

    while ((job = send_queue_take(&d->ended)))
        d->conf.settled(d->conf.arg, job);
}

void send_dispatch_run(struct send_dispatch *d, int wait_ms, bool draining)
{
    int64_t due = dispatch_due(d, draining);

    dispatch_fetched(d);
    dispatch_start(d, draining);
    wait_ms = dispatch_wait(d, due, wait_ms);
    if (d->running)
        mill_http_poll(d->http, wait_ms);
    else if ((d->paced.head || send_attach_busy(d->attach)) && wait_ms > 0)
        nanosleep(&(struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000L}, NULL);
    if (d->running)
        MILL_FAULT_POINT("send.during-call");
    dispatch_settle(d);
    dispatch_due(d, draining);
    dispatch_start(d, draining);
}
