#include "tests/unit/policy/tree.h"

static void test_parse_body__expressions(void **state)
{
    static const struct tree_row rows[] = {
        {"x", "(test x)"}, {"x; y", "(test x)(test y)"}, {"x\ny", "(test x)(test y)"},
        {"x := 1", "(assign x 1)"}, {"[x, 1] = y", "(unify (array x 1) y)"},
        {"not x", "(not-test x)"}, {"not x in xs", "(not-test (internal.member_2 x xs))"},
        {"not x = 1", "(not-unify x 1)"},
        {"x == 1 with input as y with data.a as {}",
         "(test (equal x 1) with input y with (ref data 'a') (object))"},
        {"f(x, y) # comment\n# another\n\n y", "(test (f x y))(test y)"},
        {"x\n- 1", "(test (minus x 1))"}, /* as in OPA an operator goes on with the line before */
        {"x\n[1]", "(test x)(test (array 1))"},
        {"x y", "! <query>:1:3: rego_parse_error: unexpected identifier token: expected \\n or ;"},
        {"x;", "! <query>:1:3: rego_parse_error: unexpected eof token"},
        {"", "! <query>:1:1: rego_parse_error: found empty body"},
        {"x with 1 as 2", "! <query>:1:8: rego_parse_error: expected with target path"},
        {"x with input 2", "! <query>:1:14: rego_parse_error: unexpected number token: expected as keyword"},
        {"x := ", "! <query>:1:6: rego_parse_error: unexpected eof token"},
    };
    check_rows(rows, LEN(rows), tree_of_query);
}

static void test_parse_some__forms(void **state)
{
    static const struct tree_row rows[] = {
        {"some x", "(some x)"}, {"some x, y, z\nx", "(some x y z)(test x)"},
        {"some x in xs", "(some-in x xs)"}, {"some k, v in xs", "(some-in k v xs)"},
        {"some [a, b] in xs", "(some-in (array a b) xs)"},
        {"some 1, {\"a\": x} in xs", "(some-in 1 (object 'a' x) xs)"},
        {"some x.y, v in xs", "(some-in (ref x 'y') v xs)"},
        {"some x in xs with input as 1", "(some-in x xs with input 1)"},
        {"some.x", "(test (ref some 'x'))"},
        {"some 1", "! <query>:1:6: rego_parse_error: expected `x in xs` or `x, y in xs` expression"},
        {"some a, b, c in xs",
         "! <query>:1:6: rego_parse_error: expected `x in xs` or `x, y in xs` expression"},
        {"not some x in xs", "! <query>:1:5: rego_parse_error: illegal negation of 'some'"},
    };
    check_rows(rows, LEN(rows), tree_of_query);
}

static void test_parse_every__forms(void **state)
{
    static const struct tree_row rows[] = {
        {"every x in xs { x > 1 }", "(every x xs {(test (gt x 1))})"},
        {"every k, v in xs {\n k\n v\n}", "(every k v xs {(test k)(test v)})"},
        {"every x in [1] { every y in {2} { x < y } }",
         "(every x (array 1) {(every y (set 2) {(test (lt x y))})})"},
        {"every x in xs", "! <query>:1:14: rego_parse_error: unexpected eof token: missing body"},
        {"every x in xs {}", "! <query>:1:16: rego_parse_error: found empty body"},
        {"every x { x }", "! <query>:1:7: rego_parse_error: expected `x[, y] in xs { ... }` expression"},
        {"every [x] in xs { x }", "! <query>:1:7: rego_parse_error: expected value to be a variable"},
        {"every 1, x in xs { x }", "! <query>:1:7: rego_parse_error: expected key to be a variable"},
        {"not every x in xs { x }", "! <query>:1:5: rego_parse_error: illegal negation of 'every'"},
    };
    check_rows(rows, LEN(rows), tree_of_query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_body__expressions),
        cmocka_unit_test(test_parse_some__forms),
        cmocka_unit_test(test_parse_every__forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
