#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "broker/base/clock.h"
#include "pkcs11/job.h"

struct counted {
    struct job job; /* first: the callbacks get this */
    atomic_int ran, finished;
    pthread_t runner;
    bool blocks;
};

/* Holds workers until a test opens it. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int gate_waiting;

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void gate_pass(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_waiting++;
    pthread_cond_broadcast(&gate_changed);
    while (!gate_open) pthread_cond_wait(&gate_changed, &gate_lock);
    gate_waiting--;
    pthread_mutex_unlock(&gate_lock);
}

static void gate_await(int waiting)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_waiting < waiting) pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

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

static void test_job_submit__inline_runs_at_once_without_done(void **state)
{
    struct job_pool *pool = new_pool(0, 0);
    struct counted c = COUNTED();
    assert_int_equal(job_submit(pool, &c.job), JOB_DONE);
    assert_int_equal(c.ran, 1);
    assert_int_equal(c.finished, 0);
    assert_true(pthread_equal(c.runner, pthread_self()));
    job_pool_free(pool);
}

static void test_job_submit__queued_runs_on_a_worker(void **state)
{
    struct job_pool *pool = new_pool(2, 64);
    struct counted c[50] = {0};
    for (size_t i = 0; i < 50; i++) {
        c[i].job = (struct job){.run = run, .done = done,
                                .deadline = clock_mono_ns() + 60 * CLOCK_SECOND_NS};
        assert_int_equal(job_submit(pool, &c[i].job), JOB_PENDING);
    }
    job_pool_free(pool); /* runs what is queued */
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(c[i].ran, 1);
        assert_int_equal(c[i].finished, 1);
        assert_false(c[i].job.expired);
        assert_false(pthread_equal(c[i].runner, pthread_self()));
    }
}

static void test_job_submit__full_queue_refuses(void **state)
{
    struct job_pool *pool = new_pool(1, 2);
    struct counted first = COUNTED(.blocks = true), a = COUNTED(), b = COUNTED(), c = COUNTED();
    assert_int_equal(job_submit(pool, &first.job), JOB_PENDING);
    gate_await(1); /* the worker has it, so the queue is empty */
    assert_int_equal(job_submit(pool, &a.job), JOB_PENDING);
    assert_int_equal(job_submit(pool, &b.job), JOB_PENDING);
    assert_int_equal(job_pool_depth(pool), 2);
    assert_int_equal(job_submit(pool, &c.job), JOB_REFUSED);
    gate_set(true);
    job_pool_free(pool);
    assert_int_equal(a.ran + b.ran, 2);
    assert_int_equal(c.ran + c.finished, 0);
}

static void test_job_submit__late_job_expires_unrun(void **state)
{
    struct job_pool *pool = new_pool(1, 4);
    struct counted first = COUNTED(.blocks = true), late = COUNTED(), timeless = COUNTED();
    late.job.deadline = clock_mono_ns(); /* over by the time the worker is free */
    assert_int_equal(job_submit(pool, &first.job), JOB_PENDING);
    gate_await(1);
    assert_int_equal(job_submit(pool, &late.job), JOB_PENDING);
    assert_int_equal(job_submit(pool, &timeless.job), JOB_PENDING);
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
        if (job_submit(shared_pool, job) == JOB_PENDING)
            accepted++;
        else
            free(job);
    }
    return NULL;
}

static void test_job_submit__many_threads_lose_nothing(void **state)
{
    pthread_t threads[4];
    shared_pool = new_pool(3, 16);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, submitter, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    job_pool_free(shared_pool);
    assert_true(accepted > 0);
    assert_int_equal(executed, accepted);
}

static void test_job_pool_free__null(void **state)
{
    job_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_submit__inline_runs_at_once_without_done),
        cmocka_unit_test_teardown(test_job_submit__queued_runs_on_a_worker, teardown),
        cmocka_unit_test_teardown(test_job_submit__full_queue_refuses, teardown),
        cmocka_unit_test_teardown(test_job_submit__late_job_expires_unrun, teardown),
        cmocka_unit_test(test_job_submit__many_threads_lose_nothing),
        cmocka_unit_test(test_job_pool_free__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
