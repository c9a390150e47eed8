/* A table outside of a stage: global, filled by a thread of its own. */
#include "base/clock.h"
#include "kafka/table_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ASK_MS = 5000,
    TURN_MS = 200,
    REGISTRY_MS = 5000,
    WAIT_FIRST_MS = 100,
    WAIT_MOST_MS = 5000,
    WAIT_STEP_MS = 20,
    RECORD_MAX_BYTES = 1 << 20
};

struct run_table_thread {
    struct mill_registry *registry;
    pthread_t id;
    bool started;
    atomic_bool stop, caught_up;
};

/* @return false when it is to stop */
static bool thread_backoff(struct run_table_thread *th, uint32_t *wait_ms)
{
    int64_t until;

    *wait_ms = !*wait_ms                     ? WAIT_FIRST_MS
               : *wait_ms * 2 < WAIT_MOST_MS ? *wait_ms * 2
                                             : WAIT_MOST_MS;
    until = mill_tick_ms() + *wait_ms;
    while (!atomic_load(&th->stop) && mill_tick_ms() < until)
        usleep(WAIT_STEP_MS * 1000);
    return !atomic_load(&th->stop);
}

/* What passes by itself: an outage, or a topic that is still to be made. */
static bool thread_passes(enum mill_code code)
{
    return code == MILL_E_IO || code == MILL_E_NOENT;
}

static enum mill_code thread_fill(struct mill_table *t, struct run_table_thread *th,
                                  struct mill_err *err)
{
    uint32_t wait_ms = 0;
    enum mill_code code;

    for (;;) {
        code = run_table_learn(t, err);
        if (!code)
            code = run_table_assign(t, NULL, 0, ASK_MS, err);
        if (!thread_passes(code))
            return code;
        mill_log_err(MILL_INFO, "table_wait", err);
        if (!thread_backoff(th, &wait_ms))
            return code;
    }
}

static void *thread_run(void *arg)
{
    struct mill_table *t = arg;
    struct run_table_thread *th = t->thread;
    struct mill_err err = {0};
    uint32_t wait_ms = 0;
    enum mill_code code = MILL_E_DATA;

    while (!atomic_load(&th->stop) && (code == MILL_E_DATA || !code || thread_passes(code))) {
        if (code == MILL_E_DATA) {
            atomic_store(&th->caught_up, false);
            code = thread_fill(t, th, &err);
            atomic_store(&th->caught_up, !code);
            continue;
        }
        code = run_table_pump(t, TURN_MS, &err);
        if (!code) {
            wait_ms = 0;
        } else if (thread_passes(code)) {
            mill_log_err(MILL_WARN, "table", &err);
            thread_backoff(th, &wait_ms);
        }
    }
    if (atomic_load(&th->stop))
        return NULL;
    /* It has a hole: only one made anew has none. */
    mill_log_err(MILL_ERROR, "table_failed", &err);
    atomic_store(&th->caught_up, false);
    return NULL;
}

/* Signals are the program's, not this thread's. */
static int thread_start(struct mill_table *t, struct run_table_thread *th)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&th->id, NULL, thread_run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    th->started = !rc;
    return rc;
}

enum mill_code mill_table_start(struct mill_table **out, const struct mill_table_conf *conf,
                                struct mill_err *err)
{
    struct run_table_thread *th = calloc(1, sizeof *th);
    struct mill_table *t = NULL;
    enum mill_code code = th ? mill_registry_new(&th->registry, conf->registry, REGISTRY_MS, err)
                             : mill_fail(err, MILL_E_NOMEM, conf->topic, "out of memory");

    *out = NULL;
    if (!code)
        code = run_table_new(&t,
                             &(struct run_table_conf){
                                 .name = conf->name,
                                 .topic = conf->topic,
                                 .desc = conf->desc,
                                 .kafka = conf->kafka,
                                 .registry = th->registry,
                                 .folder = conf->state_dir,
                                 .max_bytes = conf->max_bytes,
                                 .record_max_bytes = RECORD_MAX_BYTES,
                                 .global = true,
                             },
                             err);
    if (code) {
        if (th)
            mill_registry_free(th->registry);
        free(th);
        return code;
    }
    t->thread = th;
    if (thread_start(t, th)) {
        mill_table_stop(t);
        return mill_fail(err, MILL_E_NOMEM, conf->topic, "no thread for its table");
    }
    *out = t;
    return MILL_OK;
}

void mill_table_stop(struct mill_table *t)
{
    struct run_table_thread *th = t ? t->thread : NULL;

    if (!th)
        return;
    atomic_store(&th->stop, true);
    if (th->started)
        pthread_join(th->id, NULL);
    run_table_free(t);
    mill_registry_free(th->registry);
    free(th);
}

bool mill_table_caught_up(const struct mill_table *t)
{
    return atomic_load(&t->thread->caught_up);
}
