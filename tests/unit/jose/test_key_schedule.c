#include "broker/jose/key_schedule.h"

#include "broker/base/clock.h"
#include "tests/unit/jose/jose_test.h"

#define SECONDS(n) ((n) * CLOCK_SECOND_NS)
#define NOW SECONDS(1000)

static uint64_t wait_of(const struct key_schedule *s, uint64_t now)
{
    uint64_t next = key_schedule_next(s);
    return next <= now ? 0 : (next - now) / CLOCK_SECOND_NS;
}

static void test_key_schedule__first_look_at_once(void **state)
{
    struct key_schedule s = {0};
    assert_int_equal(wait_of(&s, NOW), 0);
    key_schedule_begin(&s, NOW);
    assert_true(wait_of(&s, NOW) > KEY_REFRESH_MAX_SECONDS); /* while it is under way */
}

static void test_key_schedule_succeeded__max_age_within_bounds(void **state)
{
    static const struct { uint64_t keep, wait; } rows[] = {
        {0, KEY_REFRESH_MIN_SECONDS}, {KEY_REFRESH_MIN_SECONDS - 1, KEY_REFRESH_MIN_SECONDS},
        {KEY_REFRESH_MIN_SECONDS + 1, KEY_REFRESH_MIN_SECONDS + 1},
        {KEY_REFRESH_MAX_SECONDS, KEY_REFRESH_MAX_SECONDS},
        {KEY_REFRESH_MAX_SECONDS + 1, KEY_REFRESH_MAX_SECONDS},
        {UINT64_MAX, KEY_REFRESH_MAX_SECONDS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct key_schedule s = {0};
        key_schedule_begin(&s, NOW);
        key_schedule_succeeded(&s, NOW, &rows[i].keep);
        assert_int_equal(wait_of(&s, NOW), rows[i].wait);
    }
    struct key_schedule s = {0};
    key_schedule_begin(&s, NOW);
    key_schedule_succeeded(&s, NOW, NULL);
    assert_int_equal(wait_of(&s, NOW), KEY_REFRESH_SECONDS);
}

static void test_key_schedule_failed__waits_longer_each_time(void **state)
{
    static const unsigned waits[] = {5, 10, 20, 40, 80, 160, 300, 300, 300};
    struct key_schedule s = {0};
    for (size_t i = 0; i < COUNT(waits); i++) {
        key_schedule_begin(&s, NOW);
        key_schedule_failed(&s, NOW);
        assert_int_equal(wait_of(&s, NOW), waits[i]);
    }
    s.failures = 4000000000u; /* after years */
    key_schedule_begin(&s, NOW);
    key_schedule_failed(&s, NOW);
    assert_int_equal(wait_of(&s, NOW), KEY_RETRY_MAX_SECONDS);
    key_schedule_begin(&s, NOW);
    key_schedule_succeeded(&s, NOW, NULL);
    key_schedule_begin(&s, NOW);
    key_schedule_failed(&s, NOW);
    assert_int_equal(wait_of(&s, NOW), KEY_RETRY_SECONDS);
}

/* However many unknown keys come: one look at once, then one each KEY_UNKNOWN_SECONDS. */
static void test_key_schedule_want__is_limited(void **state)
{
    struct key_schedule s = {0};
    uint64_t now = NOW;
    key_schedule_begin(&s, now);
    key_schedule_succeeded(&s, now, NULL);
    for (int i = 0; i < 100; i++) key_schedule_want(&s);
    assert_int_equal(wait_of(&s, now), 0);
    key_schedule_begin(&s, now);
    key_schedule_want(&s); /* while it is under way: it may be newer than what is being read */
    key_schedule_succeeded(&s, now, NULL);
    assert_int_equal(wait_of(&s, now), KEY_UNKNOWN_SECONDS);
    now += SECONDS(KEY_UNKNOWN_SECONDS);
    key_schedule_begin(&s, now);
    key_schedule_succeeded(&s, now, NULL);
    assert_int_equal(wait_of(&s, now), KEY_REFRESH_SECONDS);
}

/* Down sources are not asked more often for it, nor is the pause between failures waited out. */
static void test_key_schedule_want__while_it_fails(void **state)
{
    struct key_schedule s = {0};
    for (int i = 0; i < 8; i++) {
        key_schedule_begin(&s, NOW);
        key_schedule_failed(&s, NOW);
    }
    key_schedule_want(&s);
    assert_int_equal(wait_of(&s, NOW), 0);
    key_schedule_begin(&s, NOW);
    key_schedule_failed(&s, NOW);
    key_schedule_want(&s);
    assert_int_equal(wait_of(&s, NOW), KEY_UNKNOWN_SECONDS);
}

/* A regular look serves those who wanted one, and takes nothing from the next unknown key. */
static void test_key_schedule_begin__regular(void **state)
{
    struct key_schedule s = {0};
    key_schedule_want(&s);
    key_schedule_begin(&s, NOW);
    key_schedule_succeeded(&s, NOW, NULL);
    assert_int_equal(wait_of(&s, NOW), KEY_REFRESH_SECONDS);
    key_schedule_want(&s);
    assert_int_equal(wait_of(&s, NOW), 0);
}

static void test_key_schedule_force__at_once(void **state)
{
    struct key_schedule s = {0};
    key_schedule_begin(&s, NOW);
    key_schedule_force(&s); /* another one, when this ends */
    key_schedule_failed(&s, NOW);
    assert_int_equal(wait_of(&s, NOW), 0);
    key_schedule_begin(&s, NOW);
    key_schedule_succeeded(&s, NOW, NULL);
    assert_int_equal(wait_of(&s, NOW), KEY_REFRESH_SECONDS);
    key_schedule_force(&s);
    assert_int_equal(wait_of(&s, NOW), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_schedule__first_look_at_once),
        cmocka_unit_test(test_key_schedule_succeeded__max_age_within_bounds),
        cmocka_unit_test(test_key_schedule_failed__waits_longer_each_time),
        cmocka_unit_test(test_key_schedule_want__is_limited),
        cmocka_unit_test(test_key_schedule_want__while_it_fails),
        cmocka_unit_test(test_key_schedule_begin__regular),
        cmocka_unit_test(test_key_schedule_force__at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
