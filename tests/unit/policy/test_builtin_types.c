#include "tests/lib/rego_expr.h"

static void test_kinds(void **state)
{
    static const struct expr_case cases[] = {
        { "is_array([])", "true" },   { "is_array({})", "false" },  { "is_boolean(false)", "true" },
        { "is_null(null)", "true" },  { "is_null(0)", "false" },    { "is_number(1.5)", "true" },
        { "is_object({})", "true" },  { "is_object(set())", "false" }, { "is_set(set())", "true" },
        { "is_string(\"\")", "true" }, { "is_string(1)", "false" },
        { "[type_name(v) | v = [null, true, 1, \"\", [], {}, set()][_]]",
          "[\"null\", \"boolean\", \"number\", \"string\", \"array\", \"object\", \"set\"]" },
    };
    EXPR_TABLE(cases);
}

static void test_to_number(void **state)
{
    static const struct expr_case cases[] = {
        { "to_number(\"12\")", "12" },      { "to_number(\"-1.5e3\")", "-1.5e3" }, { "to_number(\"+7\")", "7" },
        { "to_number(\".5\")", "0.5" },     { "to_number(\"5.\")", "5" },          { "to_number(\"007\")", "7" },
        { "to_number(true)", "1" },         { "to_number(null)", "0" },            { "to_number(3)", "3" },
        { "to_number(\"18446744073709551615\")", "18446744073709551615" },
        { "to_number(\"a\")", "eval_builtin_error: to_number: strconv.ParseFloat: parsing \"a\": invalid syntax" },
        { "to_number(\"\")", "invalid syntax" },
        { "to_number(\".\")", "invalid syntax" },
        { "to_number(\"1 \")", "invalid syntax" },
        { "to_number(\"1e999\")", "value out of range" },
        { "to_number(\"-InF\")", "eval_type_error: to_number: operand 1 must be valid number string but got string" },
        { "to_number([])", "operand 1 must be one of {null, boolean, number, string} but got array" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_kinds), cmocka_unit_test(test_to_number) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
