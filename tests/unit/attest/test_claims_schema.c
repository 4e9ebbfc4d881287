/* claims_schema.c: texts of the right form. What they say is held against tokens in
 * tests/unit/api/test_policies.c, where the schema can be read as one. */
#include "broker/attest/claims_schema.h"
#include "tests/unit/attest/kit.h"

static struct json_doc *parsed(const char *text)
{
    struct json_doc *doc = NULL;
    assert_ok(json_parse(span_str(text), &doc));
    return doc;
}

static void test_claims_schema__members(void **state)
{
    struct json_doc *doc = parsed(claims_schema());
    struct json root = json_root(doc);
    assert_string_equal(json_string(json_get(root, "exp")), "number");
    assert_true(json_present(json_pointer(root, "/submods/cpu#/ear.trustworthiness-vector/sourced-data")));
    assert_true(json_present(json_pointer(root, "/submods/*#/ear.status")));
    json_free(doc);
}

/* Every TEE that can be named has a place for its claims; the evidence's schema is the same text. */
static void test_claims_schema_evidence__tees(void **state)
{
    static const char *const NAMES[] = {
        "az-snp-vtpm", "az-tdx-vtpm", "cca", "csv", "hygondcu", "nvidia", "nvidia-dpu", "sample",
        "sampledevice", "se", "sgx", "snp", "tdx", "tpm",
    };
    struct json_doc *doc = parsed(claims_schema_evidence());
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char key[32];
        assert_string_equal(tee_canonical(NAMES[i]), NAMES[i]);
        snprintf(key, sizeof key, "%s?", NAMES[i]);
        assert_true(json_present(json_get(json_root(doc), key)));
    }
    assert_non_null(strstr(claims_schema(), claims_schema_evidence()));
    json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_schema__members),
        cmocka_unit_test(test_claims_schema_evidence__tees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
