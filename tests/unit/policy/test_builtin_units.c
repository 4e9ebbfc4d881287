#include "tests/lib/rego_expr.h"

static void test_parse(void **state)
{
    static const struct expr_case cases[] = {
        { "units.parse(\"10\")", "10" },          { "units.parse(\"1K\")", "1000" },
        { "units.parse(\"1.5Ki\")", "1536" },     { "units.parse(\"1M\")", "1000000" },
        { "units.parse(\"100m\")", "0.1" },       { "units.parse(\"1mi\")", "1048576" },
        { "units.parse(\"0.0005K\")", "0.5" },    { "units.parse(\"2E\")", "2000000000000000000" },
        { "units.parse(\"1e3\")", "1000" },       { "units.parse(\"1e-2K\")", "10" },
        { "units.parse(\"100Ei\")", "115292150460684697600" },
        { "units.parse(\"\\\"8k\\\"\")", "8000" }, { "units.parse(\"-1.25\")", "-1.25" },
        { "units.parse(\"0.001m\")", "0.000001" }, { "units.parse(\"0\")", "0" },
        { "units.parse(\"\")", "units.parse: no amount provided" },
        { "units.parse(\"k\")", "no amount provided" },
        { "units.parse(\"1 k\")", "spaces not allowed in resource strings" },
        { "units.parse(\"1.2.3\")", "could not parse amount to a number" },
        { "units.parse(\"1kb\")", "unit kb not recognized" },
        { "units.parse(\"1e1234567\")", "exponent too large" },
        { "units.parse(\"1e123456\")", "limit_error: units.parse: number too large" },
    };
    EXPR_TABLE(cases);
}

static void test_parse_bytes(void **state)
{
    static const struct expr_case cases[] = {
        { "units.parse_bytes(\"10KB\")", "10000" },   { "units.parse_bytes(\"10kib\")", "10240" },
        { "units.parse_bytes(\"1.1KiB\")", "1126" },  { "units.parse_bytes(\"1m\")", "1000000" },
        { "units.parse_bytes(\"-1.5\")", "-1" },      { "units.parse_bytes(\".5k\")", "500" },
        { "units.parse_bytes(\"1EiB\")", "1152921504606846976" },
        { "units.parse_bytes(\"MB\")", "no byte amount provided" },
        { "units.parse_bytes(\"1xb\")", "byte unit xb not recognized" },
        { "units.parse_bytes(\"1kibibyte\")", "byte unit kibibyte not recognized" },
        { "units.parse_bytes(\"1..\")", "could not parse byte amount to a number" },
    };
    EXPR_TABLE(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_bytes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
