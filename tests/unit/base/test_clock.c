#include "broker/base/clock.h"
#include "tests/lib/test.h"

#include <time.h>

static int real_clock(void **state)
{
    clock_test_set(0);
    return 0;
}

/* Known from `date -u -d @N`. */
static const struct { int64_t unix_seconds; const char *rfc3339, *imf; } moments[] = {
    {0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    {784111777, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110 5.6.7 */
    {951782400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1795521600, "2026-11-24T12:00:00Z", "Tue, 24 Nov 2026 12:00:00 GMT"},
    {2147483648, "2038-01-19T03:14:08Z", "Tue, 19 Jan 2038 03:14:08 GMT"}, /* over 32 bits */
    {4107542400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"}, /* no leap year */
    {253402300799, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

static void test_clock_texts__known_moments(void **state)
{
    char out[CLOCK_TEXT];
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        assert_string_equal(clock_rfc3339(moments[i].unix_seconds, out), moments[i].rfc3339);
        assert_string_equal(clock_imf_fixdate(moments[i].unix_seconds, out), moments[i].imf);
    }
}

static void test_clock_texts__every_day_and_month(void **state)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* from 1970-01-01 */
    char out[CLOCK_TEXT];
    for (int64_t day = 0; day < 366; day++) {
        clock_imf_fixdate(day * 86400, out);
        assert_memory_equal(out, days + day % 7 * 3, 3);
        assert_int_equal(strlen(out), 29);
    }
    for (int month = 1; month <= 12; month++) {
        struct tm tm = {.tm_year = 126, .tm_mon = month - 1, .tm_mday = 15};
        char text[CLOCK_TEXT], wanted[8], number[16];
        strftime(wanted, sizeof wanted, " %b ", &tm); /* the test runs in the C locale */
        assert_non_null(strstr(clock_imf_fixdate(timegm(&tm), text), wanted));
        snprintf(number, sizeof number, "-%02d-15", month);
        assert_non_null(strstr(clock_rfc3339(timegm(&tm), text), number));
    }
}

static void test_clock_texts__beyond_every_calendar(void **state)
{
    static const int64_t far[] = {INT64_MAX, INT64_MIN, 253402300800, -62135596801};
    char out[CLOCK_TEXT];
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        assert_true(strlen(clock_rfc3339(far[i], out)) < CLOCK_TEXT);
        assert_true(strlen(clock_imf_fixdate(far[i], out)) < CLOCK_TEXT);
    }
}

static void test_clock_now__is_the_time_of_day(void **state)
{
    int64_t before = (int64_t) time(NULL) - 1; /* time() may lag clock_gettime by a tick */
    int64_t seconds = clock_now(), milliseconds = clock_now_ms();
    int64_t after = (int64_t) time(NULL) + 1;
    assert_true(seconds >= before && seconds <= after);
    assert_true(milliseconds / 1000 >= seconds && milliseconds / 1000 <= after);
}

static void test_clock_test_set__turns_the_clock_and_back(void **state)
{
    clock_test_set(1795521600);
    assert_true(clock_now() == 1795521600);
    assert_true(clock_now_ms() == INT64_C(1795521600000));
    uint64_t mono = clock_mono_ns();
    clock_test_set(1);
    assert_true(clock_now() == 1);
    assert_true(clock_mono_ns() >= mono); /* deadlines do not follow */
    clock_test_set(0);
    assert_true(clock_now() >= (int64_t) time(NULL) - 1);
}

static void test_clock_mono_ns__goes_forward_in_nanoseconds(void **state)
{
    uint64_t begin = clock_mono_ns(), last = begin;
    while (last == begin) last = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last - begin < 60 * CLOCK_SECOND_NS);
}

#define REAL(test) cmocka_unit_test_teardown(test, real_clock)

static void test_clock_now_ns__fits_the_others(void **state)
{
    int64_t before = clock_now_ms(), ns = clock_now_ns(), after = clock_now_ms();
    assert_in_range(ns / 1000000, before, after);
    clock_test_set(1795521600);
    assert_int_equal(clock_now_ns(), INT64_C(1795521600000000000));
    assert_int_equal(clock_now_ms(), INT64_C(1795521600000));
    clock_test_set(253402300799);
    assert_int_equal(clock_now_ns(), INT64_MAX);
    assert_int_equal(clock_now(), 253402300799);
}

static void test_clock_take_share__burst_then_rate(void **state)
{
    uint64_t used = 0, second = CLOCK_SECOND_NS;
    clock_test_mono(100 * second);
    for (int i = 0; i < 4; i++) assert_true(clock_take_share(&used, 2, 4));
    assert_false(clock_take_share(&used, 2, 4));
    clock_test_mono(100 * second + second / 2 - 1);
    assert_false(clock_take_share(&used, 2, 4));
    clock_test_mono(100 * second + second / 2);
    assert_true(clock_take_share(&used, 2, 4));
    assert_false(clock_take_share(&used, 2, 4));
    clock_test_mono(200 * second); /* what was not taken does not add up beyond the burst */
    for (int i = 0; i < 4; i++) assert_true(clock_take_share(&used, 2, 4));
    assert_false(clock_take_share(&used, 2, 4));
    clock_test_mono(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_clock_now_ns__fits_the_others, real_clock),
        REAL(test_clock_texts__known_moments),
        REAL(test_clock_texts__every_day_and_month),
        REAL(test_clock_texts__beyond_every_calendar),
        REAL(test_clock_now__is_the_time_of_day),
        REAL(test_clock_test_set__turns_the_clock_and_back),
        REAL(test_clock_mono_ns__goes_forward_in_nanoseconds),
        REAL(test_clock_take_share__burst_then_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
