/* lower_term.c: what terms become. */
#include "tests/unit/policy/checked.h"

static const struct check_case REFERENCES[] = {
    { "a := input.x.y",
      "data.p.a := #0 if #0 = input[\"x\"][\"y\"]\n" },
    { "a := input[\"x y\"][1]",
      "data.p.a := #0 if #0 = input[\"x y\"][1]\n" },
    { "a := data.b.c",
      "data.p.a := #0 if #0 = data[\"b\"][\"c\"]\n" },
    { "b := 1\n"
      "a := b",
      "data.p.b := 1\n"
      "data.p.a := #0 if #0 = data[\"p\"][\"b\"]\n" },
    { "b.c := 1\n"
      "a := b.c.d",
      "data.p.b.c := 1\n"
      "data.p.a := #0 if #0 = data[\"p\"][\"b\"][\"c\"][\"d\"]\n" },
    { "a := input[input.k]",
      "data.p.a := #1 if #0 = input[\"k\"]; #1 = input[#0]\n" },
    { "a := f(1).x\n"
      "f(x) := {\"x\": x}",
      "data.p.f(x#0) := {\"x\": x#0}\n"
      "data.p.a := #1 if #0 = data.p.f(1); #1 = #0[\"x\"]\n" },
    { "a := [1, 2][0]",
      "data.p.a := #1 if #0 = [1, 2]; #1 = #0[0]\n" },
    { "a := {\"k\": 1}[input.k]",
      "data.p.a := #2 if #0 = {\"k\": 1}; #1 = input[\"k\"]; #2 = #0[#1]\n" },
    { "import data.lib.x\n"
      "a := x.y",
      "data.p.a := #0 if #0 = data[\"lib\"][\"x\"][\"y\"]\n" },
    { "import data.lib.x as z\n"
      "a := z",
      "data.p.a := #0 if #0 = data[\"lib\"][\"x\"]\n" },
    { "import input.claims\n"
      "a := claims.sub",
      "data.p.a := #0 if #0 = input[\"claims\"][\"sub\"]\n" },
    { "a := input",
      "data.p.a := #0 if #0 = input\n" },
    { "a if data.b[input.x][_].c",
      "data.p.a := true if #0 = input[\"x\"]; data[\"b\"][#0][_#1][\"c\"]\n" },
};

static void test_lower_term__references(void **state)
{
    (void) state;
    CHECK_CASES(REFERENCES);
}

static const struct check_case LITERALS[] = {
    { "a := [1, \"x\", null, true, 1.50]",
      "data.p.a := [1, \"x\", null, true, 1.50]\n" },
    { "a := {\"k\": {1, 2, 2}, \"l\": []}",
      "data.p.a := {\"k\": {1, 2}, \"l\": []}\n" },
    { "a := {\"k\": input.x, input.y: 2}",
      "data.p.a := {\"k\": #0, #1: 2} if #0 = input[\"x\"]; #1 = input[\"y\"]\n" },
    { "a := {1, input.x}",
      "data.p.a := {1, #0} if #0 = input[\"x\"]\n" },
    { "a := [[input.x], 2]",
      "data.p.a := [[#0], 2] if #0 = input[\"x\"]\n" },
    { "a := -input.x",
      "data.p.a := #1 if #0 = input[\"x\"]; #1 = minus(0, #0)\n" },
    { "a := set()",
      "data.p.a := set()\n" },
    { "a := {}",
      "data.p.a := {}\n" },
    { "a := 1E00043614820",
      "2:6 rego_compile_error the number is too long or too large\n" },
};

static void test_lower_term__literals(void **state)
{
    (void) state;
    CHECK_CASES(LITERALS);
}

static const struct check_case COMPREHENSIONS[] = {
    { "a := [x | some x in input.xs]",
      "data.p.a := #2 if #2 = [x#1 | x#1 = input[\"xs\"][#0]]\n" },
    { "a := {x | x := input.xs[_]; x > 1}",
      "data.p.a := #2 if #2 = {x#1 | x#1 = input[\"xs\"][_#0]; gt(x#1, 1)}\n" },
    { "a := {k: v | some k, v in input.xs}",
      "data.p.a := #2 if #2 = {k#0: v#1 | v#1 = input[\"xs\"][k#0]}\n" },
    { "a := [y.z | y := input.xs[_]]",
      "data.p.a := #3 if #3 = [#2 | y#1 = input[\"xs\"][_#0]; #2 = y#1[\"z\"]]\n" },
    { "a := count([1 | input.x])",
      "data.p.a := #1 if #0 = [1 | input[\"x\"]]; #1 = count(#0)\n" },
    { "a if { x := 1; y := {z | z := x}; y }",
      "data.p.a := true if x#0 = 1; y#2 = {z#1 | z#1 = x#0}; y#2\n" },
    { "a if { xs = [x | x = 1]; x = 2; xs }",
      "data.p.a := true if x#1 = 2; xs#0 = [x#1 | x#1 = 1]; xs#0\n" },
    { "a := [x | x := [y | y := 1]]",
      "data.p.a := #2 if #2 = [x#1 | x#1 = [y#0 | y#0 = 1]]\n" },
};

static void test_lower_term__comprehensions(void **state)
{
    (void) state;
    CHECK_CASES(COMPREHENSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_term__references),
        cmocka_unit_test(test_lower_term__literals),
        cmocka_unit_test(test_lower_term__comprehensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
