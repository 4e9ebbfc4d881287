/* rule_tree.c: paths, globals, conflicts. */
#include "tests/unit/policy/checked.h"

static const struct check_case TREES[] = {
    { "a.b := 1\n"
      "a.c := 2",
      "data.p.a.b := 1\n"
      "data.p.a.c := 2\n" },
    { "a := 1 if input.x\n"
      "a := 2 if input.y",
      "data.p.a := 1 if input[\"x\"]\n"
      "data.p.a := 2 if input[\"y\"]\n" },
    { "a[x] := 1 if x := 2\n"
      "a.b := 3",
      "data.p.a[x#0] := 1 if x#0 = 2\n"
      "data.p.a.b := 3\n" },
    { "a.b[x] := 1 if x := 2\n"
      "a[y].c := 3 if y := 4",
      "data.p.a[y#0][\"c\"] := 3 if y#0 = 4\n"
      "data.p.a.b[x#0] := 1 if x#0 = 2\n" },
    { "a[\"x y\"] := 1",
      "data.p.a[\"x y\"] := 1\n" },
    { "import data.q.r\n"
      "r := 1\n"
      "a := r",
      "data.p.a := #0 if #0 = data[\"q\"][\"r\"]\n"
      "data.p.r := 1\n" },
    { "import rego.v1\n"
      "import future.keywords.if\n"
      "a := 1",
      "data.p.a := 1\n" },
};

static void test_rule_tree__paths(void **state)
{
    (void) state;
    CHECK_CASES(TREES);
}

static const struct check_case CONFLICTS[] = {
    { "a := 1\n"
      "a contains 2",
      "2:1 rego_type_error conflicting rules data.p.a found\n" },
    { "a := 1\n"
      "a(x) := 2",
      "2:1 rego_type_error conflicting rules data.p.a found\n" },
    { "f(x) := 1\n"
      "f(x, y) := 2",
      "2:1 rego_type_error conflicting rules data.p.f found\n" },
    { "default a := 1\n"
      "default a := 2",
      "2:9 rego_type_error multiple default rules data.p.a found at p.rego:2, p.rego:3\n" },
    { "a := 1\n"
      "a.b := 2",
      "2:1 rego_type_error rule data.p.a conflicts with [data.p.a.b]\n" },
    { "a.b := 1\n"
      "a.b.c.d := 2",
      "2:1 rego_type_error rule data.p.a.b conflicts with [data.p.a.b.c.d]\n" },
    { "a[x] := 1 if x := 2\n"
      "a[x] contains 1 if x := 2",
      "2:1 rego_type_error conflicting rules data.p.a found\n" },
    { "default a := 1\n"
      "a[x] := 2 if x := 3",
      "2:9 rego_type_error conflicting rules data.p.a found\n" },
    { "input := 1",
      "2:1 rego_compile_error rules must not shadow input (use a different rule name)\n" },
    { "data.x := 1",
      "2:1 rego_compile_error rules must not shadow data (use a different rule name)\n" },
    { "import data.a\n"
      "import data.b.a",
      "3:1 rego_compile_error import must not shadow import data.a\n" },
    { "import data.a as b\n"
      "import data.b",
      "3:1 rego_compile_error import must not shadow import data.a\n" },
    { "import data.x.input",
      "2:1 rego_compile_error imports must not shadow input (use a different name)\n" },
    { "import data.x as data",
      "2:1 rego_compile_error imports must not shadow data (use a different name)\n" },
    { "a contains 1\n"
      "a.b := 1",
      "2:1 rego_type_error rule data.p.a conflicts with [data.p.a.b]\n" },
};

static void test_rule_tree__conflicts(void **state)
{
    (void) state;
    CHECK_CASES(CONFLICTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule_tree__paths),
        cmocka_unit_test(test_rule_tree__conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
