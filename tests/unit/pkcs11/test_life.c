#include "tests/lib/test.h"

#include <pthread.h>
#include <string.h>

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "pkcs11/life.h"

static struct life life;

static int setup(void **state)
{
    life_init(&life);
    life.mend_ms = 60000;
    return 0;
}

static int teardown(void **state)
{
    life_done(&life);
    return 0;
}

static struct p11_status status(void)
{
    struct p11_status s;
    life_status(&life, &s);
    return s;
}

static struct err down(void)
{
    return ERR_MAKE(ERR_TOKEN_DOWN, "it is away");
}

/* The pause after a failed round, in ms. */
static uint64_t fail_once(enum err_class class)
{
    life_fail(&life, ERR_MAKE(class, "still away"));
    return status().next_ms;
}

static void test_life__up_at_first(void **state)
{
    struct p11_status s = status();
    assert_int_equal(s.state, P11_UP);
    assert_int_equal(s.next, P11_STEP_LOOK);
    assert_int_equal(s.tries, 0);
    assert_int_equal(s.why, ERR_NONE);
    assert_true(s.since > 0);
}

static void test_life__way_down_and_back(void **state)
{
    assert_true(life_begin(&life, P11_STEP_LOGIN, down()));
    struct p11_status s = status();
    assert_int_equal(s.state, P11_RECOVERING);
    assert_int_equal(s.next, P11_STEP_LOGIN);
    assert_int_equal(s.next_ms, 0);
    assert_int_equal(s.why, ERR_TOKEN_DOWN);
    assert_string_equal(s.reason, "it is away");
    life_step(&life, P11_STEP_RESTART);
    assert_int_equal(status().next, P11_STEP_RESTART);
    assert_int_equal(status().state, P11_RECOVERING);
    life_fail(&life, down());
    s = status();
    assert_int_equal(s.state, P11_WAITING);
    assert_int_equal(s.next, P11_STEP_RESTART);
    assert_int_equal(s.tries, 1);
    life_works(&life, 1);
    assert_int_equal(status().state, P11_WAITING); /* what depends on it is not up yet */
    life_up(&life);
    s = status();
    assert_int_equal(s.state, P11_UP);
    assert_int_equal(s.tries, 0);
    assert_int_equal(s.next_ms, 0);
    assert_string_equal(s.reason, "");
}

/* 1 s, 2 s, 4 s, ... 60 s; each between half of that and all. */
static void test_life__pauses_grow_to_a_limit(void **state)
{
    uint64_t want = TOKEN_RETRY_MS;
    for (unsigned i = 0; i < 40; i++) {
        uint64_t ms = fail_once(ERR_TOKEN_DOWN);
        assert_in_range(ms, want / 2 - 1, want);
        want = want * 2 < TOKEN_RETRY_MAX_MS ? want * 2 : TOKEN_RETRY_MAX_MS;
    }
    assert_int_equal(status().tries, 40);
}

static void test_life__pauses_differ(void **state)
{
    uint64_t first = fail_once(ERR_HUMAN);
    bool differs = false;
    for (int i = 0; i < 20 && !differs; i++) {
        uint64_t next = fail_once(ERR_HUMAN);
        differs = next > first + 5 || next + 5 < first;
    }
    assert_true(differs);
}

static void test_life__a_person_is_waited_for_at_the_longest_pause(void **state)
{
    uint64_t ms = fail_once(ERR_HUMAN);
    assert_int_equal(status().state, P11_HUMAN);
    assert_int_equal(status().why, ERR_HUMAN);
    assert_in_range(ms, TOKEN_RETRY_MAX_MS / 2 - 1, TOKEN_RETRY_MAX_MS);
    fail_once(ERR_TOKEN_DOWN); /* then it was pulled */
    assert_int_equal(status().state, P11_WAITING);
}

/* Since when: of the state, not of the last try. */
static void test_life__since_stays_with_the_state(void **state)
{
    life_fail(&life, down());
    life.since -= 90 * CLOCK_SECOND_NS;
    life.since_unix -= 90;
    int64_t since = status().since;
    life_fail(&life, down());
    assert_int_equal(status().since, since);
    assert_true(status().seconds >= 90);
    life_up(&life);
    assert_true(status().since > since);
    assert_true(status().seconds < 90);
}

/* A token that forgets us again and again is not logged in to in a tight loop. */
static void test_life__relapses_bring_pauses(void **state)
{
    for (unsigned i = 0; i <= TOKEN_RELAPSES; i++) {
        assert_true(life_begin(&life, P11_STEP_LOGIN, down()));
        life_up(&life);
    }
    assert_false(life_begin(&life, P11_STEP_LOGIN, down()));
    assert_int_equal(status().state, P11_RECOVERING); /* it went down, whatever is done about it */
    life_rest(&life);
    assert_int_equal(status().state, P11_WAITING);
    assert_in_range(status().next_ms, TOKEN_RETRY_MS / 2 - 1, TOKEN_RETRY_MS);
    life_up(&life);
    assert_false(life_begin(&life, P11_STEP_LOGIN, down()));
    life_rest(&life);
    assert_in_range(status().next_ms, TOKEN_RETRY_MS - 1, 2 * TOKEN_RETRY_MS);
    life_up(&life);
    life.since -= TOKEN_SETTLED_MS * (CLOCK_SECOND_NS / 1000); /* it worked for a while */
    assert_true(life_begin(&life, P11_STEP_LOGIN, down()));
}

static void test_life__counts(void **state)
{
    life_count(&life, P11_STEP_SESSION, true);
    life_count(&life, P11_STEP_LOGIN, false);
    life_count(&life, P11_STEP_LOGIN, true);
    struct p11_status s = status();
    assert_int_equal(s.taken[P11_STEP_SESSION], 1);
    assert_int_equal(s.taken[P11_STEP_LOGIN], 2);
    assert_int_equal(s.helped[P11_STEP_LOGIN], 1);
    assert_int_equal(s.taken[P11_STEP_RESTART], 0);
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void test_life_await__what_is_due(void **state)
{
    assert_true(life_await(&life)); /* nobody has looked yet */
    life_works(&life, 1);
    life_ask(&life);
    assert_true(life_await(&life)); /* at once, though the next look is later */
    life_fail(&life, down());
    life.next_at = 0;
    assert_true(life_await(&life));
    life_fail(&life, down());
    life_ask(&life); /* those who ask must not shorten the pause .. */
    life_hurry(&life); /* .. but a person may */
    assert_true(life_await(&life));
    assert_false(life.asked);
    life_end(&life);
    assert_false(life_await(&life));
}

static void test_life_mended__nobody_to_wait_for(void **state)
{
    assert_false(life_mended(&life, 1)); /* no keeper */
    assert_true(life_await(&life));
    assert_false(life_mended(&life, 1)); /* the keeper itself */
    life_end(&life);
    assert_false(life_mended(&life, 1));
}

static void *await_once(void *arg)
{
    return life_await(&life) ? &life : NULL;
}

/* Somebody else keeps the token; `life` as after its await. */
static void be_kept(void)
{
    pthread_t thread;
    void *kept = NULL;
    pthread_create(&thread, NULL, await_once, NULL);
    pthread_join(thread, &kept);
    assert_ptr_equal(kept, &life);
    life.keeper = (pthread_t) 0; /* its number may be ours to give again */
}

static void test_life_mended__not_while_all_wait(void **state)
{
    be_kept();
    life_fail(&life, down());
    assert_false(life_mended(&life, 1));
    fail_once(ERR_HUMAN);
    assert_false(life_mended(&life, 1));
    life_up(&life);
    life.mend_ms = 1;
    assert_false(life_mended(&life, 1)); /* time is up: no round began */
}

static void *ask_mended(void *arg)
{
    bool *mended = arg;
    *mended = life_mended(&life, 1);
    return NULL;
}

static bool somebody_asked(void)
{
    pthread_mutex_lock(&life.lock);
    bool asked = life.asked;
    pthread_mutex_unlock(&life.lock);
    return asked;
}

/* A look that began before the trouble tells nothing of it. */
static void test_life_mended__waits_for_a_look_of_its_own(void **state)
{
    pthread_t thread;
    bool mended = false;
    be_kept();
    pthread_create(&thread, NULL, ask_mended, &mended);
    while (!somebody_asked()) sched_yield();
    life_works(&life, 1); /* the round that ran already */
    assert_false(mended);
    assert_true(life_await(&life));
    life_works(&life, 1);
    pthread_join(thread, NULL);
    assert_true(mended);
}

/* .. but one that opened the token anew does: nothing of what failed is left. */
static void test_life_mended__another_opening_is_as_good(void **state)
{
    pthread_t thread;
    bool mended = false;
    be_kept();
    pthread_create(&thread, NULL, ask_mended, &mended);
    while (!somebody_asked()) sched_yield();
    life_works(&life, 2);
    pthread_join(thread, NULL);
    assert_true(mended);
    assert_true(life_mended(&life, 1)); /* at once */
}

static void test_life_mended__ends_when_nothing_helps(void **state)
{
    pthread_t thread;
    bool mended = true;
    be_kept();
    pthread_create(&thread, NULL, ask_mended, &mended);
    while (!somebody_asked()) sched_yield();
    life_await(&life);
    assert_true(life_begin(&life, P11_STEP_RESTART, down()));
    life_fail(&life, down());
    pthread_join(thread, NULL);
    assert_false(mended);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_life__up_at_first),
        CASE(test_life__way_down_and_back),
        CASE(test_life__pauses_grow_to_a_limit),
        CASE(test_life__pauses_differ),
        CASE(test_life__a_person_is_waited_for_at_the_longest_pause),
        CASE(test_life__since_stays_with_the_state),
        CASE(test_life__relapses_bring_pauses),
        CASE(test_life__counts),
        CASE(test_life_await__what_is_due),
        CASE(test_life_mended__nobody_to_wait_for),
        CASE(test_life_mended__not_while_all_wait),
        CASE(test_life_mended__waits_for_a_look_of_its_own),
        CASE(test_life_mended__another_opening_is_as_good),
        CASE(test_life_mended__ends_when_nothing_helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
