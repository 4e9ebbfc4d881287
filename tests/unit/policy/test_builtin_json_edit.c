#include "tests/lib/rego_expr.h"

static void test_filter(void **state)
{
    static const struct expr_case cases[] = {
        { "json.filter({\"a\": {\"b\": 1, \"c\": 2}, \"d\": 3}, [\"a/b\"])", "{\"a\": {\"b\": 1}}" },
        { "json.filter({\"a\": [1, 2, 3]}, [\"/a/0\", \"a/2\"])", "{\"a\": [1, 3]}" },
        { "json.filter({\"a/b\": 1, \"~\": 2, \"c\": 3}, [\"a~1b\", \"~0\"])", "{\"a/b\": 1, \"~\": 2}" },
        { "json.filter({\"a\": {\"b\": 1}}, [[\"a\", \"b\"]])", "{\"a\": {\"b\": 1}}" },
        { "json.filter({\"a\": 1}, [\"\"])", "{}" },
        { "json.filter({\"a\": {\"b\": 1}}, [\"a\", \"a/c\"])", "{\"a\": {\"b\": 1}}" },
        { "json.filter({\"a\": {\"b\": 1}}, [\"a/c\", \"a\"])", "{\"a\": {\"b\": 1}}" },
        { "json.filter({\"a\": 1}, [1])", "operand 2 must be one of {set, array} containing string paths or array of "
                                          "path segments but got number" },
    };
    EXPR_TABLE(cases);
}

static void test_remove(void **state)
{
    static const struct expr_case cases[] = {
        { "json.remove({\"a\": {\"b\": 1, \"c\": 2}, \"d\": 3}, [\"a/b\", \"d\"])", "{\"a\": {\"c\": 2}}" },
        { "json.remove({\"a\": [1, 2, 3]}, {\"a/0\", \"a/7\"})", "{\"a\": [2, 3]}" },
        { "json.remove({\"a\": {1, 2}}, [[\"a\", 1]])", "{\"a\": {2}}" },
        { "json.remove({\"a\": 1}, [\"a/b\"])", "{\"a\": 1}" },
        { "json.remove({\"a\": 1}, [])", "{\"a\": 1}" },
        { "json.remove([], [])", "operand 1 must be object but got array" },
    };
    EXPR_TABLE(cases);
}

static void test_path__depth_limit(void **state)
{
    static const struct expr_case cases[] = {
        { "json.filter({}, [[1 | numbers.range(1, 399)[_]]])", "{}" },
        { "json.filter({}, [[1 | numbers.range(1, 400)[_]]])", "path of more than 399 segments" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter), cmocka_unit_test(test_remove), cmocka_unit_test(test_path__depth_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
