#include "tests/lib/rego_expr.h"

static void test_contains(void **state)
{
    static const struct expr_case cases[] = {
        { "net.cidr_contains(\"10.0.0.0/8\", \"10.255.0.1\")", "true" },
        { "net.cidr_contains(\"10.0.0.0/8\", \"10.0.0.0/7\")", "false" },
        { "net.cidr_contains(\"::/0\", \"10.0.0.1\")", "false" },
        { "net.cidr_contains(\"fd00::/8\", \"fd12::1/64\")", "true" },
        { "net.cidr_contains(\"x\", \"10.0.0.1\")", "invalid CIDR address: x" },
        { "net.cidr_contains(\"10.0.0.0/8\", \"x\")", "not a valid textual representation of an IP address or CIDR: x" },
        { "net.cidr_intersects(\"10.0.0.0/8\", \"10.1.0.0/16\")", "true" },
        { "net.cidr_intersects(\"10.1.0.0/16\", \"10.0.0.0/8\")", "true" },
        { "net.cidr_intersects(\"10.0.0.0/8\", \"11.0.0.0/8\")", "false" },
        { "net.cidr_is_valid(\"10.0.0.0/8\")", "true" },
        { "net.cidr_is_valid(\"10.0.0.0\")", "false" },
        { "net.cidr_is_valid(8)", "false" },
    };
    EXPR_TABLE(cases);
}

static void test_matches(void **state)
{
    static const struct expr_case cases[] = {
        { "net.cidr_contains_matches(\"10.0.0.0/8\", \"10.1.1.1\")", "{[\"10.0.0.0/8\", \"10.1.1.1\"]}" },
        { "net.cidr_contains_matches([\"10.0.0.0/8\", \"11.0.0.0/8\"], {\"k\": [\"11.1.1.1\", 1]})", "{[1, \"k\"]}" },
        { "net.cidr_contains_matches([[]], \"10.0.0.1\")", "operand 1: element must be string or non-empty array" },
        { "net.cidr_contains_matches([\"10.0.0.0/8\"], [1])", "operand 2: element must be string or non-empty array" },
        { "net.cidr_contains_matches(1, \"10.0.0.1\")", "set()" },
    };
    EXPR_TABLE(cases);
}

static void test_expand(void **state)
{
    static const struct expr_case cases[] = {
        { "net.cidr_expand(\"10.0.0.6/31\")", "{\"10.0.0.6\", \"10.0.0.7\"}" },
        { "net.cidr_expand(\"255.255.255.255/32\")", "{\"255.255.255.255\"}" },
        { "net.cidr_expand(\"::fffe/127\")", "{\"::fffe\", \"::ffff\"}" },
        { "count(net.cidr_expand(\"10.0.0.0/20\"))", "4096" },
        { "net.cidr_expand(\"::/0\")", "limit_error" },
    };
    EXPR_TABLE(cases);
}

static void test_merge(void **state)
{
    static const struct expr_case cases[] = {
        { "net.cidr_merge([\"10.0.0.0/25\", \"10.0.0.128/25\", \"10.0.0.5/32\"])", "{\"10.0.0.0/24\"}" },
        { "net.cidr_merge([\"10.0.0.1/32\", \"10.0.0.2/32\", \"10.0.0.3/32\"])", "{\"10.0.0.1/32\", \"10.0.0.2/31\"}" },
        { "net.cidr_merge([\"0.0.0.0/0\", \"::/0\"])", "{\"0.0.0.0/0\", \"::/0\"}" },
        { "net.cidr_merge({\"192.0.2.1\"})", "{\"192.0.2.0/24\"}" },
        { "net.cidr_merge([\"10.1.1.1\"])", "{\"10.0.0.0/8\"}" },
        { "net.cidr_merge([\"::1\"])", "IPv6 invalid: needs prefix length" },
        { "net.cidr_merge([1])", "element must be string" },
        { "net.cidr_merge(1)", "operand must be an array" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contains), cmocka_unit_test(test_matches), cmocka_unit_test(test_expand),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
