#include "tests/unit/policy/tree.h"

static void test_parse_rule__bodies(void **state)
{
    static const struct tree_row rows[] = {
        {"x := 1", "(value 'x' := 1)"}, {"x = 1", "(value 'x' = 1)"},
        {"x if y", "(value 'x' {(test y)})"},
        {"x if { y; z }", "(value 'x' {(test y)(test z)})"},
        {"x := 1 if\n y", "(value 'x' := 1 {(test y)})"},
        {"x := 1\ny := 2", "(value 'x' := 1)(value 'y' := 2)"},
        {"x if { y }", "(value 'x' {(test y)})"}, /* no set */
        {"x if {\"a\": 1}", "(value 'x' {(test (object 'a' 1))})"},
        {"x if {1} == y", "(value 'x' {(test (equal (set 1) y))})"},
        {"x if {y | z}", "(value 'x' {(test (setcomprehension y {(test z)}))})"},
        {"x if {y | y}[z]", "(value 'x' {(test (ref (setcomprehension y {(test y)}) z))})"},
        {"x if not y\nz if w", "(value 'x' {(not-test y)})(value 'z' {(test w)})"},
        {"x if every y in z { y }", "(value 'x' {(every y z {(test y)})})"},
        {"x if { y } { z }", "(value 'x' {(test y)})(value 'x' {(test z)})"}, /* one rule each */
        {"x := 1 if y\n{\n z\n}\nw := 2", "(value 'x' := 1 {(test y)})(value 'x' := 1 {(test z)})(value 'w' := 2)"},
        {"x if { y } else if { z } { w }", "! m:2:26: rego_parse_error: unexpected { token"},
        {"x if { y } {}", "! m:2:13: rego_parse_error: found empty body"},
        {"x { y }", "! m:2:3: rego_parse_error: `if` keyword is required before rule body"},
        {"x if", "! m:2:5: rego_parse_error: rule body expected"},
        {"x if {}", "(value 'x' {(test (object))})"},
        {"x if { y", "! m:2:9: rego_parse_error: unexpected eof token: expected \\n or ; or }"},
        {"x if { y; z", "! m:2:12: rego_parse_error: unexpected eof token: expected \\n or ; or }"},
        {"x", "! m:2:1: rego_parse_error: var cannot be used for rule name"},
        {"1", "! m:2:1: rego_parse_error: number cannot be used for rule name"},
        {"}", "! m:2:1: rego_parse_error: unexpected } token"},
        {"some", "! m:2:1: rego_parse_error: unexpected some keyword: expected rule head name"},
    };
    check_rows(rows, LEN(rows), tree_of_rules);
}

static void test_parse_else__chains(void **state)
{
    static const struct tree_row rows[] = {
        {"x := 1 if y else := 2 if z else := 3",
         "(value 'x' := 1 {(test y)} else (value 'x' := 2 {(test z)} else (value 'x' := 3)))"},
        {"x if { y }\n# why\nelse := 2 if { z }",
         "(value 'x' {(test y)} else (value 'x' := 2 {(test z)}))"},
        {"x if y else if z", "(value 'x' {(test y)} else (value 'x' {(test z)}))"},
        {"f(a) := a if y else = 2", "(function 'f' (args a) := a {(test y)} else (function 'f' (args a) = 2))"},
        {"else.x := 1", "(value 'else' 'x' := 1)"},
        {"x if y else", "! m:2:12: rego_parse_error: unexpected eof token: expected else value term or rule body"},
        {"x if y else { z }", "! m:2:13: rego_parse_error: `if` keyword is required before rule body"},
        {"x contains y if z else := 1",
         "! m:2:19: rego_parse_error: else keyword cannot be used on multi-value rules"},
        {"x[y] := 1 if z else := 2",
         "! m:2:16: rego_parse_error: else keyword cannot be used on rules with variables in head"},
    };
    check_rows(rows, LEN(rows), tree_of_rules);
}

/* Heads of before version 1 in today's form. */
static void test_parse_rule__hint_for_version_0(void **state)
{
    static const struct { const char *rule, *hint; } ROWS[] = {
        {"allow { true }", "Rego of before version 1: write `allow if {`"},
        {"f(x) = y { y := x }", "Rego of before version 1: write `f(x) = y if {`"},
        {"p[x] { x := input.y[_] }", "Rego of before version 1: write `p contains x if {`"},
        {"p[\"a\"] = 1 { true }", "Rego of before version 1: write `p[\"a\"] = 1 if {`"},
        {"allow if { false } else { true }", "Rego of before version 1: write `else if {`"},
        {"allow if { false } else = 2 { true }", "Rego of before version 1: write `else = 2 if {`"},
        {"a_name_of_more_than_fifty_characters_which_is_not_shown { true }",
         "this is how Rego was written before version 1; write `if {`"},
        {"f(x,\n y) { true }", "this is how Rego was written before version 1; write `if {`"},
    };
    for (size_t i = 0; i < LEN(ROWS); i++) {
        struct arena *a = arena_new(1 << 20);
        struct rego_errors errors = {0};
        char text[200];
        snprintf(text, sizeof text, "package p\n%s\n", ROWS[i].rule);
        assert_null(rego_parse_module(a, "m", text, strlen(text), &errors));
        assert_string_equal(errors.items[0].text, "`if` keyword is required before rule body");
        assert_string_equal(errors.items[0].hint, ROWS[i].hint);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_rule__bodies),
        cmocka_unit_test(test_parse_else__chains),
        cmocka_unit_test(test_parse_rule__hint_for_version_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
