#include "broker/attest/tee.h"
#include "broker/attest/attest.h"
#include "tests/lib/test.h"

static void test_tee_canonical__names(void **state)
{
    static const struct { const char *name, *canonical; } rows[] = {
        {"az-snp-vtpm", "az-snp-vtpm"}, {"azsnpvtpm", "az-snp-vtpm"},
        {"az-tdx-vtpm", "az-tdx-vtpm"}, {"aztdxvtpm", "az-tdx-vtpm"},
        {"nvidia", "nvidia"}, {"nvidia-dpu", "nvidia-dpu"}, {"nvidiadpu", "nvidia-dpu"},
        {"sgx", "sgx"}, {"snp", "snp"}, {"tdx", "tdx"}, {"cca", "cca"}, {"csv", "csv"},
        {"se", "se"}, {"hygondcu", "hygondcu"}, {"tpm", "tpm"}, {"sample", "sample"},
        {"sampledevice", "sampledevice"},
        {"SAMPLE", NULL}, {"Sample", NULL}, {"abacus", NULL}, {"", NULL}, {"sample ", NULL},
        {"sev", NULL}, {"azSnpVtpm", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = tee_canonical(rows[i].name);
        if (!rows[i].canonical) assert_null(got);
        else assert_string_equal(got, rows[i].canonical);
    }
}

static void test_tee_digest_alg__se_alone_has_sha512(void **state)
{
    assert_int_equal(tee_digest_alg("se"), DIGEST_SHA512);
    assert_int_equal(tee_digest_alg("sample"), DIGEST_SHA384);
    assert_int_equal(tee_digest_alg("tdx"), DIGEST_SHA384);
    assert_int_equal(tee_digest_alg("az-snp-vtpm"), DIGEST_SHA384);
}

static void test_tee_index__and_back(void **state)
{
    for (size_t i = 0; i < TEE_COUNT; i++) {
        assert_int_equal(tee_index(tee_name(i)), i);
        assert_ptr_equal(tee_canonical(tee_name(i)), tee_name(i));
    }
    assert_int_equal(tee_index("azsnpvtpm"), TEE_COUNT); /* no canonical name */
    assert_int_equal(tee_index(""), TEE_COUNT);
}

static void test_tee_challenges__se_alone(void **state)
{
    assert_true(tee_challenges("se"));
    assert_false(tee_challenges("snp"));
    assert_false(tee_challenges("abacus"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tee_canonical__names),
        cmocka_unit_test(test_tee_digest_alg__se_alone_has_sha512),
        cmocka_unit_test(test_tee_index__and_back),
        cmocka_unit_test(test_tee_challenges__se_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
