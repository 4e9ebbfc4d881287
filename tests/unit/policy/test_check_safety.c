/* check_safety.c: the order of bodies, and what cannot be ordered. */
#include "tests/unit/policy/checked.h"

static const struct check_case ORDER[] = {
    { "a if { x > 1; x = input.y }",
      "data.p.a := true if x#0 = input[\"y\"]; gt(x#0, 1)\n" },
    { "a if { x = y; y = z; z = 1 }",
      "data.p.a := true if z#2 = 1; y#1 = z#2; x#0 = y#1\n" },
    { "a if { not x; x = input.y }",
      "data.p.a := true if x#0 = input[\"y\"]; not {x#0}\n" },
    { "a if { y = [i | i = x]; x = 1 }",
      "data.p.a := true if x#1 = 1; y#0 = [i#2 | i#2 = x#1]\n" },
    { "a if { every i in x { i == y }; x = input.z; y = 1 }",
      "data.p.a := true if x#0 = input[\"z\"]; y#1 = 1; every i#2 in x#0 {equal(i#2, y#1)}\n" },
    { "a if { input.x[i] == j; j = i }",
      "data.p.a := true if #2 = input[\"x\"][i#0]; j#1 = i#0; equal(#2, j#1)\n" },
    { "a if { count(x, n); x = input.y }",
      "data.p.a := true if x#0 = input[\"y\"]; n#1 = count(x#0)\n" },
    { "a if { x = input.y with input as z; z = {\"y\": 1} }",
      "data.p.a := true if z#1 = {\"y\": 1}; (x#0 = input[\"y\"]) with input as z#1\n" },
    { "a if { [x, y] = z; z = [1, 2] }",
      "data.p.a := true if z#2 = [1, 2]; [x#0, y#1] = z#2\n" },
    { "a if { {\"k\": x} = {\"k\": y}; y = 1 }",
      "data.p.a := true if y#1 = 1; x#0 = y#1\n" },
    { "a if { x[i]; x = input.y }",
      "data.p.a := true if x#0 = input[\"y\"]; x#0[i#1]\n" },
    { "a if { z = {x: 1}; x = \"k\" }",
      "data.p.a := true if x#1 = \"k\"; z#0 = {x#1: 1}\n" },
    { "a contains x if { x > 1; input.y[x] }",
      "data.p.a contains x#0 if input[\"y\"][x#0]; gt(x#0, 1)\n" },
    { "a if { f(x) with input as 1; x = 2 }\n"
      "f(x) := x",
      "data.p.f(x#0) := x#0\n"
      "data.p.a := true if x#0 = 2; (data.p.f(x#0)) with input as 1\n" },
};

static void test_check_safety__order(void **state)
{
    (void) state;
    CHECK_CASES(ORDER);
}

static const struct check_case UNSAFE[] = {
    { "a if x",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if not x",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if x == 1",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if { x = y }",
      "2:8 rego_unsafe_var_error var x is unsafe\n"
      "2:8 rego_unsafe_var_error var y is unsafe\n" },
    { "a if { x := y }",
      "2:8 rego_unsafe_var_error var y is unsafe\n" },
    { "a if { x := y + 1; z := x }",
      "2:13 rego_unsafe_var_error var y is unsafe\n" },
    { "a contains x if true",
      "2:1 rego_unsafe_var_error var x is unsafe\n" },
    { "a := x",
      "2:1 rego_unsafe_var_error var x is unsafe\n" },
    { "a[x] := 1",
      "2:1 rego_unsafe_var_error var x is unsafe\n" },
    { "f(x) := y",
      "2:1 rego_unsafe_var_error var y is unsafe\n" },
    { "a if not input.x[_]",
      "2:6 rego_unsafe_var_error var _ is unsafe\n" },
    { "a if not input.x[_] == 1",
      "2:6 rego_unsafe_var_error var _ is unsafe\n" },
    { "a if not input.x[i]",
      "2:6 rego_unsafe_var_error var i is unsafe\n" },
    { "a if _ == 1",
      "2:6 rego_unsafe_var_error var _ is unsafe\n" },
    { "a if { x = {y: 1} }",
      "2:8 rego_unsafe_var_error var y is unsafe\n" },
    { "a if { {1, x} = {1, 2} }",
      "2:8 rego_unsafe_var_error var x is unsafe\n" },
    { "a if { {x: 1} = {\"k\": 1} }",
      "2:8 rego_unsafe_var_error var x is unsafe\n" },
    { "a if [x, y] = [1]",
      "data.p.a := true if [x#0, y#1] = [1]\n" },
    { "a := [x | input.y]",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a := {k: v | some v in input}",
      "2:6 rego_unsafe_var_error var k is unsafe\n" },
    { "a := [y | y := z]",
      "2:11 rego_unsafe_var_error var z is unsafe\n" },
    { "a if every i in x { i }",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if every i in [1] { i == x }",
      "2:23 rego_unsafe_var_error var x is unsafe\n" },
    { "a if input with input as x",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if x.y",
      "2:6 rego_unsafe_var_error var x is unsafe\n" },
    { "a if { x = 1; [y | y = z; z = x]; z }",
      "2:15 rego_unsafe_var_error var z is unsafe\n" },
    { "a if { x = x }",
      "2:8 rego_unsafe_var_error var x is unsafe\n" },
    { "a if print(x)",
      "2:12 rego_unsafe_var_error var x is unsafe\n" },
    { "a := $\"{x}\"",
      "2:9 rego_unsafe_var_error var x is unsafe\n" },
    { "a if { some x in y; x }",
      "2:8 rego_unsafe_var_error var y is unsafe\n" },
    { "a if { some i; not input.x[i] }",
      "2:16 rego_unsafe_var_error var i is unsafe\n" },
    { "a if { x = y[i]; y = x[i] }",
      "2:8 rego_unsafe_var_error var x is unsafe\n"
      "2:8 rego_unsafe_var_error var y is unsafe\n"
      "2:8 rego_unsafe_var_error var i is unsafe\n" },
    { "a := b.c",
      "2:6 rego_unsafe_var_error var b is unsafe\n" },
    { "a if { x } else := y",
      "2:8 rego_unsafe_var_error var x is unsafe\n"
      "2:12 rego_unsafe_var_error var y is unsafe\n" },
};

static void test_check_safety__unsafe(void **state)
{
    (void) state;
    CHECK_CASES(UNSAFE);
}

static void check_hint(const char *source, const char *hint)
{
    struct arena *a = arena_new(1 << 20);
    struct rego_errors errors = { 0 };
    const struct rego_module m = { "p.rego", source, strlen(source) };
    assert_null(compile_modules(a, &m, 1, NULL, &errors));
    assert_string_equal(errors.items[0].code, "rego_unsafe_var_error");
    assert_string_equal(errors.items[0].hint, hint);
    arena_free(a);
}

static void test_check_safety__near_rule(void **state)
{
    (void) state;
    check_hint("package p\nreference_mr_td := 1\na if input.x == reference_mrtd\n", "did you mean reference_mr_td?");
    check_hint("package p\nother.deep := 1\na if input.x == others.deep\n",
               "nothing gives it a value here: no rule, import or expression outside of `not`");
    check_hint("package p\na if input.x == y\n",
               "nothing gives it a value here: no rule, import or expression outside of `not`");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_safety__order),
        cmocka_unit_test(test_check_safety__unsafe),
        cmocka_unit_test(test_check_safety__near_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
