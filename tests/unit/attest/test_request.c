#include "broker/attest/request.h"
#include "broker/base/limits.h"
#include "tests/lib/vectors.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static void parse_version(const char *version, const char *reason)
{
    struct buf body = BUF_INIT;
    const char *tee = NULL;
    buf_addf(&body, "{\"version\":\"%s\",\"tee\":\"sample\",\"extra-params\":\"\"}", version);
    struct err e = request_parse(buf_span(&body), &tee);
    if (!reason) {
        assert_ok(e);
        assert_string_equal(tee, "sample");
    } else {
        assert_int_equal(e.code, ERR_AUTH);
        assert_string_equal(err_reason(e), reason);
    }
    buf_free(&body);
}

static void test_request_parse__version(void **state)
{
    static const char *const accepted[] = {"0.4.0", "0.4.0+x", "0.4.0+001.-.z"};
    static const char *const mismatched[] = {"0.1.0", "0.2.0", "0.4.1", "1.0.0", "0.4.0-rc1",
                                             "0.4.0-rc1+x", "0.40.0", "0.4.0-0", "10.4.0",
                                             "0.4.0-a.b-c.1"};
    static const char *const broken[] = {"latest", "0.4", "", "0.4.0.0", "00.4.0", "0.04.0",
                                         "0.4.0-", "0.4.0+", "0.4.0-01", "0.4.0-a..b", " 0.4.0",
                                         "0.4.0 ", "v0.4.0", "0.4.", ".4.0", "0.4.0+x_y",
                                         "99999999999999999999.0.0", "0.4.0-\xc3\xa9"};
    for (size_t i = 0; i < LENGTH(accepted); i++) parse_version(accepted[i], NULL);
    for (size_t i = 0; i < LENGTH(mismatched); i++) {
        char reason[200];
        snprintf(reason, sizeof reason, "KBS Client Protocol Version Mismatch: expect =0.4.0 "
                 "while the request is %s", mismatched[i]);
        parse_version(mismatched[i], reason);
    }
    for (size_t i = 0; i < LENGTH(broken); i++)
        parse_version(broken[i], "failed to parse KBS version");
}

static void test_request_parse__refused(void **state)
{
    static const char *const bodies[] = {
        "{\"tee\":\"sample\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\"}",
        "{\"version\":0.4,\"tee\":\"sample\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"abacus\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"SAMPLE\",\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":7,\"extra-params\":{}}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}} x",
        "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{},\"tee\":\"sample\"}",
        "{\"version\":\"0.4.0\",\"tee\":\"\xff\",\"extra-params\":\"\"}",
        /* the TEE is looked at before the version, as the reference does */
        "{\"version\":\"9.9.9\",\"tee\":\"abacus\",\"extra-params\":{}}",
        "[]", "\"x\"", "null", "", " ",
    };
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        const char *tee = "untouched";
        struct err e = request_parse(span_str(bodies[i]), &tee);
        assert_int_equal(e.code, ERR_AUTH);
        assert_string_equal(err_reason(e), "deserialize Request");
        assert_string_equal(tee, "untouched");
        assert_true(strlen(err_text(e)) > strlen("deserialize Request")); /* for the log */
    }
}

static void test_request_parse__accepted(void **state)
{
    static const struct { const char *body, *tee; } rows[] = {
        {"{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{},\"x\":{\"y\":[1]}}",
         "sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":null}", "sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":[1,\"a\"]}", "sample"},
        {"\r\n {\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":\"\"}\n", "sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"azsnpvtpm\",\"extra-params\":1}", "az-snp-vtpm"},
        {"{\"version\":\"0.4.0\",\"tee\":\"az-snp-vtpm\",\"extra-params\":1}", "az-snp-vtpm"},
        {"{\"version\":\"0.4.0\",\"tee\":\"tdx\",\"extra-params\":1}", "tdx"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        const char *tee = NULL;
        assert_ok(request_parse(span_str(rows[i].body), &tee));
        assert_string_equal(tee, rows[i].tee);
    }
}

/* What the two generations of clients really send. */
static void test_request_parse__recorded(void **state)
{
    static const char *const files[] = {"kbs/new-attest-p256.json", "kbs/new-get-p521.json",
                                        "kbs/new-get-rsa.json", "kbs/old-get-p256.json"};
    for (size_t i = 0; i < LENGTH(files); i++) {
        struct json_doc *doc = vector_json(files[i]);
        const char *tee = NULL;
        assert_ok(request_parse(span_str(exchange_body(doc, "/auth", 0, "request")), &tee));
        assert_string_equal(tee, "sample");
        json_free(doc);
    }
}

#define RUNTIME "\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":{\"kty\":\"EC\"}}"
#define EVIDENCE "\"tee-evidence\":{\"primary_evidence\":{},\"additional_evidence\":\"\"}"

static void test_attestation_parse__accepted(void **state)
{
    static const char *const bodies[] = {
        "{" RUNTIME "," EVIDENCE "}",
        "{\"init-data\":null," RUNTIME "," EVIDENCE ",\"x\":1}",
        "{\"tee-evidence\":{\"primary_evidence\":null,\"additional_evidence\":\"\",\"x\":[]},"
        RUNTIME "}",
    };
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        struct attestation t = {0};
        assert_ok(attestation_parse(span_str(bodies[i]), &t));
        assert_null(t.init_format);
        assert_string_equal(t.nonce, "n");
        assert_string_equal(t.additional, "");
        assert_int_equal(json_type(t.devices), JSON_ABSENT);
        attestation_done(&t);
    }
}

static void test_attestation_parse__everything(void **state)
{
    struct attestation t = {0};
    assert_ok(attestation_parse(
        SPAN_LIT("{\"init-data\":{\"format\":\"toml\",\"body\":\"b\"}," RUNTIME ","
                 "\"tee-evidence\":{\"primary_evidence\":[7],"
                 "\"additional_evidence\":\"{\\\"nvidia\\\":{\\\"a\\\":1}}\"}}"), &t));
    assert_string_equal(t.init_format, "toml");
    assert_string_equal(t.init_body, "b");
    assert_span(json_text(t.primary), "[7]");
    assert_string_equal(t.additional, "{\"nvidia\":{\"a\":1}}");
    assert_span(json_text(json_get(t.devices, "nvidia")), "{\"a\":1}");
    attestation_done(&t);
}

static void test_attestation_parse__refused(void **state)
{
    static const char *const bodies[] = {
        "", "{", "[]", "null", "{" RUNTIME "}", "{" EVIDENCE "}",
        "{" RUNTIME "," EVIDENCE "} x",
        "{" RUNTIME "," RUNTIME "," EVIDENCE "}",
        "{\"runtime-data\":{\"nonce\":\"n\"}," EVIDENCE "}",
        "{\"runtime-data\":{\"nonce\":1,\"tee-pubkey\":{}}," EVIDENCE "}",
        "{\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":\"x\"}," EVIDENCE "}",
        "{\"init-data\":\"x\"," RUNTIME "," EVIDENCE "}",
        "{\"init-data\":{\"format\":\"toml\"}," RUNTIME "," EVIDENCE "}",
        "{\"init-data\":{\"body\":\"\"}," RUNTIME "," EVIDENCE "}",
        "{" RUNTIME ",\"tee-evidence\":{\"primary_evidence\":{}}}",
        "{" RUNTIME ",\"tee-evidence\":{\"additional_evidence\":\"\"}}",
        "{" RUNTIME ",\"tee-evidence\":{\"primary_evidence\":{},\"additional_evidence\":null}}",
        "{" RUNTIME ",\"tee-evidence\":{\"primary_evidence\":{},\"additional_evidence\":\"x\"}}",
        "{" RUNTIME ",\"tee-evidence\":{\"primary_evidence\":{},\"additional_evidence\":\"[]\"}}",
        "{" RUNTIME ",\"tee-evidence\":{\"primary-evidence\":{},\"additional-evidence\":\"\"}}",
    };
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        struct attestation t = {0};
        assert_fails(attestation_parse(span_str(bodies[i]), &t), ERR_USAGE);
        assert_null(t.doc);
    }
}

static void test_attestation_parse__number_of_devices(void **state)
{
    for (unsigned n = TEE_EVIDENCE_MAX; n <= TEE_EVIDENCE_MAX + 1; n++) {
        struct buf body = BUF_INIT;
        buf_addf(&body, "{" RUNTIME ",\"tee-evidence\":{\"primary_evidence\":0,"
                 "\"additional_evidence\":\"{");
        for (unsigned i = 0; i < n; i++) buf_addf(&body, "%s\\\"t%u\\\":0", i ? "," : "", i);
        buf_add_str(&body, "}\"}}");
        struct attestation t = {0};
        if (n <= TEE_EVIDENCE_MAX) assert_ok(attestation_parse(buf_span(&body), &t));
        else assert_fails_with(attestation_parse(buf_span(&body), &t), ERR_USAGE, "at most 8");
        attestation_done(&t);
        buf_free(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_parse__version),
        cmocka_unit_test(test_request_parse__refused),
        cmocka_unit_test(test_request_parse__accepted),
        cmocka_unit_test(test_request_parse__recorded),
        cmocka_unit_test(test_attestation_parse__accepted),
        cmocka_unit_test(test_attestation_parse__everything),
        cmocka_unit_test(test_attestation_parse__refused),
        cmocka_unit_test(test_attestation_parse__number_of_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
