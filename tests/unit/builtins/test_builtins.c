/* What only some policies have. */
#include "broker/builtins/builtins.h"
#include "policy/rego.h"
#include "tests/lib/test.h"

static struct rego_errors errors;

static struct rego_program *compile(const struct builtin_host *host, const char *query)
{
    const struct rego_options options = {.queries = &query, .query_count = 1, .host = host};
    return rego_compile(NULL, 0, &options, &errors);
}

static const struct value *find_seven(const struct reference_source *self, const struct value *name)
{
    static const struct value seven = {.kind = VALUE_NUMBER, .number = {.i = 7}};
    return string_is(name, "seven") ? &seven : NULL;
}

/* Whether the query holds, with these values. */
static bool holds(const char *query, const struct reference_source *source)
{
    struct rego_program *p = compile(builtins_attestation_host(), query);
    if (!p) fail_msg("%s", errors.items[0].text);
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_result result;
    struct rego_input in = {.context = (void *) source, .strict = true};
    assert_non_null(run);
    bool ok = rego_eval(run, 0, &in, &result) && result.bindings->count == 1;
    rego_run_free(run);
    rego_program_free(p);
    return ok;
}

static void test_query_reference_value__value_or_null(void **state)
{
    static const struct reference_source source = {.find = find_seven}, none = {0};
    assert_true(holds("query_reference_value(\"seven\") == 7", &source));
    assert_true(holds("query_reference_value(\"eight\") == null", &source));
    assert_true(holds("query_reference_value(\"seven\") == null", &none));
    assert_true(holds("query_reference_value(\"seven\") == null", NULL));
    assert_true(holds("not 7 in query_reference_value(\"eight\")", &source));
    assert_true(holds("x := [y | some name in [\"seven\", \"eight\"]; y := query_reference_value(name)]; "
                      "x == [7, null]", &source));
    assert_false(holds("query_reference_value(input.x) == null", &source));
}

static void test_query_reference_value__of_attestation_policies_alone(void **state)
{
    assert_null(compile(builtins_host(), "query_reference_value(\"a\") == 1"));
    assert_string_equal(errors.items[0].text, "undefined function query_reference_value");
    assert_non_null(strstr(errors.items[0].hint, "attestation policies have query_reference_value"));
    assert_null(compile(builtins_attestation_host(), "query_reference_valu(\"a\") == 1"));
    assert_string_equal(errors.items[0].hint, "did you mean query_reference_value?");
    /* All else is the same. */
    assert_true(holds("crypto.sha256(\"\") != \"\"; time.clock([0, \"Europe/Berlin\"]) == [1, 0, 0]", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_reference_value__value_or_null),
        cmocka_unit_test(test_query_reference_value__of_attestation_policies_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
