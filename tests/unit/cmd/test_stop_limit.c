#include "broker/cmd/stop_limit.h"

#include <pthread.h>

#include "tests/lib/test.h"

#define NEVER_MS 3600000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int overs; /* under lock */

static void over(void *arg)
{
    pthread_mutex_lock(&lock);
    overs += *(int *) arg;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void) state;
    overs = 0;
    return 0;
}

static void test_stop_limit__a_stop_that_does_not_end(void **state)
{
    int one = 1;
    assert_ok(stop_limit_start(1, over, &one));
    pthread_mutex_lock(&lock);
    while (!overs) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    stop_limit_end();
    assert_int_equal(overs, 1);
}

static void test_stop_limit__a_stop_that_ends(void **state)
{
    int one = 1;
    assert_ok(stop_limit_start(NEVER_MS, over, &one));
    stop_limit_end();
    assert_ok(stop_limit_start(NEVER_MS, over, &one));
    stop_limit_end();
    assert_int_equal(overs, 0);
}

static void test_stop_limit_end__of_none(void **state)
{
    stop_limit_end();
    assert_int_equal(overs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stop_limit__a_stop_that_does_not_end, setup),
        cmocka_unit_test_setup(test_stop_limit__a_stop_that_ends, setup),
        cmocka_unit_test_setup(test_stop_limit_end__of_none, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
