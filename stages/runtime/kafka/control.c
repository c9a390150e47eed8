/* Whether the process goes on: signals, the consumer's events, the exit code, waiting. */
#include "base/clock.h"
#include "kafka/run.h"

#include <signal.h>
#include <unistd.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MOST_MS = 2000, STEP_MS = 50 };

static atomic_bool control_stop; /* any thread may run the handler */

static void control_on_signal(int sig)
{
    (void)sig;
    atomic_store(&control_stop, true);
}

void run_signals(void)
{
    struct sigaction stop = {.sa_handler = control_on_signal}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool run_stopping(const struct mill_ctx *ctx)
{
    (void)ctx;
    return atomic_load(&control_stop);
}

bool mill_draining(const struct mill_ctx *ctx)
{
    return run_stopping(ctx);
}

void run_exit(struct mill_ctx *ctx, int code)
{
    if (ctx->exit_code < 0)
        ctx->exit_code = code;
}

void run_fail(struct mill_ctx *ctx, const char *ev, const struct mill_err *err)
{
    mill_log_err(MILL_ERROR, ev, err);
    run_exit(ctx, err->code ? mill_exit_of(err->code) : MILL_EXIT_BUG);
}

void run_event(struct mill_ctx *ctx, rd_kafka_message_t *m)
{
    struct mill_err err = {0};

    mill_rd_fail_code(&err, m->rkt ? rd_kafka_topic_name(m->rkt) : "consumer", m->err);
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        run_fail(ctx, "offset_out_of_range", &err);
    else if (m->err == RD_KAFKA_RESP_ERR__FATAL || m->err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        run_exit(ctx, MILL_EXIT_TEMP);
    else if (err.code == MILL_E_AUTH)
        run_fail(ctx, "not_permitted", &err);
    mill_log_err(MILL_WARN, "consumer_event", &err);
    rd_kafka_message_destroy(m);
}

bool run_backoff(struct mill_ctx *ctx, uint32_t *wait_ms)
{
    *wait_ms = *wait_ms ? *wait_ms * 2 : BACKOFF_FIRST_MS;
    if (*wait_ms > BACKOFF_MOST_MS)
        *wait_ms = BACKOFF_MOST_MS;
    for (uint32_t slept = 0; slept < *wait_ms && !run_stopping(ctx); slept += STEP_MS) {
        atomic_store(&ctx->tick_ms, mill_tick_ms());
        usleep(STEP_MS * 1000);
    }
    return !run_stopping(ctx);
}
