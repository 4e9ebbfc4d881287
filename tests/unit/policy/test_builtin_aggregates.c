#include "tests/lib/rego_expr.h"

static void test_count(void **state)
{
    static const struct expr_case cases[] = {
        { "count([1, 1])", "2" }, { "count({1, 1})", "1" }, { "count({\"a\": 1})", "1" },
        { "count(\"\xc3\xa9t\xc3\xa9\")", "3" },
        { "count(1)", "operand 1 must be one of {array, object, set, string} but got number" },
    };
    EXPR_TABLE(cases);
}

static void test_sum_and_product(void **state)
{
    static const struct expr_case cases[] = {
        { "sum([1, 2.5])", "3.5" },       { "sum([])", "0" },          { "sum({1, 2})", "3" },
        { "product([2, 3])", "6" },       { "product([])", "1" },
        { "sum([9223372036854775807, 1])", "9223372036854775808" },
        { "product([4294967296, 4294967296, 4294967296])", "79228162514264337593543950336" },
        { "sum([\"a\"])", "operand 1 must be array of numbers but got array containing string" },
        { "sum({\"a\"})", "operand 1 must be set of numbers but got set containing string" },
        { "product([1, null])", "got array containing null" },
    };
    EXPR_TABLE(cases);
}

static void test_extremes_and_sort(void **state)
{
    static const struct expr_case cases[] = {
        { "max([3, \"a\", 1])", "\"a\"" }, { "min([3, null, 1])", "null" },  { "max([])", "undefined" },
        { "min(set())", "undefined" },     { "max({1, 2})", "2" },
        { "sort([3, 1, 2, 1])", "[1, 1, 2, 3]" }, { "sort({2, 1})", "[1, 2]" }, { "sort([])", "[]" },
        { "sort([true, null, {}, \"x\", 0])", "[null, true, 0, \"x\", {}]" },
        { "sort(\"abc\")", "operand 1 must be one of {set, array} but got string" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count), cmocka_unit_test(test_sum_and_product), cmocka_unit_test(test_extremes_and_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
