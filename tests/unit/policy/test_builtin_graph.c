#include "tests/lib/rego_expr.h"

static void test_walk(void **state)
{
    static const struct expr_case cases[] = {
        { "{p | walk({\"a\": [1, {2}]}, p)}",
          "{[[], {\"a\": [1, {2}]}], [[\"a\"], [1, {2}]], [[\"a\", 0], 1], [[\"a\", 1], {2}], [[\"a\", 1, 2], 2]}" },
        { "[v | walk(7, [_, v])]", "[7]" },
        { "[p | walk({\"a\": {\"b\": 1}}, [p, 1])]", "[[\"a\", \"b\"]]" },
    };
    EXPR_TABLE(cases);
}

static void test_reachable(void **state)
{
    static const struct expr_case cases[] = {
        { "graph.reachable({\"a\": [\"b\"], \"b\": {\"c\"}, \"c\": [\"a\"], \"d\": []}, [\"a\"])", "{\"a\", \"b\", \"c\"}" },
        { "graph.reachable({\"a\": [\"x\"]}, {\"a\", \"y\"})", "{\"a\"}" },
        { "graph.reachable({\"a\": null}, [\"a\"])", "{\"a\"}" },
        { "graph.reachable({}, 1)", "graph.reachable: operand 2 must be {array, set} but got number" },
    };
    EXPR_TABLE(cases);
}

static void test_reachable_paths(void **state)
{
    static const struct expr_case cases[] = {
        { "graph.reachable_paths({\"a\": [\"b\", \"c\"], \"b\": [\"d\"], \"c\": [\"d\"], \"d\": []}, [\"a\"])",
          "{[\"a\", \"b\", \"d\"], [\"a\", \"c\", \"d\"]}" },
        { "graph.reachable_paths({\"a\": []}, [\"a\"])", "{[\"a\"]}" },
        { "graph.reachable_paths({\"a\": [\"b\"], \"b\": [\"a\"]}, [\"a\"])", "{[\"a\", \"b\"]}" },
        { "graph.reachable_paths({\"a\": [\"a\"]}, [\"a\"])", "{[\"a\"]}" },
        { "graph.reachable_paths({\"a\": [\"b\"], \"b\": [\"b\"]}, [\"a\"])", "{[\"a\", \"b\", \"b\"]}" },
        { "graph.reachable_paths({}, [\"a\"])", "set()" },
        { "graph.reachable_paths({}, {})", "operand 2 must be {array, set} but got object" },
    };
    EXPR_TABLE(cases);
}

/* A chain as long as the budget allows is walked without recursion. */
static void test_reachable_paths__long_chain(void **state)
{
    static const struct expr_case cases[] = {
        { "count(max([count(p) | p = graph.reachable_paths({i: [i + 1] | i = numbers.range(1, 20000)[_]}, [1])[_]]))",
          "operand 1 must be one of {array, object, set, string} but got number" },
        { "[count(p) | p = graph.reachable_paths({i: [i + 1] | i = numbers.range(1, 20000)[_]}, [1])[_]]", "[20000]" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk), cmocka_unit_test(test_reachable), cmocka_unit_test(test_reachable_paths),
        cmocka_unit_test(test_reachable_paths__long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
