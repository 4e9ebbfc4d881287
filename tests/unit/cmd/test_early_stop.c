#include "broker/cmd/early_stop.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define NEVER_MS 3600000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int overs, tells; /* under lock */

static void over(void)
{
    pthread_mutex_lock(&lock);
    overs++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void tell(void)
{
    pthread_mutex_lock(&lock);
    tells++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static err_t start_listening(unsigned stop_ms, unsigned tell_ms)
{
    const struct early_stop how = {stop_ms, over, tell_ms, tell};
    return early_stop_listen(&how);
}

static int setup(void **state)
{
    sigset_t all;
    (void) state;
    overs = tells = 0;
    sigemptyset(&all);
    sigaddset(&all, SIGTERM);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGHUP);
    return pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void test_early_stop__none_was_asked_for(void **state)
{
    assert_ok(start_listening(NEVER_MS, NEVER_MS));
    assert_false(early_stop_end());
    assert_int_equal(overs + tells, 0);
}

static void test_early_stop__a_start_that_ends(void **state)
{
    static const int stops[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        sigset_t pending;
        assert_ok(start_listening(NEVER_MS, NEVER_MS));
        assert_int_equal(kill(getpid(), stops[i]), 0);
        do sigpending(&pending);
        while (sigismember(&pending, stops[i]));
        assert_true(early_stop_end());
    }
    assert_int_equal(overs, 0);
}

static void test_early_stop__a_start_that_does_not_end(void **state)
{
    assert_ok(start_listening(1, NEVER_MS));
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    pthread_mutex_lock(&lock);
    while (!overs) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    assert_true(early_stop_end());
}

static void test_early_stop__a_start_that_takes_long(void **state)
{
    assert_ok(start_listening(NEVER_MS, 1));
    pthread_mutex_lock(&lock);
    while (tells < 3) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    assert_int_equal(kill(getpid(), SIGTERM), 0); /* it is heard still */
    sigset_t pending;
    do sigpending(&pending);
    while (sigismember(&pending, SIGTERM));
    assert_true(early_stop_end());
    assert_int_equal(overs, 0);
}

static void test_early_stop__others_are_left(void **state)
{
    sigset_t hup;
    int got = 0;
    assert_ok(start_listening(NEVER_MS, NEVER_MS));
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_false(early_stop_end());
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    assert_int_equal(sigwait(&hup, &got), 0);
    assert_int_equal(got, SIGHUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_early_stop__none_was_asked_for, setup),
        cmocka_unit_test_setup(test_early_stop__a_start_that_ends, setup),
        cmocka_unit_test_setup(test_early_stop__a_start_that_does_not_end, setup),
        cmocka_unit_test_setup(test_early_stop__a_start_that_takes_long, setup),
        cmocka_unit_test_setup(test_early_stop__others_are_left, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
