#include "broker/api/policy_runs.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>

static struct policy_runs *pool;

static int setup(void **state)
{
    assert_ok(policy_runs_new(&pool));
    return 0;
}

static int teardown(void **state)
{
    policy_runs_free(pool);
    pool = NULL;
    return 0;
}

/* What was given back is lent again, the last first, so that one thread keeps to one run. */
static void test_take__lends_again(void **state)
{
    struct policy_run *a = policy_runs_take(pool), *b = policy_runs_take(pool);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    policy_runs_put(pool, a);
    policy_runs_put(pool, b);
    assert_ptr_equal(policy_runs_take(pool), b);
    assert_ptr_equal(policy_runs_take(pool), a);
    policy_runs_put(pool, a);
    policy_runs_put(pool, b);
}

/* More than there is room for are freed, not kept: the leak checker sees it. */
static void test_put__beyond_the_room(void **state)
{
    static struct policy_run *runs[HTTP_MAX_THREADS + P11_WORKERS_MAX + 2];
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) assert_non_null(runs[i] = policy_runs_take(pool));
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) policy_runs_put(pool, runs[i]);
    policy_runs_put(pool, NULL);
    assert_ptr_equal(policy_runs_take(pool), runs[HTTP_MAX_THREADS + P11_WORKERS_MAX - 1]);
    policy_runs_put(pool, runs[HTTP_MAX_THREADS + P11_WORKERS_MAX - 1]);
}

static struct policy *allow_all;
static _Atomic unsigned allowed;

static void *decide(void *arg)
{
    const struct policy_request r = {.plugin = "resource"};
    struct policy_decision d;
    for (int i = 0; i < 500; i++) {
        struct policy_run *run = policy_runs_take(pool);
        policy_decide(allow_all, run, &r, &d);
        policy_runs_put(pool, run);
        allowed += d.allow;
    }
    return NULL;
}

static void test_take__many_threads(void **state)
{
    static struct rego_errors errors;
    pthread_t threads[4];
    allow_all = policy_compile(POLICY_ALLOW_ALL_TEXT, strlen(POLICY_ALLOW_ALL_TEXT), NULL, &errors);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, decide, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    policy_free(allow_all);
    assert_int_equal(allowed, 4 * 500);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_take__lends_again), TEST(test_put__beyond_the_room), TEST(test_take__many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
