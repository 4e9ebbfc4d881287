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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_and_arrays), cmocka_unit_test(test_sets),
        cmocka_unit_test(test_what_cannot_be_applied__is_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
