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

/* One request at `now`, and what the neutral question comes to if it is asked. What was done: */
enum did { REFUSED, SENT, ASKED, ASKED_FIRST, ASKED_FIRST_AND_SENT };

static enum breaker_news last;

static enum did ask(uint64_t now, enum breaker_result result, enum breaker_result neutral)
{
    enum breaker_pass pass = breaker_enter(&b, now);
    if (pass == BREAKER_REFUSED) return REFUSED;
    if (pass == BREAKER_PROBE) {
        last = breaker_probed(&b, neutral, now);
        if (neutral != BREAKER_GOOD) return ASKED_FIRST;
        assert_int_equal(breaker_leave(&b, result), BREAKER_NO_NEWS);
        return ASKED_FIRST_AND_SENT;
    }
    last = breaker_leave(&b, result);
    if (last != BREAKER_ASK) return SENT;
    last = breaker_probed(&b, neutral, now);
    return ASKED;
}

static struct breaker_view look(uint64_t now)
{
    struct breaker_view v;
    breaker_look(&b, now, &v);
    return v;
}

static void test_failures_in_a_row__neutral_question(void **state)
{
    static const struct { enum breaker_result result; enum did did; } rows[] = {
        {BREAKER_BAD, SENT}, {BREAKER_BAD, SENT}, {BREAKER_GOOD, SENT}, /* the row begins anew */
        {BREAKER_BAD, SENT}, {BREAKER_NEITHER, SENT}, {BREAKER_BAD, SENT}, {BREAKER_BAD, ASKED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ask(0, rows[i].result, BREAKER_BAD), rows[i].did);
        assert_int_equal(last, rows[i].did == ASKED ? BREAKER_DOWN : BREAKER_NO_NEWS);
    }
    assert_int_equal(ask(999 * MS, BREAKER_GOOD, BREAKER_GOOD), REFUSED);
    assert_int_equal(look(1).wait_s, 1);
    assert_int_equal(look(1).opened, 1);
    assert_int_equal(look(1000 * MS).wait_s, 0);
    assert_int_equal(look(1000 * MS).state, BREAKER_OPEN);
}

/* However many requests fail: as long as the neutral question is answered nobody is refused. */
static void test_failures_alone_never_open_it(void **state)
{
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(ask(0, BREAKER_BAD, BREAKER_GOOD), i % 3 ? SENT : ASKED);
        assert_int_equal(last, BREAKER_NO_NEWS);
        assert_int_equal(look(0).state, BREAKER_CLOSED);
    }
    assert_int_equal(look(0).opened, 0);
}

static void test_neutral_question__one_asks(void **state)
{
    for (int i = 0; i < 2; i++) assert_int_equal(breaker_leave(&b, BREAKER_BAD), BREAKER_NO_NEWS);
    assert_int_equal(breaker_leave(&b, BREAKER_BAD), BREAKER_ASK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(breaker_enter(&b, 0), BREAKER_PASS); /* still closed, for others */
        assert_int_equal(breaker_leave(&b, BREAKER_BAD), BREAKER_NO_NEWS);
    }
    /* One that shows nothing leaves it to the next failure. */
    assert_int_equal(breaker_probed(&b, BREAKER_NEITHER, 0), BREAKER_NO_NEWS);
    assert_int_equal(breaker_leave(&b, BREAKER_BAD), BREAKER_ASK);
    /* A request was answered meanwhile: that counts too. */
    assert_int_equal(breaker_leave(&b, BREAKER_GOOD), BREAKER_NO_NEWS);
    assert_int_equal(breaker_probed(&b, BREAKER_BAD, 0), BREAKER_NO_NEWS);
    assert_int_equal(look(0).state, BREAKER_CLOSED);
}

static void open_at(uint64_t now)
{
    for (int i = 0; i < 3; i++) assert_int_equal(ask(now, BREAKER_BAD, BREAKER_BAD), i == 2 ? ASKED : SENT);
    assert_int_equal(last, BREAKER_DOWN);
}

static void test_one_tries_and_the_wait_doubles(void **state)
{
    static const uint64_t waits[] = {1000, 2000, 4000, 5000, 5000};
    uint64_t now = 0;
    open_at(now);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_int_equal(breaker_enter(&b, now + waits[i] * MS - 1), BREAKER_REFUSED);
        now += waits[i] * MS;
        assert_int_equal(ask(now, BREAKER_GOOD, BREAKER_BAD), ASKED_FIRST);
        assert_int_equal(last, BREAKER_NO_NEWS);
        assert_int_equal(look(now).state, BREAKER_OPEN);
    }
    assert_int_equal(ask(now + 5000 * MS, BREAKER_GOOD, BREAKER_GOOD), ASKED_FIRST_AND_SENT);
    assert_int_equal(last, BREAKER_UP);
    open_at(now);
    /* From the shortest again. A request that fails after an answer to the neutral question is one of a row. */
    assert_int_equal(ask(now + 1000 * MS, BREAKER_BAD, BREAKER_GOOD), ASKED_FIRST_AND_SENT);
    assert_int_equal(look(now + 1000 * MS).state, BREAKER_CLOSED);
    assert_int_equal(ask(now + 1000 * MS, BREAKER_BAD, BREAKER_BAD), SENT);
    assert_int_equal(ask(now + 1000 * MS, BREAKER_BAD, BREAKER_BAD), ASKED);
}

static void test_half_open__one_at_a_time(void **state)
{
    open_at(0);
    assert_int_equal(breaker_enter(&b, 1000 * MS), BREAKER_PROBE);
    assert_int_equal(look(1000 * MS).state, BREAKER_HALF_OPEN);
    assert_int_equal(breaker_enter(&b, 9000 * MS), BREAKER_REFUSED);
    /* One that shows nothing leaves the try to the next. */
    assert_int_equal(breaker_probed(&b, BREAKER_NEITHER, 9000 * MS), BREAKER_NO_NEWS);
    assert_int_equal(look(9000 * MS).state, BREAKER_OPEN);
    assert_int_equal(breaker_enter(&b, 9000 * MS), BREAKER_PROBE);
}

static void test_late_answers(void **state)
{
    open_at(0);
    /* A failure of before says nothing new; a success closes it. */
    assert_int_equal(breaker_leave(&b, BREAKER_BAD), BREAKER_NO_NEWS);
    assert_int_equal(look(0).opened, 1);
    assert_int_equal(breaker_leave(&b, BREAKER_GOOD), BREAKER_UP);
    assert_int_equal(breaker_enter(&b, 1), BREAKER_PASS);
    /* Also under a try, which then fails: it began before the success came. */
    open_at(0);
    assert_int_equal(breaker_enter(&b, 1000 * MS), BREAKER_PROBE);
    assert_int_equal(breaker_leave(&b, BREAKER_GOOD), BREAKER_UP);
    assert_int_equal(breaker_probed(&b, BREAKER_BAD, 1000 * MS), BREAKER_NO_NEWS);
    assert_int_equal(breaker_enter(&b, 1000 * MS), BREAKER_PASS);
}

static _Atomic uint64_t now_ns;
static atomic_int probes, downs;

static void probe(uint64_t now, uint64_t dice)
{
    if (atomic_fetch_add(&probes, 1) != 0) abort(); /* two at once */
    atomic_fetch_sub(&probes, 1);
    enum breaker_news news = breaker_probed(&b, dice < 12 ? BREAKER_BAD : BREAKER_GOOD, now);
    if (news == BREAKER_DOWN) atomic_fetch_add(&downs, 1);
}

static void *hammer(void *arg)
{
    uintptr_t seed = (uintptr_t) arg;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t now = atomic_fetch_add(&now_ns, MS);
        enum breaker_pass pass = breaker_enter(&b, now);
        look(now);
        if (pass == BREAKER_PROBE) probe(now, seed >> 60);
        if (pass != BREAKER_PASS) continue;
        if (breaker_leave(&b, (seed >> 56 & 15) < 12 ? BREAKER_BAD : BREAKER_GOOD) == BREAKER_ASK)
            probe(now, seed >> 60);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *) (i + 1)), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_true(look(now_ns).opened > 0);
    assert_int_equal((uint64_t) atomic_load(&downs), look(now_ns).opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failures_in_a_row__neutral_question, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures_alone_never_open_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neutral_question__one_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_tries_and_the_wait_doubles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_open__one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
