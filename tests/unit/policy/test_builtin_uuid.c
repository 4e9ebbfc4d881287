#include "tests/lib/rego_expr.h"

static void test_parse(void **state)
{
    static const struct expr_case cases[] = {
        { "uuid.parse(\"00000000-0000-4000-8000-000000000000\")", "{\"variant\": \"RFC4122\", \"version\": 4}" },
        { "uuid.parse(\"6bea8ef2d3d33cd184e09bab06a52ece\")", "{\"variant\": \"RFC4122\", \"version\": 3}" },
        { "uuid.parse(\"URN:UUID:00000000-0000-4000-c000-000000000000\")", "{\"variant\": \"Microsoft\", \"version\": 4}" },
        { "uuid.parse(\"{00000000-0000-5000-0000-000000000000}\").variant", "\"Reserved\"" },
        { "uuid.parse(\"00000000-0000-5000-f000-000000000000\").variant", "\"Future\"" },
        { "uuid.parse(\"000003e8-48b9-21ee-b200-325096b39f47\")",
          "{\"clocksequence\": 12800, \"domain\": \"Person\", \"id\": 1000, \"macvariables\": \"local:unicast\", "
          "\"nodeid\": \"32-50-96-b3-9f-47\", \"time\": 1693566990121469600, \"variant\": \"RFC4122\", \"version\": 2}" },
        { "uuid.parse(\"13814000-1dd2-11b2-8000-010000000000\")",
          "{\"clocksequence\": 0, \"macvariables\": \"global:multicast\", \"nodeid\": \"01-00-00-00-00-00\", "
          "\"time\": 0, \"variant\": \"RFC4122\", \"version\": 1}" },
    };
    EXPR_TABLE(cases);
}

static void test_parse__what_is_none(void **state)
{
    static const struct expr_case cases[] = {
        { "uuid.parse(\"\")", "undefined" },
        { "uuid.parse(\"00000000-0000-4000-8000-00000000000\")", "undefined" },
        { "uuid.parse(\"00000000-0000-4000-8000-00000000000g\")", "undefined" },
        { "uuid.parse(\"00000000x0000-4000-8000-000000000000\")", "undefined" },
        { "uuid.parse(\"(00000000-0000-4000-8000-000000000000)\")", "undefined" },
        { "uuid.parse(1)", "operand 1 must be string but got number" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_parse__what_is_none) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
