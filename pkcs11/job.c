#include "pkcs11/job.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"

struct worker {
    struct lane *lane;
    pthread_t thread;
    struct job *job;       /* that runs; its thread's, or the watcher's while a call of it is late */
    bool lost;             /* the same */
    struct worker *next;   /* of the lane's, or of the ended */
};

/* One queue and those who work on it. Under the pool's lock. */
struct lane {
    struct job_pool *pool;
    pthread_cond_t work;   /* something is queued, or the end */
    struct job *first, **last;
    unsigned depth, wanted, running, lost; /* of running ones: whose calls hang */
    bool patient;          /* see watch.h */
    struct worker *workers;
};

struct job_pool {
    pthread_mutex_t lock;
    struct lane lanes[JOB_KINDS];
    pthread_cond_t one_ended;
    struct worker *ended;  /* threads to be joined */
    unsigned max;
    bool ending, token, adaptive;
    struct job_stats stats; /* but `here` */
    _Atomic uint64_t here;
};

/* A pool of one queue takes every kind there. */
static struct lane *lane_of(struct job_pool *pool, enum job_kind kind)
{
    return &pool->lanes[pool->token ? kind : JOB_CRYPTO];
}

/* ---- workers ---------------------------------------------------------------------------- */

static void *work(void *arg);

/* Those take no lock any more, so this waits for next to nothing. */
static void join_ended_locked(struct job_pool *pool)
{
    while (pool->ended) {
        struct worker *worker = pool->ended;
        pool->ended = worker->next;
        pthread_join(worker->thread, NULL);
        free(worker);
    }
}

static bool start_worker_locked(struct lane *lane)
{
    join_ended_locked(lane->pool);
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) return false;
    worker->lane = lane;
    if (pthread_create(&worker->thread, NULL, work, worker)) {
        free(worker);
        return false;
    }
    worker->next = lane->workers;
    lane->workers = worker;
    lane->running++;
    return true;
}

static unsigned fit(const struct lane *lane)
{
    return lane->running - lane->lost;
}

/* One that came back from a call that hung, and somebody else has its place. */
static bool is_surplus(const struct lane *lane)
{
    return fit(lane) > lane->wanted;
}

/* NULL: this thread ends. */
static struct job *next_job(struct worker *worker)
{
    struct lane *lane = worker->lane;
    struct job_pool *pool = lane->pool;
    SCOPED_LOCK(&pool->lock);
    while (!lane->first && !pool->ending && !is_surplus(lane))
        pthread_cond_wait(&lane->work, &pool->lock);
    struct job *job = is_surplus(lane) && !pool->ending ? NULL : lane->first;
    if (job) {
        lane->first = job->next;
        if (!lane->first) lane->last = &lane->first;
        lane->depth--;
        job->next = NULL;
        return job;
    }
    struct worker **at = &lane->workers;
    while (*at != worker) at = &(*at)->next;
    *at = worker->next;
    worker->next = pool->ended;
    pool->ended = worker;
    lane->running--;
    pthread_cond_signal(&pool->one_ended);
    return NULL;
}

/* By the watcher. The worker is in its call and stays there until we are done. */
static void worker_late(void *arg)
{
    struct worker *worker = arg;
    struct lane *lane = worker->lane;
    if (worker->lost) return; /* another late call of the same job */
    worker->lost = true;
    {
        SCOPED_LOCK(&lane->pool->lock);
        lane->lost++;
        if (watch_lost() < P11_LOST_MAX && fit(lane) < lane->wanted && !start_worker_locked(lane))
            log_error("token.worker", LOG_S("effect", "no thread can be started in place of one that hangs"));
    }
    if (worker->job->late) worker->job->late(worker->job);
}

static void finish(struct worker *worker, struct job *job)
{
    bool lost = worker->lost;
    worker->job = NULL;
    if (lost) {
        SCOPED_LOCK(&worker->lane->pool->lock);
        worker->lost = false;
        worker->lane->lost--;
    }
    if (lost && job->late) job->gone(job); /* may free the job, as done may */
    else job->done(job);
}

/* Whether the job goes on among those that may wait for objects. */
static bool move_on(struct worker *worker, struct job *job)
{
    if (worker->lost || !watch_self()->must_move) return false;
    worker->job = NULL;
    job->kind = JOB_OBJECT;
    return job_queue(worker->lane->pool, job) == JOB_PENDING;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct watch_thread *me = watch_self();
    me->patient = worker->lane->patient;
    me->arg = worker;
    for (struct job *job; (job = next_job(worker));) {
        /* Whoever asked has answered 504 by now: the token's time is for those who still wait. */
        if (job->deadline && clock_mono_ns() > job->deadline) {
            job->expired = true;
        } else {
            worker->job = job;
            me->late = worker_late;
            me->crypto_only = worker->lane->pool->token && !me->patient && !job->queued;
            me->must_move = me->to_objects = false;
            job->run(job);
            me->late = NULL;
            if (move_on(worker, job)) continue;
        }
        finish(worker, job);
    }
    return NULL;
}

/* ---- what waits too long ---------------------------------------------------------------- */

/* Takes the late ones out of a queue; *next is the earliest deadline of the others. */
static struct job *take_expired_locked(struct lane *lane, uint64_t now, uint64_t *next)
{
    struct job *expired = NULL, **at = &lane->first;
    while (*at) {
        struct job *job = *at;
        if (job->deadline && job->deadline < now) {
            *at = job->next;
            lane->depth--;
            lane->pool->stats.expired++;
            job->next = expired;
            expired = job;
            continue;
        }
        if (job->deadline && job->deadline < *next) *next = job->deadline;
        at = &job->next;
    }
    lane->last = at;
    return expired;
}

/* By the watcher: while all workers hang nobody else would tell those who wait. */
static uint64_t sweep(void *arg, uint64_t now)
{
    struct job_pool *pool = arg;
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < JOB_KINDS; i++) {
        struct job *expired = NULL;
        {
            SCOPED_LOCK(&pool->lock);
            expired = take_expired_locked(&pool->lanes[i], now, &next);
        }
        for (struct job *job = expired; job;) {
            struct job *after = job->next;
            job->next = NULL;
            job->expired = true;
            job->done(job);
            job = after;
        }
    }
    return next == UINT64_MAX ? next : next + 1;
}

/* ---- life ------------------------------------------------------------------------------- */

static err_t pool_alloc(unsigned queue_max, struct job_pool **ret)
{
    struct job_pool *pool = calloc(1, sizeof *pool);
    if (!pool) FAIL(ERR_INTERNAL, "out of memory");
    pool->max = queue_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->one_ended, NULL);
    for (int i = 0; i < JOB_KINDS; i++) {
        struct lane *lane = &pool->lanes[i];
        lane->pool = pool;
        lane->last = &lane->first;
        lane->patient = i == JOB_OBJECT;
        pthread_cond_init(&lane->work, NULL);
    }
    *ret = pool;
    return ERR_OK;
}

static err_t start_workers(struct job_pool *pool, enum job_kind kind, unsigned wanted)
{
    struct lane *lane = &pool->lanes[kind];
    SCOPED_LOCK(&pool->lock);
    lane->wanted = wanted;
    while (lane->running < wanted)
        if (!start_worker_locked(lane))
            FAIL(ERR_INTERNAL, "only %u of %u worker threads start; raise the limit of tasks",
                 lane->running, wanted);
    return ERR_OK;
}

err_t job_pool_new(unsigned workers, unsigned queue_max, struct job_pool **ret)
{
    struct job_pool *pool = NULL;
    TRY(pool_alloc(queue_max, &pool));
    struct err e = start_workers(pool, JOB_CRYPTO, workers);
    if (err_ok(e)) *ret = pool;
    else job_pool_free(pool);
    return e;
}

static err_t start_token_pool(struct job_pool *pool, const struct token_pool_config *config)
{
    struct watch_config watch = {.crypto_ms = config->crypto_ms, .object_ms = config->object_ms,
                                 .hang_ms = config->hang_ms, .sweep = sweep, .arg = pool};
    TRY(start_workers(pool, JOB_CRYPTO, config->workers));
    TRY(start_workers(pool, JOB_OBJECT, P11_OBJECT_WORKERS));
    return watch_start(&watch);
}

err_t job_pool_new_token(const struct token_pool_config *config, struct job_pool **ret)
{
    struct job_pool *pool = NULL;
    if (!config->workers) return job_pool_new(0, config->queue_max, ret);
    TRY(pool_alloc(config->queue_max, &pool));
    pool->token = true;
    pool->adaptive = config->adaptive;
    struct err e = start_token_pool(pool, config);
    if (err_ok(e)) {
        *ret = pool;
        return e;
    }
    pool->token = false; /* nobody watches it */
    job_pool_free(pool);
    return e;
}

/* ---- submitting ------------------------------------------------------------------------- */

/* The event loop hangs with its call: nobody else takes that risk from now on. */
static void loop_late(void *arg)
{
    pace_stumble(&token_pace);
}

static bool belongs_here(struct job_pool *pool, const struct job *job)
{
    if (!pool->lanes[JOB_CRYPTO].wanted) return true;
    if (!pool->adaptive || job->queued || job->kind != JOB_CRYPTO || pace_is_slow(&token_pace))
        return false;
    if (!watch_loop_stuck(clock_mono_ns())) return true;
    pace_stumble(&token_pace);
    return false;
}

bool job_run_here(struct job_pool *pool, struct job *job)
{
    struct watch_thread *me = watch_self();
    job->expired = false;
    job->next = NULL;
    if (!belongs_here(pool, job)) return false;
    me->must_move = me->to_objects = false;
    if (pool->token) {
        me->late = loop_late;
        me->crypto_only = true;
        atomic_store(&me->here, true);
    }
    job->run(job);
    me->late = NULL;
    me->crypto_only = false;
    atomic_store_explicit(&me->here, false, memory_order_relaxed);
    if (me->must_move) {
        if (me->to_objects) job->kind = JOB_OBJECT;
        return false;
    }
    atomic_fetch_add_explicit(&pool->here, 1, memory_order_relaxed);
    return true;
}

enum job_result job_queue(struct job_pool *pool, struct job *job)
{
    struct lane *lane = lane_of(pool, job->kind);
    job->expired = false;
    job->next = NULL;
    {
        SCOPED_LOCK(&pool->lock);
        if (lane->depth >= pool->max || (pool->token && !fit(lane))) {
            pool->stats.refused++;
            return JOB_REFUSED;
        }
        *lane->last = job;
        lane->last = &job->next;
        lane->depth++;
        pool->stats.queued++;
        pthread_cond_signal(&lane->work);
    }
    if (pool->token) watch_arm();
    return JOB_PENDING;
}

bool job_pool_gives_up(const struct job_pool *pool)
{
    return pool->token;
}

bool job_may_wait(void)
{
    struct watch_thread *me = watch_self();
    bool here = atomic_load_explicit(&me->here, memory_order_relaxed);
    if (here) me->must_move = true;
    return !here;
}

err_t job_moves(void)
{
    struct watch_thread *me = watch_self();
    if (!me->crypto_only) return ERR_OK;
    me->must_move = me->to_objects = true;
    FAIL(ERR_BUSY, "this waits for the token's objects, among others that do");
}

void job_settled(void)
{
    watch_self()->must_move = false;
}

void job_lock(pthread_mutex_t *m)
{
    if (pthread_mutex_trylock(m) == 0) return;
    watch_begin(WATCH_WAIT);
    pthread_mutex_lock(m);
    watch_end();
}

void job_pool_stats(struct job_pool *pool, struct job_stats *ret)
{
    SCOPED_LOCK(&pool->lock);
    *ret = pool->stats;
    ret->here = atomic_load(&pool->here);
    ret->waiting = 0;
    for (int i = 0; i < JOB_KINDS; i++) ret->waiting += pool->lanes[i].depth;
}

unsigned job_pool_depth(struct job_pool *pool)
{
    struct job_stats stats;
    job_pool_stats(pool, &stats);
    return stats.waiting;
}

/* ---- the end ---------------------------------------------------------------------------- */

static void join_all(struct job_pool *pool)
{
    SCOPED_LOCK(&pool->lock);
    pool->ending = true;
    for (int i = 0; i < JOB_KINDS; i++) {
        struct lane *lane = &pool->lanes[i];
        pthread_cond_broadcast(&lane->work);
        while (lane->running) pthread_cond_wait(&pool->one_ended, &pool->lock);
    }
    join_ended_locked(pool);
}

void job_pool_free(struct job_pool *pool)
{
    if (!pool) return;
    if (pool->token) watch_stop();
    join_all(pool);
    for (int i = 0; i < JOB_KINDS; i++) pthread_cond_destroy(&pool->lanes[i].work);
    pthread_cond_destroy(&pool->one_ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
