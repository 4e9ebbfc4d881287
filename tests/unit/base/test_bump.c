#include "broker/base/bump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct bump));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bump_free(*state);
    free(*state);
    return 0;
}

static void test_bump_alloc__zeroed_and_aligned(void **state)
{
    for (size_t len = 0; len < 70; len++) {
        uint8_t *p = bump_alloc(*state, len);
        assert_non_null(p);
        assert_int_equal((uintptr_t) p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < len; i++) assert_int_equal(p[i], 0);
    }
}

static void test_bump_alloc__too_much(void **state)
{
    assert_null(bump_alloc(*state, SIZE_MAX));
    assert_null(bump_text(*state, span_of("", SIZE_MAX)));
}

static void test_bump_text__copies_and_terminates(void **state)
{
    char text[] = "abc";
    char *copy = bump_text(*state, span_of(text, 2));
    text[0] = 'x';
    assert_string_equal(copy, "ab");
    assert_string_equal(bump_text(*state, span_of(NULL, 0)), "");
}

static void test_bump_free__usable_afterwards(void **state)
{
    assert_non_null(bump_alloc(*state, 8));
    bump_free(*state);
    assert_string_equal(bump_text(*state, SPAN_LIT("again")), "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bump_alloc__zeroed_and_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bump_alloc__too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bump_text__copies_and_terminates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bump_free__usable_afterwards, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
