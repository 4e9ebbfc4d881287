#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/arena.h"
#include "policy/coverage.h"
#include "policy/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE(name, text) { name, text, sizeof(text) - 1 }

static const struct rego_module policy = MODULE("policy.rego", "package policy\n\ndefault allow := false\n"
                                                "allow if input.a == 1\nallow if {\n input.a == 2\n input.b\n}\n");

static struct suite *suite_of(const struct rego_module *modules, size_t count)
{
    struct rego_errors errors;
    struct suite *s = suite_new(modules, count, NULL, &errors);
    if (!s) fail_msg("%s", errors.items[0].text);
    return s;
}

/* One letter a test: P F E S. */
static void check_outcomes(const char *tests, const char *want)
{
    const struct rego_module modules[] = { policy, { "policy_test.rego", tests, strlen(tests) } };
    struct suite *s = suite_of(modules, 2);
    struct arena *a = arena_new(1 << 20);
    char got[16] = "";
    const struct rego_input in = { 0 };
    for (size_t i = 0; i < suite_count(s); i++) {
        struct suite_result r;
        suite_run(s, i, &in, a, &r);
        got[i] = "PFES"[r.outcome];
        bool told = r.outcome == SUITE_FAILED || r.outcome == SUITE_ERROR;
        assert_int_equal(r.reason != NULL, told);
        assert_int_equal(r.explanation != NULL, told);
    }
    if (strcmp(got, want) != 0) fail_msg("%s: want %s, got %s", tests, want, got);
    arena_free(a);
    suite_free(s);
}

#define P "package policy_test\nimport data.policy\n"

static void test_suite_run__outcomes(void **state)
{
    check_outcomes(P "test_a if policy.allow with input as {\"a\": 1}", "P");
    check_outcomes(P "test_a if policy.allow with input as {\"a\": 3}", "F");
    check_outcomes(P "test_a := false", "F");
    check_outcomes(P "test_a := 0", "P");
    check_outcomes(P "test_a contains 1 if false", "P");
    check_outcomes(P "todo_test_a := false\ntest_b := 1", "SP");
    check_outcomes(P "test_a := 1\ntest_a := 2", "E");
    check_outcomes(P "test_b if not policy.allow\ntest_a if policy.allow", "PF");
    check_outcomes(P "testa := false\ntest_f(x) := x\na_test_b := false", "");
    check_outcomes(P "default test_a := false", "");
}

static void test_suite_run__says_why(void **state)
{
    static const char text[] = P "test_a if policy.allow with input as {\"a\": 2, \"c\": 1}\n";
    const struct rego_module modules[] = { policy, { "policy_test.rego", text, strlen(text) } };
    struct suite *s = suite_of(modules, 2);
    struct arena *a = arena_new(1 << 20);
    const struct rego_input in = { 0 };
    struct suite_result r;
    assert_string_equal(suite_at(s, 0)->name, "data.policy_test.test_a");
    assert_int_equal(suite_at(s, 0)->module, 1);
    assert_int_equal(suite_at(s, 0)->line, 3);
    suite_run(s, 0, &in, a, &r);
    assert_string_equal(r.reason, "policy.rego:7: input.b: input.b is undefined; input has a, c");
    arena_free(a);
    suite_free(s);
}

static void count_line(void *context, const char *line, size_t len)
{
    assert_memory_equal(line, "a 1", len);
    ++*(size_t *) context;
}

static void test_suite_run__prints_once(void **state)
{
    static const char text[] = P "test_a if {\n print(\"a\", 1)\n false\n}";
    const struct rego_module module = { "policy_test.rego", text, strlen(text) };
    struct suite *s = suite_of(&module, 1);
    struct arena *a = arena_new(1 << 20);
    size_t lines = 0;
    const struct rego_input in = { .print = count_line, .context = &lines };
    struct suite_result r;
    suite_run(s, 0, &in, a, &r);
    assert_int_equal(r.outcome, SUITE_FAILED);
    assert_int_equal(lines, 1);
    arena_free(a);
    suite_free(s);
}

static void test_suite_coverage__of_what_is_tested(void **state)
{
    static const char text[] = P "test_a if policy.allow with input as {\"a\": 1}\ntest_b if {\n false\n true\n}\n";
    const struct rego_module modules[] = { policy, { "policy_test.rego", text, strlen(text) } };
    struct suite *s = suite_of(modules, 2);
    struct arena *a = arena_new(1 << 20);
    const struct rego_input in = { 0 };
    struct suite_result r;
    bool covered = false;
    suite_run(s, 0, &in, a, &r);
    assert_int_equal(suite_coverage_count(s).lines, 5);
    assert_int_equal(suite_coverage_count(s).covered, 1); /* the first body held: the second was not tried */
    suite_run(s, 1, &in, a, &r);
    assert_int_equal(suite_coverage_count(s).covered, 1);
    assert_false(suite_module_has_tests(s, 0));
    assert_true(suite_module_has_tests(s, 1));
    assert_true(coverage_line(suite_coverage(s), 1, 5, &covered) && covered);
    suite_free(s);
    s = suite_of(&modules[1], 1); /* nothing but tests: they count themselves */
    assert_int_equal(suite_coverage_count(s).lines, 4);
    suite_free(s);
    arena_free(a);
}

static void refused(const char *text, const char *want)
{
    const struct rego_module module = { "policy_test.rego", text, strlen(text) };
    struct rego_errors errors;
    assert_null(suite_new(&module, 1, NULL, &errors));
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0].text, want);
}

static void test_suite_new__refuses(void **state)
{
    refused(P "test_a if foo(1)", "undefined function foo");
    refused(P "test_a[x] if x := 1\ntest_a[x] := 1 if x := 2", "a test has no keys: write one rule for each case");
    size_t size = 40 * (SUITE_TESTS_MAX + 2), len = 0;
    char *text = malloc(size);
    len += (size_t) snprintf(text, size, "package t\n");
    for (unsigned i = 0; i < SUITE_TESTS_MAX; i++) len += (size_t) snprintf(text + len, size - len, "test_%u := 1\n", i);
    const struct rego_module module = { "policy_test.rego", text, len };
    struct suite *s = suite_of(&module, 1);
    assert_int_equal(suite_count(s), SUITE_TESTS_MAX);
    suite_free(s);
    snprintf(text + len, size - len, "test_one_more := 1\n");
    refused(text, "there are more than 2000 tests");
    free(text);
    suite_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite_run__outcomes),
        cmocka_unit_test(test_suite_run__says_why),
        cmocka_unit_test(test_suite_run__prints_once),
        cmocka_unit_test(test_suite_coverage__of_what_is_tested),
        cmocka_unit_test(test_suite_new__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
