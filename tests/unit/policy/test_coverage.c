#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/coverage.h"
#include "policy/rego.h"

#include <string.h>

/* Lines as letters, one for each: "." nothing to cover, "-" missed, "+" covered. */
struct row { const char *name, *module, *want; unsigned permille; };

static void check(const struct row *r)
{
    static const char *const query = "data.t.p";
    struct rego_module m = { "p.rego", r->module, strlen(r->module) };
    struct rego_options o = { .queries = &query, .query_count = 1, .traced = true };
    struct rego_errors errors;
    struct rego_program *p = rego_compile(&m, 1, &o, &errors);
    if (!p) fail_msg("%s: %s", r->name, errors.items[0].text);
    struct coverage *c = coverage_new(rego_program_checked(p));
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_input in = { .tracer = coverage_tracer(c) };
    struct rego_result result;
    char got[64] = "";
    rego_eval(run, 0, &in, &result);
    for (unsigned line = 1; line <= coverage_lines(c, 0); line++) {
        bool covered = false;
        got[line - 1] = !coverage_line(c, 0, line, &covered) ? '.' : covered ? '+' : '-';
    }
    if (strcmp(got, r->want) != 0) fail_msg("%s: want %s, got %s", r->name, r->want, got);
    assert_int_equal(coverage_permille(coverage_count(c, 0)), r->permille);
    coverage_free(c);
    rego_run_free(run);
    rego_program_free(p);
}

static void test_coverage__lines(void **state)
{
    static const struct row rows[] = {
        { "held", "package t\np := 1", ".+", 1000 },
        { "not reached", "package t\np if {\n true\n 1 == 2\n true\n}", ".-++-.", 500 },
        { "not asked for", "package t\np := 1\nq := 2", ".+-", 500 },
        { "else", "package t\np if false\nelse := 2", ".++", 1000 },
        { "default, taken", "package t\ndefault p := 1\np := 2 if {\n false\n}", ".+-+.", 666 },
        { "default, not taken", "package t\ndefault p := 1\np := 2", ".-+", 500 },
        { "closures", "package t\np if {\n not {\n  1: 2 | false\n }\n}", ".-++..", 666 },
        { "every and with", "package t\np if {\n every x in [1] {\n  x == 1 with input as 1\n }\n}", ".+++..", 1000 },
        { "comprehension never run", "package t\np if {\n false\n x := [y |\n  y := 1]\n}", ".-+--.", 250 },
        { "functions", "package t\np if f(1)\nf(2)\nf(x) if {\n x > 0\n}", ".+-++.", 750 },
        { "sets", "package t\np contains 1 if true\np contains 2 if false", ".++", 1000 },
        { "nothing there", "package t\n", "..", 1000 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(&rows[i]);
}

static void test_coverage__beyond_the_text(void **state)
{
    struct rego_module m = { "p.rego", "package t\np := 1", 16 };
    struct rego_options o = { .traced = true };
    struct rego_errors errors;
    struct rego_program *p = rego_compile(&m, 1, &o, &errors);
    struct coverage *c = coverage_new(rego_program_checked(p));
    bool covered = true;
    assert_false(coverage_line(c, 0, 0, &covered));
    assert_false(coverage_line(c, 0, 3, &covered));
    assert_false(coverage_line(c, 1, 1, &covered));
    assert_false(covered);
    assert_int_equal(coverage_lines(c, 1), 0);
    coverage_free(c);
    coverage_free(NULL);
    rego_program_free(p);
}

static void test_coverage_permille__rounds_down(void **state)
{
    assert_int_equal(coverage_permille((struct coverage_count) { 2001, 2000 }), 999);
    assert_int_equal(coverage_permille((struct coverage_count) { 3, 1 }), 333);
    assert_int_equal(coverage_permille((struct coverage_count) { 0, 0 }), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage__lines),
        cmocka_unit_test(test_coverage__beyond_the_text),
        cmocka_unit_test(test_coverage_permille__rounds_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
