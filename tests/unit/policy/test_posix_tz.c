#include "policy/posix_tz.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static void test_at(void **state)
{
    static const struct { const char *text; int64_t when; int32_t offset; const char *name; } cases[] = {
        { "UTC0", 0, 0, "UTC" },
        { "<+0330>-3:30", 0, 12600, "+0330" },
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1711846799, 3600, "CET" }, /* 2024-03-31T00:59:59Z */
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1711846800, 7200, "CEST" },
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1729990799, 7200, "CEST" }, /* 2024-10-27T00:59:59Z */
        { "CET-1CEST,M3.5.0,M10.5.0/3", 1729990800, 3600, "CET" },
        { "EST5EDT,M3.2.0,M11.1.0", 1710053999, -18000, "EST" }, /* 2024-03-10T06:59:59Z */
        { "EST5EDT,M3.2.0,M11.1.0", 1710054000, -14400, "EDT" },
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", 1704067200, 39600, "AEDT" }, /* January in the south */
        { "AEST-10AEDT,M10.1.0,M4.1.0/3", 1719792000, 36000, "AEST" },
        { "IST-1GMT0,M10.5.0,M3.5.0/1", 1704067200, 0, "GMT" }, /* Ireland's negative summer time */
        { "XXX0YYY,J60,J305", 1709251200, 3600, "YYY" },        /* 1 March, 2 h past midnight: 2024 leaps */
        { "XXX0YYY,59/0,304/0", 1709164800, 3600, "YYY" },      /* day 59 from 0 is 29 February 2024 */
        { "XXX0YYY,0/0,J365/25", 1704067200, 3600, "YYY" },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct builtin_zone z = { 0 };
        int64_t when = cases[i].when + (strncmp(cases[i].text, "XXX0YYY,J60", 11) == 0 ? 7200 : 0);

        if (!posix_tz_at(cases[i].text, strlen(cases[i].text), when, &z)) fail_msg("refused: %s", cases[i].text);
        if (z.offset != cases[i].offset || strcmp(z.abbreviation, cases[i].name) != 0)
            fail_msg("%s: %d %s", cases[i].text, (int) z.offset, z.abbreviation);
    }
}

static void test_at__refuses(void **state)
{
    static const char *const cases[] = {
        "", "CET", "-1", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J5", "CET-1CEST,366,5", "CET-200", "CET-1:60", "<CET-1",
        "ABBREVIATIONTOOLONG0", "CET-1CEST,M3.5.0,M10.5.0/3x",
    };
    struct builtin_zone z;

    for (size_t i = 0; i < LEN(cases); i++)
        if (posix_tz_at(cases[i], strlen(cases[i]), 0, &z)) fail_msg("accepted: %s", cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_at), cmocka_unit_test(test_at__refuses) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
