#include "policy/tzif.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A zone with one transition, at 1000 s, from LMT (+600 s) to ABC (+3600 s), then the footer. */
static const unsigned char zone[] =
    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\1" "\0\0\0\1" /* empty v1 block: */
    "\0\0\0\0\0\0" "\0"
    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\2" "\0\0\0\2" "\0\0\0\10"
    "\0\0\0\0\0\0\3\350" "\0\0\0\0\0\0\7\320" /* at 1000 and 2000 */
    "\1\0"
    "\0\0\2\130\0\0" "\0\0\16\20\0\4" /* +600 "LMT", +3600 "ABC" */
    "LMT\0ABC\0"
    "\nDEF-2\n";

enum { ZONE_LEN = sizeof zone - 1, FIRST_TYPE_INDEX = 44 + 7 + 44 + 16 };

static void expect(int64_t when, int32_t offset, const char *name)
{
    struct builtin_zone z = { 0 };

    assert_true(tzif_zone_at(zone, ZONE_LEN, when, &z));
    assert_int_equal(z.offset, offset);
    assert_string_equal(z.abbreviation, name);
}

static void test_zone_at__transitions_and_footer(void **state)
{
    expect(-5000000000, 600, "LMT");
    expect(999, 600, "LMT");
    expect(1000, 3600, "ABC");
    expect(1999, 3600, "ABC");
    expect(2000, 7200, "DEF");
    expect(99999999999, 7200, "DEF");
}

static void test_zone_at__cut_short(void **state)
{
    struct builtin_zone z;

    for (size_t len = 0; len < ZONE_LEN - 7; len++) assert_false(tzif_zone_at(zone, len, 1000, &z));
    /* Without the footer the last type holds on. */
    assert_true(tzif_zone_at(zone, ZONE_LEN - 7, 5000, &z));
    assert_string_equal(z.abbreviation, "LMT");
}

static void test_zone_at__contradictory(void **state)
{
    unsigned char bad[ZONE_LEN];
    struct builtin_zone z;

    memcpy(bad, zone, ZONE_LEN);
    bad[FIRST_TYPE_INDEX] = 2; /* a type that is not there */
    assert_false(tzif_zone_at(bad, ZONE_LEN, 1500, &z));
    memcpy(bad, zone, ZONE_LEN);
    bad[FIRST_TYPE_INDEX + 2 + 6 + 5] = 8; /* an abbreviation behind the end */
    assert_false(tzif_zone_at(bad, ZONE_LEN, 1500, &z));
    memcpy(bad, zone, ZONE_LEN);
    memset(bad + 44 + 7 + 32, 0xFF, 4); /* four thousand million transitions */
    assert_false(tzif_zone_at(bad, ZONE_LEN, 1500, &z));
    memcpy(bad, zone, ZONE_LEN);
    bad[4] = 0; /* version 1 */
    assert_false(tzif_zone_at(bad, ZONE_LEN, 1500, &z));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zone_at__transitions_and_footer), cmocka_unit_test(test_zone_at__cut_short),
        cmocka_unit_test(test_zone_at__contradictory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
