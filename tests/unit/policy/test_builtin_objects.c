#include "tests/lib/rego_expr.h"

static void test_get(void **state)
{
    static const struct expr_case cases[] = {
        { "object.get({\"a\": 1}, \"a\", 0)", "1" },
        { "object.get({\"a\": 1}, \"b\", 0)", "0" },
        { "object.get({\"a\": [{\"b\": 2}]}, [\"a\", 0, \"b\"], 0)", "2" },
        { "object.get({\"a\": 1}, [], 0)", "{\"a\": 1}" },
        { "object.get({\"a\": 1}, [\"a\", \"b\"], 0)", "0" },
        { "object.get([], 0, 1)", "operand 1 must be object but got array" },
        { "object.keys({\"b\": 1, 2: 3})", "{2, \"b\"}" },
    };
    EXPR_TABLE(cases);
}

static void test_filter_and_remove(void **state)
{
    static const struct expr_case cases[] = {
        { "object.filter({\"a\": 1, \"b\": 2}, [\"b\", \"c\"])", "{\"b\": 2}" },
        { "object.filter({\"a\": 1, \"b\": 2}, {\"a\": null})", "{\"a\": 1}" },
        { "object.filter({\"a\": 1}, set())", "{}" },
        { "object.remove({\"a\": 1, \"b\": 2}, {\"b\", \"c\"})", "{\"a\": 1}" },
        { "object.remove({\"a\": 1}, 1)", "operand 2 must be one of {object, set, array} but got number" },
    };
    EXPR_TABLE(cases);
}

static void test_union(void **state)
{
    static const struct expr_case cases[] = {
        { "object.union({\"a\": 1, \"c\": {\"x\": 1}}, {\"a\": 2, \"c\": {\"y\": 2}})",
          "{\"a\": 2, \"c\": {\"x\": 1, \"y\": 2}}" },
        { "object.union_n([{\"a\": {\"x\": 1}}, {\"a\": 1}, {\"a\": {\"y\": 2}}])", "{\"a\": {\"y\": 2}}" },
        { "object.union_n([])", "{}" },
        { "object.union_n([{}, 1])", "operand 1 must be array of objects but got array containing number" },
    };
    EXPR_TABLE(cases);
}

static void test_subset(void **state)
{
    static const struct expr_case cases[] = {
        { "object.subset({\"a\": {\"b\": 1, \"c\": 2}, \"d\": 3}, {\"a\": {\"b\": 1}})", "true" },
        { "object.subset({\"a\": [1, 2, 3]}, {\"a\": [2, 3]})", "true" },
        { "object.subset({\"a\": 1}, {\"a\": 2})", "false" },
        { "object.subset({\"a\": 1}, {\"b\": 1})", "false" },
        { "object.subset([1, 2, 3], [1, 3])", "false" },
        { "object.subset([1, 2], [])", "true" },
        { "object.subset([1, 2, 3], {3, 1})", "true" },
        { "object.subset({1, 2}, {1})", "true" },
        { "object.subset({1}, [1])", "both arguments object.subset must be of the same type or array and set" },
        { "object.subset(1, 1)", "both arguments object.subset must be of the same type" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get), cmocka_unit_test(test_filter_and_remove), cmocka_unit_test(test_union),
        cmocka_unit_test(test_subset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
