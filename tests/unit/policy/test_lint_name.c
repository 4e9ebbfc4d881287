/* lint_name.c: how values, kinds and rules are called. */
#include "tests/unit/policy/linter.h"

static void test_cell_name__ways(void **state)
{
    static const struct { const char *way, *name; } CASES[] = {
        { "", "input" }, { "parts", "input.parts" }, { "parts._.status", "input.parts[_].status" },
        { "parts.cpu0.two words", "input.parts.cpu0[\"two words\"]" }, { "9lives", "input[\"9lives\"]" },
        { "_x9", "input._x9" },
    };
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_string_equal(cell_name(l, linter_way(l, CASES[i].way)), CASES[i].name);
    struct cell *item = cell_member(l, linter_way(l, "list"), value_int(l->arena, 3), NULL, false);
    assert_string_equal(cell_name(l, item), "input.list[3]");
    struct cell *made = cell_new(l, KIND_BIT(STRING));
    assert_string_equal(cell_name(l, made), "this value");
    assert_false(cell_has_name(made));
    made->called = "x";
    assert_string_equal(cell_name(l, made), "x");
    assert_true(cell_has_name(made));
    assert_false(cell_has_way(made));
    linter_free(l);
}

static void test_kinds_name__articles(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    (void) state;
    assert_string_equal(kinds_name(l, KIND_BIT(STRING)), "a string");
    assert_string_equal(kinds_name(l, KIND_BIT(ARRAY) | KIND_BIT(SET)), "an array or a set");
    assert_string_equal(kinds_name(l, KIND_BIT(NULL)), "null");
    assert_string_equal(kinds_name(l, KIND_ANY), "anything");
    assert_string_equal(kinds_name(l, ~0u), "anything");
    assert_string_equal(kinds_name(l, 0), "nothing");
    linter_free(l);
}

static void test_lint_group_name__own_package(void **state)
{
    struct linter *l = linter_new(LINTS_CLAIMS);
    struct checked_group g = { .name = "data.policy.a.b" };
    (void) state;
    assert_string_equal(lint_group_name(l, &g), "a.b");
    g.name = "data.policy2.a";
    assert_string_equal(lint_group_name(l, &g), "data.policy2.a");
    g.name = "data.other.a";
    assert_string_equal(lint_group_name(l, &g), "data.other.a");
    linter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cell_name__ways),
        cmocka_unit_test(test_kinds_name__articles),
        cmocka_unit_test(test_lint_group_name__own_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
