#include "tests/lib/test.h"

#include "broker/base/breaker.h"

#include <pthread.h>
#include <stdatomic.h>

#define MS UINT64_C(1000000)

static struct breaker b;

static int setup(void **state)
{
    breaker_init(&b, 3, 1000, 5000);
    return 0;
}

static int teardown(void **state)
{
    breaker_done(&b);
    return 0;
}

/* One request at `now`; false when it is not let through. */
static bool ask(uint64_t now, enum breaker_result result, bool changes, enum breaker_state then)
{
    enum breaker_state after = BREAKER_CLOSED;
    enum breaker_pass pass = breaker_enter(&b, now);
    if (pass == BREAKER_REFUSED) return false;
    assert_int_equal(breaker_leave(&b, pass, result, now, &after), changes);
    assert_int_equal(after, then);
    return true;
}

static void test_failures_in_a_row_open_it(void **state)
{
    assert_true(ask(0, BREAKER_BAD, false, BREAKER_CLOSED));
    assert_true(ask(0, BREAKER_BAD, false, BREAKER_CLOSED));
    assert_true(ask(0, BREAKER_GOOD, false, BREAKER_CLOSED)); /* the row begins anew */
    assert_true(ask(0, BREAKER_BAD, false, BREAKER_CLOSED));
    assert_true(ask(0, BREAKER_NEITHER, false, BREAKER_CLOSED));
    assert_true(ask(0, BREAKER_BAD, false, BREAKER_CLOSED));
    assert_true(ask(0, BREAKER_BAD, true, BREAKER_OPEN));
    assert_false(ask(999 * MS, BREAKER_GOOD, false, BREAKER_OPEN));
    struct breaker_view v;
    breaker_look(&b, 1, &v);
    assert_int_equal(v.wait_s, 1);
    assert_int_equal(v.opened, 1);
    breaker_look(&b, 1000 * MS, &v);
    assert_int_equal(v.wait_s, 0);
    assert_int_equal(v.state, BREAKER_OPEN);
}

static void open_at(uint64_t now)
{
    for (int i = 0; i < 3; i++) assert_true(ask(now, BREAKER_BAD, i == 2, i == 2 ? BREAKER_OPEN : BREAKER_CLOSED));
}

static void test_one_tries_and_the_wait_doubles(void **state)
{
    static const uint64_t waits[] = {1000, 2000, 4000, 5000, 5000};
    uint64_t now = 0;
    open_at(now);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_int_equal(breaker_enter(&b, now + waits[i] * MS - 1), BREAKER_REFUSED);
        now += waits[i] * MS;
        assert_true(ask(now, BREAKER_BAD, false, BREAKER_OPEN));
    }
    assert_true(ask(now + 5000 * MS, BREAKER_GOOD, true, BREAKER_CLOSED));
    open_at(now);
    assert_true(ask(now + 1000 * MS, BREAKER_GOOD, true, BREAKER_CLOSED)); /* from the shortest again */
}

static void test_half_open__one_at_a_time(void **state)
{
    enum breaker_state after;
    open_at(0);
    assert_int_equal(breaker_enter(&b, 1000 * MS), BREAKER_PROBE);
    assert_int_equal(breaker_enter(&b, 9000 * MS), BREAKER_REFUSED);
    /* One that shows nothing leaves the try to the next. */
    assert_false(breaker_leave(&b, BREAKER_PROBE, BREAKER_NEITHER, 9000 * MS, &after));
    assert_int_equal(after, BREAKER_OPEN);
    assert_int_equal(breaker_enter(&b, 9000 * MS), BREAKER_PROBE);
}

static void test_late_answers(void **state)
{
    enum breaker_state after;
    open_at(0);
    /* A failure of before says nothing new; a success closes it. */
    assert_false(breaker_leave(&b, BREAKER_PASS, BREAKER_BAD, 0, &after));
    struct breaker_view v;
    breaker_look(&b, 0, &v);
    assert_int_equal(v.opened, 1);
    assert_true(breaker_leave(&b, BREAKER_PASS, BREAKER_GOOD, 0, &after));
    assert_int_equal(breaker_enter(&b, 1), BREAKER_PASS);
}

static _Atomic uint64_t now_ns;
static atomic_int probes, changes;

static void *hammer(void *arg)
{
    uintptr_t seed = (uintptr_t) arg;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t now = atomic_fetch_add(&now_ns, MS);
        enum breaker_pass pass = breaker_enter(&b, now);
        enum breaker_state after;
        struct breaker_view v;
        breaker_look(&b, now, &v);
        if (pass == BREAKER_REFUSED) continue;
        if (pass == BREAKER_PROBE && atomic_fetch_add(&probes, 1) != 0) return "two tries at once";
        enum breaker_result result = (seed >> 60) < 12 ? BREAKER_BAD : BREAKER_GOOD;
        if (pass == BREAKER_PROBE) atomic_fetch_sub(&probes, 1);
        if (breaker_leave(&b, pass, result, now, &after)) atomic_fetch_add(&changes, 1);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *) (i + 1)), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    struct breaker_view v;
    breaker_look(&b, now_ns, &v);
    assert_true(v.opened > 0);
    assert_true((uint64_t) atomic_load(&changes) >= v.opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failures_in_a_row_open_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_tries_and_the_wait_doubles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_open__one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
