/* lower_body.c: expressions, unification, declarations. */
#include "tests/unit/policy/checked.h"

static const struct check_case UNIFY[] = {
    { "a if [x, 1] = [2, y]",
      "data.p.a := true if x#0 = 2; 1 = y#1\n" },
    { "a if {\"k\": x, \"l\": 1} = {\"l\": y, \"k\": 2}",
      "data.p.a := true if x#0 = 2; 1 = y#1\n" },
    { "a if [x, [y]] = [1, input.z]",
      "data.p.a := true if #2 = input[\"z\"]; x#0 = 1; [y#1] = #2\n" },
    { "a if [x, y] = input.z",
      "data.p.a := true if [x#0, y#1] = input[\"z\"]\n" },
    { "a if {\"k\": x} = input.z",
      "data.p.a := true if {\"k\": x#0} = input[\"z\"]\n" },
    { "a if { x = count(input.y); x > 1 }",
      "data.p.a := true if #1 = input[\"y\"]; x#0 = count(#1); gt(x#0, 1)\n" },
    { "a if count(input.y) = x",
      "data.p.a := true if #1 = input[\"y\"]; x#0 = count(#1)\n" },
    { "a if { [x, y] := [1, 2]; x < y }",
      "data.p.a := true if [x#0, y#1] = [1, 2]; lt(x#0, y#1)\n" },
    { "a if { {\"k\": x} := input; x }",
      "data.p.a := true if {\"k\": x#0} = input; x#0\n" },
    { "a if [1, 2] = [x]",
      "data.p.a := true if [1, 2] = [x#0]\n" },
    { "a if [input.x, count(input.z)] = [y, 2]",
      "data.p.a := true if #1 = input[\"x\"]; #2 = input[\"z\"]; #3 = count(#2); #1 = y#0; #3 = 2\n" },
};

static void test_lower_body__unification(void **state)
{
    (void) state;
    CHECK_CASES(UNIFY);
}

static const struct check_case EXPRESSIONS[] = {
    { "a if not input.x",
      "data.p.a := true if not {input[\"x\"]}\n" },
    { "a if not count(input.x) == 1",
      "data.p.a := true if not {#0 = input[\"x\"]; #1 = count(#0); equal(#1, 1)}\n" },
    { "a if { some x; input.y[x] }",
      "data.p.a := true if input[\"y\"][x#0]\n" },
    { "a if { some x in input.y; x > 1 }",
      "data.p.a := true if x#1 = input[\"y\"][#0]; gt(x#1, 1)\n" },
    { "a if { some k, v in input.y; k == v }",
      "data.p.a := true if v#1 = input[\"y\"][k#0]; equal(k#0, v#1)\n" },
    { "a if { some \"k\", v in input.y; v }",
      "data.p.a := true if v#0 = input[\"y\"][\"k\"]; v#0\n" },
    { "a if { some {\"k\": x} in [input.y]; x }",
      "data.p.a := true if #0 = input[\"y\"]; #3 = [#0]; {\"k\": x#2} = #3[#1]; x#2\n" },
    { "a if { some x in [y | y := input.z]; x }",
      "data.p.a := true if #1 = [y#0 | y#0 = input[\"z\"]]; x#3 = #1[#2]; x#3\n" },
    { "a if every x in input.y { x > 1 }",
      "data.p.a := true if #0 = input[\"y\"]; every x#1 in #0 {gt(x#1, 1)}\n" },
    { "a if every k, v in input.y { k == v; not v }",
      "data.p.a := true if #0 = input[\"y\"]; every k#1, v#2 in #0 {equal(k#1, v#2); not {v#2}}\n" },
    { "a if { z := 1; every x in [z] { x == z } }",
      "data.p.a := true if z#0 = 1; every x#1 in [z#0] {equal(x#1, z#0)}\n" },
    { "a if { true; false; null }",
      "data.p.a := true if true; false; null\n" },
};

static void test_lower_body__expressions(void **state)
{
    (void) state;
    CHECK_CASES(EXPRESSIONS);
}

static const struct check_case REFUSED[] = {
    { "a if 1 := input",
      "2:6 rego_compile_error cannot assign to number\n" },
    { "a if [x, 1] := input",
      "2:10 rego_compile_error cannot assign to number\n" },
    { "a if f(x) := 1",
      "2:6 rego_compile_error cannot assign to call\n" },
    { "a if {1} := input",
      "2:6 rego_compile_error cannot assign to set\n" },
    { "a if not x := 1",
      "2:6 rego_compile_error cannot assign vars inside negated expression\n" },
    { "a if { every x in [1] { x := 2; x } }",
      "2:25 rego_compile_error var x declared above\n" },
};

static void test_lower_body__refused(void **state)
{
    (void) state;
    CHECK_CASES(REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_body__unification),
        cmocka_unit_test(test_lower_body__expressions),
        cmocka_unit_test(test_lower_body__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
