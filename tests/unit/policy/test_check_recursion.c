/* check_recursion.c: cycles, and dependencies first. */
#include "tests/unit/policy/checked.h"

static const struct check_case ORDER[] = {
    { "a := b\n"
      "b := c\n"
      "c := 1",
      "data.p.c := 1\n"
      "data.p.b := #0 if #0 = data[\"p\"][\"c\"]\n"
      "data.p.a := #0 if #0 = data[\"p\"][\"b\"]\n" },
    { "a := data.p.b[input.x]\n"
      "b.c := d\n"
      "d := 1",
      "data.p.d := 1\n"
      "data.p.b.c := #0 if #0 = data[\"p\"][\"d\"]\n"
      "data.p.a := #1 if #0 = input[\"x\"]; #1 = data[\"p\"][\"b\"][#0]\n" },
    { "a if f(1)\n"
      "f(x) := g(x)\n"
      "g(x) := x",
      "data.p.g(x#0) := x#0\n"
      "data.p.f(x#0) := #1 if #1 = data.p.g(x#0)\n"
      "data.p.a := true if data.p.f(1)\n" },
    { "a if count([1]) with count as f\n"
      "f(x) := b\n"
      "b := 1",
      "data.p.b := 1\n"
      "data.p.f(x#0) := #1 if #1 = data[\"p\"][\"b\"]\n"
      "data.p.a := true if (count([1])) with count as data.p.f\n" },
    { "a.x := a.y\n"
      "a.y := 1",
      "data.p.a.y := 1\n"
      "data.p.a.x := #0 if #0 = data[\"p\"][\"a\"][\"y\"]\n" },
    { "a := 1 if { not b }\n"
      "b := [x | x := c]\n"
      "c := 1",
      "data.p.c := 1\n"
      "data.p.b := #1 if #1 = [x#0 | x#0 = data[\"p\"][\"c\"]]\n"
      "data.p.a := 1 if not {data[\"p\"][\"b\"]}\n" },
};

static void test_check_recursion__order(void **state)
{
    (void) state;
    CHECK_CASES(ORDER);
}

static const struct check_case CYCLES[] = {
    { "a if a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a if not a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a if b\n"
      "b if c\n"
      "c if a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.b -> data.p.c -> data.p.a\n"
      "3:1 rego_recursion_error rule data.p.b is recursive: data.p.b -> data.p.c -> data.p.a -> data.p.b\n"
      "4:1 rego_recursion_error rule data.p.c is recursive: data.p.c -> data.p.a -> data.p.b -> data.p.c\n" },
    { "a if data.p",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a if data",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a if data[input.x].a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "f(x) := f(x - 1)",
      "2:1 rego_recursion_error rule data.p.f is recursive: data.p.f -> data.p.f\n" },
    { "a := [x | x := a]",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a[x] := a.b if x := 1",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "default a := false\n"
      "a if { every x in [1] { a; x } }",
      "3:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a := 1 if false else := a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.a\n" },
    { "a if count([1]) with count as f\n"
      "f(x) := a",
      "2:1 rego_recursion_error rule data.p.a is recursive: data.p.a -> data.p.f -> data.p.a\n"
      "3:1 rego_recursion_error rule data.p.f is recursive: data.p.f -> data.p.a -> data.p.f\n" },
    { "a.b := a",
      "2:1 rego_recursion_error rule data.p.a.b is recursive: data.p.a.b -> data.p.a.b\n" },
    { "a := data[x].b if x := \"q\"\n"
      "b := 1\n"
      "c := a",
      "data.p.b := 1\n"
      "data.p.a := #1 if x#0 = \"q\"; #1 = data[x#0][\"b\"]\n"
      "data.p.c := #0 if #0 = data[\"p\"][\"a\"]\n" },
};

static void test_check_recursion__cycles(void **state)
{
    (void) state;
    CHECK_CASES(CYCLES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_recursion__order),
        cmocka_unit_test(test_check_recursion__cycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
