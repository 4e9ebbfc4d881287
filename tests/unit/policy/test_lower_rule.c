/* lower_rule.c: heads, arguments, branches, defaults. */
#include "tests/unit/policy/checked.h"

static const struct check_case HEADS[] = {
    { "a := 1",
      "data.p.a := 1\n" },
    { "a if true",
      "data.p.a := true if true\n" },
    { "a contains input.x",
      "data.p.a contains #0 if #0 = input[\"x\"]\n" },
    { "a contains x if some x in input.y",
      "data.p.a contains x#1 if x#1 = input[\"y\"][#0]\n" },
    { "a[x] := y if some x, y in input.z",
      "data.p.a[x#0] := y#1 if y#1 = input[\"z\"][x#0]\n" },
    { "a[x].b[input.y] := 1 if x := input.z",
      "data.p.a[x#0][\"b\"][#1] := 1 if x#0 = input[\"z\"]; #1 = input[\"y\"]\n" },
    { "a.b.c := 1",
      "data.p.a.b.c := 1\n" },
    { "a[\"b\"].c contains 1",
      "data.p.a.b.c contains 1\n" },
    { "a[1] := 2",
      "data.p.a[1] := 2\n" },
    { "a.b[x] contains y if { x := 1; y := 2 }",
      "data.p.a.b[x#0] contains y#1 if x#0 = 1; y#1 = 2\n" },
    { "a := input.x[_]",
      "data.p.a := #1 if #1 = input[\"x\"][_#0]\n" },
    { "a := x if { x := 1 } else := 2 if { input.y } else := 3",
      "data.p.a := x#0 if x#0 = 1 else := 2 if input[\"y\"] else := 3\n" },
    { "default a := 1\n"
      "a := 2 if input.x",
      "default data.p.a := 1\n"
      "data.p.a := 2 if input[\"x\"]\n" },
    { "default a := [x | x := 1]",
      "default data.p.a := #1 if #1 = [x#0 | x#0 = 1]\n" },
};

static void test_lower_rule__heads(void **state)
{
    (void) state;
    CHECK_CASES(HEADS);
}

static const struct check_case FUNCTIONS[] = {
    { "f(x) := x",
      "data.p.f(x#0) := x#0\n" },
    { "f(x, y) := x + y",
      "data.p.f(x#0, y#1) := #2 if #2 = plus(x#0, y#1)\n" },
    { "f(1, [x, _]) := x",
      "data.p.f(1, [x#0, _#1]) := x#0\n" },
    { "f({\"k\": x}) if x",
      "data.p.f({\"k\": x#0}) := true if x#0\n" },
    { "f(x) := 1 if { x } else := 2 if { not x }",
      "data.p.f(x#0) := 1 if x#0 else := 2 if not {x#0}\n" },
    { "f(x) := y if { y := x }",
      "data.p.f(x#0) := y#1 if y#1 = x#0\n" },
    { "default f(_) := 1\n"
      "f(x) := x if x > 1",
      "default data.p.f(_#0) := 1\n"
      "data.p.f(x#0) := x#0 if gt(x#0, 1)\n" },
    { "f({1, 2}) := 1",
      "data.p.f(#0) := 1 if #0 = {1, 2}\n" },
    { "f(count(input.x)) := 1",
      "data.p.f(#0) := 1 if #1 = input[\"x\"]; #0 = count(#1)\n" },
    { "f(x, x) := 1",
      "data.p.f(x#0, x#0) := 1\n" },
    { "f($\"{y}\") := y if y := input.z",
      "data.p.f(#0) := y#1 if y#1 = input[\"z\"]; #2 = {y#1 | }; #0 = internal.template_string([#2])\n" },
};

static void test_lower_rule__functions(void **state)
{
    (void) state;
    CHECK_CASES(FUNCTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_rule__heads),
        cmocka_unit_test(test_lower_rule__functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
