#include "policy/time_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static void test_parse(void **state)
{
    static const struct { const char *layout, *text; int64_t seconds; int32_t nanosecond; } cases[] = {
        { "RFC3339", "1970-01-01T00:00:00Z", 0, 0 },
        { "RFC3339", "2017-06-02T19:00:00-07:00", 1496455200, 0 },
        { "RFC3339", "2006-01-02T15:04:05.123456789+01:30", 1136208845, 123456789 },
        { "RFC822Z", "02 Jun 17 19:00 -0700", 1496455200, 0 },
        { "RFC1123", "Mon, 02 Jan 2006 15:04:05 MST", 1136214245, 0 },
        { "RFC850", "Monday, 02-Jan-06 15:04:05 GMT+2", 1136207045, 0 },
        { "ANSIC", "Mon Jan  2 15:04:05 2006", 1136214245, 0 },
        { "RubyDate", "mon jan 02 15:04:05 +0000 2006", 1136214245, 0 },
        { "2006-01-02", "2020-02-29", 1582934400, 0 },
        { "2006-002", "2020-060", 1582934400, 0 },
        { "06/1/2", "69/3/4", -26179200, 0 },
        { "3:04PM", "12:30AM", -62167217400, 0 },
        { "3:04pm", "1:30pm", -62167170600, 0 },
        { "15:04:05.000", "01:02:03.456", -62167215477, 456000000 },
        { "15:04:05.999", "01:02:03", -62167215477, 0 },
        { "15:04:05,999", "01:02:03,5", -62167215477, 500000000 },
        { "2006-01-02 15:04:05-07:00:00", "2006-01-02 15:04:05-00:00:05", 1136214250, 0 },
        { "2006 January", "2006 february", 1138752000, 0 },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct zoned_time t = { 0 };
        struct time_mismatch where;
        const char *problem = time_parse(time_layout(cases[i].layout), cases[i].text, &t, &where);

        if (problem || t.seconds != cases[i].seconds || t.nanosecond != cases[i].nanosecond)
            fail_msg("%s: %s %lld", cases[i].text, problem ? problem : "", (long long) t.seconds);
    }
}

static void test_parse__refuses(void **state)
{
    static const struct { const char *layout, *text, *problem; } cases[] = {
        { "RFC3339", "", "cannot parse" },
        { "RFC3339", "2006-01-02T15:04:05", "cannot parse" },
        { "RFC3339", "2006-01-02T15:04:05Zx", "extra text" },
        { "RFC3339", "2006-13-02T15:04:05Z", "month out of range" },
        { "RFC3339", "2006-00-02T15:04:05Z", "month out of range" },
        { "RFC3339", "2006-02-30T15:04:05Z", "day out of range" },
        { "RFC3339", "2006-02-00T15:04:05Z", "day out of range" },
        { "RFC3339", "2006-01-02T24:04:05Z", "hour out of range" },
        { "RFC3339", "2006-01-02T15:60:05Z", "minute out of range" },
        { "RFC3339", "2006-01-02T15:04:60Z", "second out of range" },
        { "RFC3339", "2006-01-02T15:04:05+25:00", "time zone offset hour out of range" },
        { "RFC3339", "2006-01-02T15:04:05+01:60", "time zone offset minute out of range" },
        { "3PM", "13PM", "hour out of range" },
        { "2006-002", "2021-366", "day-of-year out of range" },
        { "2006-01-02 002", "2021-01-02 003", "day-of-year does not match the date" },
        { "15:04:05.000", "01:02:03.45", "cannot parse" },
        { "Jan", "Foo", "cannot parse" },
        { "MST", "AB", "cannot parse" },
        { "PM", "XM", "cannot parse" },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct zoned_time t;
        struct time_mismatch where;
        const char *problem = time_parse(time_layout(cases[i].layout), cases[i].text, &t, &where);

        if (!problem || strcmp(problem, cases[i].problem) != 0)
            fail_msg("%s: %s", cases[i].text, problem ? problem : "accepted");
    }
}

static void test_format(void **state)
{
    static const struct { const char *layout, *text; } cases[] = {
        { "RFC3339", "2006-01-02T15:04:05-07:00" },
        { "RFC3339Nano", "2006-01-02T15:04:05.067-07:00" },
        { "RFC850", "Monday, 02-Jan-06 15:04:05 MST" },
        { "ANSIC", "Mon Jan  2 15:04:05 2006" },
        { "RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700" },
        { "3:4:5 pm", "3:4:5 pm" },
        { "03.04.05 PM", "03.04.05 PM" },
        { "January _2 002 __2", "January  2 002   2" },
        { "15:04:05.000000", "15:04:05.067000" },
        { "Z07:00 Z0700 Z07 Z070000 -07:00:00", "-07:00 -0700 -07 -070000 -07:00:00" },
        { "Month Janitor _2006 literal", "Month Janitor _2006 literal" },
    };
    struct arena *a = arena_new(1 << 16);
    const struct zoned_time t = { 1136239445, 67000000, -7 * 3600, "MST" };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct text out;

        text_init(&out, a);
        time_format(&out, time_layout(cases[i].layout), &t);
        assert_string_equal(text_end(&out), cases[i].text);
    }
    arena_free(a);
}

static void test_parse__says_where(void **state)
{
    struct zoned_time t;
    struct time_mismatch where;

    assert_non_null(time_parse("2006-01-02", "2006-x", &t, &where));
    assert_string_equal(where.text, "x");
    assert_int_equal(where.layout_len, 2);
    assert_memory_equal(where.layout, "01", 2);
    assert_non_null(time_parse("2006-01-02", "2006/01/02", &t, &where));
    assert_string_equal(where.text, "/01/02");
    assert_memory_equal(where.layout, "-", 1);
    assert_non_null(time_parse("2006", "2006Z", &t, &where));
    assert_string_equal(where.text, "Z");
    assert_null(where.layout);
    assert_non_null(time_parse("01", "13", &t, &where));
    assert_null(where.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_parse__refuses), cmocka_unit_test(test_parse__says_where), cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
