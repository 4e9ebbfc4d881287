/* scope.c: whose a name is, and what may be declared. */
#include "tests/unit/policy/checked.h"

static const struct check_case NAMES[] = {
    { "b := 1\n"
      "a if { b := 2; b }",
      "data.p.a := true if b#0 = 2; b#0\n"
      "data.p.b := 1\n" },
    { "b := 1\n"
      "a if { x := b; x }",
      "data.p.b := 1\n"
      "data.p.a := true if x#0 = data[\"p\"][\"b\"]; x#0\n" },
    { "b := 1\n"
      "a if { some b in input.x; b }",
      "data.p.a := true if b#1 = input[\"x\"][#0]; b#1\n"
      "data.p.b := 1\n" },
    { "b := 1\n"
      "f(b) := b",
      "data.p.b := 1\n"
      "data.p.f(b#0) := b#0\n" },
    { "a if { x := 1; y := [x | x := 2]; y[0] == x }",
      "data.p.a := true if x#0 = 1; y#2 = [x#1 | x#1 = 2]; #3 = y#2[0]; equal(#3, x#0)\n" },
    { "a if { y := [x | x = 1]; y }",
      "data.p.a := true if y#1 = [x#0 | x#0 = 1]; y#1\n" },
    { "a if { x = 1; y = [x | x = 1]; y }",
      "data.p.a := true if x#0 = 1; y#1 = [x#0 | x#0 = 1]; y#1\n" },
    { "a if { _ = input[_] }",
      "data.p.a := true if _#0 = input[_#1]\n" },
    { "b := 1\n"
      "a := [b | b := 2]",
      "data.p.a := #1 if #1 = [b#0 | b#0 = 2]\n"
      "data.p.b := 1\n" },
    { "a if { x := 1; not x == 2 }",
      "data.p.a := true if x#0 = 1; not {equal(x#0, 2)}\n" },
    { "a if every x in input.y { some y in x; y }",
      "data.p.a := true if #0 = input[\"y\"]; every x#1 in #0 {y#3 = x#1[#2]; y#3}\n" },
    { "f(x) := 1 if { every x in [x] { x } }",
      "data.p.f(x#0) := 1 if every x#1 in [x#0] {x#1}\n" },
    { "input_ := 1\n"
      "a := input_",
      "data.p.input_ := 1\n"
      "data.p.a := #0 if #0 = data[\"p\"][\"input_\"]\n" },
};

static void test_scope__names(void **state)
{
    (void) state;
    CHECK_CASES(NAMES);
}

static const struct check_case REFUSED[] = {
    { "a if { x := 1; x := 2 }",
      "2:16 rego_compile_error var x assigned above\n" },
    { "a if { x = 1; x := 2 }",
      "2:15 rego_compile_error var x referenced above\n" },
    { "a if { some x; some x; x = 1 }",
      "2:21 rego_compile_error var x declared above\n" },
    { "a if { x := y; y := 1 }",
      "2:16 rego_compile_error var y referenced above\n" },
    { "a if { some x; true }",
      "2:13 rego_compile_error declared var x unused\n" },
    { "a if { x := x }",
      "2:8 rego_compile_error var x referenced above\n" },
    { "f(x) if x := 1",
      "2:9 rego_compile_error arg x redeclared\n" },
    { "a if { input := 1; input }",
      "2:8 rego_compile_error variables must not shadow input (use a different variable name)\n" },
    { "a if { some data in [1]; data }",
      "2:13 rego_compile_error variables must not shadow data (use a different variable name)\n" },
    { "f(input) := 1",
      "2:3 rego_compile_error args must not shadow input (use a different variable name)\n" },
    { "a if every x in [1] { true }",
      "2:12 rego_compile_error declared var x unused\n" },
    { "a if every k, v in [1] { v }",
      "2:12 rego_compile_error declared var k unused\n" },
    { "a if { x := 1; some x in [2] }",
      "2:21 rego_compile_error var x assigned above\n" },
    { "b := 1\n"
      "a if { b == 1; b := 2 }",
      "3:16 rego_compile_error var b referenced above\n" },
};

static void test_scope__refused(void **state)
{
    (void) state;
    CHECK_CASES(REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope__names),
        cmocka_unit_test(test_scope__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
