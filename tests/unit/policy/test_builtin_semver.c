#include "tests/lib/rego_expr.h"
#include "tests/lib/builtin_cases.h"

static void test_compare(void **state)
{
    /* Semantic Versioning 2.0.0, 11: each before the next */
    static const char *const sorted[] = {
        "0.9.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-99999999999999999999", "1.0.0-alpha", "1.0.0-alpha.1",
        "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.10.0",
        "2.0.0", "10.0.0",
    };
    size_t count = sizeof sorted / sizeof *sorted;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            char expr[128];

            snprintf(expr, sizeof expr, "semver.compare(\"%s\", \"%s\")", sorted[i], sorted[j]);
            expr_check(&(struct expr_case) { expr, i < j ? "-1" : i > j ? "1" : "0" }, NULL);
        }
    }
}

static void test_compare__build_and_prefix(void **state)
{
    static const struct expr_case cases[] = {
        { "semver.compare(\"1.0.0+a\", \"1.0.0+b\")", "0" },
        { "semver.compare(\"v1.0.0\", \"1.0.0\")", "0" },
        { "semver.compare(\"1.0.0\", \"1\")", "semver.compare: operand 2: string \"1\" is not a valid SemVer" },
        { "semver.compare(\"x\", \"1.0.0\")", "operand 1: string \"x\" is not a valid SemVer" },
    };
    EXPR_TABLE(cases);
}

static void test_is_valid(void **state)
{
    static const struct expr_case cases[] = {
        { "semver.is_valid(\"1.2.3-a.b+c-d\")", "true" }, { "semver.is_valid(\"1.2\")", "false" },
        { "semver.is_valid(\"1.2.3.4\")", "false" },      { "semver.is_valid(\"1.2.x\")", "false" },
        { "semver.is_valid(\"1.2.3-a..b\")", "false" },   { "semver.is_valid(\"1.2.3-a_b\")", "false" },
        { "semver.is_valid(\"1.2.99999999999999999999\")", "false" }, { "semver.is_valid(\"\")", "false" },
        { "semver.is_valid(1)", "false" },
    };
    EXPR_TABLE(cases);
}

static void test_is_valid__ends_at_the_budget(void **state)
{
    struct builtin_bench b;
    bench_open(&b);
    char text[16000];
    memset(text, 'x', sizeof text);
    const struct value *v = value_string(b.arena, text, sizeof text);
    budget_init(&b.budget, sizeof text / 16);
    assert_null(builtin_run(&b.call, builtin_find(NULL, "semver.is_valid", 15), &v));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_compare__build_and_prefix), cmocka_unit_test(test_is_valid),
        cmocka_unit_test(test_is_valid__ends_at_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
