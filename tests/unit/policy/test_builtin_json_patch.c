#include "tests/lib/builtin_cases.h"
#include "tests/lib/rego_expr.h"

#define PATCH(target, patch) "json.patch(" target ", [" patch "])"

static void test_objects_and_arrays(void **state)
{
    static const struct expr_case cases[] = {
        { PATCH("{\"a\": 1}", "{\"op\": \"add\", \"path\": \"/b\", \"value\": 2}"), "{\"a\": 1, \"b\": 2}" },
        { PATCH("[1, 3]", "{\"op\": \"add\", \"path\": \"/1\", \"value\": 2}"), "[1, 2, 3]" },
        { PATCH("[1]", "{\"op\": \"add\", \"path\": \"/-\", \"value\": 2}"), "[1, 2]" },
        { PATCH("{\"a\": [1, 2]}", "{\"op\": \"remove\", \"path\": \"/a/0\"}"), "{\"a\": [2]}" },
        { PATCH("{\"a\": [1, 2]}", "{\"op\": \"replace\", \"path\": [\"a\", 1], \"value\": 9}"), "{\"a\": [1, 9]}" },
        { PATCH("{\"a\": {\"b\": 1}, \"c\": []}", "{\"op\": \"move\", \"from\": \"a/b\", \"path\": \"c/0\"}"),
          "{\"a\": {}, \"c\": [1]}" },
        { PATCH("{\"a\": 1}", "{\"op\": \"copy\", \"from\": \"a\", \"path\": \"b\"}"), "{\"a\": 1, \"b\": 1}" },
        { PATCH("{\"a\": 1}", "{\"op\": \"test\", \"path\": \"a\", \"value\": 1.0}"), "{\"a\": 1}" },
        { PATCH("{\"a\": 1}", "{\"op\": \"replace\", \"path\": \"\", \"value\": 5}"), "5" },
        { PATCH("1", ""), "1" },
    };
    EXPR_TABLE(cases);
}

static void test_sets(void **state)
{
    static const struct expr_case cases[] = {
        { PATCH("{1}", "{\"op\": \"add\", \"path\": [2], \"value\": 2}"), "{1, 2}" },
        { PATCH("{1, 2}", "{\"op\": \"remove\", \"path\": [2]}"), "{1}" },
        { PATCH("{[1], 5}", "{\"op\": \"add\", \"path\": [[1], 0], \"value\": 0}"), "{5, [0, 1]}" },
        { PATCH("{1}", "{\"op\": \"add\", \"path\": [2], \"value\": 3}"), "undefined" },
    };
    EXPR_TABLE(cases);
}

static void test_what_cannot_be_applied__is_undefined(void **state)
{
    static const struct expr_case cases[] = {
        { PATCH("{}", "1"), "undefined" },
        { PATCH("{}", "{\"op\": \"jump\", \"path\": \"a\"}"), "undefined" },
        { PATCH("{}", "{\"op\": \"add\", \"path\": \"a\"}"), "undefined" },
        { PATCH("{}", "{\"op\": \"add\", \"path\": 1, \"value\": 1}"), "undefined" },
        { PATCH("{}", "{\"op\": \"remove\", \"path\": \"a\"}"), "undefined" },
        { PATCH("{}", "{\"op\": \"add\", \"path\": \"a/b\", \"value\": 1}"), "undefined" },
        { PATCH("[1]", "{\"op\": \"add\", \"path\": \"3\", \"value\": 1}"), "undefined" },
        { PATCH("[1]", "{\"op\": \"remove\", \"path\": \"-\"}"), "undefined" },
        { PATCH("[1, 2]", "{\"op\": \"remove\", \"path\": \"01\"}"), "undefined" },
        { PATCH("{\"a\": 1}", "{\"op\": \"test\", \"path\": \"a\", \"value\": 2}"), "undefined" },
        { PATCH("{\"a\": 1}", "{\"op\": \"move\", \"from\": \"b\", \"path\": \"c\"}"), "undefined" },
        { PATCH("{\"a\": 1}", "{\"op\": \"remove\", \"path\": \"\"}"), "undefined" },
    };
    EXPR_TABLE(cases);
}

/* What went wrong stands in the call for explanations, without being an error. */
static void test_what_cannot_be_applied__says_why(void **state)
{
    static const struct { const char *operands, *why; } rows[] = {
        { "[{}, [1]]", "operation 1: it is no object" },
        { "[{}, [{\"op\": \"jump\", \"path\": \"a\"}]]",
          "operation 1: its \"op\" is none of add, remove, replace, move, copy and test" },
        { "[{}, [{\"op\": \"add\", \"value\": 1}]]", "operation 1: it has no \"path\"" },
        { "[{}, [{\"op\": \"add\", \"path\": 1, \"value\": 1}]]",
          "operation 1: its \"path\" is neither a string nor an array" },
        { "[{}, [{\"op\": \"add\", \"path\": \"a\"}]]", "operation 1: it has no \"value\"" },
        { "[{}, [{\"op\": \"move\", \"path\": \"a\"}]]", "operation 1: it has no \"from\"" },
        { "[{}, [{\"op\": \"copy\", \"path\": \"a\", \"from\": 1}]]",
          "operation 1: its \"from\" is neither a string nor an array" },
        { "[{}, [{\"op\": \"add\", \"path\": \"a\", \"value\": 1}, {\"op\": \"remove\", \"path\": \"b\"}]]",
          "operation 2: there is nothing at its \"path\"" },
        { "[{}, [{\"op\": \"move\", \"from\": \"b\", \"path\": \"c\"}]]",
          "operation 1: there is nothing at its \"from\"" },
        { "[{}, [{\"op\": \"add\", \"path\": \"a/b\", \"value\": 1}]]", "operation 1: its \"path\" leads nowhere" },
        { "[{\"a\": 1}, [{\"op\": \"test\", \"path\": \"a\", \"value\": 2}]]",
          "operation 1: the value at its \"path\" is another" },
        { "[1, [{\"op\": \"remove\", \"path\": \"\"}]]", "operation 1: it removes all there is" },
    };
    struct builtin_bench b;
    bench_open(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(bench_call(&b, "json.patch", bench_json(&b, rows[i].operands)));
        assert_int_equal(b.call.problem, BUILTIN_FINE);
        assert_string_equal(b.call.text, rows[i].why);
    }
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_and_arrays), cmocka_unit_test(test_sets),
        cmocka_unit_test(test_what_cannot_be_applied__is_undefined),
        cmocka_unit_test(test_what_cannot_be_applied__says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
