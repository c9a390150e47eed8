/** @file s3_pool.c  @brief See s3_pool.h. */
#include "net/s3_pool.h"

#include <pthread.h>
#include <stdlib.h>

struct pool_thread {
    struct mill_s3_pool *pool;
    struct mill_s3 *s3;
    pthread_t id;
    bool started;
};

struct mill_s3_pool {
    pthread_mutex_t lock;
    pthread_cond_t more; /**< a job is there, or the end */
    pthread_cond_t less; /**< a job was taken, or has been run: for all who add, and the owner */
    bool stop;
    void (*run)(struct mill_s3 *s3,
                void *arg); /**< the job that no thread has taken yet, or NULL */
    void *arg;
    size_t busy; /**< jobs that are not done */
    size_t n;
    struct pool_thread threads[];
};

static void *pool_main(void *arg)
{
    struct pool_thread *t = arg;
    struct mill_s3_pool *p = t->pool;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->run && !p->stop)
            pthread_cond_wait(&p->more, &p->lock);
        if (!p->run)
            break;
        void (*run)(struct mill_s3 *, void *) = p->run;
        void *job = p->arg;

        p->run = NULL;
        pthread_cond_broadcast(&p->less);
        pthread_mutex_unlock(&p->lock);
        run(t->s3, job);
        pthread_mutex_lock(&p->lock);
        p->busy--;
        pthread_cond_broadcast(&p->less);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum mill_code mill_s3_pool_new(struct mill_s3_pool **out, const struct mill_s3_opts *o,
                                size_t threads, struct mill_err *err)
{
    struct mill_s3_pool *p = calloc(1, sizeof *p + threads * sizeof *p->threads);
    enum mill_code rc = MILL_OK;

    *out = NULL;
    if (!p)
        return mill_fail(err, MILL_E_NOMEM, "s3", "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    pthread_cond_init(&p->less, NULL);
    p->n = threads;
    for (size_t i = 0; i < threads && !rc; i++) {
        struct pool_thread *t = &p->threads[i];

        t->pool = p;
        rc = mill_s3_open(&t->s3, o, err);
        if (!rc && pthread_create(&t->id, NULL, pool_main, t))
            rc = mill_fail(err, MILL_E_NOMEM, "s3", "no thread");
        t->started = !rc;
    }
    if (rc) {
        mill_s3_pool_free(p);
        return rc;
    }
    *out = p;
    return MILL_OK;
}

void mill_s3_pool_free(struct mill_s3_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->n; i++) {
        if (p->threads[i].started)
            pthread_join(p->threads[i].id, NULL);
        mill_s3_free(p->threads[i].s3);
    }
    pthread_cond_destroy(&p->less);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void mill_s3_pool_add(struct mill_s3_pool *p, void (*run)(struct mill_s3 *s3, void *arg), void *arg)
{
    pthread_mutex_lock(&p->lock);
    while (p->run || p->busy == p->n)
        pthread_cond_wait(&p->less, &p->lock);
    p->run = run;
    p->arg = arg;
    p->busy++;
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}

void mill_s3_pool_wait(struct mill_s3_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->busy)
        pthread_cond_wait(&p->less, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
