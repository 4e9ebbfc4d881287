/* suggest.c: the nearest name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/suggest.h"

static void test_suggest_distance__table(void **state)
{
    static const struct { const char *a, *b; size_t most, distance; } CASES[] = {
        { "count", "count", 2, 0 }, { "cuont", "count", 2, 1 }, { "cont", "count", 2, 1 },
        { "counts", "count", 2, 1 }, { "kount", "count", 2, 1 }, { "kounts", "count", 2, 2 },
        { "", "ab", 2, 2 }, { "ab", "", 2, 2 }, { "abc", "", 2, 3 }, { "sum", "max", 2, 3 },
        { "ab", "ba", 1, 1 }, { "abcd", "badc", 2, 2 },
    };
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_int_equal(suggest_distance(CASES[i].a, strlen(CASES[i].a), CASES[i].b,
                                          strlen(CASES[i].b), CASES[i].most), CASES[i].distance);
}

static void test_suggest_distance__long_names(void **state)
{
    char longest[65];
    (void) state;
    memset(longest, 'x', sizeof longest);
    assert_int_equal(suggest_distance(longest, 63, longest, 63, 2), 0);
    assert_int_equal(suggest_distance(longest, 64, longest, 64, 2), 3);
}

static const char *best(const char *wanted, const char *first, const char *second)
{
    struct suggestion s;
    suggest_begin(&s, wanted, strlen(wanted));
    suggest_offer(&s, first);
    suggest_offer(&s, second);
    return s.best;
}

static void test_suggest_offer__nearest(void **state)
{
    (void) state;
    assert_string_equal(best("startwith", "startswith", "endswith"), "startswith");
    assert_string_equal(best("lowr", "lover", "lower"), "lower");
    assert_null(best("foo", "sum", "max"));
    assert_null(best("ab", "abc", "b")); /* too short to guess */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggest_distance__table),
        cmocka_unit_test(test_suggest_distance__long_names),
        cmocka_unit_test(test_suggest_offer__nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
