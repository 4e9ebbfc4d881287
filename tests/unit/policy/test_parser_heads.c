#include "tests/unit/policy/tree.h"

static void test_parse_head__references(void **state)
{
    static const struct tree_row rows[] = {
        {"a.b.c := 1", "(value 'a' 'b' 'c' := 1)"},
        {"a[\"b\"] := 1", "(value 'a' 'b' := 1)"},
        {"a[x].b := 1 if x", "(value 'a' x 'b' := 1 {(test x)})"},
        {"a[x] if x", "(value 'a' x {(test x)})"},
        {"a[input.x][1] := 1", "(value 'a' (ref input 'x') 1 := 1)"},
        {"if.default := 1", "(value 'if' 'default' := 1)"},
        {"default.x := 1", "(value 'default' 'x' := 1)"},
        {"a contains 1", "(contains 'a' = 1)"},
        {"a.b contains x if x", "(contains 'a' 'b' = x {(test x)})"},
        {"contains.a contains 1", "(contains 'contains' 'a' = 1)"},
        {"f(x, [1, y]) := y", "(function 'f' (args x (array 1 y)) := y)"},
        {"f(x) if x", "(function 'f' (args x) {(test x)})"},
        {"f (x) := 1", "(function 'f' (args x) := 1)"},
        {"a.b.f(x) := x", "(function 'a' 'b' 'f' (args x) := x)"},
        {"a[x]", "! m:2:1: rego_parse_error: `contains` keyword is required for partial set rules"},
        {"f() := 1", "! m:2:1: rego_parse_error: rule argument list must take at least one argument"},
        {"f(x).y := 1", "! m:2:1: rego_parse_error: rule head ref is invalid: it must begin with a name"},
        {"f(x) contains 1", "! m:2:6: rego_parse_error: the contains keyword can only be used with "
                            "multi-value rule definitions (e.g., f contains <VALUE> { ... })"},
        {"a :=", "! m:2:5: rego_parse_error: unexpected eof token: expected rule value term "
                 "(e.g., a := <VALUE> { ... })"},
        {"a contains", "! m:2:11: rego_parse_error: unexpected eof token"},
    };
    check_rows(rows, LEN(rows), tree_of_rules);
}

static void test_check_default__constants(void **state)
{
    static const struct tree_row rows[] = {
        {"default a := false", "(default-value 'a' := false)"},
        {"default a = {\"b\": [1, {2}]}", "(default-value 'a' = (object 'b' (array 1 (set 2))))"},
        {"default a.b := -1", "(default-value 'a' 'b' := -1)"},
        {"default f(_, x) := 1", "(default-function 'f' (args _ x) := 1)"},
        {"default f(_, _) := 1", "(default-function 'f' (args _ _) := 1)"},
        {"default a := [x | x := input.y]",
         "(default-value 'a' := (arraycomprehension x {(assign x (ref input 'y'))}))"},
        {"default a := [x]", "! m:2:15: rego_parse_error: illegal default rule (value cannot contain var)"},
        {"default a := input.x", "! m:2:14: rego_parse_error: illegal default rule (value cannot contain ref)"},
        {"default a := 1 + 1", "! m:2:14: rego_parse_error: illegal default rule (value cannot contain call)"},
        {"default a := $\"{x}\"", "! m:2:17: rego_parse_error: illegal default rule (value cannot contain var)"},
        {"default a", "! m:2:9: rego_parse_error: illegal default rule (must have a value)"},
        {"default a contains 1", "! m:2:9: rego_parse_error: illegal default rule (must have a value)"},
        {"default a[x] := 1", "! m:2:11: rego_parse_error: illegal default rule (name cannot contain var)"},
        {"default f(1) := 1",
         "! m:2:11: rego_parse_error: illegal default rule (arguments cannot contain number)"},
        {"default f(x, x) := 1",
         "! m:2:14: rego_parse_error: illegal default rule (arguments cannot be repeated x)"},
    };
    check_rows(rows, LEN(rows), tree_of_rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_head__references),
        cmocka_unit_test(test_check_default__constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
