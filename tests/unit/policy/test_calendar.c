#include "policy/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

/* Against the C library, over all of the years that nanoseconds reach and beyond. */
static void test_both_ways__as_the_c_library(void **state)
{
    for (int64_t seconds = -30000000000; seconds < 30000000000; seconds += 7654321) {
        time_t t = (time_t) seconds;
        struct tm tm;
        struct civil c = civil_from_seconds(seconds);

        assert_non_null(gmtime_r(&t, &tm));
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour * 3600 + c.minute * 60 + c.second, tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
        assert_int_equal(civil_weekday(seconds), tm.tm_wday);
        assert_int_equal(civil_yearday(&c), tm.tm_yday + 1);
        assert_int_equal(civil_to_seconds(&c), seconds);
    }
}

static void test_to_seconds__carries_over(void **state)
{
    struct civil c = { .year = 2019, .month = 14, .day = 30 };
    struct civil d = civil_from_seconds(civil_to_seconds(&c));

    assert_int_equal(d.year, 2020);
    assert_int_equal(d.month, 3);
    assert_int_equal(d.day, 1);
    c = (struct civil) { .year = 2020, .month = 0, .day = 0 };
    d = civil_from_seconds(civil_to_seconds(&c));
    assert_int_equal(d.year, 2019);
    assert_int_equal(d.month, 11);
    assert_int_equal(d.day, 30);
    c = (struct civil) { .year = 2020, .month = -12, .day = 1 };
    assert_int_equal(civil_from_seconds(civil_to_seconds(&c)).month, 12);
    assert_int_equal(civil_from_seconds(civil_to_seconds(&c)).year, 2018);
}

static void test_month_days(void **state)
{
    assert_int_equal(civil_month_days(2000, 2), 29);
    assert_int_equal(civil_month_days(1900, 2), 28);
    assert_int_equal(civil_month_days(2024, 2), 29);
    assert_int_equal(civil_month_days(2023, 4), 30);
    assert_int_equal(civil_month_days(2023, 12), 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways__as_the_c_library), cmocka_unit_test(test_to_seconds__carries_over),
        cmocka_unit_test(test_month_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
