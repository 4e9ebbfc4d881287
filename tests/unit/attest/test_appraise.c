#include "broker/attest/appraise.h"
#include "broker/base/limits.h"
#include "tests/unit/attest/kit.h"

#define EVIDENCE "/submods/cpu0/ear.veraison.annotated-evidence"

static struct buf body, claims;
static struct json_doc *doc;

static struct attest_appraiser appraiser;

static int setup(void **state)
{
    appraiser = unknown_to_all;
    return 0;
}

static int teardown(void **state)
{
    buf_free(&appraised.evidence);
    json_free(doc);
    doc = NULL;
    buf_free(&body);
    buf_free(&claims);
    return 0;
}

static struct err try_as(const char *tee, struct body b, bool sample_verifier)
{
    struct appraisal a = {.sample_verifier = sample_verifier, .appraiser = &appraiser, .tee = tee, .nonce = NONCE_A,
                          .issuer = "i", .now = NOON, .seconds = 300};
    struct attestation t = {0};
    b.nonce = NONCE_A;
    body_write(b, &body);
    assert_ok(attestation_parse(buf_span(&body), &t));
    buf_reset(&claims);
    struct err e = appraise(&a, &t, &claims);
    attestation_done(&t);
    return e;
}

static struct json found(struct body b)
{
    assert_ok(try_as("sample", b, true));
    json_free(doc);
    doc = NULL;
    assert_ok(json_parse(buf_span(&claims), &doc));
    return json_root(doc);
}

static const char *at(struct json root, const char *pointer)
{
    return json_string(json_pointer(root, pointer));
}

static void test_appraise__sample(void **state)
{
    struct json root = found((struct body){0});
    int64_t iat = 0, exp = 0;
    assert_true(json_int(json_get(root, "iat"), &iat) && iat == NOON);
    assert_true(json_int(json_get(root, "exp"), &exp) && exp == NOON + 300);
    assert_string_equal(at(root, "/iss"), "i");
    assert_string_equal(at(root, "/submods/cpu0/ear.status"), "contraindicated");
    assert_string_equal(at(root, EVIDENCE "/runtime_data_claims/nonce"), NONCE_A);
    assert_string_equal(at(root, EVIDENCE "/runtime_data_claims/additional-evidence"), "");
    assert_string_equal(at(root, EVIDENCE "/runtime_data_claims/tee-pubkey/kty"), "EC");
    assert_string_equal(at(root, EVIDENCE "/sample/svn"), "1");
    assert_false(json_present(json_pointer(root, EVIDENCE "/init_data")));
    assert_int_equal(json_count(json_get(root, "submods")), 1);
    assert_string_equal(at(root, "/submods/cpu0/ear.appraisal-policy-id"), "default");
    assert_span(json_text(json_pointer(root, "/submods/cpu0/ear.trustee.identifiers")), "[1]");
}

/* The appraiser sees exactly what stands in the token, and its class. */
static void test_appraise__what_the_appraiser_sees(void **state)
{
    struct json root = found((struct body){0});
    assert_string_equal(appraised.device, "cpu");
    struct span text = json_text(json_pointer(root, EVIDENCE));
    assert_true(span_eq(buf_span(&appraised.evidence), text));
}

static struct err appraise_not(void *context, const char *device, struct span evidence,
                               struct ear_verdict *ret)
{
    if (strcmp(device, context) != 0) return appraise_unknown(NULL, device, evidence, ret);
    FAIL(ERR_USAGE, "not this one");
}

/* One piece that cannot be appraised fails them all. */
static void test_appraise__appraiser_refuses(void **state)
{
    struct buf device = BUF_INIT;
    device_write(NONCE_A, KEY_A, &device);
    static char cpu[] = "cpu", gpu[] = "gpu";
    appraiser = (struct attest_appraiser){.context = cpu, .appraise = appraise_not};
    assert_fails_with(try_as("sample", (struct body){0}, true), ERR_USAGE, "not this one");
    appraiser.context = gpu;
    assert_ok(try_as("sample", (struct body){0}, true));
    assert_fails_with(try_as("sample", (struct body){.additional = buf_str(&device)}, true),
                      ERR_USAGE, "not this one");
    appraiser = (struct attest_appraiser){0};
    assert_fails_with(try_as("sample", (struct body){0}, true), ERR_BUSY, "nobody appraises");
    buf_free(&device);
}

static void test_appraise__device(void **state)
{
    struct buf device = BUF_INIT;
    device_write(NONCE_A, KEY_A, &device);
    struct json root = found((struct body){.additional = buf_str(&device)});
    assert_int_equal(json_count(json_get(root, "submods")), 2);
    struct json gpu = json_pointer(root, "/submods/gpu0");
    assert_string_not_equal(at(gpu, "/ear.status"), "affirming");
    struct json evidence = json_get(gpu, "ear.veraison.annotated-evidence");
    assert_string_equal(at(evidence, "/sampledevice/svn"), "2");
    assert_string_equal(at(evidence, "/runtime_data_claims/nonce"), NONCE_A);
    assert_false(json_present(json_pointer(evidence, "/runtime_data_claims/additional-evidence")));
    assert_string_equal(at(root, EVIDENCE "/runtime_data_claims/additional-evidence"),
                        buf_str(&device));
    buf_free(&device);
}

/* Additional evidence at the limit is repeated in the token, beyond it is not. */
static void test_appraise__large_device(void **state)
{
    for (unsigned beyond = 0; beyond <= 1; beyond++) {
        struct buf device = BUF_INIT;
        device_write(NONCE_A, KEY_A, &device);
        device.len--; /* the outer brace */
        buf_add_str(&device, "     ");
        while (device.len < TOKEN_ADDITIONAL_MAX + beyond - 1) buf_add_byte(&device, ' ');
        buf_add_str(&device, "}");
        struct json root = found((struct body){.additional = buf_str(&device)});
        struct json text = json_pointer(root,
                                        EVIDENCE "/runtime_data_claims/additional-evidence");
        assert_int_equal(json_present(text), !beyond);
        assert_string_equal(at(root, EVIDENCE "/runtime_data_claims/nonce"), NONCE_A);
        assert_true(json_present(json_pointer(root, "/submods/gpu0")));
        buf_free(&device);
    }
}

static void test_appraise__device_refused(void **state)
{
    struct buf other = BUF_INIT;
    device_write(NONCE_A, KEY_B, &other);
    const char *const rows[] = {
        buf_str(&other),                          /* bound to another key */
        "{\"abacus\":{}}",
        "{\"snp\":{\"svn\":\"1\"}}",
        "{\"sampledevice\":{\"svn\":\"2\"}}",
        "{\"sampledevice\":null}"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(err_ok(try_as("sample", (struct body){.additional = rows[i]}, true)));
    buf_free(&other);
}

static void test_appraise__init_data(void **state)
{
    static const char toml[] = "algorithm = \"sha256\"\nversion = \"0.1.0\"\n[data]\na = \"b\"\n";
    struct buf init = BUF_INIT, digest = BUF_INIT;
    struct json_out o = JSON_OUT(&init);
    struct digest d = {0};
    json_begin_object(&o);
    json_member_str(&o, "format", "toml");
    json_member_str(&o, "body", toml);
    json_end_object(&o);
    struct json root = found((struct body){.init_data = buf_str(&init)});
    assert_ok(digest_compute(DIGEST_SHA256, span_str(toml), &d));
    b64_add(&digest, digest_span(&d));
    assert_string_equal(at(root, EVIDENCE "/init_data"), buf_str(&digest));
    assert_span(json_text(json_pointer(root, EVIDENCE "/init_data_claims")), "{\"a\":\"b\"}");
    assert_fails(try_as("sample", (struct body){
        .init_data = "{\"format\":\"json\",\"body\":\"{}\"}"}, true), ERR_USAGE);
    buf_free(&digest);
    buf_free(&init);
}

static void test_appraise__refused(void **state)
{
    assert_fails_with(try_as("sample", (struct body){0}, false), ERR_AUTH,
                      "no verifier is configured");
    assert_fails_with(try_as("snp", (struct body){0}, true), ERR_AUTH, "no verifier");
    assert_fails_with(try_as("sampledevice", (struct body){0}, true), ERR_AUTH, "not a guest");
    assert_fails(try_as("se", (struct body){0}, true), ERR_AUTH);
    /* Bound as before 0.4.0, without additional-evidence; by another hash; to another key. */
    static const struct { const char *additional, *key; enum digest_alg alg; } rows[] = {
        {NULL, KEY_A, DIGEST_SHA384}, {"", KEY_A, DIGEST_SHA256}, {"", KEY_A, DIGEST_SHA512},
        {"", KEY_B, DIGEST_SHA384}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf bound = BUF_INIT;
        binding(rows[i].additional, NONCE_A, rows[i].key, rows[i].alg, &bound);
        assert_fails(try_as("sample", (struct body){.report_data = buf_str(&bound)}, true),
                     ERR_AUTH);
        buf_free(&bound);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_appraise__sample),
        TEST(test_appraise__what_the_appraiser_sees),
        TEST(test_appraise__appraiser_refuses),
        TEST(test_appraise__device),
        TEST(test_appraise__large_device),
        TEST(test_appraise__device_refused),
        TEST(test_appraise__init_data),
        TEST(test_appraise__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
