#include "pkcs11/job.h"

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"

struct job_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;     /* something is queued, or the end */
    struct job *first, **last;
    unsigned depth, max;
    bool ending;
    unsigned workers;        /* threads that run */
    pthread_t *threads;
};

/* NULL when the pool ends and nothing is left. */
static struct job *next_job(struct job_pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    while (!pool->first && !pool->ending) pthread_cond_wait(&pool->work, &pool->lock);
    struct job *job = pool->first;
    if (!job) return NULL;
    pool->first = job->next;
    if (!pool->first) pool->last = &pool->first;
    pool->depth--;
    job->next = NULL;
    return job;
}

static void *work(void *arg)
{
    struct job_pool *pool = arg;
    for (struct job *job; (job = next_job(pool));) {
        /* Whoever asked has answered 504 by now: the token's time is for those who still wait. */
        if (job->deadline && clock_mono_ns() > job->deadline)
            job->expired = true;
        else
            job->run(job);
        job->done(job); /* may free the job */
    }
    return NULL;
}

err_t job_pool_new(unsigned workers, unsigned queue_max, struct job_pool **ret)
{
    struct job_pool *pool = calloc(1, sizeof *pool);
    if (!pool) FAIL(ERR_INTERNAL, "out of memory");
    pool->last = &pool->first;
    pool->max = queue_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->threads = workers ? calloc(workers, sizeof *pool->threads) : NULL;
    for (; pool->threads && pool->workers < workers; pool->workers++)
        if (pthread_create(&pool->threads[pool->workers], NULL, work, pool)) break;
    if (pool->workers == workers) {
        *ret = pool;
        return ERR_OK;
    }
    unsigned started = pool->workers;
    job_pool_free(pool);
    FAIL(ERR_INTERNAL, "only %u of %u worker threads start; raise the limit of tasks", started,
         workers);
}

enum job_result job_submit(struct job_pool *pool, struct job *job)
{
    job->expired = false;
    job->next = NULL;
    if (!pool->workers) {
        job->run(job);
        return JOB_DONE;
    }
    SCOPED_LOCK(&pool->lock);
    if (pool->depth >= pool->max) return JOB_REFUSED;
    *pool->last = job;
    pool->last = &job->next;
    pool->depth++;
    pthread_cond_signal(&pool->work);
    return JOB_PENDING;
}

unsigned job_pool_depth(struct job_pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    return pool->depth;
}

void job_pool_free(struct job_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->workers; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}
