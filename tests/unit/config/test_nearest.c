#include "broker/config/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_nearest_distance__table(void **state)
{
    static const struct { const char *a, *b; size_t distance; } cases[] = {
        {"", "", 0},           {"", "abc", 3},      {"token", "token", 0}, {"tocken", "token", 1},
        {"toekn", "token", 1}, {"tokne", "token", 1}, {"kitten", "sitting", 3}, {"a", "b", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(nearest_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(nearest_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void test_nearest_distance__word_limit(void **state)
{
    char word[NEAREST_MAX_WORD + 2] = {0};
    memset(word, 'x', NEAREST_MAX_WORD);
    assert_int_equal(nearest_distance(word, ""), NEAREST_MAX_WORD);
    word[NEAREST_MAX_WORD] = 'x';
    assert_true(nearest_distance(word, "") == SIZE_MAX);
    assert_false(nearest_is_near(word, SIZE_MAX));
}

static void test_nearest_is_near__by_length(void **state)
{
    assert_true(nearest_is_near("uri", 1));
    assert_false(nearest_is_near("uri", 2));
    assert_true(nearest_is_near("tocken", 2));
    assert_false(nearest_is_near("tocken", 3));
    assert_true(nearest_is_near("trusted_cert_path", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_distance__table),
        cmocka_unit_test(test_nearest_distance__word_limit),
        cmocka_unit_test(test_nearest_is_near__by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
