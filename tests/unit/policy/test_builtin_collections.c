#include "tests/lib/rego_expr.h"

static void test_membership(void **state)
{
    static const struct expr_case cases[] = {
        { "(1 in [2, 1])", "true" },     { "(1 in {\"a\": 1})", "true" },      { "(\"a\" in {\"a\": 1})", "false" },
        { "(1.0 in {1})", "true" },      { "(1 in \"1\")", "false" },          { "(0, 2 in [2, 1])", "true" },
        { "(\"a\", 2 in {\"a\": 1})", "false" }, { "(2, 2 in {2})", "true" },  { "(5, 2 in [2])", "false" },
    };
    EXPR_TABLE(cases);
}

static void test_arrays(void **state)
{
    static const struct expr_case cases[] = {
        { "array.concat([1], [2, 3])", "[1, 2, 3]" },
        { "array.concat([1], {2})", "array.concat: operand 2 must be array but got set" },
        { "array.slice([1, 2, 3], 1, 2)", "[2]" },
        { "array.slice([1, 2, 3], -5, 2)", "[1, 2]" },
        { "array.slice([1, 2, 3], 2, 100000000000000000000)", "[3]" },
        { "array.slice([1, 2, 3], 2, 1)", "[]" },
        { "array.reverse([1, 2, 3])", "[3, 2, 1]" },
        { "array.reverse([])", "[]" },
        { "array.flatten([1, [2, [3]], []])", "[1, 2, [3]]" },
    };
    EXPR_TABLE(cases);
}

static void test_sets(void **state)
{
    static const struct expr_case cases[] = {
        { "{1, 2} & {2, 3}", "{2}" },      { "{1} | {2}", "{1, 2}" },       { "{1} & set()", "set()" },
        { "union({{1}, {2}, {1, 3}})", "{1, 2, 3}" }, { "union(set())", "set()" },
        { "intersection({{1, 2}, {2, 3}})", "{2}" },  { "intersection(set())", "set()" },
        { "union({1})", "operand 1 must be set of sets but got set containing number" },
        { "{1} & [1]", "operand 2 must be set but got array" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership), cmocka_unit_test(test_arrays), cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
