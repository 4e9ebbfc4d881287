#include "broker/attest/sample.h"
#include "tests/unit/attest/kit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct digest expected;

static void setup_expected(void)
{
    assert_ok(digest_compute(DIGEST_SHA384, SPAN_LIT("bound"), &expected));
}

static struct err verify(const char *tee, const char *text, struct verified *ret)
{
    struct json_doc *doc = NULL;
    assert_ok(json_parse(span_str(text), &doc));
    struct err e = sample_verify(tee, json_root(doc), &expected, ret);
    json_free(doc); /* report_data is not looked at afterwards here */
    return e;
}

/* Evidence whose report data are `len` bytes of the digest and what follows. */
static void evidence(const uint8_t *data, size_t len, struct buf *ret)
{
    buf_reset(ret);
    buf_add_str(ret, "{\"svn\":\"1\",\"x\":9,\"report_data\":\"");
    b64_add(ret, span_of(data, len));
    buf_add_str(ret, "\"}");
}

static void test_sample_verify__claims(void **state)
{
    setup_expected();
    struct buf text = BUF_INIT;
    struct verified v = {0};
    evidence(expected.bytes, expected.len, &text);
    assert_ok(verify("sample", buf_str(&text), &v));
    assert_string_equal(v.device, "cpu");
    assert_string_equal(v.tee, "sample");
    assert_span(buf_span(&v.claims), "{\"debug\":false,\"launch_digest\":\"abcde\","
                "\"platform_version\":{\"major\":1,\"minor\":4},\"svn\":\"1\"}");
    verified_done(&v);
    assert_ok(verify("sampledevice", buf_str(&text), &v));
    assert_string_equal(v.device, "gpu");
    assert_span(buf_span(&v.claims), "{\"svn\":\"1\"}");
    verified_done(&v);
    buf_free(&text);
}

static void test_sample_verify__other_binding(void **state)
{
    setup_expected();
    struct buf text = BUF_INIT;
    struct verified v = {0};
    uint8_t data[64] = {0};
    memcpy(data, expected.bytes, expected.len);
    static const size_t lengths[] = {0, 24, 47, 49, 64}; /* prefix, padded with zeros */
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        evidence(data, lengths[i], &text);
        assert_fails_with(verify("sample", buf_str(&text), &v), ERR_AUTH, "other data");
    }
    for (size_t bit = 0; bit < 8 * expected.len; bit += 37) {
        data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        evidence(data, expected.len, &text);
        assert_fails(verify("sample", buf_str(&text), &v), ERR_AUTH);
        data[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    buf_free(&text);
}

static void test_sample_verify__no_evidence(void **state)
{
    setup_expected();
    static const char *const texts[] = {
        "null", "{}", "[]", "\"x\"", "{\"svn\":\"1\"}", "{\"svn\":1,\"report_data\":\"\"}",
        "{\"report_data\":\"AAAA\"}", "{\"svn\":\"1\",\"report_data\":null}",
        "{\"svn\":\"1\",\"report_data\":\"!!\"}",
    };
    struct verified v = {0};
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_false(err_ok(verify("sample", texts[i], &v)));
}

static void test_sample_verify__other_tee(void **state)
{
    setup_expected();
    static const char *const tees[] = {"snp", "tdx", "se", "az-snp-vtpm", "nvidia"};
    struct buf text = BUF_INIT;
    struct verified v = {0};
    evidence(expected.bytes, expected.len, &text);
    for (size_t i = 0; i < LENGTH(tees); i++)
        assert_fails_with(verify(tees[i], buf_str(&text), &v), ERR_AUTH, "no verifier");
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_verify__claims),
        cmocka_unit_test(test_sample_verify__other_binding),
        cmocka_unit_test(test_sample_verify__no_evidence),
        cmocka_unit_test(test_sample_verify__other_tee),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
