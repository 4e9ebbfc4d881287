/* lower_call.c: calls, operators, texts with values in them, replacements. */
#include "tests/unit/policy/checked.h"

static const struct check_case CALLS[] = {
    { "a := count(input.x)",
      "data.p.a := #1 if #0 = input[\"x\"]; #1 = count(#0)\n" },
    { "a := lower(trim(input.x, \" \"))",
      "data.p.a := #2 if #0 = input[\"x\"]; #1 = trim(#0, \" \"); #2 = lower(#1)\n" },
    { "a if count(input.x, 2)",
      "data.p.a := true if #0 = input[\"x\"]; 2 = count(#0)\n" },
    { "a if { count(input.x, n); n > 1 }",
      "data.p.a := true if #1 = input[\"x\"]; n#0 = count(#1); gt(n#0, 1)\n" },
    { "f(x) := x\n"
      "a if f(1)",
      "data.p.f(x#0) := x#0\n"
      "data.p.a := true if data.p.f(1)\n" },
    { "f(x) := x\n"
      "a if f(1, y)",
      "data.p.f(x#0) := x#0\n"
      "data.p.a := true if y#0 = data.p.f(1)\n" },
    { "f(x) := x\n"
      "a := data.p.f(1)",
      "data.p.f(x#0) := x#0\n"
      "data.p.a := #0 if #0 = data.p.f(1)\n" },
    { "a := 1 + 2 * input.x",
      "data.p.a := #2 if #0 = input[\"x\"]; #1 = mul(2, #0); #2 = plus(1, #1)\n" },
    { "a if input.x == 1",
      "data.p.a := true if #0 = input[\"x\"]; equal(#0, 1)\n" },
    { "a if input.x in {1, 2}",
      "data.p.a := true if #0 = input[\"x\"]; internal.member_2(#0, {1, 2})\n" },
    { "a if (\"k\", 1) in [1] == false",
      "2:13 rego_parse_error unexpected ) token: expected `key, value in collection`\n" },
    { "a if \"k\", 1 in input",
      "data.p.a := true if #0 = input; internal.member_3(\"k\", 1, #0)\n" },
    { "a := {1} | input.s & {2}",
      "data.p.a := #2 if #0 = input[\"s\"]; #1 = and(#0, {2}); #2 = or({1}, #1)\n" },
    { "a := x if x = input.y - 1",
      "data.p.a := x#0 if #1 = input[\"y\"]; x#0 = minus(#1, 1)\n" },
};

static void test_lower_call__calls(void **state)
{
    (void) state;
    CHECK_CASES(CALLS);
}

static const struct check_case TEXTS[] = {
    { "a := $\"x{input.y}z\"",
      "data.p.a := #2 if #1 = {#0 | #0 = input[\"y\"]}; #2 = internal.template_string([\"x\", #1, \"z\"])\n" },
    { "a := $\"plain\"",
      "data.p.a := #0 if #0 = internal.template_string([\"plain\"])\n" },
    { "a if print(input.x, \"y\")",
      "data.p.a := true if #1 = {#0 | #0 = input[\"x\"]}; #2 = {\"y\" | }; internal.print([#1, #2])\n" },
    { "a := $\"{count(input.x) with input.x as [1]}\"",
      "data.p.a := #3 if #2 = {#1 | (#0 = input[\"x\"]; #1 = count(#0)) with input[\"x\"] as [1]}; #3 = internal.template_string([#2])\n" },
};

static void test_lower_call__texts(void **state)
{
    (void) state;
    CHECK_CASES(TEXTS);
}

static const struct check_case WITHS[] = {
    { "b := 1\n"
      "a if b with input.x as 2",
      "data.p.b := 1\n"
      "data.p.a := true if (data[\"p\"][\"b\"]) with input[\"x\"] as 2\n" },
    { "b := 1\n"
      "a if b with input as {\"x\": input.y} with data.c as [1]",
      "data.p.b := 1\n"
      "data.p.a := true if #0 = input[\"y\"]; (data[\"p\"][\"b\"]) with input as {\"x\": #0} with data[\"c\"] as [1]\n" },
    { "b := 1\n"
      "a if b with data.p.c as 1\n"
      "c := 2",
      "data.p.b := 1\n"
      "data.p.a := true if (data[\"p\"][\"b\"]) with data[\"p\"][\"c\"] as 1\n"
      "data.p.c := 2\n" },
    { "f(x) := x\n"
      "a if f(1) with f as 2",
      "data.p.f(x#0) := x#0\n"
      "data.p.a := true if (data.p.f(1)) with data.p.f as 2\n" },
    { "f(x) := x\n"
      "g(x) := x\n"
      "a if f(1) with f as g",
      "data.p.g(x#0) := x#0\n"
      "data.p.f(x#0) := x#0\n"
      "data.p.a := true if (data.p.f(1)) with data.p.f as data.p.g\n" },
    { "a if count([1]) with count as 3",
      "data.p.a := true if (count([1])) with count as 3\n" },
    { "a if count([1]) with count as sum",
      "data.p.a := true if (count([1])) with count as sum\n" },
    { "a if x := input.y with input.y as 1",
      "data.p.a := true if (x#0 = input[\"y\"]) with input[\"y\"] as 1\n" },
    { "a if not input.y with input.y as 1",
      "data.p.a := true if not {(input[\"y\"]) with input[\"y\"] as 1}\n" },
    { "a if { some x in input.y with input.y as [1]; x }",
      "data.p.a := true if (x#1 = input[\"y\"][#0]) with input[\"y\"] as [1]; x#1\n" },
    { "import input.claims\n"
      "a if claims.x with claims.x as 1",
      "data.p.a := true if (input[\"claims\"][\"x\"]) with input[\"claims\"][\"x\"] as 1\n" },
};

static void test_lower_call__with(void **state)
{
    (void) state;
    CHECK_CASES(WITHS);
}

static const struct check_case REFUSED[] = {
    { "a if foo(1)",
      "2:6 rego_type_error undefined function foo\n" },
    { "a if cuont(1)",
      "2:6 rego_type_error undefined function cuont\n" },
    { "a if data.p.f(1)",
      "2:6 rego_type_error undefined function data.p.f\n" },
    { "b := 1\n"
      "a if b(1)",
      "3:6 rego_type_error undefined function data.p.b\n" },
    { "a if count(1, 2, 3)",
      "2:6 rego_type_error function count has arity 1, got 3 arguments\n" },
    { "a := count()",
      "2:6 rego_type_error function count has arity 1, got 0 arguments\n" },
    { "f(x) := x\n"
      "a := f(1, 2)",
      "3:6 rego_type_error function data.p.f has arity 1, got 2 arguments\n" },
    { "a if http.send({})",
      "2:6 rego_type_error unsafe built-in function calls in expression: http.send\n" },
    { "a if any([true])",
      "2:6 rego_type_error deprecated built-in function calls in expression: any\n" },
    { "a if internal.member_2(1, [1])",
      "2:6 rego_type_error undefined function internal.member_2\n" },
    { "a if { count := 1; count([1]) }",
      "2:20 rego_compile_error called function count shadowed\n" },
    { "a if input with http.send as count",
      "2:17 rego_compile_error with keyword replacing built-in function: target must not be unsafe: http.send\n" },
    { "a if count([1]) with count as http.send",
      "2:22 rego_compile_error with keyword replacing built-in function: target must not be unsafe: http.send\n" },
    { "a if input with foo as 1",
      "2:17 rego_type_error with keyword target must reference existing input, data, or a function\n" },
    { "a if input with x[1].y as 1",
      "2:17 rego_type_error with keyword target must reference existing input, data, or a function\n" },
    { "a if input with walk as 1",
      "2:17 rego_compile_error with keyword replacing built-in function: target must not be a relation\n" },
    { "a if input with print as 1",
      "2:17 rego_compile_error with keyword replacing built-in function: target must not be a void function\n" },
    { "f(x) := x\n"
      "g(x, y) := x + y\n"
      "a if f(1) with f as g",
      "4:21 rego_type_error data.p.f: arity mismatch: it takes 1, data.p.g takes 2\n" },
    { "a if count([1]) with count as object.get",
      "2:31 rego_type_error count: arity mismatch: it takes 1, object.get takes 3\n" },
    { "a if count([1]) with count as walk",
      "2:22 rego_compile_error with keyword replacing a function: this one has no single value: walk\n" },
    { "a if count([1]) with count as print",
      "2:22 rego_compile_error with keyword replacing a function: this one has no single value: print\n" },
    { "a := [print(1)]",
      "2:7 rego_type_error print used as value\n" },
    { "b := {\"c\": 1}\n"
      "a if b with data.p.b.c as 1",
      "3:13 rego_compile_error with keyword cannot partially replace virtual document(s)\n" },
    { "a if input with internal.member_2 as 1",
      "2:17 rego_type_error with keyword target must reference existing input, data, or a function\n" },
};

static void test_lower_call__refused(void **state)
{
    (void) state;
    CHECK_CASES(REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_call__calls),
        cmocka_unit_test(test_lower_call__texts),
        cmocka_unit_test(test_lower_call__with),
        cmocka_unit_test(test_lower_call__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
