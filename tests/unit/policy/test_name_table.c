#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/name_table.h"

#define NAMES 5000

static struct rego_text name_of(char buf[16], unsigned i)
{
    return (struct rego_text) { buf, (size_t) snprintf(buf, 16, "x%u", i) };
}

static void test_name_table__finds_what_was_added(void **state)
{
    struct arena *a = arena_new(1 << 22);
    struct name_table t = { 0 };
    uint32_t number = 0;
    char buf[16];

    assert_false(name_table_find(&t, name_of(buf, 0), &number));
    for (unsigned i = 0; i < NAMES; i++) {
        struct rego_text name = name_of(buf, i);
        name.at = arena_copy(a, name.at, name.len);
        assert_true(name_table_add(a, &t, name, i));
    }
    for (unsigned i = 0; i < NAMES; i++) {
        assert_true(name_table_find(&t, name_of(buf, i), &number));
        assert_int_equal(number, i);
    }
    assert_false(name_table_find(&t, name_of(buf, NAMES), &number));
    assert_false(name_table_find(&t, (struct rego_text) { "x", 1 }, &number));
    assert_false(name_table_find(&t, (struct rego_text) { "", 0 }, &number));
    arena_free(a);
}

static void test_name_table__without_memory(void **state)
{
    struct arena *a = arena_new(2000);
    struct name_table t = { 0 };
    unsigned i = 0;
    char names[200][16];

    while (i < 200 && name_table_add(a, &t, name_of(names[i], i), i)) i++;
    assert_in_range(i, 1, 199);
    for (uint32_t n = 0, number = 0; n < i; n++) assert_true(name_table_find(&t, name_of(names[n], n), &number));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_table__finds_what_was_added),
        cmocka_unit_test(test_name_table__without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
