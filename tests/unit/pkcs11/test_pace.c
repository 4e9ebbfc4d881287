#include "tests/lib/test.h"

#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "pkcs11/pace.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static struct pace p;

static int setup(void **state)
{
    p = (struct pace) PACE_INIT;
    return 0;
}

static void note(unsigned n, uint64_t ns)
{
    for (unsigned i = 0; i < n; i++) pace_note(&p, ns);
}

/* As if it had been slow for so long. */
static void wait_hold(void)
{
    p.changed -= p.hold_ns;
}

static void test_pace_note__microseconds_stay_fast(void **state)
{
    note(1000, 20 * US);
    assert_false(pace_is_slow(&p));
    assert_int_equal(p.average_ns, 20 * US);
    note(1000, PACE_SLOW_US * US); /* the limit itself is not beyond it */
    assert_false(pace_is_slow(&p));
    assert_int_equal(p.changes, 0);
}

static void test_pace_note__milliseconds_are_slow(void **state)
{
    note(1000, 20 * US);
    note(40, 3 * PACE_SLOW_US * US);
    assert_true(pace_is_slow(&p));
    assert_int_equal(p.changes, 1);
}

static void test_pace_note__a_slow_token_is_known_by_its_first_calls(void **state)
{
    note(3, 5 * MS);
    assert_false(pace_is_slow(&p)); /* too few to tell */
    note(1, 5 * MS);
    assert_true(pace_is_slow(&p));
}

static void test_pace_note__a_lost_core_is_no_slow_token(void **state)
{
    note(100, 20 * US);
    for (int i = 0; i < 100; i++) {
        note(1, 40 * MS);
        note(20, 20 * US);
    }
    assert_false(pace_is_slow(&p));
}

static void test_pace_note__two_very_long_calls_are_enough(void **state)
{
    note(100, 20 * US);
    note(2, PACE_STUMBLE_MS * MS);
    assert_false(pace_is_slow(&p));
    note(100, 20 * US);
    note(1, PACE_STUMBLE_MS * MS + 1);
    note(3 * PACE_CALLS, 20 * US);
    note(1, PACE_STUMBLE_MS * MS + 1); /* a core was lost for long, twice */
    assert_false(pace_is_slow(&p));
    note(PACE_CALLS / 4, 20 * US);
    note(1, PACE_STUMBLE_MS * MS + 1);
    assert_true(pace_is_slow(&p));
}

static void test_pace_note__back_when_a_quarter_is_quick(void **state)
{
    note(4, 5 * MS);
    wait_hold();
    note(PACE_WINDOW - PACE_WINDOW / 4 + 1, 5 * MS);
    note(PACE_WINDOW / 4 - 1, 20 * US); /* one too few */
    assert_true(pace_is_slow(&p));
    note(PACE_WINDOW - PACE_WINDOW / 4, 5 * MS);
    note(PACE_WINDOW / 4 - 1, 20 * US);
    assert_true(pace_is_slow(&p));
    note(1, PACE_FAST_US * US - 1);
    assert_false(pace_is_slow(&p));
    assert_int_equal(p.changes, 2);
}

static void test_pace_note__between_the_limits_nothing_changes(void **state)
{
    note(4, 5 * MS);
    wait_hold();
    note(10 * PACE_WINDOW, PACE_FAST_US * US);
    assert_true(pace_is_slow(&p));
    assert_int_equal(p.changes, 1);
}

static void test_pace_note__held_and_longer_each_time(void **state)
{
    note(4, 5 * MS);
    assert_int_equal(p.hold_ns, PACE_HOLD_MS * MS);
    note(PACE_WINDOW, 20 * US);
    assert_true(pace_is_slow(&p)); /* not before its time */
    uint64_t hold = PACE_HOLD_MS * MS;
    for (int i = 0; i < 10; i++) {
        wait_hold();
        note(PACE_WINDOW, 20 * US);
        assert_false(pace_is_slow(&p));
        note(4, 5 * MS); /* it was wrong to go back */
        assert_true(pace_is_slow(&p));
        hold = 2 * hold < PACE_HOLD_MAX_MS * MS ? 2 * hold : PACE_HOLD_MAX_MS * MS;
        assert_int_equal(p.hold_ns, hold);
    }
    assert_int_equal(hold, PACE_HOLD_MAX_MS * MS);
    wait_hold();
    note(PACE_WINDOW, 20 * US);
    p.changed -= 5 * hold; /* fast for long: that is forgotten */
    note(4, 5 * MS);
    assert_int_equal(p.hold_ns, PACE_HOLD_MS * MS);
}

static void test_pace_stumble__slow_at_once(void **state)
{
    note(1000, 20 * US);
    pace_stumble(&p);
    pace_stumble(&p);
    assert_true(pace_is_slow(&p));
    assert_int_equal(p.changes, 1);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pace_note__microseconds_stay_fast, setup),
        cmocka_unit_test_setup(test_pace_note__milliseconds_are_slow, setup),
        cmocka_unit_test_setup(test_pace_note__a_slow_token_is_known_by_its_first_calls, setup),
        cmocka_unit_test_setup(test_pace_note__a_lost_core_is_no_slow_token, setup),
        cmocka_unit_test_setup(test_pace_note__two_very_long_calls_are_enough, setup),
        cmocka_unit_test_setup(test_pace_note__back_when_a_quarter_is_quick, setup),
        cmocka_unit_test_setup(test_pace_note__between_the_limits_nothing_changes, setup),
        cmocka_unit_test_setup(test_pace_note__held_and_longer_each_time, setup),
        cmocka_unit_test_setup(test_pace_stumble__slow_at_once, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
