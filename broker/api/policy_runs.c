#include "broker/api/policy_runs.h"

#include "broker/base/limits.h"

#include <pthread.h>
#include <stdlib.h>

struct policy_runs {
    pthread_mutex_t lock; /* guards the two below */
    size_t count;
    struct policy_run *idle[HTTP_MAX_THREADS + P11_WORKERS_MAX]; /* the last given back goes first */
};

struct err policy_runs_new(struct policy_runs **ret)
{
    struct policy_runs *pool = calloc(1, sizeof *pool);
    if (!pool) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&pool->lock, NULL);
    *ret = pool;
    return ERR_OK;
}

void policy_runs_free(struct policy_runs *pool)
{
    if (!pool) return;
    while (pool->count) policy_run_free(pool->idle[--pool->count]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

struct policy_run *policy_runs_take(struct policy_runs *pool)
{
    struct policy_run *run = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->count) run = pool->idle[--pool->count];
    pthread_mutex_unlock(&pool->lock);
    return run ? run : policy_run_new();
}

void policy_runs_put(struct policy_runs *pool, struct policy_run *run)
{
    const size_t most = sizeof pool->idle / sizeof *pool->idle;
    pthread_mutex_lock(&pool->lock);
    if (run && pool->count < most) {
        pool->idle[pool->count++] = run;
        run = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    policy_run_free(run);
}
