#include "tests/lib/rego_expr.h"

/* Two zones: East is an hour ahead, anything that begins with X is unknown. */
static bool zone_at(void *context, const char *name, size_t len, int64_t unix_seconds, struct builtin_zone *ret)
{
    (void) context;
    (void) unix_seconds;
    *ret = (struct builtin_zone) { .offset = 3600, .abbreviation = "EST" };
    return len == 4 && memcmp(name, "East", 4) == 0;
}

static const struct builtin_host host = { .zone_at = zone_at };

static void check(const struct expr_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) expr_check(&cases[i], &host);
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(cases)[0])

static void test_parts(void **state)
{
    static const struct expr_case cases[] = {
        { "time.now_ns()", "1700000000000000000" },
        { "time.date(0)", "[1970, 1, 1]" },
        { "time.date(-1)", "[1969, 12, 31]" },
        { "time.date([82800000000000, \"East\"])", "[1970, 1, 2]" },
        { "time.clock(3723000000000)", "[1, 2, 3]" },
        { "time.clock([3723000000000, \"East\"])", "[2, 2, 3]" },
        { "time.clock([0, \"\"])", "[0, 0, 0]" },
        { "time.clock(9223372036854775807)", "[23, 47, 16]" },
        { "time.clock(-9223372036854775808)", "[0, 12, 43]" },
        { "time.weekday(0)", "\"Thursday\"" },
        { "time.weekday([1e9, \"UTC\"])", "\"Thursday\"" },
        { "time.date([0, \"Nowhere\"])", "eval_builtin_error: time.date: unknown time zone Nowhere" },
        { "time.date([])", "operand 1 must be either number (ns) or [number (ns), string (tz)] but got array" },
        { "time.date([\"x\"])", "operand 1 must be number but got string" },
        { "time.date([0, 1])", "operand 1 must be string but got number" },
        { "time.date(9223372036854775808)", "timestamp too big" },
        { "time.date(1.5)", "timestamp too big" },
        { "time.date(\"x\")", "operand 1 must be" },
    };
    CHECK(cases);
}

static void test_calculating(void **state)
{
    static const struct expr_case cases[] = {
        { "time.add_date(1585852421593912000, -1, -1, -1)", "1551465221593912000" },
        { "time.date(time.add_date(0, 0, 1, 30))", "[1970, 3, 3]" },
        { "time.add_date(0, 2262, 0, 0)", "time outside of valid range" },
        { "time.add_date(0, 10000000000, 0, 0)", "time outside of valid range" },
        { "time.add_date(0, 99999999999999999999, 0, 0)", "time outside of valid range" },
        { "time.add_date(0, 1.5, 0, 0)", "operand 2 must be integer number" },
        { "time.diff(0, 90061000000000)", "[0, 0, 1, 1, 1, 1]" },
        { "time.diff(90061000000000, 0)", "[0, 0, 1, 1, 1, 1]" },
        { "time.diff(time.parse_ns(\"2006-01-02\", \"2004-02-29\"), time.parse_ns(\"2006-01-02\", \"2005-03-01\"))",
          "[1, 0, 1, 0, 0, 0]" },
        { "time.diff(time.parse_ns(\"2006-01-02\", \"2023-01-31\"), time.parse_ns(\"2006-01-02\", \"2023-03-01\"))",
          "[0, 1, 1, 0, 0, 0]" },
        { "time.diff([0, \"UTC\"], [1000000000, \"East\"])", "[0, 0, 0, 0, 0, 1]" },
        { "time.diff(true, 0)", "operand 1 must be either number (ns)" },
    };
    CHECK(cases);
}

static void test_text(void **state)
{
    static const struct expr_case cases[] = {
        { "time.parse_rfc3339_ns(\"1970-01-01T00:00:01.5Z\")", "1500000000" },
        { "time.parse_rfc3339_ns(\"1677-09-21T00:12:43.145224192Z\")", "-9223372036854775808" },
        { "time.parse_rfc3339_ns(\"2262-04-11T23:47:16.854775807Z\")", "9223372036854775807" },
        { "time.parse_rfc3339_ns(\"2262-04-11T23:47:16.854775808Z\")", "time outside of valid range" },
        { "time.parse_rfc3339_ns(\"nonsense\")", "eval_builtin_error: time.parse_rfc3339_ns: parsing time \"nonsense\"" },
        { "time.parse_rfc3339_ns(\"1970-01-01T00:00:00Z\\u0000\")", "NUL in the text" },
        { "time.parse_ns(\"RFC822Z\", \"02 Jun 17 19:00 -0700\")", "1496455200000000000" },
        { "time.format(1500000000)", "\"1970-01-01T00:00:01.5Z\"" },
        { "time.format([0, \"East\"])", "\"1970-01-01T01:00:00+01:00\"" },
        { "time.format([0, \"East\", \"RFC1123\"])", "\"Thu, 01 Jan 1970 01:00:00 EST\"" },
        { "time.format([0, \"UTC\", \"2006\"])", "\"1970\"" },
    };
    CHECK(cases);
}

static void test_duration(void **state)
{
    static const struct expr_case cases[] = {
        { "time.parse_duration_ns(\"1h15m30.918s\")", "4530918000000" },
        { "time.parse_duration_ns(\"-1.5h\")", "-5400000000000" },
        { "time.parse_duration_ns(\"+5s\")", "5000000000" },
        { "time.parse_duration_ns(\"1us2\xc2\xb5s3\xce\xbcs\")", "6000" },
        { "time.parse_duration_ns(\"0\")", "0" },
        { "time.parse_duration_ns(\".5ms\")", "500000" },
        { "time.parse_duration_ns(\"9223372036854775807ns\")", "9223372036854775807" },
        { "time.parse_duration_ns(\"-9223372036854775808ns\")", "-9223372036854775808" },
        { "time.parse_duration_ns(\"9223372036854775808ns\")", "invalid duration" },
        { "time.parse_duration_ns(\"9999999999999999999999h\")", "invalid duration" },
        { "time.parse_duration_ns(\"\")", "invalid duration \"\"" },
        { "time.parse_duration_ns(\"3\")", "missing unit in duration" },
        { "time.parse_duration_ns(\"3x\")", "unknown unit \"x\" in duration" },
        { "time.parse_duration_ns(\".s\")", "invalid duration" },
    };
    CHECK(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts), cmocka_unit_test(test_calculating), cmocka_unit_test(test_text),
        cmocka_unit_test(test_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
