#include "tests/lib/rego_expr.h"

static void test_operators(void **state)
{
    static const struct expr_case cases[] = {
        { "1 + 2", "3" },
        { "9223372036854775807 + 1", "9223372036854775808" },
        { "18446744073709551616 - 1", "18446744073709551615" },
        { "0.1 + 0.2", "0.3" },
        { "10 / 4", "2.5" },
        { "10 / 5", "2" },
        { "-7 % 3", "-1" },
        { "7 % 0", "eval_builtin_error: rem: modulo by zero" },
        { "7 / 0", "eval_builtin_error: div: divide by zero" },
        { "7.5 % 2", "eval_builtin_error: rem: modulo on floating-point number" },
        { "{1, 2, 3} - {2}", "{1, 3}" },
        { "1 - {1}", "eval_type_error: minus: operand 2 must be number but got set" },
        { "{1} - 1", "eval_type_error: minus: operand 2 must be set but got number" },
        { "\"a\" - 1", "eval_type_error: minus: operand 1 must be one of {number, set} but got string" },
        { "1 + \"a\"", "eval_type_error: plus: operand 2 must be number but got string" },
    };
    EXPR_TABLE(cases);
}

static void test_comparison(void **state)
{
    static const struct expr_case cases[] = {
        { "1 == 1.0", "true" },        { "1 < \"a\"", "true" },       { "[1, 2] < [1, 2, 0]", "true" },
        { "{\"a\": 1} != {\"a\": 2}", "true" }, { "null < false", "true" }, { "2 >= 3", "false" },
        { "set() > {}", "true" },      { "\"10\" < \"9\"", "true" },  { "1e400 > 1e399", "true" },
    };
    EXPR_TABLE(cases);
}

static void test_rounding(void **state)
{
    static const struct expr_case cases[] = {
        { "abs(-5)", "5" },      { "abs(-1.5)", "1.5" },  { "ceil(1.2)", "2" },   { "ceil(-1.8)", "-1" },
        { "floor(1.8)", "1" },   { "floor(-1.2)", "-2" }, { "round(2.5)", "3" },  { "round(-2.5)", "-3" },
        { "round(1.4)", "1" },   { "abs(-9223372036854775808)", "9223372036854775808" },
        { "abs(\"a\")", "operand 1 must be number but got string" },
    };
    EXPR_TABLE(cases);
}

static void test_bits(void **state)
{
    static const struct expr_case cases[] = {
        { "bits.and(12, 10)", "8" },      { "bits.or(12, 10)", "14" },     { "bits.xor(12, 10)", "6" },
        { "bits.negate(0)", "-1" },       { "bits.lsh(1, 64)", "18446744073709551616" },
        { "bits.rsh(-5, 1)", "-3" },      { "bits.rsh(18446744073709551616, 60)", "16" },
        { "bits.and(-1, 18446744073709551615)", "18446744073709551615" },
        { "bits.lsh(1, -1)", "operand 2 must be an unsigned integer number but got a negative integer" },
        { "bits.lsh(1, 100000)", "limit_error: bits.lsh: number too large" },
        { "bits.and(1.5, 1)", "operand 1 must be integer number but got floating-point number" },
    };
    EXPR_TABLE(cases);
}

static void test_range(void **state)
{
    static const struct expr_case cases[] = {
        { "numbers.range(1, 3)", "[1, 2, 3]" },
        { "numbers.range(3, 1)", "[3, 2, 1]" },
        { "numbers.range(2, 2)", "[2]" },
        { "numbers.range(9223372036854775806, 9223372036854775809)",
          "[9223372036854775806, 9223372036854775807, 9223372036854775808, 9223372036854775809]" },
        { "numbers.range_step(0, 7, 3)", "[0, 3, 6]" },
        { "numbers.range_step(7, 0, 3)", "[7, 4, 1]" },
        { "numbers.range_step(0, 1, 0)", "step must be a positive integer" },
        { "numbers.range(0, 1.5)", "operand 2 must be integer number" },
        { "numbers.range(0, 1000000000000)", "limit_error" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators), cmocka_unit_test(test_comparison), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_bits), cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
