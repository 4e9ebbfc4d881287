#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "pkcs11/job.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"
#include "tests/unit/pkcs11/gate.h"

struct counted {
    struct job job; /* first: the callbacks get this */
    atomic_int ran, finished;
    pthread_t runner;
    bool blocks;
};

static void run(struct job *job)
{
    struct counted *c = (struct counted *) job;
    c->runner = pthread_self();
    if (c->blocks) gate_pass();
    c->ran++;
}

static void done(struct job *job)
{
    ((struct counted *) job)->finished++;
}

#define COUNTED(...) {.job = {.run = run, .done = done}, __VA_ARGS__}

static int teardown(void **state)
{
    gate_set(false);
    return 0;
}

static struct job_pool *new_pool(unsigned workers, unsigned max)
{
    struct job_pool *pool = NULL;
    assert_ok(job_pool_new(workers, max, &pool));
    return pool;
}

/* Of a job that does not run here. */
static enum job_result submit(struct job_pool *pool, struct job *job)
{
    assert_false(job_run_here(pool, job));
    return job_queue(pool, job);
}

static void test_job_run_here__inline_runs_at_once_without_done(void **state)
{
    struct job_pool *pool = new_pool(0, 0);
    struct counted c = COUNTED();
    assert_true(job_run_here(pool, &c.job));
    assert_int_equal(c.ran, 1);
    assert_int_equal(c.finished, 0);
    assert_true(pthread_equal(c.runner, pthread_self()));
    job_pool_free(pool);
}

static void test_job_queue__queued_runs_on_a_worker(void **state)
{
    struct job_pool *pool = new_pool(2, 64);
    struct counted c[50] = {0};
    for (size_t i = 0; i < 50; i++) {
        c[i].job = (struct job){.run = run, .done = done,
                                .deadline = clock_mono_ns() + 60 * CLOCK_SECOND_NS};
        assert_int_equal(submit(pool, &c[i].job), JOB_PENDING);
    }
    job_pool_free(pool); /* runs what is queued */
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(c[i].ran, 1);
        assert_int_equal(c[i].finished, 1);
        assert_false(c[i].job.expired);
        assert_false(pthread_equal(c[i].runner, pthread_self()));
    }
}

static void test_job_queue__full_queue_refuses(void **state)
{
    struct job_pool *pool = new_pool(1, 2);
    struct counted first = COUNTED(.blocks = true), a = COUNTED(), b = COUNTED(), c = COUNTED();
    assert_int_equal(submit(pool, &first.job), JOB_PENDING);
    gate_await(1); /* the worker has it, so the queue is empty */
    assert_int_equal(submit(pool, &a.job), JOB_PENDING);
    assert_int_equal(submit(pool, &b.job), JOB_PENDING);
    assert_int_equal(job_pool_depth(pool), 2);
    assert_int_equal(submit(pool, &c.job), JOB_REFUSED);
    gate_set(true);
    job_pool_free(pool);
    assert_int_equal(a.ran + b.ran, 2);
    assert_int_equal(c.ran + c.finished, 0);
}

static void test_job_queue__late_job_expires_unrun(void **state)
{
    struct job_pool *pool = new_pool(1, 4);
    struct counted first = COUNTED(.blocks = true), late = COUNTED(), timeless = COUNTED();
    late.job.deadline = clock_mono_ns(); /* over by the time the worker is free */
    assert_int_equal(submit(pool, &first.job), JOB_PENDING);
    gate_await(1);
    assert_int_equal(submit(pool, &late.job), JOB_PENDING);
    assert_int_equal(submit(pool, &timeless.job), JOB_PENDING);
    gate_set(true);
    job_pool_free(pool);
    assert_true(late.job.expired);
    assert_int_equal(late.ran, 0);
    assert_int_equal(late.finished, 1);
    assert_int_equal(timeless.ran, 1);
}

static struct job_pool *shared_pool;
static atomic_int accepted, executed;

static void count_run(struct job *job) { executed++; }
static void free_job(struct job *job) { free(job); }

static void *submitter(void *arg)
{
    for (int i = 0; i < 500; i++) {
        struct job *job = calloc(1, sizeof *job);
        job->run = count_run;
        job->done = free_job;
        if (job_queue(shared_pool, job) == JOB_PENDING)
            accepted++;
        else
            free(job);
    }
    return NULL;
}

static void test_job_queue__many_threads_lose_nothing(void **state)
{
    pthread_t threads[4];
    shared_pool = new_pool(3, 16);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, submitter, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    job_pool_free(shared_pool);
    assert_true(accepted > 0);
    assert_int_equal(executed, accepted);
}

/* ---- the pool of the token --------------------------------------------------------------- */

/* A job that makes a call; and what became of it. */
struct calling {
    struct job job; /* first */
    bool hangs, moves, settles;
    int ran, done, late, gone; /* under gate_lock */
    pthread_t runner;
};

static void run_calling(struct job *job)
{
    struct calling *c = (struct calling *) job;
    c->runner = pthread_self();
    gate_add(&c->ran);
    if (c->moves && !err_ok(job_moves()) && !c->settles) return;
    if (c->settles) job_settled();
    watch_begin(WATCH_CRYPTO);
    if (c->hangs) gate_pass();
    watch_end();
}

static void calling_done(struct job *job) { gate_add(&((struct calling *) job)->done); }
static void calling_late(struct job *job) { gate_add(&((struct calling *) job)->late); }
static void calling_gone(struct job *job) { gate_add(&((struct calling *) job)->gone); }

#define CALLING(...)                                                             \
    {.job = {.run = run_calling, .done = calling_done, .late = calling_late, .gone = calling_gone}, \
     __VA_ARGS__}

static struct job_pool *token_jobs;

static void open_token_pool(unsigned workers, bool adaptive)
{
    struct token_pool_config config = {.workers = workers, .adaptive = adaptive, .queue_max = 8,
                                       .crypto_ms = 10, .object_ms = 10};
    assert_ok(job_pool_new_token(&config, &token_jobs));
}

static int token_setup(void **state)
{
    token_pace = (struct pace) PACE_INIT;
    gate_set(false);
    return 0;
}

static int token_teardown(void **state)
{
    gate_set(true);
    job_pool_free(token_jobs);
    token_jobs = NULL;
    gate_set(false);
    return 0;
}

static void test_token_pool__a_fast_token_is_asked_here(void **state)
{
    struct calling c = CALLING(), object = CALLING(), queued = CALLING();
    struct job_stats stats;
    open_token_pool(2, true);
    assert_true(job_pool_gives_up(token_jobs));
    object.job.kind = JOB_OBJECT;
    queued.job.queued = true;
    assert_true(job_run_here(token_jobs, &c.job));
    assert_true(pthread_equal(c.runner, pthread_self()));
    assert_int_equal(submit(token_jobs, &object.job), JOB_PENDING); /* whatever the token */
    assert_int_equal(submit(token_jobs, &queued.job), JOB_PENDING);
    gate_await_count(&object.done, 1);
    gate_await_count(&queued.done, 1);
    assert_false(pthread_equal(object.runner, pthread_self()));
    job_pool_stats(token_jobs, &stats);
    assert_int_equal(stats.here, 1);
    assert_int_equal(stats.queued, 2);
    assert_int_equal(stats.waiting, 0);
}

static void test_token_pool__a_slow_one_by_workers(void **state)
{
    struct calling c = CALLING();
    open_token_pool(1, true);
    pace_stumble(&token_pace);
    assert_int_equal(submit(token_jobs, &c.job), JOB_PENDING);
    gate_await_count(&c.done, 1);
    assert_int_equal(c.ran, 1);
}

static void test_token_pool__a_number_of_workers_is_meant(void **state)
{
    struct calling c = CALLING();
    open_token_pool(1, false);
    assert_int_equal(submit(token_jobs, &c.job), JOB_PENDING);
    gate_await_count(&c.done, 1);
}

static void test_token_pool__none_is_meant_too(void **state)
{
    struct calling c = CALLING(.moves = true);
    open_token_pool(0, false);
    c.job.kind = JOB_OBJECT;
    assert_true(job_run_here(token_jobs, &c.job));
    assert_int_equal(c.ran, 1);
    assert_false(job_pool_gives_up(token_jobs));
}

static void test_job_moves__begins_again_on_a_worker(void **state)
{
    struct calling c = CALLING(.moves = true);
    open_token_pool(1, true);
    assert_true(job_may_wait());
    assert_int_equal(submit(token_jobs, &c.job), JOB_PENDING);
    gate_await_count(&c.done, 1);
    assert_int_equal(c.ran, 2);
    assert_false(pthread_equal(c.runner, pthread_self()));
    assert_false(pace_is_slow(&token_pace));
}

/* A second try within the first run was good: its result stands. */
static void test_job_settled__is_not_begun_again(void **state)
{
    struct calling here = CALLING(.moves = true, .settles = true), there = CALLING(.moves = true, .settles = true);
    open_token_pool(1, true);
    assert_true(job_run_here(token_jobs, &here.job));
    assert_int_equal(here.ran, 1);
    job_pool_free(token_jobs);
    open_token_pool(1, false);
    assert_int_equal(submit(token_jobs, &there.job), JOB_PENDING);
    gate_await_count(&there.done, 1);
    assert_int_equal(there.ran, 1);
}

/* All workers of cryptography stay free for those who only want that. */
static void test_job_moves__from_one_worker_to_another(void **state)
{
    struct calling waits = CALLING(.moves = true), whole = CALLING(.moves = true);
    struct job_stats stats;
    open_token_pool(1, false);
    assert_int_equal(submit(token_jobs, &waits.job), JOB_PENDING);
    gate_await_count(&waits.done, 1);
    assert_int_equal(waits.ran, 2);
    assert_int_equal(waits.job.kind, JOB_OBJECT);
    whole.job.queued = true; /* cannot begin again */
    assert_int_equal(submit(token_jobs, &whole.job), JOB_PENDING);
    gate_await_count(&whole.done, 1);
    assert_int_equal(whole.ran, 1);
    job_pool_stats(token_jobs, &stats);
    assert_int_equal(stats.queued, 3);
}

/* The only worker hangs: its job is answered for, and another thread goes on. */
static void test_token_pool__a_worker_that_hangs_is_replaced(void **state)
{
    struct calling hung = CALLING(.hangs = true), next = CALLING();
    open_token_pool(1, false);
    assert_int_equal(submit(token_jobs, &hung.job), JOB_PENDING);
    gate_await_count(&hung.late, 1);
    assert_int_equal(submit(token_jobs, &next.job), JOB_PENDING);
    gate_await_count(&next.done, 1);
    assert_int_equal(gate_count(&hung.done) + gate_count(&hung.gone), 0);
    gate_set(true);
    gate_await_count(&hung.gone, 1);
    assert_int_equal(gate_count(&hung.done), 0);
    assert_int_equal(gate_count(&hung.late), 1);
    assert_true(watch_await_calls(60000));
}

static void test_token_pool__only_so_many_threads_are_spent(void **state)
{
    static struct calling hung[P11_LOST_MAX];
    struct calling next = CALLING(), object = CALLING();
    struct job_stats stats;
    open_token_pool(1, false);
    for (unsigned i = 0; i < P11_LOST_MAX; i++) {
        hung[i] = (struct calling) CALLING(.hangs = true);
        assert_int_equal(submit(token_jobs, &hung[i].job), JOB_PENDING);
        gate_await_count(&hung[i].late, 1);
    }
    assert_int_equal(submit(token_jobs, &next.job), JOB_REFUSED);
    object.job.kind = JOB_OBJECT; /* those have workers of their own */
    assert_int_equal(submit(token_jobs, &object.job), JOB_PENDING);
    gate_await_count(&object.done, 1);
    job_pool_stats(token_jobs, &stats);
    assert_int_equal(stats.refused, 1);
    gate_set(true);
    for (unsigned i = 0; i < P11_LOST_MAX; i++) gate_await_count(&hung[i].gone, 1);
    assert_int_equal(submit(token_jobs, &next.job), JOB_PENDING); /* it goes on by itself */
    gate_await_count(&next.done, 1);
}

/* Nobody is free, so the watcher tells those who wait. */
static void test_token_pool__what_waits_too_long_is_told(void **state)
{
    struct counted busy = COUNTED(.blocks = true); /* not in a call: nobody takes its place */
    struct calling late = CALLING();
    struct job_stats stats;
    open_token_pool(1, false);
    late.job.deadline = clock_mono_ns() + 1;
    assert_int_equal(submit(token_jobs, &busy.job), JOB_PENDING);
    gate_await(1);
    assert_int_equal(submit(token_jobs, &late.job), JOB_PENDING);
    gate_await_count(&late.done, 1);
    assert_true(late.job.expired);
    assert_int_equal(late.ran, 0);
    job_pool_stats(token_jobs, &stats);
    assert_int_equal(stats.waiting, 0);
    gate_set(true);
    job_pool_free(TAKE_PTR(token_jobs));
    assert_int_equal(busy.finished, 1);
}

/* Of an event loop nobody can take the call away; the others stop to take the risk. */
static void *run_here(void *job)
{
    assert_true(job_run_here(token_jobs, job));
    return NULL;
}

static void test_token_pool__a_loop_that_hangs_makes_it_slow(void **state)
{
    struct calling hung = CALLING(.hangs = true), other = CALLING();
    pthread_t loop;
    open_token_pool(1, true);
    pthread_create(&loop, NULL, run_here, &hung.job);
    gate_await(1);
    while (!pace_is_slow(&token_pace)) sched_yield(); /* at the deadline, whoever asks */
    assert_int_equal(submit(token_jobs, &other.job), JOB_PENDING);
    gate_await_count(&other.done, 1);
    gate_set(true);
    pthread_join(loop, NULL);
    assert_int_equal(hung.late + hung.done, 0); /* it was done where the request is */
}

static pthread_mutex_t wanted = PTHREAD_MUTEX_INITIALIZER;

static void *take_wanted(void *arg)
{
    SCOPED_JOB_LOCK(&wanted);
    gate_add(arg);
    return NULL;
}

static void test_job_lock__waits(void **state)
{
    int taken = 0;
    pthread_t thread;
    {
        SCOPED_JOB_LOCK(&wanted);
        pthread_create(&thread, NULL, take_wanted, &taken);
        assert_int_equal(gate_count(&taken), 0);
    }
    gate_await_count(&taken, 1);
    pthread_join(thread, NULL);
}

static void test_job_pool_free__null(void **state)
{
    job_pool_free(NULL);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_run_here__inline_runs_at_once_without_done),
        cmocka_unit_test_teardown(test_job_queue__queued_runs_on_a_worker, teardown),
        cmocka_unit_test_teardown(test_job_queue__full_queue_refuses, teardown),
        cmocka_unit_test_teardown(test_job_queue__late_job_expires_unrun, teardown),
        cmocka_unit_test(test_job_queue__many_threads_lose_nothing),
        cmocka_unit_test_setup_teardown(test_token_pool__a_fast_token_is_asked_here, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__a_slow_one_by_workers, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__a_number_of_workers_is_meant, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__none_is_meant_too, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_job_moves__begins_again_on_a_worker, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_job_settled__is_not_begun_again, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_job_moves__from_one_worker_to_another, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__a_worker_that_hangs_is_replaced, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__only_so_many_threads_are_spent, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__what_waits_too_long_is_told, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_token_pool__a_loop_that_hangs_makes_it_slow, token_setup, token_teardown),
        cmocka_unit_test_setup_teardown(test_job_lock__waits, token_setup, token_teardown),
        cmocka_unit_test(test_job_pool_free__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
