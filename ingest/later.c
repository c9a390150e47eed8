/**
 * @file later.c
 * @brief A ring of jobs and the threads that run them.
 */
#include "later.h"

#include <pthread.h>
#include <stdlib.h>

struct later_job {
    void (*run)(void *arg);
    void *arg;
};

struct ingest_later {
    pthread_t threads[INGEST_LATER_THREADS];
    size_t threads_n;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    size_t size, first, n;
    struct later_job jobs[];
};

static void *later_main(void *arg)
{
    struct ingest_later *l = arg;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->n && !l->stop)
            pthread_cond_wait(&l->wake, &l->lock);
        if (!l->n)
            break;
        struct later_job job = l->jobs[l->first];
        l->first = (l->first + 1) % l->size;
        l->n--;
        pthread_mutex_unlock(&l->lock);
        job.run(job.arg);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct ingest_later *ingest_later_new(size_t queue_max, uint32_t threads)
{
    struct ingest_later *l = calloc(1, sizeof *l + queue_max * sizeof *l->jobs);

    if (!l)
        return NULL;
    l->size = queue_max;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    while (l->threads_n < threads && l->threads_n < INGEST_LATER_THREADS) {
        if (pthread_create(&l->threads[l->threads_n], NULL, later_main, l)) {
            ingest_later_free(l);
            return NULL;
        }
        l->threads_n++;
    }
    return l;
}

void ingest_later_free(struct ingest_later *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
    while (l->threads_n)
        pthread_join(l->threads[--l->threads_n], NULL);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool ingest_later_put(struct ingest_later *l, void (*run)(void *arg), void *arg)
{
    bool ok;

    pthread_mutex_lock(&l->lock);
    ok = l->n < l->size && !l->stop;
    if (ok) {
        l->jobs[(l->first + l->n) % l->size] = (struct later_job){run, arg};
        l->n++;
        pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
    return ok;
}
