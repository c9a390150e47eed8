/* The pool of S3 clients: jobs side by side, each with a client that no other uses meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/s3_pool.h"
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 4, JOBS = 200 };

static const struct mill_s3_opts opts = {.bucket = "b", .timeout_ms = 1000};

static pthread_barrier_t together;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mill_s3 *in_use[THREADS];

struct job {
    struct mill_s3 *s3;
    int runs;
};

/** Waits for the others of its four: it comes back only if they run at the same time. */
static void meet(struct mill_s3 *s3, void *arg)
{
    struct job *j = arg;

    pthread_barrier_wait(&together);
    j->s3 = s3;
    j->runs++;
}

static void test_side_by_side(void **state)
{
    struct job jobs[2 * THREADS] = {{0}};
    struct mill_s3_pool *p = NULL;
    struct mill_err err = {0};
    (void)state;

    pthread_barrier_init(&together, NULL, THREADS);
    assert_int_equal(mill_s3_pool_new(&p, &opts, THREADS, &err), MILL_OK);
    for (size_t i = 0; i < 2 * THREADS; i++)
        mill_s3_pool_add(p, meet, &jobs[i]);
    mill_s3_pool_wait(p);
    for (size_t i = 0; i < 2 * THREADS; i++)
        assert_int_equal(jobs[i].runs, 1);
    mill_s3_pool_free(p);
    pthread_barrier_destroy(&together);
}

/** Marks its client as used; another job that has it at the same time finds the mark. */
static void alone(struct mill_s3 *s3, void *arg)
{
    struct job *j = arg;
    size_t at = 0;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < THREADS; i++) {
        if (in_use[i] == s3)
            abort();
        if (!in_use[i])
            at = i;
    }
    in_use[at] = s3;
    pthread_mutex_unlock(&lock);
    sched_yield();
    pthread_mutex_lock(&lock);
    in_use[at] = NULL;
    pthread_mutex_unlock(&lock);
    j->runs++;
}

static void test_each_once_with_a_client_of_its_own(void **state)
{
    struct job jobs[JOBS] = {{0}};
    struct mill_s3_pool *p = NULL;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_s3_pool_new(&p, &opts, THREADS, &err), MILL_OK);
    mill_s3_pool_wait(p); /* for nothing */
    for (int round = 1; round <= 3; round++) {
        for (size_t i = 0; i < JOBS; i++)
            mill_s3_pool_add(p, alone, &jobs[i]);
        mill_s3_pool_wait(p);
        for (size_t i = 0; i < JOBS; i++)
            assert_int_equal(jobs[i].runs, round);
    }
    mill_s3_pool_free(p);
    mill_s3_pool_free(NULL);
}

static void test_wrong_options(void **state)
{
    const struct mill_s3_opts wrong = {.bucket = "b", .prefix = "no-slash"};
    struct mill_s3_pool *p = NULL;
    struct mill_err err = {0};
    (void)state;

    assert_int_equal(mill_s3_pool_new(&p, &wrong, THREADS, &err), MILL_E_CONFIG);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_each_once_with_a_client_of_its_own),
        cmocka_unit_test(test_wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
