/* Which rules get a key, and which: the index of a policy as text (plan_guards.c, plan_index.c). */
#include "tests/unit/policy/checked.h"

#include "policy/plan.h"
#include "policy/plan_index.h"

/* The indexes of all units of the module behind "package p", as text; "" for none. */
static const char *indexes_of(struct arena *a, const char *source)
{
    static struct rego_errors errors;
    struct text t;
    errors = (struct rego_errors) { 0 };
    text_init(&t, a);
    text_addf(&t, "package p\n%s", source);
    const struct rego_module m = { "p.rego", text_end(&t), t.len };
    const struct checked_program *checked = compile_modules(a, &m, 1, NULL, &errors);
    if (!checked) fail_msg("%s: %s", source, errors.items[0].text);
    struct plan_problem problem;
    const struct plan *plan = plan_make(a, checked, &problem);
    assert_non_null(plan);
    text_init(&t, a);
    for (size_t g = 0; g < checked->group_count; g++)
        for (uint32_t i = 0; i < plan->groups[g].length; i++)
            if (plan->groups[g].code[i].op == PLAN_CANDIDATES)
                plan_print_index(&t, plan->indexes[plan->groups[g].code[i].b]);
    return text_end(&t);
}

static void check(const struct check_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new(1 << 22);
        const char *got = indexes_of(a, cases[i].source);
        if (strcmp(got, cases[i].expected) != 0) fail_msg("%s\nwant:\n%sgot:\n%s", cases[i].source, cases[i].expected, got);
        arena_free(a);
    }
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

/* Four rules that differ in a constant, so that there is an index; the text of one with its constant as %. */
#define FOUR(before, after) \
    before "\"k0\"" after "\n" before "\"k1\"" after "\n" before "\"k2\"" after "\n" before "\"k3\"" after "\n"
#define KEYS(path) "0: " path " = \"k0\"\n1: " path " = \"k1\"\n2: " path " = \"k2\"\n3: " path " = \"k3\"\n"

static void test_index__what_is_compared(void **state)
{
    static const struct check_case cases[] = {
        { FOUR("r if input.x == ", ""), KEYS("input[\"x\"]") },
        { FOUR("r if ", " == input.x"), KEYS("input[\"x\"]") },
        { FOUR("r if input.x = ", ""), KEYS("input[\"x\"]") },
        { FOUR("r if { y := input.x; y == ", " }"), KEYS("input[\"x\"]") },
        { FOUR("r if { y := input.x; y.z == ", " }"), KEYS("input[\"x\"][\"z\"]") },
        { FOUR("r if { y = input; z = y.x; z == ", " }"), KEYS("input[\"x\"]") },
        { FOUR("r if data[\"resource-path\"][0] == ", ""), KEYS("data[\"resource-path\"][0]") },
        { FOUR("r if data.p.nothing.x == ", ""), KEYS("data[\"p\"][\"nothing\"][\"x\"]") },
        { FOUR("r if input.x == [1, ", "]"), "0: input[\"x\"] = [1, \"k0\"]\n1: input[\"x\"] = [1, \"k1\"]\n"
                                            "2: input[\"x\"] = [1, \"k2\"]\n3: input[\"x\"] = [1, \"k3\"]\n" },
        { FOUR("r if input.x = [_, ", "]"), KEYS("input[\"x\"][1]") },
        { FOUR("r if { [_, y] := input.x; y == ", " }"), KEYS("input[\"x\"][1]") },
        { FOUR("r if { {\"a\": _, \"b\": {\"c\": ", ", \"d\": _}} = input }"), KEYS("input[\"b\"][\"c\"]") },
        { FOUR("r if concat(\"/\", input.x) == ", ""), KEYS("concat(\"/\", input[\"x\"])") },
        { FOUR("r if { y := lower(input.x); y == ", " }"), KEYS("lower(input[\"x\"])") },
        { FOUR("f(x) if x == ", ""), KEYS("argument 0") },
        { FOUR("f(_, ", ") := 1"), KEYS("argument 1") },
        { FOUR("f([_, ", "]) := 1"), KEYS("argument 0[1]") },
        { FOUR("f(x) if x.y.z == ", ""), KEYS("argument 0[\"y\"][\"z\"]") },
        { FOUR("s contains 1 if input.x == ", ""), KEYS("input[\"x\"]") },
        { FOUR("o[k] := 1 if { some k in [1, 2]; input.x == ", " }"), KEYS("input[\"x\"]") },
        { FOUR("a.b[k].c := 1 if { some k in [1, 2]; input.x == ", " }"), KEYS("input[\"x\"]") },
        { FOUR("r := 1 if input.x == ", ""), KEYS("input[\"x\"]") },
    };
    CHECK(cases);
}

static void test_index__what_is_not(void **state)
{
    static const struct check_case cases[] = {
        { FOUR("r if input.x != ", ""), "" },
        { FOUR("r if input[_] == ", ""), "" },
        { FOUR("r if { some i; input.x[i] == ", " }"), "" },
        { FOUR("r if not input.x == ", ""), "" },
        { FOUR("r if { every y in input.x { y == ", " } }"), "" },
        { FOUR("r if input.x == ", " with input as {}"), "" },
        { FOUR("r if { [1 | input.x == ", "][0] == input.y }"), "" },
        { "v := input.x\n" FOUR("r if v == ", ""), "" },             /* a rule's value, not a base document */
        { "v[x] := 1 if some x in input.x\n" FOUR("r if data.p.v.a == ", ""), "" },
        { FOUR("r if time.now_ns() == ", ""), "" },                  /* not the same each time */
        { FOUR("r if { x := input.x == ", "; x }"), "" },
        { "r if input.x == 1\nr if input.x == 2\nr if input.x == 3\n", "" }, /* too few: nobody can tell */
        { "r if { not input.y != 1; input.z == 1 }\nr if { input.y == 1; input.z > 1 }\n",
          "0: input[\"z\"] = 1\n1: input[\"y\"] = 1\n" },                 /* but here one might */
        { "r if { count(input.y) > 0; input.z == 1 }\n", "0: input[\"z\"] = 1\n" },
        { "r if { input.z == 1; count(input.y) > 0 }\n", "" },
    };
    CHECK(cases);
}

static void test_index__several_paths(void **state)
{
    static const struct check_case cases[] = {
        { "r if { input.x == 1; input.y == 1 }\nr if { input.x == 1; input.y == 2 }\n"
          "r if { input.y == 1; input.x == 2 }\nr if input.y == 3\nr if input.z\n",
          "0: input[\"x\"] = 1, input[\"y\"] = 1\n1: input[\"x\"] = 1, input[\"y\"] = 2\n"
          "2: input[\"x\"] = 2, input[\"y\"] = 1\n3: input[\"y\"] = 3\n4: always\n" },
        /* five paths: the one that tells least apart is left out */
        { "r if { input.a == 1; input.b == 1; input.c == 1; input.d == 1; input.e == 1 }\n"
          "r if { input.a == 2; input.b == 2; input.c == 1; input.d == 2; input.e == 2 }\n"
          "r if { input.a == 3; input.b == 3; input.c == 1; input.d == 3; input.e == 3 }\n"
          "r if { input.a == 4; input.b == 4; input.c == 1; input.d == 4; input.e == 4 }\n",
          "0: input[\"a\"] = 1, input[\"b\"] = 1, input[\"d\"] = 1, input[\"e\"] = 1\n"
          "1: input[\"a\"] = 2, input[\"b\"] = 2, input[\"d\"] = 2, input[\"e\"] = 2\n"
          "2: input[\"a\"] = 3, input[\"b\"] = 3, input[\"d\"] = 3, input[\"e\"] = 3\n"
          "3: input[\"a\"] = 4, input[\"b\"] = 4, input[\"d\"] = 4, input[\"e\"] = 4\n" },
        /* the same number, written otherwise */
        { "r if input.x == 1\nr if input.x == 1.0\nr if input.x == 1e0\nr if input.x == 2\n",
          "0: input[\"x\"] = 1\n1: input[\"x\"] = 1\n2: input[\"x\"] = 1\n3: input[\"x\"] = 2\n" },
    };
    CHECK(cases);
}

static void test_index__else_and_prints(void **state)
{
    static const struct check_case cases[] = {
        { "r := 1 if input.x == \"a\" else := 2 if input.x == \"b\"\n" FOUR("r := 3 if input.x == ", ""),
          "0: input[\"x\"] = \"a\"\n0: input[\"x\"] = \"b\"\n1: input[\"x\"] = \"k0\"\n2: input[\"x\"] = \"k1\"\n"
          "3: input[\"x\"] = \"k2\"\n4: input[\"x\"] = \"k3\"\n" },
        { "r := 1 if input.x == \"a\" else := 2\n" FOUR("r := 3 if input.x == ", ""),
          "0: always\n1: input[\"x\"] = \"k0\"\n2: input[\"x\"] = \"k1\"\n3: input[\"x\"] = \"k2\"\n4: input[\"x\"] = \"k3\"\n" },
        { "r := 1 if input.x == \"a\" else := 2 if input.y == \"b\"\n" FOUR("r := 3 if input.x == ", ""),
          "0: always\n1: input[\"x\"] = \"k0\"\n2: input[\"x\"] = \"k1\"\n3: input[\"x\"] = \"k2\"\n4: input[\"x\"] = \"k3\"\n" },
        { "r if { print(1); input.x == 1 }\n" FOUR("r if input.x == ", ""),
          "0: always\n1: input[\"x\"] = \"k0\"\n2: input[\"x\"] = \"k1\"\n3: input[\"x\"] = \"k2\"\n4: input[\"x\"] = \"k3\"\n" },
        { "f(1) := 1 if input.y else := 2\nf(2) := 3\nf(3) := 4\nf(4) := 5\ndefault f(_) := 6\n",
          "0: argument 0 = 1\n1: argument 0 = 2\n2: argument 0 = 3\n3: argument 0 = 4\n" },
    };
    CHECK(cases);
}

/* Every member of a set is an entry; too many of them and the comparison is no key. */
static void test_index__members(void **state)
{
    struct arena *a = arena_new(1 << 24);
    struct text t;
    for (unsigned members = PLAN_INDEX_COPIES_MAX; members <= PLAN_INDEX_COPIES_MAX + 1; members++) {
        text_init(&t, a);
        for (unsigned rule = 0; rule < 5; rule++) {
            text_addf(&t, "r if input.x in {%u", 1000 * rule);
            for (unsigned i = 1; i < members; i++) text_addf(&t, ", %u", 1000 * rule + i);
            text_add_string(&t, "}\n");
        }
        const char *index = indexes_of(a, text_end(&t));
        size_t lines = 0;
        for (const char *c = index; *c; c++) lines += *c == '\n';
        assert_int_equal(lines, members == PLAN_INDEX_COPIES_MAX ? 5 * members : 0);
    }
    arena_free(a);
}

/* Each rule compares a path of its own: there are not as many tables, and the rest are candidates always. */
static void test_index__many_paths(void **state)
{
    struct arena *a = arena_new(1 << 24);
    struct text t;
    text_init(&t, a);
    for (unsigned rule = 0; rule < 100; rule++) text_addf(&t, "r if input.x%u == 1\n", rule);
    const char *index = indexes_of(a, text_end(&t));
    size_t always = 0;
    for (const char *c = index; (c = strstr(c, "always")); c++) always++;
    assert_int_equal(always, 100 - PLAN_INDEX_TABLES_MAX);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__what_is_compared), cmocka_unit_test(test_index__what_is_not),
        cmocka_unit_test(test_index__several_paths),    cmocka_unit_test(test_index__else_and_prints),
        cmocka_unit_test(test_index__members),          cmocka_unit_test(test_index__many_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
